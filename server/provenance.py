"""Where a result comes from: versions, revision, hardware, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from server.version import version

_PACKAGES = (
    "av", "numpy", "pillow", "pyarrow", "pydantic", "ray",
    "segmentation-models-pytorch", "torch",
)  # fmt: skip


def provenance(seed: int, command: str, started: str, finished: str) -> dict[str, Any]:
    """What is needed to tell how a result was made, as JSON values.

    Args:
        seed: the campaign's seed.
        command: the command line.
        started, finished: ISO 8601 times.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            "bitfleet": version(),
            **{package: importlib.metadata.version(package) for package in _PACKAGES},
        },
        "git_revision": git_revision(),
        "seed": seed,
        "hardware": {
            "cpus": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": [
                torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
            ],
            "machine": f"{platform.system()} {platform.machine()}",
        },
        "started": started,
        "finished": finished,
        "command": command,
    }


def git_revision() -> str | None:
    """The revision of this program's source, "-dirty" if it was changed; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
