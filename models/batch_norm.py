"""Batch norm's statistics for another domain, from frames without labels.

After Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016 (AdaBN): the
weights stay, and only what batch norms believe about the mean and variance of their inputs is
measured anew on frames of the domain in which the network will work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.metrics import U8, equal_size_batches
from models.segmenter_training import cpu_threads


def reestimate_batch_norm(
    model: nn.Module,
    frames: Sequence[U8],
    device: torch.device,
    *,
    batch_size: int = 4,
    threads: int = 2,
) -> None:
    """Replaces the running statistics of all batch norms by those over the given frames.

    One pass in which each batch norm normalises by its batch, as in training, and averages the
    batches' means and variances cumulatively: the old statistics have no part in it, and each frame
    counts the same whatever its batch. Everything else (dropout too) works as in evaluation, so the
    result is a function of the weights and of the frames in their order. Weights stay untouched.

    Neighbours of equal size form a batch; one that would be left over alone joins the batch before
    it, since a map of one pixel has no variance in a batch of one frame. Many frames a batch are
    better than few: a batch's variance leaves out how batches differ.

    Args:
        model: a segmenter; it ends on ``device`` and in evaluation mode.
        frames: (H, W, 3) RGB of any sizes, read one batch at a time.
        device: where to compute.
        batch_size: frames a batch, one more at most.
        threads: torch's CPU threads.

    Raises:
        ValueError: there are no frames or no batch norms, or a frame with no neighbour of its size
            meets a batch norm that needs two frames; the model is as it was.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        raise ValueError("the model has no batch norms whose statistics could be estimated again")
    if len(frames) == 0:
        raise ValueError("no frames to estimate batch norm's statistics from")
    model = model.to(device).eval()
    seen = 0
    with cpu_threads(threads), torch.no_grad(), _measuring(norms):
        for batch in _batches(frames, batch_size):
            seen += len(batch)
            for norm in norms:
                # momentum=None would give each batch the same weight, and they differ in length.
                norm.momentum = len(batch) / seen
            frames_NHW3 = torch.from_numpy(np.stack(batch)).to(device)
            try:
                model(frames_NHW3.permute(0, 3, 1, 2))
            except ValueError as error:
                if len(batch) > 1:
                    raise
                height, width = batch[0].shape[:2]
                raise ValueError(
                    f"batch norm cannot learn from a lone frame of {height}×{width}: want two "
                    f"neighbours of that size ({error})"
                ) from error


@contextmanager
def _measuring(norms: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms learn within the block; if it fails, they have learned nothing."""
    before = [(norm.momentum, {k: v.clone() for k, v in norm.named_buffers()}) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        yield
    except BaseException:
        for norm, (_, buffers) in zip(norms, before, strict=True):
            norm.load_state_dict(buffers, strict=False)
        raise
    finally:
        for norm, (momentum, _) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.eval()


def _batches(frames: Sequence[U8], batch_size: int) -> Iterator[list[U8]]:
    """Neighbours of equal size; a last one that is alone joins those before it."""
    held: list[U8] = []
    for batch in equal_size_batches(frames, batch_size, lambda frame: frame.shape):
        if held and len(batch) == 1 and batch[0].shape == held[0].shape:
            held += batch
            continue
        if held:
            yield held
        held = batch
    yield held
