"""Crops are a pure function of seed, step and slot, and keep decoded frame and original together."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from models.restoration_pairs import NpyRestorationPairs, PatchSampler, RestorationPair


def _pair(index: int, height: int = 40, width: int = 56) -> RestorationPair:
    """No two windows look alike, and the original is the decoded frame plus one."""
    rng = np.random.default_rng(index)
    decoded = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    return decoded, decoded + 1, index / 10


def _sampler(pairs: list[RestorationPair], seed: int = 3, **options: bool) -> PatchSampler:
    return PatchSampler(pairs, seed, batch=4, side=16, **options)


def test_a_crop_does_not_depend_on_what_was_asked_before() -> None:
    pairs = [_pair(0), _pair(1, 70, 90), _pair(2)]
    decoded, original, positions = _sampler(pairs).crops(7, range(4))
    assert decoded.shape == original.shape == (4, 16, 16, 3)
    assert positions.dtype == np.float32
    again = _sampler(pairs)
    for slot in (3, 0, 2, 1):
        one, other, position = again.crop(7, slot)
        assert (one == decoded[slot]).all()
        assert (other == original[slot]).all()
        assert np.float32(position) == positions[slot]
    assert not (_sampler(pairs, seed=4).crops(7, range(4))[0] == decoded).all()
    assert not (_sampler(pairs).crops(8, range(4))[0] == decoded).all()


def test_workers_share_a_batch() -> None:
    sampler = _sampler([_pair(0), _pair(1), _pair(2)])
    whole = sampler.crops(2, range(4))
    halves = sampler.crops(2, range(2)), sampler.crops(2, range(2, 4))
    for index, joint in enumerate(whole):
        assert (np.concatenate([half[index] for half in halves]) == joint).all()


def test_original_and_position_stay_with_their_frame() -> None:
    sampler = _sampler([_pair(index) for index in range(5)])
    for step in range(4):
        decoded, original, positions = sampler.crops(step, range(4))
        assert (original == decoded + 1).all()
        for crop, position in zip(decoded, positions, strict=True):
            source = _pair(round(float(position) * 10))[0]
            windows = np.lib.stride_tricks.sliding_window_view(source, (16, 16, 3))[..., 0, :, :, :]
            same = [
                (windows == flipped).all((-3, -2, -1)).any() for flipped in (crop, crop[:, ::-1])
            ]
            assert any(same)


def test_half_of_the_crops_are_mirrored_or_none() -> None:
    ramp = np.broadcast_to(np.arange(56, dtype=np.uint8)[:, None], (40, 56, 3))
    pairs: list[RestorationPair] = [(ramp, ramp, 0.5)]
    for flip, low, high in ((True, 60, 140), (False, 0, 0)):
        crops = _sampler(pairs, flip=flip).crops(0, range(200))[0]
        mirrored = (crops[:, 0, 0, 0] > crops[:, 0, -1, 0]).sum()
        assert low <= mirrored <= high


def test_every_place_of_a_frame_is_reached_and_a_frame_of_one_crop_is_one() -> None:
    place = np.add.outer(18 * np.arange(18), np.arange(18)).astype(np.uint16).view(np.uint8)
    frame = np.stack([place[:, ::2], place[:, 1::2], place[:, ::2]], axis=-1)
    crops = _sampler([(frame, frame, 0.0)], flip=False).crops(0, range(200))[0]
    assert len({crop[0, 0].tobytes() for crop in crops}) == 9  # 18 − 16 + 1 places each way
    exact = frame[:16, :16]
    assert (_sampler([(exact, exact, 0.0)], flip=False).crop(0, 0)[0] == exact).all()


def test_a_pass_visits_every_pair_once() -> None:
    sampler = _sampler([_pair(index) for index in range(6)])
    seen = [sampler.crop(n // 4, n % 4)[2] for n in range(12)]
    assert sorted(seen[:6]) == sorted(seen[6:]) == [index / 10 for index in range(6)]
    assert seen[:6] != seen[6:]


def _written(folder: Path, **frames: np.ndarray) -> dict[str, Path]:
    paths = {name: folder / f"{name}.npy" for name in frames}
    for name, frame in frames.items():
        np.save(paths[name], frame)
    return paths


def test_npy_pairs_are_mapped_and_cheap_to_pickle(tmp_path: Path) -> None:
    decoded, original, _ = _pair(0)
    paths = _written(tmp_path, decoded=decoded, original=original)
    pairs = NpyRestorationPairs([paths["decoded"]], [paths["original"]], [0.25])
    again = pickle.loads(pickle.dumps(pairs))
    assert len(pickle.dumps(pairs)) < 1000
    assert len(again) == 1
    assert isinstance(again[0][0], np.memmap)
    assert (again[0][0] == decoded).all()
    assert (again[0][1] == original).all()
    assert again[0][2] == 0.25


def test_bad_files_and_lists_are_named(tmp_path: Path) -> None:
    decoded, original, _ = _pair(0)
    paths = _written(
        tmp_path, good=decoded, low=original[:-1], grey=decoded[..., 0], real=decoded / 255
    )

    def pairs(one: str, other: str, position: float = 0.5) -> NpyRestorationPairs:
        return NpyRestorationPairs([paths[one]], [paths[other]], [position])

    with pytest.raises(ValueError, match=r"good\.npy: \(40, 56, 3\), but its original .*low\.npy"):
        pairs("good", "low")[0]
    with pytest.raises(
        ValueError, match=r"grey\.npy: want uint8 \(H, W, 3\), got uint8 \(40, 56\)"
    ):
        pairs("good", "grey")[0]
    with pytest.raises(ValueError, match=r"real\.npy: want uint8"):
        pairs("real", "good")[0]
    with pytest.raises(ValueError, match="1 decoded frames, 0 originals, 1 positions"):
        NpyRestorationPairs([paths["good"]], [], [0.5])
    for position in (1.5, float("nan")):
        with pytest.raises(ValueError, match=r"good\.npy: its position .* is not within 0–1"):
            pairs("good", "good", position)


def test_a_frame_smaller_than_a_crop_is_named(tmp_path: Path) -> None:
    decoded, original, _ = _pair(0)
    with pytest.raises(ValueError, match="pair 0: 56×40 pixels, smaller than a crop of 41×41"):
        PatchSampler([_pair(0)], seed=0, batch=1, side=41).crops(0, range(1))
    paths = _written(tmp_path, one=decoded, other=original)
    pairs = NpyRestorationPairs([paths["one"]], [paths["other"]], [0.5])
    with pytest.raises(ValueError, match=r"one\.npy: 56×40 pixels, smaller than a crop of 57×57"):
        PatchSampler(pairs, seed=0, batch=1, side=57).crops(0, range(1))
