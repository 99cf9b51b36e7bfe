"""How good a segmenter and a decoded frame are: mIoU as Cityscapes has it, PSNR and MS-SSIM."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim as _ms_ssim
from torch import nn

from models.frame_pairs import VOID, FramePairs
from models.segmenter import CLASSES
from models.segmenter_training import cpu_threads

T = TypeVar("T")
U8 = NDArray[np.uint8]
Confusion = NDArray[np.int64]
"""(classes, classes) pixels; rows the truth, columns the prediction."""

MS_SSIM_SIDE = 160
"""MS-SSIM halves a frame four times, then lays an 11-pixel window on it: sides must be larger."""


def confusion_matrix(
    labels: U8, predictions: U8, classes: int = CLASSES, void: int = VOID
) -> Confusion:
    """Counts pixels by truth and prediction; void pixels do not count.

    Args:
        labels: train ids of any shape; < classes, or void.
        predictions: train ids of the same shape; < classes where the truth is not void.
        classes: number of classes.
        void: the label of pixels that are not scored.

    Returns:
        (classes, classes) int64, rows the truth. Matrices of several frames add up.

    Raises:
        ValueError: shapes differ, or a value is neither a class nor void.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels are {labels.shape}, predictions {predictions.shape}")
    scored = labels != void
    truth, guess = labels[scored].astype(np.int64), predictions[scored].astype(np.int64)
    for name, values in (("labels", truth), ("predictions", guess)):
        if values.size and values.max() >= classes:
            raise ValueError(f"{name}: {values.max()} is none of {classes} classes")
    counts = np.bincount(truth * classes + guess, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def iou_per_class(confusion: Confusion) -> NDArray[np.float64]:
    """tp / (tp + fp + fn) of each class, 0–1; NaN for a class neither present nor predicted."""
    tp = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - tp
    iou = np.full(len(tp), np.nan)
    np.divide(tp, union, out=iou, where=union > 0)
    return iou


def mean_iou(confusion: Confusion) -> float:
    """Mean IoU over the classes with tp + fp + fn > 0, 0–1, as cityscapesscripts has it.

    NaN if nothing was scored.
    """
    iou = iou_per_class(confusion)
    present = iou[~np.isnan(iou)]
    return float(present.mean()) if present.size else math.nan


def psnr(a: U8, b: U8) -> float:
    """Peak signal-to-noise ratio of two 8-bit frames over all channels, dB.

    Infinite for identical frames: take the mean of squared errors, not of this, over a set that
    may hold some.

    Raises:
        ValueError: shapes differ or a frame is not uint8.
    """
    _same_frames(a, b)
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf


def ms_ssim(a: U8, b: U8) -> float | None:
    """Multi-scale structural similarity of two RGB frames (H, W, 3), at most 1, by pytorch-msssim.

    Returns:
        None where the smaller side is ≤ 160 pixels: its five scales do not exist there.

    Raises:
        ValueError: shapes differ or a frame is not uint8.
    """
    _same_frames(a, b)
    if min(a.shape[:2]) <= MS_SSIM_SIDE:
        return None
    with torch.inference_mode():
        x, y = (torch.from_numpy(np.array(f)).permute(2, 0, 1)[None].float() for f in (a, b))
        return float(_ms_ssim(x, y, data_range=255))


def predict(model: nn.Module, frame: U8, device: torch.device, *, threads: int = 2) -> U8:
    """The most likely class of each pixel.

    Args:
        model: a segmenter; it is put on ``device`` and into evaluation mode.
        frame: (H, W, 3) RGB.
        device: where to compute.
        threads: torch's CPU threads.

    Returns:
        Train ids (H, W).
    """
    model = model.to(device).eval()
    with cpu_threads(threads):
        train_ids: U8 = _predict_batch(model, [frame], device)[0]
    return train_ids


def evaluate(
    model: nn.Module,
    pairs: FramePairs,
    device: torch.device,
    *,
    classes: int = CLASSES,
    batch_size: int = 4,
    threads: int = 2,
) -> Confusion:
    """One confusion matrix over all pairs: the sum of those of ``evaluate_frames``."""
    by_frame = evaluate_frames(
        model, pairs, device, classes=classes, batch_size=batch_size, threads=threads
    )
    total: Confusion = by_frame.sum(axis=0)
    return total


def evaluate_frames(
    model: nn.Module,
    pairs: FramePairs,
    device: torch.device,
    *,
    classes: int = CLASSES,
    batch_size: int = 4,
    threads: int = 2,
) -> Confusion:
    """A confusion matrix of each pair, which a bootstrap over frames needs.

    Neighbours of equal size are predicted together. Batch and thread count are fixed, since sums
    of floats depend on them.

    Args:
        model: a segmenter; it is put on ``device`` and into evaluation mode.
        pairs: frames and train ids.
        device: where to compute.
        classes: of the segmenter.
        batch_size: frames a batch, at most.
        threads: torch's CPU threads.

    Returns:
        (frames, classes, classes) int64, in the order of the pairs; they add up.
    """
    model = model.to(device).eval()
    confusions = np.zeros((len(pairs), classes, classes), np.int64)
    each = (pairs[index] for index in range(len(pairs)))
    done = 0
    with cpu_threads(threads):
        for batch in equal_size_batches(each, batch_size, lambda pair: pair[0].shape):
            predictions = _predict_batch(model, [frame for frame, _ in batch], device)
            for (_, labels), prediction in zip(batch, predictions, strict=True):
                confusions[done] = confusion_matrix(np.asarray(labels), prediction, classes)
                done += 1
    return confusions


def equal_size_batches(
    items: Iterable[T], batch_size: int, size: Callable[[T], tuple[int, ...]]
) -> Iterator[list[T]]:
    """Neighbours of one size, at most ``batch_size`` together, in order and read as they are used."""
    for _, neighbours in groupby(items, size):
        while batch := list(islice(neighbours, batch_size)):
            yield batch


def _predict_batch(model: nn.Module, frames: list[U8], device: torch.device) -> U8:
    """Frames of one size → (N, H, W)."""
    with torch.inference_mode():
        frames_NHW3 = torch.from_numpy(np.stack(frames)).to(device)
        logits_NCHW = model(frames_NHW3.permute(0, 3, 1, 2))
        out: U8 = logits_NCHW.argmax(1).to(torch.uint8).cpu().numpy()
    return out


def _same_frames(a: U8, b: U8) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(
            f"want two uint8 frames of one size: {a.dtype} {a.shape}, {b.dtype} {b.shape}"
        )
