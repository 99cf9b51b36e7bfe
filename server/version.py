"""This program's version."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path


def version() -> str:
    """The version: of the source that runs, where that is a checkout, otherwise as installed.

    On a cluster the source comes with the job, and nothing, or another version, may be installed.
    """
    described = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if described.is_file():
        project = tomllib.loads(described.read_text()).get("project", {})
        if project.get("name") == "bitfleet":
            return str(project["version"])
    return importlib.metadata.version("bitfleet")
