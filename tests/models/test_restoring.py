"""Tiles have no seams: however a frame is cut, it is restored as it would be in one piece."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.restorer import PositionOutside, Restorer, RestorerConfig, build_restorer
from models.restoring import U8, restore

CPU = torch.device("cpu")


def trained(shuffle: int = 2, blocks: int = 1) -> Restorer:
    """A restorer that changes frames by tens of levels."""
    config = RestorerConfig.model_validate({"channels": 8, "blocks": blocks, "shuffle": shuffle})
    model = build_restorer(config, (0.0, 1.0))
    with torch.no_grad():
        model.tail.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    return model


MODELS = {shuffle: trained(shuffle) for shuffle in (1, 2, 4)}


def noise(count: int, height: int, width: int) -> U8:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def whole(model: Restorer, frames: U8, positions: list[float]) -> U8:
    """The network's own answer, without tiles."""
    with torch.inference_mode():
        frames_N3HW = torch.from_numpy(frames).permute(0, 3, 1, 2)
        out_N3HW = model.eval()(frames_N3HW, torch.tensor(positions))
    restored: U8 = np.rint(np.clip(out_N3HW.numpy(), 0, 1) * 255).astype(np.uint8)
    return restored.transpose(0, 2, 3, 1)


def furthest(a: U8, b: U8) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max(initial=0))


@settings(max_examples=30, deadline=None)
@given(
    shuffle=st.sampled_from([1, 2, 4]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.integers(4, 80),
)
def test_tiles_have_no_seams(shuffle: int, height: int, width: int, tile: int) -> None:
    model, frames = MODELS[shuffle], noise(1, height, width)
    # Few tiles: the number of them is what the test's time goes into.
    tile = max(tile, height // 5, width // 5)
    restored = restore(model, frames, [0.4], CPU, tile=tile, threads=1)
    expected = whole(model, frames, [0.4])
    assert furthest(restored, expected) <= 1
    # Anything but the order of sums would show in many more pixels.
    assert np.mean(restored != expected) < 0.01


def test_tile_smaller_than_the_radius() -> None:
    model = trained(blocks=3)
    assert model.radius > 8
    frames = noise(1, 41, 33)
    restored = restore(model, frames, [0.4], CPU, tile=8, threads=1)
    assert furthest(restored, whole(model, frames, [0.4])) <= 1
    assert furthest(restored, frames) > 10


def test_frames_have_their_own_qualities() -> None:
    model, frames = MODELS[2], np.repeat(noise(1, 20, 22), 2, axis=0)
    restored = restore(model, frames, [0.0, 1.0], CPU, tile=16, threads=1)
    assert furthest(restored, whole(model, frames, [0.0, 1.0])) <= 1
    assert furthest(restored[0], restored[1]) > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_untrained_changes_no_byte(precision: Literal["fp32", "bf16"]) -> None:
    model = build_restorer(RestorerConfig(channels=8, blocks=1), (0.0, 1.0))
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    restored = restore(model, frames, [0.5], CPU, tile=7, threads=1, precision=precision)
    assert np.array_equal(restored, frames)


def test_bf16_is_near() -> None:
    model, frames = MODELS[2], noise(1, 24, 30)
    restored = restore(model, frames, [0.5], CPU, tile=16, threads=1, precision="bf16")
    assert furthest(restored, whole(model, frames, [0.5])) <= 8


def test_values_beyond_the_scale_are_clipped() -> None:
    model = build_restorer(RestorerConfig(channels=8, blocks=1), (0.0, 1.0))
    assert model.tail.bias is not None
    model.tail.bias.data.fill_(2)
    assert restore(model, noise(1, 5, 5), [0.5], CPU, threads=1).min() == 255
    model.tail.bias.data.fill_(-2)
    assert restore(model, noise(1, 5, 5), [0.5], CPU, threads=1).max() == 0


def test_frames_are_left_alone_and_may_be_read_only() -> None:
    frames = noise(1, 12, 12)
    before = frames.copy()
    frames.flags.writeable = False
    mirrored = frames[:, ::-1]
    restored = restore(MODELS[2], mirrored, [0.5], CPU, threads=1)
    assert restored.flags.writeable
    assert np.array_equal(frames, before)
    assert furthest(restored, whole(MODELS[2], mirrored.copy(), [0.5])) <= 1


def test_threads_and_trainability_are_as_they_were() -> None:
    model, threads = trained(), torch.get_num_threads()
    restore(model, noise(1, 12, 12), [0.5], CPU, threads=threads + 1)
    assert torch.get_num_threads() == threads
    model(torch.rand(1, 3, 8, 8), torch.tensor([0.5])).mean().backward()
    assert model.head.weight.grad is not None


def test_no_frames_is_no_work() -> None:
    assert restore(MODELS[2], noise(0, 12, 14), [], CPU).shape == (0, 12, 14, 3)


def test_position_outside_is_refused() -> None:
    model = build_restorer(RestorerConfig(channels=8, blocks=1), (0.4, 0.6))
    with pytest.raises(PositionOutside, match=r"position 0\.7"):
        restore(model, noise(2, 8, 8), [0.5, 0.7], CPU)


@pytest.mark.parametrize(
    ("frames", "positions", "tile", "says"),
    [
        (noise(1, 8, 8)[0], [0.5], 8, r"want uint8 \(N, H, W, 3\)"),
        (noise(1, 8, 8).astype(np.float32), [0.5], 8, "want uint8"),
        (noise(2, 8, 8), [0.5], 8, "1 positions for 2 frames"),
        (noise(1, 8, 8), [0.5], 1, "tile: 1 pixels"),
    ],
)
def test_what_cannot_be_restored_says_why(
    frames: U8, positions: list[float], tile: int, says: str
) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        restore(MODELS[2], frames, positions, CPU, tile=tile)
