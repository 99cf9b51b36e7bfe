"""Scores of segmenters frame by frame, and the segmenter that only differs in its batch norms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fleet.frames.labels import CLASSES, VOID
from models.checkpoint import write_tensors
from models.metrics import confusion_matrix, predict
from models.segmenter import Segmenter, SegmenterConfig, build_segmenter
from models.segmenter_training import WEIGHTS, TrainingConfig
from server.evaluation import (
    Score,
    evaluate_domain,
    read_confusions,
    read_score,
    reestimate,
)
from server.learning import LearningConfig, PairFiles

NETWORK = SegmenterConfig(encoder="compact-small", decoder_channels=8)
LEARNING = LearningConfig(segmenter=NETWORK, training=TrainingConfig(threads=1))
SIZES = [(64, 64), (64, 64), (32, 96), (64, 64)]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is meant for a node of the cluster runs in this process."""

    def run(config: LearningConfig, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(config, *arguments)

    monkeypatch.setattr("server.evaluation._on_cluster", run)


@pytest.fixture
def files(tmp_path: Path) -> PairFiles:
    """Frames of two sizes with labels; some pixels are void."""
    rng = np.random.default_rng(5)
    for name in ("frames", "labels"):
        (tmp_path / name).mkdir()
    for number, size in enumerate(SIZES):
        frame = rng.integers(0, 256, (*size, 3), np.uint8)
        labels = rng.choice([0, 1, 2, 13, VOID], size).astype(np.uint8)
        np.save(tmp_path / "frames" / f"{number}.npy", frame)
        np.save(tmp_path / "labels" / f"{number}.npy", labels)
    names = tuple(str(number) for number in range(len(SIZES)))
    return PairFiles(names, (tmp_path / "frames",), tmp_path / "labels")


@pytest.fixture
def segmenter(tmp_path: Path) -> tuple[Segmenter, Path]:
    """A network with random weights, and the folder of its file."""
    model = build_segmenter(NETWORK, len(CLASSES), seed=1)
    (tmp_path / "segmenter").mkdir()
    write_tensors(tmp_path / "segmenter" / WEIGHTS, model.state_dict(), {})
    return model, tmp_path / "segmenter"


def test_confusions_of_the_frames_sum_to_the_score(
    files: PairFiles, segmenter: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    (model, weights), out = segmenter, tmp_path / "out"
    out.mkdir()
    evaluate_domain(LEARNING, weights, files, ("2",), out)
    confusions = read_confusions(out)
    assert confusions.shape == (4, 19, 19)
    for number in range(4):
        frame = np.load(files.folders[0] / f"{number}.npy")
        labels = np.load(files.labels / f"{number}.npy")
        predicted = predict(model, frame, torch.device("cpu"), threads=1)
        # Alone, a frame may be summed in another order than in a batch: a pixel here and there.
        alone = confusion_matrix(labels, predicted, len(CLASSES))
        assert np.abs(confusions[number] - alone).sum() <= 0.01 * labels.size
        assert confusions[number].sum() == (labels != VOID).sum()
        if number == 2:
            assert np.array_equal(np.load(out / "predictions" / "2.npy"), predicted)
    assert [path.name for path in (out / "predictions").iterdir()] == ["2.npy"]
    score = read_score(out)
    assert score == Score.of(confusions.sum(axis=0))
    # By the definition, not by the code that is tested.
    total = confusions.sum(axis=0)
    ious = {}
    for number, name in enumerate(CLASSES):
        union = total[number].sum() + total[:, number].sum() - total[number, number]
        ious[name] = total[number, number] / union if union else None
    assert score.iou_per_class == pytest.approx(ious)
    known = [iou for iou in ious.values() if iou is not None]
    assert score.miou == pytest.approx(sum(known) / len(known))


def test_batch_norm_is_all_that_is_estimated_anew(
    files: PairFiles, segmenter: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    _, weights = segmenter
    paths = [files.folders[0] / f"{number}.npy" for number in (0, 1, 3)]
    made = {}
    for name, frames in (("b", paths), ("again", paths), ("other", paths[:2])):
        (tmp_path / name).mkdir()
        reestimate(LEARNING, weights, tuple(frames), tmp_path / name)
        made[name] = load_file(tmp_path / name / WEIGHTS)
    before = load_file(weights / WEIGHTS)
    b = made["b"]
    assert b.keys() == before.keys()
    differ = {name for name in before if not torch.equal(b[name], before[name])}
    statistics = {
        name
        for name in before
        if name.rsplit(".", 1)[1] in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert differ <= statistics
    assert {name for name in statistics if name.endswith("running_var")} <= differ
    assert all(torch.equal(b[name], made["again"][name]) for name in b)
    assert not all(torch.equal(b[name], made["other"][name]) for name in b)
    (tmp_path / "scored").mkdir()
    evaluate_domain(LEARNING, tmp_path / "b", files, (), tmp_path / "scored")
    assert read_confusions(tmp_path / "scored").shape == (4, 19, 19)
