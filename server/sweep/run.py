"""`bitfleet sweep`: runs a sweep's campaigns as Ray Tune trials over one store, and makes their table."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console
from rich.text import Text

from fleet.errors import CampaignFailed, InputError
from server.cluster import cluster, resources
from server.config_file import dump_yaml
from server.dashboard.report import write_sweep_report
from server.gathering import Gathering
from server.joining import check_address
from server.metrics.watch import Watch as Metrics
from server.pipeline import begin_folder, check_folders, check_given, check_places
from server.progress import Progress
from server.side_by_side import JobProgress, JobsProgress
from server.stages import ArtifactStore
from server.sweep.config import Optuna, SweepConfig
from server.sweep.points import Point
from server.sweep.results import CAMPAIGNS, Results
from server.sweep.search import optuna_search, suggested
from server.sweep.trial import LOG, places, run_campaigns
from server.sweep.watch import Watch

_SYNC_EVERY_S = 10.0
"""Seconds between two writings of the table while campaigns run."""


class Sweep:
    """A sweep's config, its folders, and who is told how it goes."""

    def __init__(
        self,
        config: SweepConfig,
        out: Path,
        store: Path,
        command: str,
        console: Console,
        metrics: Metrics | None = None,
    ) -> None:
        self.config, self.out, self.store, self.command = config, out, store, command
        self.results = Results(config, out)
        self.progress = JobsProgress(console, config.count, metrics, noun="campaigns")
        self._jobs: dict[str, tuple[JobProgress, str]] = {}

    def run(self) -> None:
        """Runs every campaign that is not done yet, and writes the table of all.

        Run again after it was interrupted or killed, it finds what is done.

        Raises:
            InputError: config and data do not go together, a campaign does not fit on the cluster,
                or the folder holds results of another version.
            CampaignFailed: campaigns failed; the others are in the table.
        """
        check_address()
        points = self.config.points()
        for point in points:
            check_given(point.campaign(self.config.campaign), self.out / CAMPAIGNS / point.folder)
        begin_folder(self.out, dump_yaml(self.config), ("report.html",))
        self.results.read(points)
        waiting = [point for point in points if point.folder not in self.results.rows]
        self.progress.found(len(points) - len(waiting))
        try:
            with self.progress.shown():
                if isinstance(self.config.search, Optuna):
                    self._chosen(self.config.search)
                elif waiting:
                    self._given(waiting)
        finally:
            self.results.write()
        if self.results.faults:
            first, *others = self.results.faults.values()
            more = f" (and {len(others)} more)" if others else ""
            raise CampaignFailed(f"a campaign failed: {first}{more}")

    def _given(self, points: list[Point]) -> None:
        """Runs campaigns that are known from the start."""
        campaigns = [point.campaign(self.config.campaign) for point in points]
        # The data is looked at before anything is started; scenes are made here, once.
        Gathering(campaigns[0], ArtifactStore(self.store), Progress(Console(quiet=True)))
        named = [
            [(point.folder, campaign.model_dump_json())]
            for point, campaign in zip(points, campaigns, strict=True)
        ]
        widest = max(campaigns, key=lambda campaign: places(campaign).required_resources["CPU"])
        with self._cluster(), self._watched(points):
            check_places(widest)
            check_folders(self.out, self.store, widest)
            self._check_fits(places(widest))
            # Where campaigns differ in what they need, trials do, too; so each asks for its own.
            for need, group in _by_need(campaigns, named):
                trainable = tune.with_resources(
                    tune.with_parameters(_run_given, given=group, sweep=self._where()), need
                )
                self._fit(trainable, {"index": tune.grid_search(list(range(len(group))))}, 1, None)

    def _chosen(self, search: Optuna) -> None:
        """Runs campaigns that Optuna chooses by what came of those before."""
        base = self.config.campaign
        Gathering(base, ArtifactStore(self.store), Progress(Console(quiet=True)))
        searcher, left = optuna_search(self.config, search, self.out)
        self.progress.found((search.points - left) * len(self.config.seeds))
        if not left:
            self.results.read_all()
            return
        with self._cluster(), self._watched([]):
            check_places(base)
            check_folders(self.out, self.store, base)
            self._check_fits(places(base))
            trainable = tune.with_resources(
                tune.with_parameters(_run_chosen, config=self.config, sweep=self._where()),
                places(base),
            )
            self._fit(trainable, None, left, searcher)
        self.results.read_all()

    def _fit(self, trainable: Any, space: Any, samples: int, searcher: Any) -> None:
        kept = self.out / ".tune"
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(
                num_samples=samples,
                search_alg=searcher,
                max_concurrent_trials=self.config.parallel or 0,
            ),
            run_config=tune.RunConfig(
                name=f"run-{time.time_ns()}",
                storage_path=str(kept),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        ended = tuner.fit()
        for error in ended.errors:
            raise error  # a bug: it is shown as it is
        for one in (ended[index] for index in range(len(ended))):
            if one.metrics and "fault" in one.metrics:
                name, _, fault = one.metrics["fault"].partition(": ")
                self.results.faults[name] = f"{name}: {fault}"

    def _where(self) -> dict[str, Any]:
        """What a trial needs to know beside its point."""
        return {
            "out": self.out / CAMPAIGNS,
            "store": self.store,
            "command": self.command,
        }

    def _check_fits(self, need: tune.PlacementGroupFactory) -> None:
        there = resources()
        for name, wanted in need.required_resources.items():
            if wanted > there.get(name, 0):
                raise InputError(
                    f"campaign: holds {wanted:g} {name} while it runs (hosts, or a training), and "
                    f"the cluster has {there.get(name, 0):g}; lower fleet.hosts, cpus_per_host or "
                    "…trainer.cpus_per_worker"
                )

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        # Ctrl-C is ours: trials end at once, and what is done is found again. Relative paths of the
        # config are the driver's, so trials stay in its folder. Tune's own progress is not shown.
        wanted = {
            "TUNE_DISABLE_SIGINT_HANDLER": "1",
            "RAY_CHDIR_TO_TRIAL_DIR": "0",
            "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            with cluster():
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value

    @contextmanager
    def _watched(self, points: list[Point]) -> Iterator[None]:
        """Shows what the campaigns tell of themselves, and keeps the table up to date."""
        watch = Watch(self.out / CAMPAIGNS, {point.folder: point.label for point in points})
        done = threading.Event()

        def look() -> None:
            written = time.monotonic()
            while not done.wait(1.0):
                self._look(watch)
                if time.monotonic() - written >= _SYNC_EVERY_S and self.results.changed:
                    self.results.write()
                    written = time.monotonic()

        thread = threading.Thread(target=look, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._look(watch)
            watch.mark_interrupted()

    def _look(self, watch: Watch) -> None:
        """Passes on what the campaigns tell of themselves: they run in processes of their own."""
        for name, label, status in watch.news():
            job, before = self._jobs.get(name, (self.progress.job(label), ""))
            stage = status["stage"] or ""
            if before and stage != before:
                # What a stage came to stands in the campaign's own log.
                job.end("", reused=True)
            if stage and stage != before:
                job.start(stage)
            if stage:
                job.update(status["share"], status["details"])
            self._jobs[name] = (job, stage)
            if status["state"] == "done" and self.results.take(name):
                self.progress.note = self.results.best
                self.progress.finished(label)
            elif status["state"] == "failed":
                said = (self.out / CAMPAIGNS / name / LOG).read_text().strip()
                self.progress.finished(label, said.rpartition("\n")[2])


def _by_need(campaigns: list[Any], named: list[Any]) -> list[tuple[Any, list[Any]]]:
    groups: dict[str, tuple[Any, list[Any]]] = {}
    for campaign, one in zip(campaigns, named, strict=True):
        need = places(campaign)
        groups.setdefault(json.dumps(need.bundles), (need, []))[1].append(one)
    return list(groups.values())


def _run_given(params: dict[str, Any], given: list[Any], sweep: dict[str, Any]) -> dict[str, Any]:
    """A trial whose campaign is known."""
    return run_campaigns(given[params["index"]], **sweep)


def _run_chosen(
    params: dict[str, Any], config: SweepConfig, sweep: dict[str, Any]
) -> dict[str, Any]:
    """A trial whose campaigns' values Optuna suggests."""
    values = suggested(config, params)
    points = [Point(values, seed) for seed in config.seeds]
    return run_campaigns(
        [(point.folder, point.campaign(config.campaign).model_dump_json()) for point in points],
        **sweep,
    )


def run_sweep(
    config: SweepConfig,
    out: Path,
    store: Path,
    command: str,
    console: Console,
    metrics: Metrics | None = None,
) -> None:
    """Runs a sweep and shows it.

    Args:
        config: the sweep.
        out: the sweep's folder.
        store: folder of artifacts.
        command: the command line, for the provenance.
        console: where to show it.
        metrics: what live metrics are served from, if they are.

    Raises:
        InputError, CampaignFailed: see `Sweep.run`.
    """
    fields = " × ".join(field.rpartition(".")[2] for field in config.vary)
    console.print(
        Text(config.name, "bold")
        + Text(f": {config.count} campaigns, {fields} with {len(config.seeds)} seeds"),
        soft_wrap=True,
    )
    if metrics is not None:
        metrics.expect(config.count, config.name)
    sweep = Sweep(config, out.resolve(), store.resolve(), command, console, metrics)
    sweep.run()
    sweep.results.show(console)
    report = write_sweep_report(sweep.out)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
