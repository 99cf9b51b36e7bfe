"""The restorer starts as the identity, reaches as far as it says, and knows its range of qualities."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from models.checkpoint import load_weights, write_tensors
from models.restorer import PositionOutside, Restorer, RestorerConfig, build_restorer

TINY = RestorerConfig(channels=8, blocks=1)


def trained(config: RestorerConfig = TINY, seed: int = 0) -> Restorer:
    """A restorer whose last convolution is not 0 any more."""
    model = build_restorer(config, (0.0, 1.0), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.tail.weight.normal_(0, 0.1, generator=generator)
    return model.eval()


@pytest.mark.parametrize("shuffle", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 5), (13, 16), (24, 31)])
def test_untrained_is_the_identity_at_any_size(shuffle: int, size: tuple[int, int]) -> None:
    config = RestorerConfig.model_validate({"channels": 8, "blocks": 2, "shuffle": shuffle})
    model = build_restorer(config, (0.0, 1.0))
    frames = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        restored = model(frames, torch.tensor([0.0, 1.0]))
        assert torch.equal(restored, frames.float() / 255)
        assert trained(config)(frames, torch.tensor([0.0, 1.0])).shape == frames.shape


def test_bytes_and_floats_are_the_same_frame() -> None:
    model, position = trained(), torch.tensor([0.5])
    frames = torch.randint(0, 256, (1, 3, 9, 12), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(frames, position)
        torch.testing.assert_close(model(frames.float() / 255, position), expected)
        assert not torch.equal(expected, frames.float() / 255)


def test_edge_is_repeated_where_the_size_is_no_multiple() -> None:
    model, position = trained(), torch.tensor([0.5])
    frames = torch.rand(1, 3, 7, 9)
    padded = torch.cat([frames, frames[..., -1:]], 3)
    padded = torch.cat([padded, padded[..., -1:, :]], 2)
    with torch.inference_mode():
        whole = model(padded, position)
        torch.testing.assert_close(model(frames, position), whole[..., :7, :9])


@pytest.mark.parametrize("shuffle", [1, 2, 4])
@pytest.mark.parametrize("blocks", [1, 2])
def test_radius_is_how_far_a_pixel_reaches(shuffle: int, blocks: int) -> None:
    config = RestorerConfig.model_validate({"channels": 8, "blocks": blocks, "shuffle": shuffle})
    model = trained(config).double()
    for convolution in model.modules():
        if isinstance(convolution, torch.nn.Conv2d):
            # Of one sign: what reaches a pixel by several paths cannot cancel out.
            convolution.weight.data.abs_()
    radius = model.radius
    side = 2 * radius + 8
    frames = torch.rand(1, 3, side, side, dtype=torch.float64)
    position = torch.tensor([0.5])
    farthest = 0
    with torch.inference_mode():
        before = model(frames, position)
        for corner in range(4):  # each place in a cell, along the diagonal
            y = x = radius + corner
            changed = frames.clone()
            changed[..., y, x] += 1
            moved = (model(changed, position) != before).any(1)[0].nonzero()
            farthest = max(farthest, int((moved - torch.tensor([y, x])).abs().max()))
    assert farthest == radius


def test_nothing_depends_on_the_pictures_extent() -> None:
    model, position = trained(), torch.tensor([0.3])
    frames = torch.rand(1, 3, 40, 44)
    with torch.inference_mode():
        whole = model(frames, position)
        part = model(frames[..., :30, :36], position)
    inner = 30 - model.radius, 36 - model.radius
    torch.testing.assert_close(
        part[..., : inner[0], : inner[1]], whole[..., : inner[0], : inner[1]]
    )


def test_quality_changes_what_is_restored_of_its_frame_alone() -> None:
    model = trained()
    frames = torch.rand(1, 3, 8, 8).expand(2, 3, 8, 8)
    with torch.inference_mode():
        same = model(frames, torch.tensor([0.25, 0.25]))
        other = model(frames, torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(same[0], same[1])
    torch.testing.assert_close(other[0], same[0])
    assert (other[1] - other[0]).abs().max() > 1e-3


def test_every_weight_learns() -> None:
    model = trained()
    frames = torch.rand(2, 3, 9, 8)
    model(frames, torch.tensor([0.2, 0.9])).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_untrained_body_keeps_its_scale_at_any_depth() -> None:
    for blocks in (1, 64):
        model = build_restorer(RestorerConfig(channels=8, blocks=blocks), (0.0, 1.0))
        seen: list[float] = []
        model.tail.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(float(x[0].std())))
        with torch.inference_mode():
            model(torch.rand(1, 3, 16, 16), torch.tensor([0.5]))
        assert 0.05 < seen[0] < 20


def test_a_position_for_each_frame() -> None:
    with pytest.raises(ValueError, match=r"^\(1,\) positions for 2 frames$"):
        trained()(torch.rand(2, 3, 8, 8), torch.tensor([0.5]))


@pytest.mark.parametrize("position", [0.19, 0.61, -1.0, float("nan")])
def test_position_outside_is_named_with_the_range(position: float) -> None:
    model = build_restorer(TINY, (0.2, 0.6))
    with pytest.raises(PositionOutside, match=rf"position {position:g} .*0\.2–0\.6") as caught:
        model.check_positions([0.3, position])
    assert "\n" not in str(caught.value)


def test_position_within_is_accepted_with_its_ends() -> None:
    model = build_restorer(TINY, (0.2, 0.6))
    model.check_positions([0.2, 0.4, 0.6, float(torch.tensor(0.6)), float(torch.tensor(0.2))])
    model.check_positions([])


@pytest.mark.parametrize("positions", [(-0.1, 0.5), (0.6, 0.5), (0.0, 1.1), (0.0, float("nan"))])
def test_range_is_a_range(positions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^positions: .*is no range within 0–1$"):
        build_restorer(TINY, positions)


def test_weights_bring_their_range(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    source = build_restorer(TINY, (0.1, 0.7), seed=3).to(memory_format=torch.channels_last)
    write_tensors(file, source.state_dict(), {})
    target = build_restorer(TINY, (0.0, 1.0))
    load_weights(target, file)
    assert target.get_buffer("range").tolist() == [0.1, 0.7]
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name
    with pytest.raises(PositionOutside):
        target.check_positions([0.8])


@pytest.mark.parametrize("change", [{"channels": 16}, {"blocks": 2}, {"shuffle": 4}])
def test_weights_of_another_network_are_refused(change: dict[str, int], tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_tensors(file, build_restorer(TINY, (0.0, 1.0)).state_dict(), {})
    other = RestorerConfig.model_validate({"channels": 8, "blocks": 1, **change})
    with pytest.raises(ValueError, match=r"weights\.safetensors: not this network's") as caught:
        load_weights(build_restorer(other, (0.0, 1.0)), file)
    assert "\n" not in str(caught.value)


def test_weights_are_the_seeds() -> None:
    state = torch.get_rng_state()
    one, same, other = (build_restorer(TINY, (0.0, 1.0), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize(
    "fields",
    [
        {"chanels": 8},
        {"channels": 7},
        {"channels": "8"},
        {"blocks": 0},
        {"blocks": 65},
        {"shuffle": 3},
    ],
)
def test_config_is_strict(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        RestorerConfig.model_validate(fields)
