"""Batch norm's statistics become those of the given frames, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.batch_norm import reestimate_batch_norm
from models.segmenter import Segmenter, SegmenterConfig, build_segmenter

CPU = torch.device("cpu")


class _Plain(nn.Module):
    """One batch norm on the bytes themselves, then dropout, which must stay off."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, momentum=0.2)
        self.dropout = nn.Dropout(0.9)
        self.after = nn.BatchNorm2d(3)

    def forward(self, frames_N3HW: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.after(self.dropout(self.norm(frames_N3HW.float())))
        return out


def _frames(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def test_statistics_are_those_of_the_frames() -> None:
    model = _Plain()
    model.norm.running_mean = torch.tensor([1e4, 1e4, 1e4])  # of the old, nothing is left
    frames = _frames(4, 6, 8)
    reestimate_batch_norm(model, frames, CPU, batch_size=4, threads=1)
    pixels = np.stack(frames).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(model.norm.running_mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.norm.running_var, pixels.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(model.after.running_mean, 0, atol=1e-5)
    assert model.norm.momentum == 0.2
    assert not model.training
    assert not model.norm.training


def test_each_frame_counts_the_same() -> None:
    # Batches of 4, 2 and 3 (a lone one joins those before it) and of another size.
    frames = [*_frames(6, 6, 8), *_frames(3, 4, 12, seed=1)]
    model = _Plain()
    reestimate_batch_norm(model, frames, CPU, batch_size=4, threads=1)
    means = np.stack([frame.reshape(-1, 3).mean(0) for frame in frames])
    np.testing.assert_allclose(model.norm.running_mean, means.mean(0), rtol=1e-5)
    batches = [frames[:4], frames[4:6], frames[6:]]
    variances = [np.stack(batch).reshape(-1, 3).var(0, ddof=1) for batch in batches]
    expected = np.average(variances, axis=0, weights=[4, 2, 3])
    np.testing.assert_allclose(model.norm.running_var, expected, rtol=1e-5)


def _segmenter(architecture: str = "upernet") -> Segmenter:
    config = {"architecture": architecture, "decoder_channels": 32}
    return build_segmenter(SegmenterConfig.model_validate(config), classes=4, seed=1)


def test_weights_stay_and_the_result_is_repeatable() -> None:
    frames = [*_frames(5, 40, 48), *_frames(2, 32, 32)]
    one, same = _segmenter(), _segmenter()
    before = {name: value.clone() for name, value in one.named_parameters()}
    for model in (one, same):
        reestimate_batch_norm(model, frames, CPU, batch_size=2, threads=1)
    for name, value in one.named_parameters():
        assert torch.equal(value, before[name])
        assert value.requires_grad
    changed = 0
    for (name, a), (_, b) in zip(one.named_buffers(), same.named_buffers(), strict=True):
        assert torch.equal(a, b), name
        changed += int(name.endswith("running_mean") and bool(a.abs().max() > 0))
    norms = [m for m in one.modules() if isinstance(m, nn.BatchNorm2d)]
    assert changed == len(norms)


def test_it_makes_up_for_a_shift_of_the_domain() -> None:
    # Darker frames of less contrast give a network other inputs; with statistics of their own,
    # batch norms undo it, and the logits are those of the frames as they were.
    model, adapted = _segmenter(), _segmenter()
    frames = _frames(4, 64, 64)
    dark = [(frame // 2 + 10).astype(np.uint8) for frame in frames]
    reestimate_batch_norm(model, frames, CPU, threads=1)
    reestimate_batch_norm(adapted, dark, CPU, threads=1)

    def logits(network: Segmenter, frame: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return network(torch.from_numpy(frame)[None].permute(0, 3, 1, 2))

    wanted = logits(model, frames[0])
    as_it_was = (logits(model, dark[0]) - wanted).abs().mean()
    made_up = (logits(adapted, dark[0]) - wanted).abs().mean()
    assert made_up < as_it_was / 2


def test_refuses() -> None:
    with pytest.raises(ValueError, match="no batch norms"):
        reestimate_batch_norm(nn.Conv2d(3, 3, 1), _frames(1, 8, 8), CPU)
    with pytest.raises(ValueError, match="no frames"):
        reestimate_batch_norm(_Plain(), [], CPU)


def test_a_lone_frame_that_cannot_be_normalised_leaves_the_model_as_it_was() -> None:
    # deeplabv3plus pools over the whole frame: one value a channel.
    model = _segmenter("deeplabv3plus")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frames = [*_frames(2, 32, 32), *_frames(1, 64, 32)]
    with pytest.raises(ValueError, match=r"lone frame of 64×32: want two") as caught:
        reestimate_batch_norm(model, frames, CPU, threads=1)
    assert "\n" not in str(caught.value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    reestimate_batch_norm(model, [*frames[:2], *_frames(3, 64, 32)], CPU, batch_size=2, threads=1)
