"""Crops are a pure function of seed, step and slot, and keep frame and labels together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.frame_pairs import CropSampler, NpyPairs, Pair


def _pair(height: int, width: int) -> Pair:
    """Each pixel's label can be read off its frame: label = red // 16; smooth in both directions."""
    y, x = np.mgrid[0:height, 0:width]
    red = ((y / height + x / width) * 120).astype(np.uint8)
    frame = np.stack([red, 255 - red, red], axis=-1)
    return frame, (red // 16).astype(np.uint8)


def _sampler(pairs: list[Pair], **options: object) -> CropSampler:
    fields = {"seed": 3, "batch": 4, "height": 32, "width": 40} | options
    return CropSampler(pairs, **fields)  # type: ignore[arg-type]


def test_a_crop_does_not_depend_on_what_was_asked_before() -> None:
    pairs = [_pair(60, 80), _pair(70, 90), _pair(60, 80)]
    first = _sampler(pairs, scale_min=0.5, scale_max=2.0)
    frames, labels = first.crops(7, range(4))
    again = _sampler(pairs, scale_min=0.5, scale_max=2.0)
    for slot in (3, 0, 2, 1):
        frame, label = again.crop(7, slot)
        assert (frame == frames[slot]).all()
        assert (label == labels[slot]).all()
    other = _sampler(pairs, seed=4, scale_min=0.5, scale_max=2.0).crops(7, range(4))
    assert not all((a == b).all() for a, b in zip(frames, other[0], strict=True))


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
def test_labels_stay_with_their_pixels(scale: float) -> None:
    sampler = _sampler([_pair(120, 160)], scale_min=scale, scale_max=scale)
    for slot in range(8):
        frame, labels = sampler.crop(0, slot)
        assert frame.shape == (32, 40, 3)
        assert (labels != 255).all()
        # A boundary pixel may fall to either side.
        off = np.abs(frame[..., 0].astype(float) / 16 - 0.5 - labels)
        assert off.max() <= 0.75


def test_a_pass_visits_every_pair_once() -> None:
    pairs = [(np.full((32, 40, 3), i, np.uint8), np.zeros((32, 40), np.uint8)) for i in range(6)]
    sampler = _sampler(pairs, batch=4)
    seen = [int(sampler.crop(n // 4, n % 4)[0][0, 0, 0]) for n in range(12)]
    assert sorted(seen[:6]) == list(range(6))
    assert sorted(seen[6:]) == list(range(6))
    assert seen[:6] != seen[6:]


def test_small_frames_are_padded_with_void() -> None:
    frame, labels = _sampler([_pair(20, 100)]).crop(0, 0)
    assert frame.shape == (32, 40, 3)
    assert (labels[:20] != 255).all()
    assert (labels[20:] == 255).all()
    assert (frame[20:] == 0).all()


def test_flip_mirrors_some_crops_whole() -> None:
    pairs = [_pair(32, 40)]
    plain = pairs[0]
    sampler = _sampler(pairs)
    flipped = 0
    for slot in range(16):
        frame, labels = sampler.crop(0, slot)
        turned = not (frame == plain[0]).all()
        flipped += turned
        assert (frame == (plain[0][:, ::-1] if turned else plain[0])).all()
        assert (labels == (plain[1][:, ::-1] if turned else plain[1])).all()
    assert 0 < flipped < 16
    still = _sampler(pairs, flip=False)
    assert all((still.crop(0, slot)[0] == plain[0]).all() for slot in range(16))


def test_npy_pairs_are_mapped_and_checked(tmp_path: Path) -> None:
    frame, labels = _pair(20, 30)
    np.save(tmp_path / "f.npy", frame)
    np.save(tmp_path / "l.npy", labels)
    np.save(tmp_path / "small.npy", labels[:10])
    pairs = NpyPairs([tmp_path / "f.npy"], [tmp_path / "l.npy"])
    assert len(pairs) == 1
    assert isinstance(pairs[0][0], np.memmap)
    assert (pairs[0][0] == frame).all()
    assert (pairs[0][1] == labels).all()
    with pytest.raises(ValueError, match=r"small\.npy: want uint8 \(20, 30\)"):
        NpyPairs([tmp_path / "f.npy"], [tmp_path / "small.npy"])[0]
    with pytest.raises(ValueError, match=r"l\.npy: want uint8 \(H, W, 3\)"):
        NpyPairs([tmp_path / "l.npy"], [tmp_path / "l.npy"])[0]
    with pytest.raises(ValueError, match="1 frames but 0"):
        NpyPairs([tmp_path / "f.npy"], [])
