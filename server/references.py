"""The stages that prepare what decoded frames are held against.

*Originals*: the frames the vehicles' cameras saw, with their labels, for the domain O of training and
of test, and what they cost to send losslessly. *Compressed test frames*: the test frames as the
campaign's codec would have left them, for the test domain C. *Calibration originals*: the frames that
came losslessly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.codecs import CodecConfig, LosslessConfig
from fleet.encoder import Encoder
from fleet.errors import BitstreamError, CampaignFailed, InputError
from fleet.frames.data import DataSet
from fleet.frames.layout import FrameReader, FrameRef
from fleet.noise import uniform
from server.manifest import read_manifest
from server.parallel import WorkerCrash, map_items


@dataclass(frozen=True)
class _Unpack:
    """Writes a frame, its labels, and tells its lossless size; sent to worker processes."""

    reader: FrameReader
    folder: Path
    weigh: frozenset[str]

    def __call__(self, ref: FrameRef) -> int | None:
        frame = self.reader.frame(ref)
        np.save(self.folder / "frames" / f"{ref.frame_id}.npy", frame)
        np.save(self.folder / "labels" / f"{ref.frame_id}.npy", self.reader.labels(ref))
        if ref.frame_id not in self.weigh:
            return None
        codec = LosslessConfig().build()
        return 8 * len(codec.encode(frame, codec.scale.finest))


def unpack_originals(
    train: Sequence[FrameRef], data: DataSet, folder: Path, on_done: Callable[[int, int], None]
) -> None:
    """Writes originals: `frames/{id}.npy`, `labels/{id}.npy`, and `lossless.parquet`.

    Args:
        train: the train frames that are trained on; their lossless bits are weighed.
        data: the campaign's frames; all test frames are unpacked too.
        folder: where to write.
        on_done: called with (frames done, frames in all).

    Raises:
        InputError: a file that cannot be read, naming it.
    """
    for name in ("frames", "labels"):
        (folder / name).mkdir(exist_ok=True)
    refs = [*train, *data.test]
    work = _Unpack(data.reader, folder, frozenset(ref.frame_id for ref in train))
    bits = _whole(map_items(work, refs, lambda done: on_done(done, len(refs))))
    weighed = bits[: len(train)]
    table = {"frame_id": [ref.frame_id for ref in train], "bits": pa.array(weighed, pa.int64())}
    pq.write_table(pa.table(table), folder / "lossless.parquet")


@dataclass(frozen=True)
class _Receive:
    """Decodes a calibration frame; sent to worker processes."""

    codec: CodecConfig
    max_pixels: int
    folder: Path

    def __call__(self, job: tuple[str, Path]) -> None:
        frame_id, path = job
        try:
            frame = self.codec.build().decode(path.read_bytes(), self.max_pixels)
        except BitstreamError as error:
            raise InputError(f"calibration frame {frame_id}: {error}") from None
        np.save(self.folder / f"{frame_id}.npy", frame)


def receive_calibration(
    collection: Path,
    lossless: CodecConfig,
    max_pixels: int,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Writes the calibration frames that arrived: `frames/{frame_id}.npy`.

    Args:
        collection: the collection that brought them in.
        lossless: the codec that they came with.
        max_pixels: the most that a frame may have.
        folder: where to write.
        on_done: called with (frames done, frames in all).

    Raises:
        InputError: a calibration frame that cannot be decoded.
    """
    (folder / "frames").mkdir(exist_ok=True)
    rows = read_manifest(collection / "manifest")
    jobs = sorted({row["frame_id"]: collection / row["path"] for row in rows}.items())
    work = _Receive(lossless, max_pixels, folder / "frames")
    _whole(map_items(work, jobs, lambda done: on_done(done, len(jobs))))


@dataclass(frozen=True)
class _Compress:
    """Encodes and decodes a test frame at a quality; sent to worker processes."""

    codecs: Sequence[CodecConfig]
    reader: FrameReader
    max_pixels: int
    bitstreams: Path
    folder: Path

    def __call__(self, job: tuple[FrameRef, tuple[str, float]]) -> int:
        ref, (name, quality) = job
        codec = next(one for one in self.codecs if one.name == name)
        encoder = Encoder(codec, self.reader, self.bitstreams)
        encoded = encoder.encode(ref, quality)
        frame = encoder.codec.decode(encoded.path.read_bytes(), self.max_pixels)
        np.save(self.folder / f"{ref.frame_id}.npy", frame)
        return 8 * encoded.size


def compress_test_frames(
    codecs: Sequence[CodecConfig],
    qualities: Sequence[tuple[str, float]],
    data: DataSet,
    seed: int,
    bitstreams: Path,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Writes the test frames as the codec leaves them: `frames/{id}.npy` and `bits.parquet`.

    Each test frame is encoded with a codec and quality drawn from those that the campaign's delivered
    frames have, so that test domain C looks like train domain C.

    Args:
        codecs: the campaign's.
        qualities: the delivered frames' codecs and qualities, one a frame; at least one.
        data: the campaign's frames.
        seed: the campaign's seed.
        bitstreams: folder for encoded frames.
        folder: where to write.
        on_done: called with (frames done, frames in all).
    """
    (folder / "frames").mkdir(exist_ok=True)
    ordered = sorted(qualities)
    draws = uniform(seed, "test quality", 0, np.arange(len(data.test)))
    drawn = [ordered[int(draw * len(ordered))] for draw in draws]
    work = _Compress(tuple(codecs), data.reader, data.max_pixels, bitstreams, folder / "frames")
    jobs = list(zip(data.test, drawn, strict=True))
    bits = _whole(map_items(work, jobs, lambda done: on_done(done, len(jobs))))
    table = {
        "frame_id": [ref.frame_id for ref in data.test],
        "codec": [name for name, _ in drawn],
        "quality": [quality for _, quality in drawn],
        "bits": bits,
    }
    pq.write_table(pa.table(table), folder / "bits.parquet")


def test_qualities(folder: Path) -> dict[str, float]:
    """The quality at which each test frame was compressed, by id."""
    rows = pq.read_table(folder / "bits.parquet").to_pylist()
    return {row["frame_id"]: row["quality"] for row in rows}


def _whole(results: Sequence[int | WorkerCrash | None]) -> list[int | None]:
    """The results, where none of them may be missing: these bytes are our own."""
    for result in results:
        if isinstance(result, WorkerCrash):
            raise CampaignFailed(f"a worker died while preparing frames: {result}") from result
    return [result for result in results if not isinstance(result, WorkerCrash)]
