"""The house: what may import what, and what the repository promises to newcomers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from server.campaign import CampaignConfig
from server.codec_training import CodecTrainingConfig
from server.config_file import dump_yaml, load_config
from server.planning.config import GivenLaw
from server.study.config import StudyConfig
from server.sweep.config import SweepConfig

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {"models": {"fleet", "server", "ray"}, "fleet": {"server"}, "server": set()}


def imports(path: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {str(path): imports(path) & FORBIDDEN[package] for path in modules}
    assert not {path: names for path, names in wrong.items() if names}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_config_is_valid_and_resolves(path: Path, tmp_path: Path) -> None:
    kinds = {
        "law": GivenLaw,
        "study": StudyConfig,
        "sweep": SweepConfig,
        "train": CodecTrainingConfig,
    }
    model = kinds.get(path.name.split("-")[0], CampaignConfig)
    config = load_config(model, path)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_yaml(config))
    assert load_config(model, resolved) == config
