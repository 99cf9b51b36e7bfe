"""The collector: acknowledged means stored, once; what is bad is refused by name and kept aside."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.codecs import JpegConfig
from fleet.upload import Upload, digest_of
from server.collector import Collector
from server.inspection import Rules
from server.manifest import manifest_digest, read_manifest

RULES = Rules(
    campaign="c" * 64,
    vehicles=4,
    frames=frozenset({"ulm_000000_000001", "ulm_000000_000002"}),
    codecs=(JpegConfig(),),
    max_bytes=20_000,
    max_pixels=64 * 48,
)


def bitstream(seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    rng = np.random.default_rng(seed)
    return JpegConfig().build().encode(rng.integers(0, 256, (height, width, 3), np.uint8), 50)


def upload(vehicle: int = 0, sequence: int = 0, **changes: Any) -> Upload:
    payload = changes.pop("payload", None)
    if payload is None:
        payload = bitstream(10 * vehicle + sequence)
    good = Upload(
        campaign="c" * 64,
        vehicle=vehicle,
        sequence=sequence,
        frame_id="ulm_000000_000001",
        codec="jpeg",
        quality=50,
        width=64,
        height=48,
        captured_ms=1000,
        arrived_ms=2000,
        size=len(payload),
        digest=digest_of(payload),
        payload=payload,
    )
    return dataclasses.replace(good, **changes)


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path, RULES)


def test_committed_means_stored(collector: Collector, tmp_path: Path) -> None:
    uploads = [upload(vehicle, sequence) for vehicle in range(3) for sequence in range(4)]
    assert all(receipt.committed for receipt in collector.commit(uploads))
    rows = read_manifest(tmp_path / "manifest")
    files = list((tmp_path / "bitstreams").rglob("*.jpg"))
    assert len(rows) == len(files) == 12
    assert collector.summary().bits == 8 * sum(file.stat().st_size for file in files)
    for one in uploads:
        row = collector.lookup(one.vehicle, one.sequence)
        assert row is not None
        assert (tmp_path / row["path"]).read_bytes() == one.payload
    assert collector.lookup(3, 0) is None
    assert collector.verify() == []


def test_again_is_once(collector: Collector, tmp_path: Path) -> None:
    first = collector.commit([upload(), upload()])
    assert collector.commit([upload(), upload(1)]) == [first[0], collector.commit([upload(1)])[0]]
    assert collector.summary().frames == len(read_manifest(tmp_path / "manifest")) == 2


def test_a_new_collector_knows_what_was_committed(collector: Collector, tmp_path: Path) -> None:
    collector.commit([upload(), upload(1), upload(2, digest="0" * 64)])
    again = Collector(tmp_path, RULES)
    assert again.summary() == collector.summary()
    again.commit([upload(), upload(2, digest="0" * 64), upload(3)])
    assert again.summary().frames == 3
    assert again.summary().refused == {"digest does not match": 1}


def test_bitstreams_without_a_commit_are_not_known(tmp_path: Path) -> None:
    """Killed between writing files and committing them: sent again, they are stored as usual."""
    (tmp_path / "bitstreams" / "v000000").mkdir(parents=True)
    (tmp_path / "bitstreams" / "v000000" / "000000.jpg").write_bytes(b"half a fi")
    collector = Collector(tmp_path, RULES)
    assert collector.lookup(0, 0) is None
    assert collector.commit([upload()])[0].committed
    assert collector.verify() == []


def test_damage_on_the_disk_is_found(collector: Collector, tmp_path: Path) -> None:
    collector.commit([upload(), upload(1)])
    row = collector.lookup(1, 0)
    assert row is not None
    (tmp_path / row["path"]).write_bytes(b"rot")
    assert collector.verify() == [str(tmp_path / row["path"])]


BAD: dict[str, dict[str, Any]] = {
    "another campaign's key": {"campaign": "d" * 64},
    "no such vehicle": {"vehicle": 4},
    "sequence number out of range": {"sequence": -1},
    "no such frame to capture": {"frame_id": "val_000000_000001"},
    "impossible times": {"captured_ms": 3000},
    "size is not as declared": {"size": 5},
    "digest does not match": {"digest": "0" * 64},
    "a codec that this campaign does not use": {"codec": "bpg"},
    "quality out of range": {"quality": 101.0},
    "quality out of range ": {"quality": 10**400},
    "frame size is not as declared": {"width": 48, "height": 64},
    "payload is not bytes": {"payload": "text", "size": 4, "digest": "0" * 64},
    "vehicle is not int": {"vehicle": "../../etc"},
    "sequence is not int": {"sequence": True},
    "larger than the largest upload taken": {"payload": bytes(20_001)},
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_uploads_are_refused_by_name(collector: Collector, tmp_path: Path, reason: str) -> None:
    changes = BAD[reason]
    payload = changes.get("payload")
    good = upload(payload=payload) if isinstance(payload, bytes) else upload()
    bad_upload = dataclasses.replace(good, **changes)
    receipts = collector.commit([upload(0, 7), bad_upload, upload(1, 7)])
    assert [receipt.committed for receipt in receipts] == [True, False, True]
    assert receipts[1].reason == reason.strip()
    summary = collector.summary()
    assert summary.refused == {reason.strip(): 1}
    assert summary.frames == 2, "nothing else may suffer"
    assert {path.parent.name for path in tmp_path.rglob("*.jpg")} == {"v000000", "v000001"}


def test_bad_bitstreams_are_refused_before_they_are_decoded(
    collector: Collector, tmp_path: Path
) -> None:
    huge = bitstream(width=128, height=96)
    streams = {"garbage": b"x" * 500, "empty": b"", "huge": huge}
    for name, payload in streams.items():
        (receipt,) = collector.commit([upload(payload=payload)])
        assert receipt.reason is not None, name
        assert receipt.reason.startswith("not a jpeg bitstream"), name
    kept = {path.read_bytes() for path in (tmp_path / "refused").glob("*.bin")}
    assert kept == set(streams.values())


def test_a_key_cannot_be_taken_over(collector: Collector) -> None:
    collector.commit([upload()])
    other = upload(payload=bitstream(99))
    (receipt,) = collector.commit([other])
    assert receipt.reason == "key is taken by another upload"
    (receipt,) = collector.commit([upload(frame_id="ulm_000000_000002")])
    assert receipt.reason == "key is taken by another upload"
    row = collector.lookup(0, 0)
    assert row is not None
    assert (row["digest"], row["frame_id"]) == (upload().digest, upload().frame_id)


def test_things_that_are_no_uploads_are_refused(collector: Collector) -> None:
    receipts = collector.commit([None, 3, upload()])  # type: ignore[list-item]
    assert [receipt.committed for receipt in receipts] == [False, False, True]


def test_the_digest_does_not_depend_on_the_order(tmp_path: Path) -> None:
    uploads = [upload(vehicle, sequence) for vehicle in range(4) for sequence in range(3)]
    digests = set()
    for name, order in (("a", uploads), ("b", uploads[::-1]), ("c", uploads[5:] + uploads[:5])):
        collector = Collector(tmp_path / name, RULES)
        for index in range(0, 12, 5):
            collector.commit(order[index : index + 5])
        digests.add(manifest_digest(read_manifest(tmp_path / name / "manifest")))
    assert len(digests) == 1
    fewer = read_manifest(tmp_path / "a" / "manifest")[1:]
    assert manifest_digest(fewer) not in digests
