"""`bitfleet study`: the paper's experiments, each a campaign of its own over shared stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from fleet.errors import InputError
from models.training_config import TrainingDiverged
from server.cluster import cluster, resources
from server.config_file import dump_yaml
from server.durable import write_json
from server.gathering import Gathering
from server.joining import check_address
from server.learning import CALIBRATED, RESTORED
from server.metrics.watch import Watch
from server.pictures import write_study_pictures
from server.pipeline import begin_folder, check_folders, check_places, now
from server.provenance import provenance
from server.report import write_study_report
from server.scoring import Scoring
from server.side_by_side import JobsProgress, Stopped
from server.stages import ArtifactStore
from server.study.claims import write_claims
from server.study.config import Job, StudyConfig
from server.study.drops import write_drops
from server.study.rate_distortion import write_rate_distortion
from server.study.rows import Result, write_facts, write_rows
from server.study.summary import show
from server.training import TrainerConfig

Made = TypeVar("Made")

RESULTS = (
    "study.parquet",
    "drops.parquet",
    "rate_distortion.parquet",
    "claims.json",
    "study.json",
    "report.html",
    "provenance.json",
)
"""What a study leaves in its folder, beside its config and pictures."""


@dataclass
class Study:
    """A study's config, its folders, and who is told how it goes."""

    config: StudyConfig
    out: Path
    store: ArtifactStore
    progress: JobsProgress
    command: str

    def run(self) -> Path:
        """Runs every stage that is not done yet; gives the report's path.

        Interrupted, it loses at most the running stages: run again, it finds the others.

        Raises:
            InputError: config and data do not go together, a file is bad, or a training diverges.
        """
        began, started = time.monotonic(), now()
        config = self.config
        check_address()
        # The data is looked at before anything is started; scenes are made here, once.
        Gathering(config.campaign, self.store, self.progress.job("data"))
        begin_folder(self.out, dump_yaml(config), RESULTS)
        with cluster():
            check_places(config.campaign)
            check_folders(self.out, self.store.root, config.campaign)
            results = self._jobs()
            write_rate_distortion(config, results, self.out, self.progress.job("rates"))
        rows = write_rows(results, self.out / "study.parquet")
        drops = write_drops(config, results, self.out / "drops.parquet")
        write_claims(config, rows, drops, self.out / "claims.json")
        write_study_pictures(results, self.out / "pictures")
        facts = provenance(config.campaign.seed, self.command, started, now())
        write_json(self.out / "provenance.json", facts)
        skipped = [line for result in results for line in result.skipped]
        write_facts(
            config, results, list(dict.fromkeys(skipped)), facts, time.monotonic() - began,
            self.out / "study.json",
        )  # fmt: skip
        return write_study_report(self.out)

    def _jobs(self) -> list[Result]:
        """Runs the campaigns, several at a time; restorers first, since many wait for them."""
        jobs = self.config.jobs()
        # One after another: a collection wants all of its hosts at once, so that two that had some
        # of theirs each would wait for each other for ever.
        collections = {(job.codec.name, job.quality, job.share): job for job in reversed(jobs)}
        self._side_by_side(1, self._collect, list(reversed(collections.values())))
        campaign = self.config.campaign
        first: dict[tuple[str, str | None], Job] = {}
        for job in jobs:
            first.setdefault((job.codec.name, job.restorer), job)
        if self.config.restores and campaign.restoration is not None:
            width = self._places(campaign.restoration.trainer)
            self._side_by_side(width, self._restorer, list(first.values()))
        return self._side_by_side(self._places(campaign.learning.trainer), self._result, jobs)

    def _places(self, trainer: TrainerConfig) -> int:
        """How many trainings are to run at a time: as many as the cluster holds, or as was asked."""
        if self.config.parallel is not None:
            return self.config.parallel
        places = resources().get("CPU", 1) / (trainer.cpus_per_worker * trainer.workers)
        if trainer.gpus_per_worker:
            gpus = resources().get("GPU", 0) / (trainer.gpus_per_worker * trainer.workers)
            places = min(places, gpus)
        return max(1, int(places))

    def _collect(self, job: Job) -> None:
        gathering = Gathering(job.campaign(self.config), self.store, self.progress.job(job.label))
        _ = gathering.collection
        if gathering.config.learning.uses(CALIBRATED):
            _ = gathering.calibration

    def _restorer(self, job: Job) -> None:
        scoring = self._scoring(job, self.progress.job(f"{job.codec.name} {job.restorer}"))
        if scoring.config.learning.uses(RESTORED):
            _ = scoring.restorer

    def _result(self, job: Job) -> Result:
        result = Result.of(job, self._scoring(job, self.progress.job(job.label)))
        self.progress.finished(job.label)
        return result

    def _scoring(self, job: Job, progress: Any) -> Scoring:
        return Scoring(Gathering(job.campaign(self.config), self.store, progress))

    def _side_by_side(
        self, width: int, work: Callable[[Job], Made], jobs: Sequence[Job]
    ) -> list[Made]:
        """Works on jobs in their order, so many at a time; the first error stops the others."""
        pool = ThreadPoolExecutor(width, thread_name_prefix="job")
        futures: list[Future[Made]] = [pool.submit(work, job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # All done, an error, or Ctrl-C: who still works stops at the next word it tells.
            if not all(future.done() for future in futures):
                self.progress.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        errors = [
            (job, future.exception())
            for job, future in zip(jobs, futures, strict=True)
            if not future.cancelled() and future.exception() is not None
        ]
        for job, error in errors:
            if isinstance(error, TrainingDiverged):
                raise InputError(f"{job.label}: {error}") from None
            if error is not None and not isinstance(error, Stopped):
                raise error
        return [future.result() for future in futures]


def run_study(
    config: StudyConfig,
    out: Path,
    store: Path,
    command: str,
    console: Console,
    watch: Watch | None = None,
) -> Path:
    """Runs a study and shows it; gives the report's path.

    Args:
        config: the study.
        out: the study's folder.
        store: folder of artifacts.
        command: the command line, for the provenance.
        console: where to show it.
        watch: what live metrics are served from.

    Raises:
        InputError: config and data do not go together, a file is bad, a folder cannot be written, or
            a training diverges.
    """
    jobs = len(config.jobs())
    if watch is not None:
        watch.expect(jobs, config.name)
    progress = JobsProgress(console, jobs, watch)
    restorers = f", {' and '.join(config.restorers)} restorers" if config.restores else ""
    rates = sum(len(one.qualities) for one in config.codecs)
    console.print(
        Text(config.name, "bold")
        + Text(f": {jobs} campaigns at {rates} rates with {len(config.seeds)} seeds{restorers}"),
        soft_wrap=True,
    )
    study = Study(config, out.resolve(), ArtifactStore(store), progress, command)
    with progress.shown():
        report = study.run()
    show(study.out, console)
    console.print(f"report: {out / report.name}", highlight=False, soft_wrap=True)
    return report
