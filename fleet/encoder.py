"""Encodes captured frames, each once at a codec and quality, whoever captures it again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.codecs import CodecConfig
from fleet.codecs.base import AnalysingCodec, Analysis, Codec, Frame
from fleet.errors import InputError
from fleet.frames.layout import FrameReader, FrameRef
from fleet.latency import Latencies
from fleet.upload import digest_of

_FRAMES_IN_MEMORY = 16
"""Frames kept decoded: what the vehicles of a host try at several qualities at the same time."""


@dataclass(frozen=True)
class Encoded:
    """A bitstream on disk.

    Attributes:
        path: the file, whole.
        size: its length in bytes.
        digest: SHA-256 of its bytes.
        width, height: size in pixels of the frame.
    """

    path: Path
    size: int
    digest: str
    width: int
    height: int


@dataclass(frozen=True)
class _Captured:
    key: str
    width: int
    height: int


class Encoder:
    """Encodes frames with one codec and keeps the bitstreams in a folder that hosts share.

    A bitstream's place is the digest of the frame's pixels, the codec's settings and the quality.
    Whoever encodes holds a lock on that place; another host that wants the same bitstream waits for
    it and reads it. Safe to use from several threads and processes at once.

    Attributes:
        encodes: bitstreams made by this encoder (not those found).
        seconds: time spent in the codec's analysis and encode, summed over threads.
    """

    def __init__(self, config: CodecConfig, reader: FrameReader, folder: Path) -> None:
        self._codec: Codec = config.build()
        self._salt = config.model_dump_json().encode()
        self._reader = reader
        self._folder = folder
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._analyses: OrderedDict[str, Analysis] = OrderedDict()
        self._analysing: dict[str, float] = {}
        self._captured: dict[str, _Captured] = {}
        self._known: dict[tuple[str, float], Encoded] = {}
        self._guard = threading.Lock()
        self._latencies = Latencies()
        self.encodes = 0
        self.seconds = 0.0

    @property
    def codec(self) -> Codec:
        """The codec that encodes."""
        return self._codec

    def take_latencies(self) -> Latencies:
        """How long each bitstream took that was made since this was last asked.

        A frame's analysis counts with the first bitstream that is made of it.
        """
        with self._guard:
            taken, self._latencies = self._latencies, Latencies()
        return taken

    def pixels(self, ref: FrameRef) -> int:
        """Pixels of a frame as it is captured."""
        captured = self._capture(ref)
        return captured.width * captured.height

    def prepare(self, refs: Sequence[FrameRef]) -> None:
        """Analyses frames together, where the codec is quicker that way.

        Raises:
            InputError: as `encode`.
        """
        codec = self._codec
        if not isinstance(codec, AnalysingCodec) or codec.batch == 1:
            return
        with self._guard:
            waiting = {ref.frame_id: ref for ref in refs if ref.frame_id not in self._analyses}
        by_size: dict[tuple[int, ...], list[FrameRef]] = {}
        for ref in waiting.values():
            by_size.setdefault(self._frame(ref).shape, []).append(ref)
        for alike in by_size.values():
            for start in range(0, len(alike), codec.batch):
                self._analyse(codec, alike[start : start + codec.batch])

    def estimate(self, ref: FrameRef) -> Callable[[float], float] | None:
        """What tells about how many bits a frame would take at a quality; None where nothing does.

        Raises:
            InputError: as `encode`.
        """
        codec = self._codec
        return self._analysis(codec, ref).bits if isinstance(codec, AnalysingCodec) else None

    def encode(self, ref: FrameRef, quality: float) -> Encoded:
        """The bitstream of a frame at a quality: found if it was made before, else made now.

        Raises:
            InputError: the frame's file cannot be read, or its size is none that the codec can hold.
        """
        captured = self._capture(ref)
        with self._guard:
            known = self._known.get((ref.frame_id, quality))
        if known is not None:
            return known
        folder = self._folder / captured.key[:2] / captured.key
        path = folder / f"{float(quality)!r}{self._codec.suffix}"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder / ".lock"):
                if not path.exists():
                    self._make(ref, quality, path)
        payload = path.read_bytes()
        encoded = Encoded(path, len(payload), digest_of(payload), captured.width, captured.height)
        with self._guard:
            self._known[ref.frame_id, quality] = encoded
        return encoded

    def _make(self, ref: FrameRef, quality: float, path: Path) -> None:
        codec = self._codec
        analysis = self._analysis(codec, ref) if isinstance(codec, AnalysingCodec) else None
        frame = self._frame(ref) if analysis is None else None
        started = time.perf_counter()
        if analysis is not None:
            bitstream = analysis.encode(quality)
        else:
            assert frame is not None
            try:
                bitstream = codec.encode(frame, quality)
            except ValueError as error:
                raise self._refused(ref, error) from error
        spent = time.perf_counter() - started
        # Renamed into place, so that a file with this name is always whole.
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        with partial.open("wb") as file:
            file.write(bitstream)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        with self._guard:
            self.encodes += 1
            self.seconds += spent
            self._latencies.add(spent + self._analysing.pop(ref.frame_id, 0.0))

    def _analysis(self, codec: AnalysingCodec, ref: FrameRef) -> Analysis:
        with self._guard:
            found = self._analyses.get(ref.frame_id)
        return self._analyse(codec, [ref])[0] if found is None else found

    def _analyse(self, codec: AnalysingCodec, refs: Sequence[FrameRef]) -> list[Analysis]:
        """Analyses frames of one size, and remembers the last ones."""
        frames = [self._frame(ref) for ref in refs]
        started = time.perf_counter()
        try:
            analyses = codec.analyse(frames)
        except ValueError as error:
            raise self._refused(refs[0], error) from error
        spent = time.perf_counter() - started
        with self._guard:
            self.seconds += spent
            for ref, analysis in zip(refs, analyses, strict=True):
                self._analyses[ref.frame_id] = analysis
                self._analysing[ref.frame_id] = spent / len(refs)
            while len(self._analyses) > max(_FRAMES_IN_MEMORY, len(refs)):
                frame_id, _ = self._analyses.popitem(last=False)
                self._analysing.pop(frame_id, None)
        return analyses

    def _refused(self, ref: FrameRef, error: ValueError) -> InputError:
        return InputError(f"{ref.image}: {self._codec.name} cannot encode it: {error}")

    def _capture(self, ref: FrameRef) -> _Captured:
        with self._guard:
            captured = self._captured.get(ref.frame_id)
        if captured is None:
            frame = self._frame(ref)
            height, width = frame.shape[:2]
            digest = hashlib.sha256(self._salt + repr(frame.shape).encode())
            digest.update(frame.tobytes())
            captured = _Captured(digest.hexdigest()[:40], width, height)
            with self._guard:
                self._captured[ref.frame_id] = captured
        return captured

    def _frame(self, ref: FrameRef) -> Frame:
        with self._guard:
            if ref.frame_id in self._frames:
                self._frames.move_to_end(ref.frame_id)
                return self._frames[ref.frame_id]
        frame = self._reader.frame(ref)
        with self._guard:
            self._frames[ref.frame_id] = frame
            while len(self._frames) > _FRAMES_IN_MEMORY:
                self._frames.popitem(last=False)
        return frame


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file; the system lets go of it when its holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
