"""How far apart two sets of frames are in a segmenter's eyes: the Fréchet distance of its features.

After Heusel et al., "GANs Trained by a Two Time-Scale Update Rule …", NeurIPS 2017 (FID), with two
differences. The features are the segmenter's own, so nothing is downloaded, and the distance is
measured where the task looks; it cannot be compared with FIDs of other papers, nor across segmenters.
And a sample is one position of a feature map, not one frame: this is a distance of *local* features.
A frame gives thousands of samples, so that covariances have full rank with a few dozen frames, where
one sample a frame would need more frames than channels. Neighbouring positions are alike, so the
samples count for fewer than they are; compare sets of the same frames, or of equally many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from models.metrics import U8, equal_size_batches
from models.segmenter import STRIDE, Segmenter
from models.segmenter_training import cpu_threads

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and covariance of samples; those of two sets give those of their union.

    Attributes:
        count: number of samples, at least 1.
        mean: (D,).
        covariance: (D, D), unbiased (divided by count − 1); zeros for a single sample.
    """

    count: int
    mean: F64
    covariance: F64

    @classmethod
    def of(cls, samples_ND: torch.Tensor) -> Self:
        """Statistics of samples (N, D), N ≥ 1, summed in float64 on their device."""
        samples_ND = samples_ND.double()
        mean_D = samples_ND.mean(0)
        # Deviations, not E[x²] − E[x]²: that would cancel where means are large.
        away_ND = samples_ND - mean_D
        covariance_DD = away_ND.T @ away_ND / max(len(samples_ND) - 1, 1)
        return cls(len(samples_ND), mean_D.cpu().numpy(), covariance_DD.cpu().numpy())

    def merged(self, other: FeatureStatistics) -> FeatureStatistics:
        """Statistics of both sets together (Chan et al. 1979).

        Raises:
            ValueError: the dimensions differ.
        """
        _same_dimensions(self, other)
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = (
            self.covariance * (self.count - 1)
            + other.covariance * (other.count - 1)
            + np.outer(apart, apart) * (self.count * other.count / count)
        )
        return FeatureStatistics(
            count, self.mean + apart * (other.count / count), scatter / (count - 1)
        )


def feature_statistics(
    model: Segmenter,
    frames: Iterable[U8],
    device: torch.device,
    *,
    stride: int = 8,
    batch_size: int = 4,
    threads: int = 2,
) -> FeatureStatistics:
    """Statistics of the encoder's features over all positions of all frames.

    Positions that lie wholly in the padding are left out. Neighbours of equal size go through the
    network together.

    Args:
        model: a segmenter of smp; it is put on ``device`` and into evaluation mode.
        frames: (H, W, 3) RGB of any sizes, read one batch at a time.
        device: where to compute.
        stride: of the feature map: 2, 4, 8, 16 or 32. Of several at a stride, the deepest counts.
        batch_size: frames a batch, at most.
        threads: torch's CPU threads.

    Raises:
        ValueError: no frames, or the encoder has no map at that stride.
    """
    model = model.to(device).eval()
    total: FeatureStatistics | None = None
    with cpu_threads(threads), torch.inference_mode():
        for batch in equal_size_batches(frames, batch_size, lambda frame: frame.shape):
            frames_N3HW = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2)
            map_NChw = _map_at(model.features(frames_N3HW), stride, frames_N3HW.shape[-2:])
            found = FeatureStatistics.of(map_NChw.movedim(1, -1).flatten(0, 2))
            total = found if total is None else total.merged(found)
    if total is None:
        raise ValueError("no frames to take features of")
    return total


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Squared Fréchet distance of two Gaussians, |μa − μb|² + tr(Σa + Σb − 2 (Σa Σb)^½), as FID is.

    The trace of the root is taken as the sum of the singular values of Σa^½ Σb^½: both roots come
    from symmetric eigenvalue problems, so nothing becomes complex, and Σ of any rank will do.

    Returns:
        ≥ 0, in squared units of the features; what is within rounding of 0 is 0.

    Raises:
        ValueError: the dimensions differ, or one of the two has fewer than 2 samples.
    """
    _same_dimensions(a, b)
    for statistics in (a, b):
        if statistics.count < 2:
            raise ValueError(f"a covariance needs 2 samples at least, not {statistics.count}")
    apart = a.mean - b.mean
    traces = float(np.trace(a.covariance) + np.trace(b.covariance))
    common = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    distance = float(apart @ apart) + traces - 2 * float(common)
    rounding = 4 * len(a.mean) * float(np.finfo(np.float64).eps) * traces
    return distance if distance > rounding else 0.0


def _root(covariance: F64) -> F64:
    """The symmetric square root; eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    root: F64 = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root


def _map_at(features: list[torch.Tensor], stride: int, size: torch.Size) -> torch.Tensor:
    """The deepest map at a stride, without the positions that are padding only."""
    height = -(-size[0] // STRIDE) * STRIDE
    at = [f for f in features[1:] if f.shape[1] > 0]
    strides = [height // f.shape[2] for f in at]
    if stride not in strides:
        known = ", ".join(map(str, sorted(set(strides))))
        raise ValueError(f"stride: the encoder has no features at stride {stride}; it has {known}")
    deepest = at[len(strides) - 1 - strides[::-1].index(stride)]
    return deepest[..., : -(-size[0] // stride), : -(-size[1] // stride)]


def _same_dimensions(a: FeatureStatistics, b: FeatureStatistics) -> None:
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features have {len(a.mean)} and {len(b.mean)} dimensions")
