"""The command as a person uses it: its output, its one-line errors, its exit status."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server.cli import main


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3), np.uint8)
    path = tmp_path / "frame.png"
    Image.fromarray(small).resize((97, 65)).save(path)
    return path


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse
        return int(end.code or 0)


@pytest.mark.parametrize("codec", ["bpg", "jpeg", "webp", "avif"])
def test_encode_and_decode(image: Path, tmp_path: Path, codec: str) -> None:
    quality = 20 if codec == "bpg" else 90
    stream, back = tmp_path / "stream", tmp_path / "back.png"
    assert run("encode", image, stream, "--codec", codec, "--quality", quality) == 0
    assert run("decode", stream, back) == 0
    original, decoded = np.array(Image.open(image)), np.array(Image.open(back))
    assert decoded.shape == original.shape
    assert np.mean((original.astype(float) - decoded) ** 2) < 60


def test_max_bytes_takes_the_finest_quality_that_fits(image: Path, tmp_path: Path) -> None:
    stream = tmp_path / "stream.bpg"
    sizes = []
    for quality in range(52):
        run("encode", image, stream, "--quality", quality)
        sizes.append(stream.stat().st_size)
    limit = (sizes[30] + sizes[31]) // 2
    assert run("encode", image, stream, "--max-bytes", limit) == 0
    assert stream.stat().st_size == max(size for size in sizes if size <= limit)


def test_lossless_is_lossless(image: Path, tmp_path: Path) -> None:
    stream, back = tmp_path / "stream", tmp_path / "back.png"
    assert run("encode", image, stream, "--codec", "lossless", "--quality", 0) == 0
    assert run("decode", stream, back) == 0
    np.testing.assert_array_equal(np.array(Image.open(back)), np.array(Image.open(image)))


def test_settings_are_taken_as_they_are_typed(image: Path, tmp_path: Path) -> None:
    sizes = []
    for chroma in ("420", "444"):
        stream = tmp_path / f"{chroma}.bpg"
        assert run("encode", image, stream, "--quality", 20, "--set", f"chroma={chroma}") == 0
        sizes.append(stream.stat().st_size)
    assert sizes[0] < sizes[1]


def test_scenes_are_written(tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    few = ("train_cities=1", "val_cities=1", "frames_per_city=1", "val_frames_per_city=1")
    assert run("scenes", out, "width=96", "height=64", *few) == 0
    assert len(list(out.rglob("*_leftImg8bit.png"))) == 2
    assert run("scenes", out, *few) == 2, "a folder that is not empty is left alone"


def bad(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    """Bad command lines by name, and what the one line must say."""
    image, out = tmp_path / "frame.png", tmp_path / "out"
    text, config = tmp_path / "text.txt", tmp_path / "c.yaml"
    text.write_text("no image")
    config.write_text("budget: {bits_per_hour: 1}\ndata: {root: nowhere}\n")
    (tmp_path / "empty" / "leftImg8bit" / "train").mkdir(parents=True)
    campaign = ["simulate", config, "--out", out]
    return {
        "no command": ([], "required"),
        "unknown command": (["fly"], "invalid choice"),
        "no quality": (["encode", image, out], "required"),
        "quality off the scale": (["encode", image, out, "--quality", 52], "from 0 to 51"),
        "quality between": (["encode", image, out, "--quality", 1.5], "from 0 to 51"),
        "not a quality": (["encode", image, out, "--quality", "nan"], "from 0 to 51"),
        "unknown codec": (["encode", image, out, "--codec", "gif", "--quality", 1], "'gif' is not"),
        "unknown setting": (["encode", image, out, "--set", "x=1", "--quality", 1], "x"),
        "two codecs": (
            ["encode", image, out, "--set", "name=jpeg", "--quality", 1], "name is given by --codec"
        ),
        "a folder": (["encode", image, tmp_path, "--quality", 1], "is a folder"),
        "too few bytes": (["encode", image, out, "--max-bytes", 3], "no quality fits 3"),
        "no bytes": (["encode", image, out, "--max-bytes", 0], "1 or more"),
        "not an image": (["encode", text, out, "--quality", 1], "text.txt: not a readable image"),
        "no such image": (["encode", tmp_path / "no.png", out, "--quality", 1], "no.png"),
        "not a bitstream": (["decode", text, out], "text.txt: of no known codec"),
        "another codec's": (["decode", image, out, "--codec", "bpg"], "frame.png"),
        "no folder to write to": (["encode", image, tmp_path / "a/b", "--quality", 1], "a/b"),
        "no config": (["simulate", tmp_path / "no.yaml", "--out", out], "no.yaml: no such file"),
        "no data": (campaign, "data.root: nowhere is not a folder"),
        "no vehicles": ([*campaign[:2], "fleet.vehicles=0", "--out", out], "fleet.vehicles"),
        "no report": (["report", tmp_path / "empty"], "result.json"),
    }  # fmt: skip


def test_bad_input_is_one_line_and_status_2(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (arguments, says) in bad(tmp_path).items():
        assert run(*arguments) == 2, name
        error = capsys.readouterr().err
        assert says in error, name
        assert error.count("\n") == 1, error
        assert not (tmp_path / "out").exists(), f"{name}: nothing half-written"
