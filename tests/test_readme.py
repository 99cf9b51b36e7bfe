"""What the documents tell a reader to type: every command is one, every file it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from server import cli
from server.campaign import CampaignConfig
from server.codec_training import CodecTrainingConfig
from server.config_file import load_config
from server.planning.config import GivenLaw
from server.study.config import StudyConfig
from server.sweep.config import SweepConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "deploy/README.md"]
KINDS = {
    "simulate": CampaignConfig,
    "sweep": SweepConfig,
    "study": StudyConfig,
    "train-codec": CodecTrainingConfig,
}
_COMMAND = re.compile(r"(?:^|[\s`])(?:\.venv/bin/bitfleet|bitfleet|python -m server) ([a-z].*)")


def shown() -> list[str]:
    """Commands on indented lines of the documents and in the heads of configs, continuations joined."""
    texts = [(ROOT / name).read_text() for name in DOCUMENTS]
    texts += [path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml"))]
    found = []
    for text in texts:
        joined = re.sub(r"\\\n\s*#?\s*", "", text)
        for line in joined.splitlines():
            match = _COMMAND.search(line) if line.startswith(("    ", "#   ")) else None
            if match:
                found.append(match[1].split("  ")[0].split(" #")[0].strip())
    return list(dict.fromkeys(found))


def test_the_documents_show_commands() -> None:
    commands = {line.split()[0] for line in shown()}
    assert commands >= {"simulate", "sweep", "study", "plan", "dashboard", "report", "train-codec"}


@pytest.mark.parametrize("line", shown())
def test_every_command_shown_is_one(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = cli._parse(shlex.split(line))
    if options.command in KINDS:
        load_config(KINDS[options.command], options.config, options.overrides)
    if options.command == "plan" and options.where.suffix == ".yaml":
        load_config(GivenLaw, options.where)


def test_every_link_within_the_repository_leads_somewhere() -> None:
    for name in DOCUMENTS:
        folder = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            if "://" not in target:
                assert (folder / target).exists(), f"{name}: {target}"


def test_every_make_target_named_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in DOCUMENTS:
        for target in re.findall(
            r"(?:^    |`)make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE
        ):
            assert target in targets, f"{name}: make {target}"
