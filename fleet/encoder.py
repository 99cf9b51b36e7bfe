"""Encodes captured frames, each once at a codec and quality, whoever captures it again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.codecs import CodecConfig
from fleet.codecs.base import Codec, Frame
from fleet.errors import InputError
from fleet.frames.layout import FrameReader, FrameRef
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
        seconds: time spent in the codec's encode, summed over threads.
    """

    def __init__(self, config: CodecConfig, reader: FrameReader, folder: Path) -> None:
        self._codec: Codec = config.build()
        self._salt = config.model_dump_json().encode()
        self._reader = reader
        self._folder = folder
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._captured: dict[str, _Captured] = {}
        self._known: dict[tuple[str, float], Encoded] = {}
        self._guard = threading.Lock()
        self.encodes = 0
        self.seconds = 0.0

    @property
    def codec(self) -> Codec:
        """The codec that encodes."""
        return self._codec

    def pixels(self, ref: FrameRef) -> int:
        """Pixels of a frame as it is captured."""
        captured = self._capture(ref)
        return captured.width * captured.height

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
        frame = self._frame(ref)
        started = time.perf_counter()
        try:
            bitstream = self._codec.encode(frame, quality)
        except ValueError as error:
            raise InputError(
                f"{ref.image}: {self._codec.name} cannot encode it: {error}"
            ) from error
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
