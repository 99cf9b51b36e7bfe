"""Training: the same run gives the same bits, killed or not; what goes wrong says so in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from models.checkpoint import load_weights
from models.class_weights import root_weights
from models.frame_pairs import Pair
from models.metrics import evaluate
from models.segmenter import Segmenter, SegmenterConfig, build_segmenter
from models.segmenter_training import (
    CHECKPOINT,
    WEIGHTS,
    StepReport,
    TrainingConfig,
    TrainingDiverged,
    fit,
)

CPU = torch.device("cpu")
# Dropout, so that resuming has a random state to get right.
NETWORK = SegmenterConfig(architecture="deeplabv3plus", decoder_channels=16)
TINY = TrainingConfig(
    steps=6,
    batch_size=2,
    crop_height=32,
    crop_width=48,
    warmup_steps=2,
    checkpoint_every=3,
    threads=1,
)


class Killed(Exception):
    pass


def _pairs(count: int = 4, height: int = 48, width: int = 64) -> list[Pair]:
    """Dark above, bright below: two classes that a network learns in a few steps."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        horizon = int(rng.integers(height // 4, height * 3 // 4))
        labels = np.zeros((height, width), np.uint8)
        labels[horizon:] = 1
        noise = rng.integers(0, 60, (height, width, 3))
        pairs.append(((noise + 180 * labels[..., None]).astype(np.uint8), labels))
    return pairs


def _run(
    folder: Path,
    config: TrainingConfig = TINY,
    *,
    seed: int = 5,
    kill_after: int | None = None,
    network: SegmenterConfig = NETWORK,
) -> tuple[Segmenter, list[StepReport]]:
    model = build_segmenter(network, classes=3, seed=1)
    reports: list[StepReport] = []

    def on_step(report: StepReport) -> None:
        reports.append(report)
        if report.step == kill_after:
            raise Killed

    fit(model, _pairs(), config, seed=seed, device=CPU, folder=folder, on_step=on_step)
    return model, reports


def _same(a: Path, b: Path) -> bool:
    one, other = load_file(a / WEIGHTS), load_file(b / WEIGHTS)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("channels_last", [False, True])
def test_resumed_run_ends_in_the_same_bits(tmp_path: Path, channels_last: bool) -> None:
    config = TINY.model_copy(update={"channels_last": channels_last})
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    _, reports = _run(straight, config)
    with pytest.raises(Killed):
        _run(killed, config, kill_after=4)  # one step after the checkpoint
    assert (killed / CHECKPOINT).exists()
    assert not (killed / WEIGHTS).exists()
    _, rest = _run(killed, config)
    assert [report.step for report in rest] == [4, 5, 6]
    assert [report.loss for report in rest] == [report.loss for report in reports[3:]]
    assert _same(straight, killed)
    assert [file.name for file in killed.iterdir()] == [WEIGHTS]


def test_same_seed_same_bits_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        _run(tmp_path / name, seed=seed)
    assert _same(tmp_path / "a", tmp_path / "b")
    assert not _same(tmp_path / "a", tmp_path / "c")


def test_global_random_state_does_not_matter_and_is_kept(tmp_path: Path) -> None:
    torch.manual_seed(1)
    _run(tmp_path / "a")
    torch.manual_seed(2)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    _run(tmp_path / "b")
    assert _same(tmp_path / "a", tmp_path / "b")
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_finished_folder_is_loaded_not_trained_again(tmp_path: Path) -> None:
    model, _ = _run(tmp_path)
    again, reports = _run(tmp_path)
    assert reports == []
    fresh = build_segmenter(NETWORK, classes=3, seed=9)
    load_weights(fresh, tmp_path / WEIGHTS)
    for one, two, three in zip(
        model.parameters(), again.parameters(), fresh.parameters(), strict=True
    ):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _run(tmp_path, kill_after=3)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: of another run"):
        _run(tmp_path, seed=6)
    (tmp_path / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: not a safetensors file"):
        _run(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"network.x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: not this network's") as caught:
        load_weights(build_segmenter(NETWORK), tmp_path / "other.safetensors")
    assert "\n" not in str(caught.value)


def test_it_learns(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"steps": 40, "batch_size": 4})
    network = SegmenterConfig(architecture="upernet", decoder_channels=16)
    model, reports = _run(tmp_path, config, network=network)
    assert reports[-1].loss < reports[0].loss / 3
    confusion = evaluate(model, _pairs(), CPU, classes=3)
    assert confusion.trace() > 0.85 * confusion.sum()


def test_root_weights_by_hand() -> None:
    labels = np.full((16, 16), 255, np.uint8)
    labels[:, :10], labels[:, 10:12] = 0, 1  # of every fourth column: three 0, none 1, one void
    labels[0] = 1
    weights = root_weights([(np.zeros((16, 16, 3), np.uint8), labels)], 3)
    share = np.array([9, 4, 0]) / 13
    assert weights[0] / weights[1] == pytest.approx(np.sqrt(share[1] / share[0]))
    assert float(weights @ share) == pytest.approx(1)
    assert np.isfinite(weights).all()


def test_weighted_classes_change_the_run(tmp_path: Path) -> None:
    _run(tmp_path / "plain")
    _run(tmp_path / "root", TINY.model_copy(update={"class_weighting": "root"}))
    assert not _same(tmp_path / "plain", tmp_path / "root")


def test_divergence_is_one_line_with_the_step(tmp_path: Path) -> None:
    model = build_segmenter(NETWORK, classes=3)

    def spoil(report: StepReport) -> None:
        if report.step == 2:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)

    with pytest.raises(TrainingDiverged, match="nan at step 3 of 6") as caught:
        fit(model, _pairs(), TINY, seed=0, device=CPU, folder=tmp_path, on_step=spoil)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / WEIGHTS).exists()


def test_frames_of_void_alone_leave_finite_weights(tmp_path: Path) -> None:
    pairs = [(frame, np.full_like(labels, 255)) for frame, labels in _pairs()]
    losses: list[float] = []
    model = build_segmenter(NETWORK, classes=3)
    fit(
        model,
        pairs,
        TINY,
        seed=0,
        device=CPU,
        folder=tmp_path,
        on_step=lambda report: losses.append(report.loss),
    )
    assert losses == [0.0] * 6
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    model = build_segmenter(NETWORK, classes=3)
    with pytest.raises(ValueError, match="no frames"):
        fit(model, [], TINY, seed=0, device=CPU, folder=tmp_path)
    with pytest.raises(ValueError, match="batch_size: 2 crops among 3 workers"):
        fit(model, _pairs(), TINY, seed=0, device=CPU, folder=tmp_path, world_size=3)
    with pytest.raises(ValidationError, match=r"scale_min 2\.0 is above scale_max"):
        TrainingConfig(scale_min=2.0, scale_max=1.0)
    with pytest.raises(ValidationError, match="steps"):
        TrainingConfig.model_validate({"steps": "10"})


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_learning_rate_rises_then_falls(schedule: str) -> None:
    config = TrainingConfig.model_validate(
        {"steps": 100, "warmup_steps": 10, "learning_rate": 1.0, "schedule": schedule}
    )
    rates = [config.learning_rate_at(step) for step in range(100)]
    assert rates[10] == max(rates) == 1.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.05
