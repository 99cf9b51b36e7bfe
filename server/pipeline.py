"""A campaign's way, stage by stage, from the first frame captured to the result and its report.

scenes → collect → decode → originals, test frames → calibrate → restore → train → evaluate → ledger →
report
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from server.campaign import CampaignConfig
from server.cluster import cluster
from server.collection import check_cluster as check_hosts
from server.config_file import dump_yaml
from server.durable import replace_file, write_json
from server.gathering import Gathering
from server.joining import check_address
from server.learning import RESTORED
from server.pictures import write_pictures
from server.progress import Progress
from server.provenance import provenance
from server.report import write_report
from server.restoration import read_restorer
from server.results import write_result
from server.scoring import Scoring
from server.shared_folders import check_shared
from server.stages import ArtifactStore
from server.status import StatusFile
from server.training import check_cluster as check_trainer


@dataclass
class Pipeline:
    """The stages of one campaign: its config, its folders, and who is told how it goes."""

    config: CampaignConfig
    out: Path
    store: ArtifactStore
    progress: Progress
    command: str

    def run(self) -> dict[str, Any]:
        """Runs every stage that is not done yet; gives the result row.

        The frames are looked at first, and only then a cluster is joined, or started. Writes
        the campaign's folder: config.yaml, provenance.json, manifest/, ledger.parquet, result.json,
        report.html, the tables that the report is drawn from, and `restorer.safetensors` where one
        was used.

        Raises:
            InputError: the config and the data do not go together, a file is bad, or the folder
                cannot be written.
        """
        began, started = time.monotonic(), now()
        check_address()
        check_given(self.config, self.out)
        gathering = Gathering(self.config, self.store, self.progress)
        begin_folder(self.out, dump_yaml(self.config), _RESULTS)
        status = StatusFile(self.out)
        self.progress.listeners.append(status)
        with status.kept():
            return self._run(gathering, status, began, started)

    def _run(
        self, gathering: Gathering, status: StatusFile, began: float, started: str
    ) -> dict[str, Any]:
        with cluster(), status.told_at_once():
            # Said now, not after hours of encoding.
            check_places(self.config)
            check_folders(self.out, self.store.root, self.config)
            scoring = Scoring(gathering)
            scoring.prepare()
            scores = scoring.scores()
            measures = {name: scoring.measures(name[0]) for name in scores}
        self.progress.start("report")
        self._copy_manifest(gathering.collection.path)
        write_pictures(scoring, self.out / "pictures")
        if self.config.learning.uses(RESTORED):
            shutil.copyfile(scoring.restorer[0], self.out / "restorer.safetensors")
        result = write_result(scoring, scores, measures, self.out, time.monotonic() - began)
        facts = provenance(self.config.seed, self.command, started, now())
        facts["hosts"] = self.config.fleet.host_count
        facts["stages"] = self.progress.seconds
        write_json(self.out / "provenance.json", facts)
        report = write_report(self.out)
        self.progress.end(str(report))
        return result

    def _copy_manifest(self, collection: Path) -> None:
        """Puts the manifest into the campaign's folder; a whole copy or none."""
        copy = self.out / ".manifest"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(collection / "manifest", copy)
        shutil.rmtree(self.out / "manifest", ignore_errors=True)
        copy.rename(self.out / "manifest")


_RESULTS = (
    "result.json",
    "report.html",
    "ledger.parquet",
    "provenance.json",
    "restorer.safetensors",
)


def check_given(config: CampaignConfig, out: Path) -> None:
    """Looks at a trained restorer that was given, before anything is driven for it.

    Raises:
        InputError: it cannot be used, or is what this campaign would replace.
    """
    restoration = config.restoration
    if restoration is None or restoration.weights is None or not config.learning.uses(RESTORED):
        return
    if restoration.weights.resolve() == (out / "restorer.safetensors").resolve():
        raise InputError(
            "restoration.weights: lies where this campaign writes its own; give another --out"
        )
    read_restorer(restoration.restorer, restoration.weights)


def begin_folder(out: Path, config: str, results: tuple[str, ...]) -> None:
    """Writes the resolved config; takes away the results of another one, which do not belong to it.

    Raises:
        InputError: the folder cannot be written.
    """
    make_folder(out)
    try:
        path, text = out / "config.yaml", config.encode()
        if path.exists() and path.read_bytes() != text:
            for name in results:
                (out / name).unlink(missing_ok=True)
        replace_file(path, text)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written ({error.strerror})") from None


def make_folder(out: Path) -> None:
    """Makes a folder for results, if it is not there; InputError where it cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written ({error.strerror})") from None


def check_places(config: CampaignConfig) -> None:
    """Raises InputError for hosts or workers that the cluster cannot hold even when idle."""
    check_hosts(config.fleet)
    check_trainer(config.learning.trainer, "learning.trainer")
    if config.restoration is not None:
        check_trainer(config.restoration.trainer, "restoration.trainer")


def check_folders(out: Path, store: Path, config: CampaignConfig) -> None:
    """Raises InputError for a folder that not all nodes of the cluster share."""
    read = {} if config.data.root is None else {"data.root": config.data.root.resolve()}
    check_shared({"--out": out, "--store": store}, read)


def now() -> str:
    """The time, in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
