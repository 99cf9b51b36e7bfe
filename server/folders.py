"""Where results go when nobody says: a folder of runs, and what differs inside a Ray job."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.errors import InputError

RUNS = "BITFLEET_RUNS"
"""Environment variable: the folder that holds the folders of runs."""
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable that Ray's job supervisor sets for a job's driver, and for it alone."""


def in_job() -> bool:
    """Whether this process is the driver of a Ray job (`ray job submit`)."""
    return bool(os.environ.get(_JOB))


def default_out(config: Path) -> Path:
    """The folder of a run whose command line has no `--out`: named after its config file.

    It lies in the folder that the environment variable BITFLEET_RUNS names; by default `runs` in the
    working directory, and `~/bitfleet-runs` inside a Ray job, whose working directory is a copy that
    goes with the job.

    Args:
        config: the config file.

    Raises:
        InputError: BITFLEET_RUNS is relative inside a job, or there is no home folder for `~`.
    """
    set_by_user = os.environ.get(RUNS)
    runs = Path(set_by_user or ("~/bitfleet-runs" if in_job() else "runs"))
    try:
        runs = runs.expanduser()
    except RuntimeError:
        raise InputError(f"{RUNS}: {runs}: there is no home folder; give an absolute one") from None
    _check_stays(RUNS, runs)
    return runs / config.stem


def out_folder(given: Path | None, config: Path) -> Path:
    """The folder that `--out` gives, or the default for a config file.

    Raises:
        InputError: it is relative inside a Ray job.
    """
    if given is None:
        return default_out(config)
    _check_stays("--out", given)
    return given


def store_folder(given: Path | None, out: Path) -> Path:
    """The folder of artifacts that `--store` gives, or `artifacts` in the run's folder.

    Raises:
        InputError: it is relative inside a Ray job.
    """
    if given is None:
        return out / "artifacts"
    _check_stays("--store", given)
    return given


def _check_stays(name: str, folder: Path) -> None:
    if in_job() and not folder.is_absolute():
        raise InputError(
            f"{name}: {folder} is relative, and the working directory of a Ray job goes with the "
            "job; give an absolute folder"
        )
