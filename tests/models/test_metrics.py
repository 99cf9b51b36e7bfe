"""Metrics against the reference scorer and against known values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from models.metrics import (
    confusion_matrix,
    equal_size_batches,
    evaluate,
    evaluate_frames,
    iou_per_class,
    mean_iou,
    ms_ssim,
    predict,
    psnr,
)


@pytest.fixture
def reference() -> ModuleType:
    return pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")


def _realistic(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of a few classes, void patches, predictions that are mostly right."""
    classes = np.array([0, 1, 2, 8, 10, 13], np.uint8)
    labels = np.kron(rng.choice(classes, (6, 8)), np.ones((8, 8), np.uint8)).astype(np.uint8)
    predictions = np.roll(labels, 3, axis=1)
    wrong = rng.random(labels.shape) < 0.1
    predictions[wrong] = rng.choice(np.append(classes, 5).astype(np.uint8), int(wrong.sum()))
    labels[:5] = 255
    labels[20:25, 30:40] = 255
    return labels, predictions


def _random(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 19, (40, 50)).astype(np.uint8)
    predictions = rng.integers(0, 19, (40, 50)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    return labels, predictions


def _absent(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Class 6 only predicted, class 17 only true, most neither."""
    labels = rng.choice(np.array([0, 17, 255], np.uint8), (30, 30))
    predictions = rng.choice(np.array([0, 6], np.uint8), (30, 30))
    return labels, predictions


@pytest.mark.parametrize("make", [_realistic, _random, _absent])
def test_mean_iou_is_the_reference_scorers(
    make: object, reference: ModuleType, tmp_path: Path
) -> None:
    from cityscapesscripts.helpers.labels import trainId2label

    assert callable(make)
    rng = np.random.default_rng(7)
    to_id = np.zeros(256, np.uint8)  # void → `unlabeled`, which the scorer ignores
    for train_id in range(19):
        to_id[train_id] = trainId2label[train_id].id
    truths, guesses = [], []
    confusion = np.zeros((19, 19), np.int64)
    for index in range(3):
        labels, predictions = make(rng)
        confusion += confusion_matrix(labels, predictions)
        for kind, ids, files in (("gt", labels, truths), ("pred", predictions, guesses)):
            file = tmp_path / f"city_{index:06d}_000000_{kind}_labelIds.png"
            Image.fromarray(to_id[ids]).save(file)
            files.append(str(file))
    args = reference.args
    args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
    result = reference.evaluateImgLists(guesses, truths, args)
    assert mean_iou(confusion) == pytest.approx(result["averageScoreClasses"], abs=1e-12)
    for train_id, iou in enumerate(iou_per_class(confusion)):
        expected = result["classScores"][trainId2label[train_id].name]
        assert iou == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_confusion_matrix_by_hand() -> None:
    labels = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    predictions = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    confusion = confusion_matrix(labels, predictions, classes=4)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    iou = iou_per_class(confusion)
    assert iou[:3].tolist() == [1 / 3, 2 / 3, 0]
    assert math.isnan(iou[3])
    assert mean_iou(confusion) == pytest.approx(1 / 3)


def test_nothing_scored_is_nan() -> None:
    void = np.full((4, 4), 255, np.uint8)
    assert math.isnan(mean_iou(confusion_matrix(void, np.zeros_like(void))))


@pytest.mark.parametrize(
    ("labels", "predictions", "match"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), r"\(2, 2\).*\(2, 3\)"),
        (np.full((2, 2), 19), np.zeros((2, 2)), "labels: 19"),
        (np.zeros((2, 2)), np.full((2, 2), 255), "predictions: 255"),
    ],
)
def test_confusion_matrix_refuses(labels: np.ndarray, predictions: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        confusion_matrix(labels.astype(np.uint8), predictions.astype(np.uint8))


def test_psnr() -> None:
    a = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(a, a) == math.inf
    assert psnr(a, a + np.uint8(1)) == pytest.approx(20 * math.log10(255))
    # 255 apart: uint8 arithmetic would wrap around to 1.
    assert psnr(np.zeros_like(a), np.full_like(a, 255)) == pytest.approx(0)
    with pytest.raises(ValueError, match="uint8"):
        psnr(a, a.astype(np.float32))


def test_ms_ssim_has_a_smallest_size() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (161, 170, 3)).astype(np.uint8)
    noisy = np.clip(frame.astype(int) + rng.integers(-60, 61, frame.shape), 0, 255)
    same, less = ms_ssim(frame, frame), ms_ssim(frame, noisy.astype(np.uint8))
    assert same == pytest.approx(1)
    assert less is not None
    assert 0 < less < 0.99
    assert ms_ssim(frame[:160], frame[:160]) is None


class _Brightness(torch.nn.Module):
    """Class 1 where the red channel is bright, else 0."""

    def forward(self, frames_N3HW: torch.Tensor) -> torch.Tensor:
        red = frames_N3HW[:, 0].float()
        return torch.stack([torch.full_like(red, 127.5), red], dim=1)


def test_evaluate_adds_frames_of_several_sizes() -> None:
    rng = np.random.default_rng(1)
    pairs = []
    expected = np.zeros((2, 2), np.int64)
    for height, width in [(5, 7), (5, 7), (5, 7), (6, 4), (5, 7)]:
        frame = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        labels = rng.choice(np.array([0, 1, 255], np.uint8), (height, width))
        expected += confusion_matrix(labels, (frame[..., 0] > 127).astype(np.uint8), 2)
        pairs.append((frame, labels))
    device, threads = torch.device("cpu"), torch.get_num_threads()
    found = evaluate(_Brightness(), pairs, device, classes=2, batch_size=2, threads=1)
    assert found.dtype == np.int64
    assert (found == expected).all()
    assert torch.get_num_threads() == threads
    prediction = predict(_Brightness(), pairs[3][0], device)
    assert prediction.dtype == np.uint8
    assert (prediction == (pairs[3][0][..., 0] > 127)).all()


def test_evaluate_frames_keeps_frames_apart() -> None:
    rng = np.random.default_rng(2)
    sizes = [(5, 7), (5, 7), (5, 7), (6, 4), (5, 7)]
    pairs = [
        (
            rng.integers(0, 256, (height, width, 3)).astype(np.uint8),
            rng.choice(np.array([0, 1, 255], np.uint8), (height, width)),
        )
        for height, width in sizes
    ]
    device = torch.device("cpu")
    found = evaluate_frames(_Brightness(), pairs, device, classes=2, batch_size=2, threads=1)
    assert found.shape == (5, 2, 2)
    assert found.dtype == np.int64
    for confusion, (frame, labels) in zip(found, pairs, strict=True):
        prediction = (frame[..., 0] > 127).astype(np.uint8)
        assert (confusion == confusion_matrix(labels, prediction, 2)).all()
    nothing = evaluate_frames(_Brightness(), [], device, classes=2)
    assert nothing.shape == (0, 2, 2)
    assert (evaluate(_Brightness(), [], device, classes=2) == 0).all()


def test_batches_are_neighbours_of_one_size_in_order() -> None:
    items = ["a1", "a2", "a3", "bb1", "a4", "a5"]
    batches = list(equal_size_batches(items, 2, lambda item: (len(item),)))
    assert batches == [["a1", "a2"], ["a3"], ["bb1"], ["a4", "a5"]]
    assert list(equal_size_batches([], 2, lambda _: ())) == []


def test_batches_are_read_as_they_are_used() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for index in range(10):
            read.append(index)
            yield index

    batches = equal_size_batches(items(), 3, lambda _: ())
    assert next(batches) == [0, 1, 2]
    assert read == [0, 1, 2]
