"""`bitfleet train-codec`: trains the neural codec on the frames of data sets, for use by a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from rich.console import Console

from fleet.config import Config
from fleet.errors import InputError
from fleet.frames.data import DataConfig
from models.checkpoint import load_weights
from models.msh.export import export, from_checkpoint, from_zoo
from models.msh.network import VariableRateMsh, build_msh
from models.msh.training import check_folder, fit_msh
from models.msh.training_config import MshNetworkConfig, MshTrainingConfig
from models.msh.weights import save_msh
from models.training_config import StepReport, TrainingDiverged
from server.cluster import interrupted_by_sigterm
from server.codec_frames import open_frames, unpack
from server.codec_validation import Validation
from server.config_file import dump_yaml
from server.durable import write_json
from server.losses import LossTable
from server.pipeline import begin_folder, make_folder, now
from server.progress import Progress
from server.provenance import provenance
from server.scoring import spread

CODEC, VALIDATION, LOSSES = "codec.safetensors", "validation.parquet", "training.parquet"
# Of another config. The losses stay: the same training, told another name, goes on.
_RESULTS = (CODEC, VALIDATION, "provenance.json")


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
    from its last checkpoint; the files are then those of the whole training.

    Raises:
        InputError: data, network or folder that cannot be used, or a training that diverged.
    """
    started, progress = now(), Progress(console)
    device = _device(config.device)
    make_folder(out)
    with interrupted_by_sigterm(), progress.shown():
        opened = [open_frames(one, out, progress) for one in config.data]
        frames = [frame for _, of_set in opened for frame in of_set]
        network = _start(config)
        try:
            # Before anything in the folder is replaced: it may be another training's.
            files = [frame.file for frame in frames]
            check_folder(network, files, config.training, config.seed, out)
        except ValueError as error:
            raise InputError(f"--out: {error}; give another folder") from None
        begin_folder(out, dump_yaml(config), _RESULTS)
        unpack(frames, config.training.crop, progress)
        data = opened[0][0]
        measured = [data.reader.frame(ref) for ref in spread(data.test, config.validation_frames)]
        judge = Validation(measured, config.validation_qualities, out / VALIDATION)
        _train(config, files, network, judge, device, out, progress)
        weights = export(network, config.name, half=True)
        save_msh(weights, out / CODEC)
        write_json(out / "provenance.json", provenance(config.seed, command, started, now()))
    for line in (*judge.lines(), f"weights: {out / CODEC}, digest {weights.digest.hex()[:16]}"):
        console.print(line, highlight=False, soft_wrap=True)
    return out / CODEC


def _train(
    config: CodecTrainingConfig,
    files: list[Path],
    network: VariableRateMsh,
    judge: Validation,
    device: torch.device,
    out: Path,
    progress: Progress,
) -> None:
    """Trains the network in place, and sees that what it comes to is measured."""
    training = config.training
    progress.start("train")

    def show(report: StepReport) -> None:
        parts = "  ".join(f"{name} {value:.3f}" for name, value in report.parts.items())
        line = f"step {report.step}/{report.steps}  loss {report.loss:.3f}  {parts}"
        progress.update(report.step / report.steps, f"{line}  {judge.line}")

    try:
        with LossTable(out / LOSSES, show, training.checkpoint_every) as losses:
            fit_msh(
                network, files, training, seed=config.seed, device=device, folder=out,
                on_step=losses.add, validate=judge,
            )  # fmt: skip
    except TrainingDiverged as error:
        raise InputError(f"training: {error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    network.cpu().eval()
    if not judge.measured(training.steps):  # trained before, and now to be measured otherwise
        judge(network, training.steps)
    progress.end(f"{training.steps} steps")


def _device(asked: str) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("device: there is no GPU here; want cpu or auto")
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def _start(config: CodecTrainingConfig) -> VariableRateMsh:
    """The network that a training begins with."""
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
