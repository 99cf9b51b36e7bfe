"""The Fréchet distance of known Gaussians, and statistics that do not depend on how they are summed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.frechet import FeatureStatistics, feature_statistics, frechet_distance
from models.segmenter import Segmenter, SegmenterConfig, build_segmenter

CPU = torch.device("cpu")


def _gaussian(mean: list[float], covariance: np.ndarray) -> FeatureStatistics:
    return FeatureStatistics(1000, np.array(mean, np.float64), covariance.astype(np.float64))


def _random_covariance(rng: np.random.Generator, dimensions: int, rank: int) -> np.ndarray:
    factor = rng.normal(size=(dimensions, rank))
    return factor @ factor.T


def test_diagonal_gaussians_by_hand() -> None:
    # Σ (μa − μb)² + (σa − σb)² over the axes: 9 + 16 + (1 − 3)² + (2 − 2)² = 29
    a = _gaussian([0, 0], np.diag([1, 4]))
    b = _gaussian([3, 4], np.diag([9, 4]))
    assert frechet_distance(a, b) == pytest.approx(29)
    assert frechet_distance(b, a) == pytest.approx(29)


def test_rotated_gaussians_by_hand() -> None:
    # Of diag(1, 9) and its turn by a quarter, diag(9, 1): (1 − 3)² + (3 − 1)². Both turned by
    # another angle stay as far apart.
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a = _gaussian([1, 2], turn @ np.diag([1, 9]) @ turn.T)
    b = _gaussian([1, 2], turn @ np.diag([9, 1]) @ turn.T)
    assert frechet_distance(a, b) == pytest.approx(8)


def test_general_gaussians_are_as_by_the_roots_of_eigenvalues() -> None:
    # tr (Σa Σb)^½ is the sum of the roots of the product's eigenvalues: another route.
    rng = np.random.default_rng(0)
    one, other = _random_covariance(rng, 6, 9), _random_covariance(rng, 6, 9)
    roots = np.sqrt(np.linalg.eigvals(one @ other).real).sum()
    expected = np.trace(one) + np.trace(other) - 2 * roots
    a, b = _gaussian([0] * 6, one), _gaussian([0] * 6, other)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


@pytest.mark.parametrize("rank", [0, 3, 40])
def test_equal_sets_are_at_0_whatever_the_rank(rank: int) -> None:
    rng = np.random.default_rng(1)
    covariance = 1e3 * _random_covariance(rng, 20, rank)
    a = _gaussian([5.0] * 20, covariance)
    assert frechet_distance(a, a) == 0
    apart = _gaussian([5.0] * 19 + [6.0], covariance)
    assert frechet_distance(a, apart) == pytest.approx(1, abs=1e-9)


def test_covariances_of_disjoint_ranges() -> None:
    # Singular ones that share no direction: nothing in common, tr Σa + tr Σb.
    a, b = _gaussian([0, 0], np.diag([2, 0])), _gaussian([0, 0], np.diag([0, 5]))
    assert frechet_distance(a, b) == pytest.approx(7)


def test_refuses() -> None:
    two, three = _gaussian([0] * 2, np.eye(2)), _gaussian([0] * 3, np.eye(3))
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        frechet_distance(two, three)
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        two.merged(three)
    single = FeatureStatistics.of(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="2 samples at least, not 1"):
        frechet_distance(two, single)


def test_merged_is_of_the_union() -> None:
    rng = np.random.default_rng(2)
    # Means far from 0, where sums of squares would cancel.
    samples = rng.normal(size=(50, 4)) * [1, 2, 3, 4] + 1e5
    whole = FeatureStatistics.of(torch.from_numpy(samples))
    np.testing.assert_allclose(whole.mean, samples.mean(0))
    np.testing.assert_allclose(whole.covariance, np.cov(samples.T), rtol=1e-8)
    parts = [FeatureStatistics.of(torch.from_numpy(part)) for part in np.split(samples, [1, 20])]
    merged = parts[0].merged(parts[1]).merged(parts[2])
    assert merged.count == 50
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-8, atol=1e-9)


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return build_segmenter(SegmenterConfig(decoder_channels=8), seed=3).eval()


def _frames(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def test_samples_are_the_positions_of_the_frames(model: Segmenter) -> None:
    frames = [*_frames(3, 40, 72), *_frames(1, 64, 64)]
    found = feature_statistics(model, iter(frames), CPU, batch_size=2, threads=1)
    # 40×72 is padded to 64×96; 5×9 of its positions at stride 8 hold pixels.
    assert found.count == 3 * 5 * 9 + 8 * 8
    assert found.mean.shape == (96,)
    samples = []
    with torch.inference_mode():
        for frame in frames:
            x_N3HW = torch.from_numpy(frame)[None].permute(0, 3, 1, 2)
            features = model.features(x_N3HW)[3]
            rows, columns = -(-frame.shape[0] // 8), -(-frame.shape[1] // 8)
            samples.append(features[0, :, :rows, :columns].flatten(1).T)
    expected = FeatureStatistics.of(torch.cat(samples))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-3, atol=1e-5)


def test_more_noise_is_farther(model: Segmenter) -> None:
    rng = np.random.default_rng(4)
    clean = [np.kron(f, np.ones((8, 8, 1), np.uint8)) for f in _frames(4, 8, 12)]
    statistics = []
    for strength in (0, 10, 40):
        noisy = [f + rng.normal(0, strength, f.shape) for f in clean]
        frames = [f.clip(0, 255).astype(np.uint8) for f in noisy]
        statistics.append(feature_statistics(model, frames, CPU, threads=1))
    none, some, much = (frechet_distance(statistics[0], s) for s in statistics)
    assert none == 0
    assert 0 < some < much


def test_feature_statistics_refuses(model: Segmenter) -> None:
    with pytest.raises(ValueError, match="no frames"):
        feature_statistics(model, [], CPU)
    with pytest.raises(ValueError, match=r"stride 64; it has 2, 4, 8, 16, 32"):
        feature_statistics(model, _frames(1, 32, 32), CPU, stride=64)


def test_strides_that_an_encoder_leaves_out_or_repeats() -> None:
    left_out = SegmenterConfig(architecture="segformer", encoder="mit_b0", decoder_channels=8)
    with pytest.raises(ValueError, match=r"stride 2; it has 4, 8, 16, 32"):
        feature_statistics(build_segmenter(left_out), _frames(1, 64, 64), CPU, stride=2)
    repeated = SegmenterConfig(architecture="deeplabv3plus", decoder_channels=8)
    found = feature_statistics(build_segmenter(repeated), _frames(1, 64, 64), CPU, stride=16)
    assert found.mean.shape == (256,)  # the last stage, dilated
