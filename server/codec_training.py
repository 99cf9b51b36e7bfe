"""`bitfleet train-codec`: trains the neural codec on the frames of data sets, for use by a fleet."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import Field
from rich.console import Console

from fleet.config import Config
from fleet.errors import InputError
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.scenes import write_scenes
from models.checkpoint import load_weights
from models.metrics import ms_ssim, psnr
from models.msh.training_config import MshNetworkConfig, MshTrainingConfig
from models.training_config import StepReport, TrainingDiverged
from server.config_file import dump_yaml
from server.durable import write_json
from server.pipeline import begin_folder, now
from server.progress import Progress
from server.provenance import provenance
from server.training import LossTable

CODEC, VALIDATION, LOSSES = "codec.safetensors", "validation.parquet", "training.parquet"
_RESULTS = (CODEC, VALIDATION, LOSSES, "provenance.json")


class CodecTrainingConfig(Config):
    """What the neural codec is trained on, how, and what it is measured with."""

    name: str = Field("codec", min_length=1, max_length=200)
    """What the codec is called; a note in its weights."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Of initial weights, crops, qualities and noise."""
    data: list[DataConfig] = Field(min_length=1)
    """Data sets: their train frames are trained on, the test frames of the first are measured. Labels
    are not needed."""
    network: MshNetworkConfig = MshNetworkConfig()
    """How large the network is."""
    start: str | None = None
    """Train this further: `network.safetensors` of an earlier training of the same size, a CompressAI
    checkpoint, or zoo:mbt2018-mean:q4. Null: from scratch."""
    training: MshTrainingConfig = MshTrainingConfig()
    """How it is trained."""
    validation_frames: int = Field(8, ge=1)
    """Test frames that rate and distortion are measured on, spread evenly."""
    validation_qualities: list[float] = Field([0.0, 2.0, 4.0, 6.0, 8.0], min_length=1)
    """Qualities that they are measured at."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto: on a GPU where there is one."""


def train_codec(config: CodecTrainingConfig, out: Path, command: str, console: Console) -> Path:
    """Trains the codec; gives the file of its weights for use, `codec.safetensors`.

    Writes into `out`: config.yaml, the losses (`training.parquet`), rate and distortion on validation
    frames as the training went (`validation.parquet`: step, quality, bpp, psnr, ms_ssim),
    `network.safetensors` to be trained further, and provenance.json. Killed and run again, it goes on
    from its last checkpoint.

    Raises:
        InputError: data, network or folder that cannot be used, or a training that diverged.
    """
    from models.msh.export import export
    from models.msh.training import fit_msh
    from models.msh.weights import save_msh

    started, progress = now(), Progress(console)
    device = _device(config.device)
    begin_folder(out, dump_yaml(config), _RESULTS)
    with progress.shown():
        sets = [
            _open(one, out / f"scenes-{index}", progress) for index, one in enumerate(config.data)
        ]
        train = _unpack(sets, out / "frames", config.training.crop, progress)
        network = _start(config)
        judge = _Validation(config, sets[0], out / VALIDATION)
        progress.start("train")

        def show(report: StepReport) -> None:
            losses.add(report)
            parts = "  ".join(f"{name} {value:.3f}" for name, value in report.parts.items())
            line = f"step {report.step}/{report.steps}  loss {report.loss:.3f}  {parts}"
            progress.update(report.step / report.steps, f"{line}  {judge.line}")

        try:
            with LossTable(out / LOSSES, lambda report: None) as losses:
                fit_msh(
                    network, train, config.training, seed=config.seed, device=device,
                    folder=out, on_step=show, validate=judge,
                )  # fmt: skip
        except TrainingDiverged as error:
            raise InputError(f"training: {error}") from None
        except ValueError as error:
            raise InputError(str(error)) from None
        progress.end(f"{config.training.steps} steps")
    network.cpu().eval()
    weights = export(network, config.name, half=True)
    save_msh(weights, out / CODEC)
    write_json(out / "provenance.json", provenance(config.seed, command, started, now()))
    for line in judge.table():
        console.print(line, highlight=False, soft_wrap=True)
    console.print(
        f"weights: {out / CODEC}, digest {weights.digest.hex()[:16]}",
        highlight=False,
        soft_wrap=True,
    )
    return out / CODEC


class _Validation:
    """Rate and distortion on validation frames, with the codec as a fleet would use it."""

    def __init__(self, config: CodecTrainingConfig, data: DataSet, path: Path) -> None:
        from server.scoring import spread

        self._frames = [
            data.reader.frame(ref) for ref in spread(data.test, config.validation_frames)
        ]
        self._qualities, self._path = config.validation_qualities, path
        self._rows: list[dict[str, Any]] = pq.read_table(path).to_pylist() if path.exists() else []
        self.line = ""

    def __call__(self, network: Any, step: int) -> None:
        """Measures a network after so many steps, and keeps the rows."""
        from models.msh.export import export
        from models.msh.model import MshModel
        from models.msh.rate import gain_of

        model = MshModel(export(network, half=True), torch.device("cpu"))
        rows: dict[float, list[tuple[float, float, float | None]]] = {}
        for frame in self._frames:
            (latents,) = model.analyse([frame])
            height, width = frame.shape[:2]
            for quality in self._qualities:
                gain = gain_of(quality)
                coded = model.encode(latents, gain)
                decoded = model.decode(coded, height, width, gain)
                bpp = 8 * len(coded.payload) / (height * width)
                rows.setdefault(quality, []).append(
                    (bpp, psnr(frame, decoded), ms_ssim(frame, decoded))
                )
        self._rows = [row for row in self._rows if row["step"] != step]
        for quality, found in rows.items():
            similar = [one[2] for one in found if one[2] is not None]
            self._rows.append(
                {
                    "step": step,
                    "quality": quality,
                    "bpp": float(np.mean([one[0] for one in found])),
                    "psnr": float(np.mean([one[1] for one in found])),
                    "ms_ssim": float(np.mean(similar)) if similar else None,
                }
            )
        pq.write_table(pa.Table.from_pylist(self._rows, _SCHEMA), self._path)
        middle = self._rows[-1 - len(rows) // 2]
        self.line = f"validation at {middle['bpp']:.3f} bpp: {middle['psnr']:.2f} dB"

    def table(self) -> list[str]:
        """The last measurement, in words."""
        last = max((row["step"] for row in self._rows), default=None)
        return [
            f"quality {row['quality']:4.1f}  {row['bpp']:.4f} bpp  {row['psnr']:.2f} dB"
            + (f"  MS-SSIM {row['ms_ssim']:.4f}" if row["ms_ssim"] is not None else "")
            for row in self._rows
            if row["step"] == last
        ]


_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("quality", pa.float64()),
        ("bpp", pa.float64()),
        ("psnr", pa.float64()),
        ("ms_ssim", pa.float64()),
    ]
)


def _device(asked: str) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("device: there is no GPU here; want cpu or auto")
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def _open(config: DataConfig, scenes: Path, progress: Progress) -> DataSet:
    root = config.root
    if root is None:
        root = scenes
        if not (scenes / "done").exists():
            progress.start("scenes")
            shutil.rmtree(scenes, ignore_errors=True)  # what a run that was killed left half-done
            write_scenes(config.scenes, scenes / "data")
            (scenes / "done").touch()
            progress.end("procedural street scenes")
        root = scenes / "data"
    return open_data(config, root, labelled=False)


def _unpack(sets: Sequence[DataSet], folder: Path, crop: int, progress: Progress) -> list[Path]:
    """The train frames as `.npy` files, which crops can be read from without decoding the rest."""
    progress.start("frames")
    jobs = [(index, data, ref) for index, data in enumerate(sets) for ref in data.train]
    files = []
    for done, (index, data, ref) in enumerate(jobs, 1):
        file = folder / f"{index}-{ref.frame_id}.npy"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            frame = data.reader.frame(ref)
            if min(frame.shape[:2]) < crop:
                raise InputError(
                    f"training.crop: {crop} is more than {ref.image} has pixels, {frame.shape[:2]}"
                )
            partial = file.with_suffix(".partial.npy")
            np.save(partial, frame)
            partial.replace(file)
        files.append(file)
        progress.update(done / len(jobs), f"{done} of {len(jobs)} frames")
    progress.end(f"{len(jobs)} train frames")
    return files


def _start(config: CodecTrainingConfig) -> Any:
    """The network that a training begins with."""
    from models.msh.export import from_checkpoint, from_zoo
    from models.msh.network import build_msh

    if config.start is None:
        return build_msh(config.network, seed=config.seed)
    path = Path(config.start)
    try:
        if config.start.startswith("zoo:"):
            network = from_zoo(config.start.removeprefix("zoo:"))
        elif path.suffix == ".safetensors":
            network = build_msh(config.network, seed=config.seed)
            load_weights(network, path)
        else:
            network = from_checkpoint(path)
    except ValueError as error:
        raise InputError(f"start: {error}") from None
    if network.config != config.network:
        raise InputError(f"start: has {network.config}, and network asks for {config.network}")
    return network.requires_grad_(True)
