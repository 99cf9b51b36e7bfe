"""Training of the neural codec: it learns, resumes bit by bit, and stops at what is no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.msh.network import VariableRateMsh, build_msh
from models.msh.training import TRAINED, fit_msh
from models.msh.training_config import MshTrainingConfig
from models.training_config import StepReport, TrainingDiverged

from .conftest import NETWORK, noise

CPU = torch.device("cpu")
CONFIG = MshTrainingConfig(
    steps=6, batch_size=2, crop=64, learning_rate=1e-3, threads=1, checkpoint_every=2
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", noise(80, 96, number))
        made.append(tmp_path / f"{number}.npy")
    return made


def state(network: VariableRateMsh) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_it_learns(files: list[Path], tmp_path: Path) -> None:
    losses: list[StepReport] = []
    network = build_msh(NETWORK)
    config = CONFIG.model_copy(update={"steps": 60, "learning_rate": 3e-3, "warmup_steps": 5})
    fit_msh(
        network, files, config, seed=0, device=CPU, folder=tmp_path / "run", on_step=losses.append
    )
    first, last = (
        np.mean([report.loss for report in part]) for part in (losses[:10], losses[-10:])
    )
    assert last < 0.7 * first
    assert set(losses[0].parts) == {"bpp", "distortion"}
    assert [report.step for report in losses] == list(range(1, 61))


def test_killed_and_run_again_it_is_the_same(files: list[Path], tmp_path: Path) -> None:
    whole, torn = build_msh(NETWORK), build_msh(NETWORK)
    fit_msh(whole, files, CONFIG, seed=0, device=CPU, folder=tmp_path / "whole")

    def stop(report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_msh(torn, files, CONFIG, seed=0, device=CPU, folder=tmp_path / "torn", on_step=stop)
    again = build_msh(NETWORK)
    steps: list[int] = []
    fit_msh(
        again, files, CONFIG, seed=0, device=CPU, folder=tmp_path / "torn",
        on_step=lambda report: steps.append(report.step),
    )  # fmt: skip
    assert steps == [5, 6], "from the checkpoint of step 4"
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, state(again)[name]), name
    found = build_msh(NETWORK, seed=0)
    fit_msh(found, files, CONFIG, seed=0, device=CPU, folder=tmp_path / "whole")
    assert all(
        torch.equal(a, b) for a, b in zip(state(found).values(), state(whole).values(), strict=True)
    )
    assert (tmp_path / "whole" / TRAINED).exists()


def test_another_runs_folder_is_refused(files: list[Path], tmp_path: Path) -> None:
    fit_msh(build_msh(NETWORK), files, CONFIG, seed=0, device=CPU, folder=tmp_path / "run")
    with pytest.raises(ValueError, match="of another run"):
        fit_msh(build_msh(NETWORK), files, CONFIG, seed=1, device=CPU, folder=tmp_path / "run")


def test_what_is_no_number_stops_it(files: list[Path], tmp_path: Path) -> None:
    network = build_msh(NETWORK)
    with torch.no_grad():
        network.net.g_s[6].bias.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"is nan at step 1 of 6"):
        fit_msh(network, files, CONFIG, seed=0, device=CPU, folder=tmp_path / "run")


def test_a_crop_larger_than_a_frame_is_named(files: list[Path], tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"crop": 128})
    with pytest.raises(ValueError, match=r"0\.npy|1\.npy|2\.npy"):
        fit_msh(build_msh(NETWORK), files, config, seed=0, device=CPU, folder=tmp_path / "run")


def test_ms_ssim_can_be_trained_for(tmp_path: Path) -> None:
    np.save(tmp_path / "frame.npy", noise(200, 200))
    config = CONFIG.model_copy(
        update={"steps": 2, "crop": 192, "distortion": "ms-ssim", "batch_size": 1}
    )
    reports: list[StepReport] = []
    fit_msh(
        build_msh(NETWORK), [tmp_path / "frame.npy"], config, seed=0, device=CPU,
        folder=tmp_path / "run", on_step=reports.append,
    )  # fmt: skip
    assert all(0 < report.parts["distortion"] < 1 for report in reports)
    with pytest.raises(ValidationError, match="too small for ms-ssim"):
        MshTrainingConfig(crop=128, distortion="ms-ssim")


def test_the_moving_average_is_validated(files: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []
    config = CONFIG.model_copy(update={"validate_every": 4})
    fit_msh(
        build_msh(NETWORK), files, config, seed=0, device=CPU, folder=tmp_path / "run",
        validate=lambda network, step: seen.append((step, network.training)),
    )  # fmt: skip
    assert seen == [(4, False), (6, False)]
