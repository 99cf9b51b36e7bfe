"""`--copy-to`: whole or said, and refused before anything is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from fleet.errors import CampaignFailed, InputError
from server.copying import CopyTarget


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished campaign's folder."""
    root = tmp_path / "demo"
    for name in ("result.json", "report.html", "manifest/00.parquet", "artifacts/a/big", ".x/y"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


WHOLE = {name: name for name in ("result.json", "report.html", "manifest/00.parquet")}


def test_all_but_the_artifacts_is_copied_and_replaced(folder: Path, tmp_path: Path) -> None:
    there = tmp_path / "there" / "deep"
    there.mkdir(parents=True)
    (there / "result.json").write_text("of an earlier copy")
    target = CopyTarget(f"file://{there}", folder)
    target.copy(folder / "artifacts")
    assert files(there) == WHOLE


def test_a_broken_copy_has_no_result_and_says_where_the_results_are(
    folder: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    target = CopyTarget(f"file://{there}", folder)
    (there / "result.json").write_text("of an earlier copy")
    (there / "manifest").write_text("a file in the way of a folder")
    with pytest.raises(CampaignFailed, match=f"results are whole and safe in {folder}"):
        target.copy(folder / "artifacts")
    assert not (there / "result.json").exists()
    assert (folder / "result.json").exists()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("there", "is no URI"),
        ("/there", "is no URI"),
        ("ftp://there/x", "cannot be written"),
        ("file:///proc/x", "cannot be written"),
        ("s3://key:secret@bucket/x", "takes no credentials"),
    ],
)
def test_what_cannot_be_written_is_said_before(uri: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--copy-to: ") as raised:
        CopyTarget(uri, tmp_path / "demo")
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_copy_into_the_folder_itself_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="lies in the folder"):
        CopyTarget(f"file://{folder}/copy", folder)
    assert not (folder / "copy").exists()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a server of S3's protocol listens: host:port."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    server.start()
    host, port = server.get_host_and_port()
    yield f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    server.stop()


def test_to_s3_and_back(folder: Path, s3: str) -> None:
    options = f"endpoint_override={s3}&scheme=http&region=us-east-1"
    with pytest.raises(InputError, match="cannot be written"):
        CopyTarget(f"s3://no-bucket/demo?{options}", folder)
    storage = fs.S3FileSystem(
        endpoint_override=s3, scheme="http", region="us-east-1", allow_bucket_creation=True
    )
    storage.create_dir("bucket")
    CopyTarget(f"s3://bucket/runs/demo?{options}", folder).copy(folder / "artifacts")
    found = {
        one.path.removeprefix("bucket/runs/demo/"): storage.open_input_stream(one.path).read()
        for one in storage.get_file_info(fs.FileSelector("bucket/runs/demo", recursive=True))
        if one.type == fs.FileType.File
    }
    assert {name: text.decode() for name, text in found.items()} == WHOLE
