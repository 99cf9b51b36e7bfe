"""Copies a finished folder to storage that is no file system, such as S3."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import ArrowException, fs

from fleet.errors import CampaignFailed, InputError

_LAST = ("result.json", "study.json", "sweep.parquet")
"""Whoever finds one of these in the copy finds all the rest: they leave first and arrive last."""
_ERRORS = (OSError, ArrowException, ValueError)


class CopyTarget:
    """Where a folder's copy goes: a URI of S3, Google Cloud Storage, Azure, or a local folder.

    Attributes:
        uri: as it was given.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        """Opens the storage and writes a small object there, to know now that it can be written.

        Args:
            uri: such as `s3://bucket/folder?endpoint_override=host:9000&scheme=http`,
                `gs://bucket/folder` or `file:///folder`. Credentials come from the environment.
            folder: the folder that will be copied; absolute. It need not exist yet.

        Raises:
            InputError: the URI is wrong, nothing can be written there, or it lies in the folder.
        """
        self.uri, self._folder = uri, folder
        if urlsplit(uri).username is not None:
            raise InputError(
                "--copy-to: takes no credentials, since the command line is recorded; set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or what your storage reads"
            )
        if not urlsplit(uri).scheme:
            raise InputError(
                f"--copy-to: {uri} is no URI; give one such as s3://bucket/folder or file:///folder"
            )
        probe = f".can-be-written-{uuid.uuid4().hex}"
        try:
            self._storage, self._root = fs.FileSystem.from_uri(uri)
            if isinstance(self._storage, fs.LocalFileSystem):
                self._check_apart(Path(self._root))
            self._storage.create_dir(self._root, recursive=True)
            with self._storage.open_output_stream(self._place(probe)) as stream:
                stream.write(b"bitfleet")
            self._storage.delete_file(self._place(probe))
        except InputError:
            raise
        except _ERRORS as error:
            raise InputError(f"--copy-to: {uri} cannot be written ({_line(error)})") from None

    def _check_apart(self, root: Path) -> None:
        if root.resolve().is_relative_to(self._folder):
            raise InputError(f"--copy-to: {self.uri} lies in the folder that is to be copied")

    def copy(self, but: Path) -> None:
        """Copies the folder's files; its artifacts, which can be large, stay.

        A copy that fails lacks `result.json` (a study's `study.json`, a sweep's `sweep.parquet`),
        whatever was there before.

        Args:
            but: the folder of artifacts, inside or not; absolute.

        Raises:
            CampaignFailed: the copy is not whole; the folder itself is.
        """
        folder = self._folder
        files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_relative_to(but)
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]  # fmt: skip
        files.sort(key=lambda path: path.parent == folder and path.name in _LAST)
        try:
            for name in _LAST:
                with contextlib.suppress(FileNotFoundError):
                    self._storage.delete_file(self._place(name))
            for path in files:
                place = self._place(path.relative_to(folder).as_posix())
                self._storage.create_dir(place.rpartition("/")[0], recursive=True)
                fs.copy_files(str(path), place, fs.LocalFileSystem(), self._storage)
        except _ERRORS as error:
            raise CampaignFailed(
                f"--copy-to: copying to {self.uri} failed ({_line(error)}); the results are whole "
                f"and safe in {folder}"
            ) from None

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
