"""Small parts of the road: luck, links, and encodes that are made once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleet.codecs import JpegConfig
from fleet.encoder import Encoder
from fleet.frames.layout import FrameReader, FrameRef
from fleet.noise import uniform
from fleet.uplink import UplinkConfig, Uplinks


def test_luck_is_uniform_and_depends_on_each_part_of_its_name() -> None:
    draws = uniform(3, "outage", np.arange(500)[:, None], np.arange(400))
    assert draws.shape == (500, 400)
    assert ((draws >= 0) & (draws < 1)).all()
    shares, _ = np.histogram(draws, 20, (0, 1))
    assert np.abs(shares / draws.size - 0.05).max() < 0.002
    assert abs(np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(draws[:, :-1].ravel(), draws[:, 1:].ravel())[0, 1]) < 0.01
    one = float(uniform(3, "outage", 7, 9))
    assert one == draws[7, 9]
    assert len({one, *(float(uniform(*name)) for name in (
        (4, "outage", 7, 9), (3, "loss", 7, 9), (3, "outage", 8, 9), (3, "outage", 7, 10)
    ))}) == 5  # fmt: skip


def test_outages_have_the_lengths_and_numbers_asked_for() -> None:
    config = UplinkConfig(outages_per_hour=4.0, outage_s=120.0, bits_per_second=1000.0)
    links = Uplinks(config, np.arange(200), seed=1, tick_ms=5000)
    up = np.array([links.capacity(tick) > 0 for tick in range(2 * 720)])
    falls = (up[:-1] & ~up[1:]).sum()
    assert falls / up[:-1].sum() * 720 == pytest.approx(4.0, rel=0.1)
    assert (~up).sum() / falls * 5 == pytest.approx(120, rel=0.1)
    assert links.capacity(1440).max() == 5000


def test_a_trace_gives_bandwidth_over_time() -> None:
    config = UplinkConfig(trace=[[0, 10.0], [20, 0.0], [30, 500.0]], trace_period_s=60.0)
    links = Uplinks(config, np.arange(1), seed=0, tick_ms=10_000)
    bits = [int(links.capacity(tick)[0]) for tick in range(8)]
    assert bits == [100, 100, 0, 5000, 5000, 5000, 100, 100]
    for bad in ([[5, 1.0]], [[0, 1.0], [0, 2.0]], [[0, -1.0]]):
        with pytest.raises(ValueError, match="trace"):
            UplinkConfig(trace=bad)


@pytest.fixture
def ref(tmp_path: Path) -> FrameRef:
    path = tmp_path / "ulm_000000_000000_leftImg8bit.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return FrameRef("ulm_000000_000000", "ulm", path, None)


def test_a_frame_is_encoded_once_at_a_quality(tmp_path: Path, ref: FrameRef) -> None:
    """Many threads of several encoders ask for the same bitstreams at the same time."""
    encoders = [Encoder(JpegConfig(), FrameReader(), tmp_path / "encoded") for _ in range(3)]
    found: list[tuple[float, str]] = []

    def work(encoder: Encoder) -> None:
        for quality in (20.0, 50.0, 80.0):
            found.append((quality, encoder.encode(ref, quality).digest))

    threads = [
        threading.Thread(target=work, args=(encoder,)) for encoder in encoders for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 36
    assert len(set(found)) == 3
    assert sum(encoder.encodes for encoder in encoders) == 3


def test_other_pixels_and_other_settings_are_other_bitstreams(
    tmp_path: Path, ref: FrameRef
) -> None:
    folder = tmp_path / "encoded"
    first = Encoder(JpegConfig(), FrameReader(), folder).encode(ref, 50)
    other = Encoder(JpegConfig(subsampling="444"), FrameReader(), folder).encode(ref, 50)
    Image.new("RGB", (64, 48), (9, 99, 199)).save(ref.image)
    replaced = Encoder(JpegConfig(), FrameReader(), folder).encode(ref, 50)
    assert len({first.digest, other.digest, replaced.digest}) == 3
    assert len({first.path, other.path, replaced.path}) == 3
