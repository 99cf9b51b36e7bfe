"""`bitfleet train-codec`: from frames to weights that a fleet encodes with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fleet.codecs import codec_config
from models.msh.weights import load_msh
from server.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames without labels: 3 to train on, 2 to measure."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split, city, count in (("train", "bonn", 3), ("val", "ulm", 2)):
        folder = root / "leftImg8bit" / split / city
        folder.mkdir(parents=True)
        for number in range(count):
            coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((128, 96))
            image.save(folder / f"{city}_000000_{number:06d}_leftImg8bit.png")
    return root


def config(root: Path, folder: Path, **change: Any) -> Path:
    values = {
        "name": "tiny",
        "data": [{"root": str(root)}],
        "network": {"channels": 8, "latents": 12},
        "training": {"steps": 4, "batch_size": 2, "crop": 64, "threads": 1, "checkpoint_every": 2},
        "validation_frames": 2,
        "validation_qualities": [2.0, 6.0],
        **change,
    }
    path = folder / "train.yaml"
    path.write_text(json.dumps(values))
    return path


def test_weights_come_out_and_serve(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train-codec", str(config(root, tmp_path)), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    codec = codec_config("msh", weights=str(out / "codec.safetensors"))
    assert codec.digest in shown
    rows = pq.read_table(out / "validation.parquet").to_pylist()
    assert [(row["step"], row["quality"]) for row in rows] == [(4, 2.0), (4, 6.0)]
    assert 0 < rows[0]["bpp"] < rows[1]["bpp"]
    assert pq.read_table(out / "training.parquet")["step"].to_pylist() == [1, 2, 3, 4]
    frame = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    bitstream = codec.build().encode(frame, 3.0)
    assert codec.build().decode(bitstream, 64 * 64).shape == frame.shape

    picture, encoded = tmp_path / "frame.png", tmp_path / "frame.msh"
    Image.fromarray(frame).save(picture)
    setting = f"weights={out / 'codec.safetensors'}"
    files = [str(picture), str(encoded)]
    assert main(["encode", *files, "--codec", "msh", "--set", setting, "--max-bytes", "900"]) == 0
    assert encoded.stat().st_size <= 900
    back = [str(encoded), str(tmp_path / "back.png")]
    assert main(["decode", *back]) != 0
    assert "was encoded with weights" in capsys.readouterr().err
    assert main(["decode", *back, "--codec", "msh", "--set", setting]) == 0

    # Run again, all is found; trained further, it begins with what was left.
    assert main(["train-codec", str(config(root, tmp_path)), "--out", str(out)]) == 0
    assert f"digest {codec.digest}" in capsys.readouterr().out
    assert pq.read_table(out / "training.parquet")["step"].to_pylist() == [1, 2, 3, 4]
    further = config(root, tmp_path, start=str(out / "network.safetensors"))
    assert main(["train-codec", str(further), "--out", str(tmp_path / "further")]) == 0


TABLES = ("training.parquet", "validation.parquet")


def run(path: Path, out: Path) -> int:
    return main(["train-codec", str(path), "--out", str(out)])


def assert_same(out: Path, whole: Path) -> None:
    """Weights are the same to the bit, and the tables tell the whole training."""
    weights = [load_msh(folder / "codec.safetensors") for folder in (out, whole)]
    assert weights[0].digest == weights[1].digest
    for name in TABLES:
        assert pq.read_table(out / name).to_pylist() == pq.read_table(whole / name).to_pylist()
    assert not [file for file in out.rglob(".*") if file.is_file()], "something half-written"


@pytest.fixture(scope="module")
def long(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A training of seven steps that was never interrupted: its config and folder."""
    folder = tmp_path_factory.mktemp("long")
    training = {
        "steps": 7, "batch_size": 2, "crop": 64, "threads": 1, "checkpoint_every": 3,
        "validate_every": 3,
    }  # fmt: skip
    path = config(root, folder, training=training)
    assert run(path, folder / "out") == 0
    return path, folder / "out"


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_at_any_write_it_carries_on(
    long: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Files appear by being renamed: there, just before or just after, it is interrupted each time."""
    path, whole = long
    rename, done = Path.replace, set()

    def replace(self: Path, target: Path) -> Path:
        name = Path(target).name
        # Each file's first two writes in a run's life, each once.
        for turn in range(2):
            if (name, turn) not in done and sum(one == name for one, _ in done) == turn:
                done.add((name, turn))
                if after:
                    rename(self, target)
                raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        results = [run(path, tmp_path / "out")]
        while results[-1] == 130:
            results.append(run(path, tmp_path / "out"))
    assert results[-1] == 0
    names = {name for name, _ in done}
    assert {*TABLES, "checkpoint.safetensors", "network.safetensors", "codec.safetensors"} <= names
    assert len(results) == len(done) + 1 > 14
    assert_same(tmp_path / "out", whole)


def test_another_name_goes_on_another_training_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = {"steps": 4, "batch_size": 2, "crop": 64, "threads": 1, "checkpoint_every": 2}
    out = tmp_path / "out"
    assert run(config(root, tmp_path), out) == 0
    named = config(root, tmp_path, name="other", training={**training, "checkpoint_every": 1})
    assert run(named, out) == 0
    assert pq.read_table(out / "training.parquet")["step"].to_pylist() == [1, 2, 3, 4]
    assert {row["step"] for row in pq.read_table(out / "validation.parquet").to_pylist()} == {4}
    before = {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}
    capsys.readouterr()
    for change in (
        {"seed": 1},
        {"training": {**training, "steps": 5}},
        {"data": [{"root": str(root), "limit_train": 2}]},
        {
            "data": [
                {"root": str(root), "downscale": 1, "train_split": "val", "test_split": "train"}
            ]
        },
    ):
        assert run(config(root, tmp_path, **change), out) == 2
        assert "of another run" in capsys.readouterr().err
        assert before == {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}


@pytest.mark.slow
def test_the_command_ends_at_sigterm_and_carries_on(root: Path, tmp_path: Path) -> None:
    """The command as a process of its own, asked to end in the midst of its steps, again and again."""
    path = config(
        root, tmp_path,
        training={"steps": 60, "batch_size": 2, "crop": 64, "threads": 1, "checkpoint_every": 5},
    )  # fmt: skip
    whole, out = tmp_path / "whole", tmp_path / "out"
    command = [sys.executable, "-m", "server", "train-codec", str(path), "--out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([*command, str(whole)], check=True, env=environment)
    statuses = []
    while not statuses or statuses[-1] == 130:
        process = subprocess.Popen(
            [*command, str(out)], env=environment, stderr=subprocess.PIPE, text=True
        )
        table = out / "training.parquet"
        begun, written = time.time(), table.stat().st_mtime_ns if table.exists() else 0
        if len(statuses) < 3:
            while process.poll() is None and (
                not table.exists() or table.stat().st_mtime_ns == written
            ):
                time.sleep(0.01)
                assert time.time() - begun < 300
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=300)
        statuses.append(process.returncode)
        assert "Traceback" not in errors
    assert statuses == [130, 130, 130, 0]
    assert_same(out, whole)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"training": {"crop": 128}}, "training.crop: 128 is more than"),
        ({"training": {"crop": 100}}, "training.crop: Input should be a multiple of 64"),
        ({"training": {"crop": 64, "distortion": "ms-ssim"}}, "too small for ms-ssim"),
        ({"start": "nowhere.pth"}, "start: nowhere.pth: not a checkpoint of mbt2018-mean"),
        ({"start": "zoo:other"}, "start: zoo:other: must be"),
        ({"data": []}, "data: List should have at least 1 item"),
        ({"data": [{"root": "/nowhere"}]}, "data.root: /nowhere is not a folder"),
    ],
)
def test_bad_input_is_one_line(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    says: str,
) -> None:
    path = config(root, tmp_path, **change)
    assert main(["train-codec", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
