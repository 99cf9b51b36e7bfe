"""`bitfleet train-codec`: from frames to weights that a fleet encodes with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fleet.codecs import codec_config
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
    further = config(root, tmp_path, start=str(out / "network.safetensors"))
    assert main(["train-codec", str(further), "--out", str(tmp_path / "further")]) == 0


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
