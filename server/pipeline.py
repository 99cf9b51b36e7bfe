"""A campaign's way, stage by stage, from the first frame captured to the result and its report.

scenes → collect → decode → originals, test frames → train → evaluate → ledger → report
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.frames.data import DataSet, open_data
from fleet.frames.layout import FrameRef
from fleet.scenes import write_scenes
from models.segmenter_training import StepReport
from server.campaign import CampaignConfig
from server.cluster import cluster
from server.collection import FleetState, collect, read_collected
from server.collection import check_cluster as check_hosts
from server.config_file import dump_yaml
from server.decoding import decode_collection, read_frames
from server.durable import replace_file, write_json
from server.learning import PairFiles, evaluate_domain, read_score, train_domain
from server.pictures import write_pictures
from server.progress import Progress
from server.provenance import provenance
from server.references import compress_test_frames, unpack_originals
from server.report import write_report
from server.results import Outcome, write_result
from server.stages import Artifact, ArtifactStore, digest_inputs
from server.training import check_cluster as check_trainer


@dataclass(frozen=True)
class Source:
    """Digests of the files that train frames and test frames come from."""

    train: str
    test: str


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

        The frames are looked at first, and only then a cluster is connected to, or started. Writes
        the campaign's folder: config.yaml, provenance.json, manifest/, ledger.parquet, result.json,
        report.html, and the tables that the report is drawn from.

        Raises:
            InputError: the config and the data do not go together, a file is bad, or the folder
                cannot be written.
        """
        began, started = time.monotonic(), _now()
        data, source = self._data()
        try:
            self._begin_folder()
        except OSError as error:
            raise InputError(f"--out: {self.out} cannot be written ({error.strerror})") from None
        with cluster():
            # Said now, not after hours of encoding.
            check_hosts(self.config.fleet)
            check_trainer(self.config.learning.trainer)
            outcome, evaluations, tested = self._stages(data, source)
        self.progress.start("report")
        self._copy_manifest(outcome.collection)
        write_pictures(
            _spread(data.test, self.config.learning.pictures), outcome.originals,
            tested, evaluations, self.out / "pictures",
        )  # fmt: skip
        result = write_result(outcome, self.out, time.monotonic() - began)
        facts = provenance(self.config.seed, self.command, started, _now())
        facts["hosts"] = self.config.fleet.host_count
        facts["stages"] = self.progress.seconds
        write_json(self.out / "provenance.json", facts)
        report = write_report(self.out)
        self.progress.end(str(report))
        return result

    def _begin_folder(self) -> None:
        """Writes the config; takes away the result of another one, which would not belong to it."""
        self.out.mkdir(parents=True, exist_ok=True)
        path, text = self.out / "config.yaml", dump_yaml(self.config).encode()
        if path.exists() and path.read_bytes() != text:
            for name in ("result.json", "report.html", "ledger.parquet", "provenance.json"):
                (self.out / name).unlink(missing_ok=True)
        replace_file(path, text)

    def _stages(
        self, data: DataSet, source: Source
    ) -> tuple[Outcome, dict[str, Path], Path | None]:
        """From the road to the scores; also the evaluations' folders and the compressed test frames."""
        collection = self._collect(data, source)
        decoded = self._decode(data, collection)
        frames = read_frames(decoded.path)
        trained = [row["frame_id"] for row in frames if row["trained"]]
        if not trained:
            raise InputError(
                "no labelled frame was delivered, so there is nothing to train on: "
                "raise the budget or the uplink's bandwidth, or drive more hours"
            )
        originals = self._originals(data, source, sorted(trained))
        tested = self._test_frames(data, source, [row["quality"] for row in frames])
        weights = {
            domain: self._train(domain, sorted(trained), decoded, originals)
            for domain in self.config.learning.train_domains
        }
        evaluations = self._evaluate(data, weights, originals, tested)
        scores = {name: read_score(folder) for name, folder in evaluations.items()}
        outcome = Outcome(
            self.config, collection.path, decoded.path, originals.path,
            {domain: artifact.path for domain, artifact in weights.items()}, scores,
        )  # fmt: skip
        return outcome, evaluations, tested.path if tested else None

    def _data(self) -> tuple[DataSet, Source]:
        """The frames, and digests of the files they come from."""
        config = self.config.data
        if config.root is not None:
            data = open_data(config, config.root.resolve())
            return data, Source(_fingerprint(data.train), _fingerprint(data.test))
        self.progress.start("scenes")
        inputs = {"version": 1, "scenes": config.scenes.model_dump(mode="json")}
        artifact = self.store.run(
            "scenes",
            inputs,
            lambda folder: write_scenes(
                config.scenes,
                folder / "data",
                on_frame=lambda done, total: self._count(done, total, "frames"),
            ),
        )
        data = open_data(config, artifact.path / "data")
        details = f"{len(data.train)} train and {len(data.test)} test frames"
        self.progress.end(details, artifact.reused)
        return data, Source(artifact.digest, artifact.digest)

    def _collect(self, data: DataSet, source: Source) -> Artifact:
        self.progress.start("collect")
        ids = [ref.frame_id for ref in data.train]
        inputs = {**self.config.collection.inputs(), **self._frames(source.train), "train": ids}
        artifact = self.store.run(
            "collect",
            inputs,
            lambda folder: collect(
                self.config.collection, digest_inputs(inputs), data, self.store.bitstreams,
                folder, self._show_fleet,
            ),
            resumable=True,
        )  # fmt: skip
        collected = read_collected(artifact.path)
        refused = sum(collected.refused.values())
        self.progress.end(
            f"{collected.frames} frames, {collected.bits / 1e6:.2f} Mbit committed"
            + (f", {refused} uploads refused" if refused else ""),
            artifact.reused,
        )
        return artifact

    def _decode(self, data: DataSet, collection: Artifact) -> Artifact:
        self.progress.start("decode")
        artifact = self.store.run(
            "decode",
            {"version": 1, "collection": collection.digest},
            lambda folder: decode_collection(
                collection.path, self.config.codec, data, folder, self._count_frames
            ),
        )
        self.progress.end("every distinct bitstream once", artifact.reused)
        return artifact

    def _originals(self, data: DataSet, source: Source, trained: list[str]) -> Artifact:
        self.progress.start("originals")
        by_id = {ref.frame_id: ref for ref in data.train}
        test = [ref.frame_id for ref in data.test]
        artifact = self.store.run(
            "originals",
            {
                "version": 1,
                **self._frames(source.train),
                "test_data": source.test,
                "train": trained,
                "test": test,
            },
            lambda folder: unpack_originals(
                [by_id[frame_id] for frame_id in trained], data, folder, self._count_frames
            ),
        )
        self.progress.end(f"{len(trained)} train and {len(test)} test frames", artifact.reused)
        return artifact

    def _test_frames(
        self, data: DataSet, source: Source, qualities: list[float]
    ) -> Artifact | None:
        if all(name[1] != "C" for name in self.config.learning.configurations):
            return None
        self.progress.start("test frames")
        inputs = {
            "version": 1,
            **self._frames(source.test),
            "test": [ref.frame_id for ref in data.test],
            "codec": self.config.codec.model_dump(mode="json"),
            "qualities": sorted(qualities),
            "seed": self.config.seed,
        }
        artifact = self.store.run(
            "test-frames",
            inputs,
            lambda folder: compress_test_frames(
                self.config.codec, qualities, data, self.config.seed, self.store.bitstreams,
                folder, self._count_frames,
            ),
        )  # fmt: skip
        self.progress.end(f"{len(data.test)} compressed as the fleet's were", artifact.reused)
        return artifact

    def _train(
        self, domain: str, trained: list[str], decoded: Artifact, originals: Artifact
    ) -> Artifact:
        self.progress.start(f"train on {domain}")
        pixels = decoded if domain == "C" else originals
        files = PairFiles(tuple(trained), pixels.path / "frames", originals.path / "labels")
        learning = self.config.learning
        inputs = {
            "version": 1,
            "pixels": pixels.digest,
            "labels": originals.digest,
            "segmenter": learning.segmenter.model_dump(mode="json"),
            "training": learning.training.model_dump(mode="json", exclude={"checkpoint_every"}),
            "workers": learning.trainer.workers,
            "gpu": learning.trainer.gpus_per_worker > 0,
            "seed": self.config.seed,
        }
        artifact = self.store.run(
            "segmenter",
            inputs,
            lambda folder: train_domain(
                learning, files, self.config.seed, folder, self._show_training
            ),
            resumable=True,
        )
        self.progress.end(f"{learning.training.steps} steps", artifact.reused)
        return artifact

    def _evaluate(
        self,
        data: DataSet,
        weights: dict[str, Artifact],
        originals: Artifact,
        tested: Artifact | None,
    ) -> dict[str, Path]:
        """Evaluates every configuration; gives each one's folder."""
        ids = tuple(ref.frame_id for ref in data.test)
        pictured = _spread(data.test, self.config.learning.pictures)
        folders: dict[str, Path] = {}
        for name in self.config.learning.configurations:
            self.progress.start(f"evaluate {name}")
            pixels = tested if name[1] == "C" else originals
            assert pixels is not None
            files = PairFiles(ids, pixels.path / "frames", originals.path / "labels")
            inputs = {
                "version": 1,
                "weights": weights[name[0]].digest,
                "pixels": pixels.digest,
                "pictured": list(pictured),
            }
            artifact = self.store.run(
                "evaluate",
                inputs,
                lambda folder, domain=name[0], files=files: evaluate_domain(  # type: ignore[misc]
                    self.config.learning, weights[domain].path, files, pictured, folder
                ),
            )
            folders[name] = artifact.path
            miou = read_score(artifact.path).miou
            self.progress.end(f"{name} mIoU {100 * miou:.2f} %", artifact.reused)
        return folders

    def _copy_manifest(self, collection: Path) -> None:
        """Puts the manifest into the campaign's folder; a whole copy or none."""
        copy = self.out / ".manifest"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(collection / "manifest", copy)
        shutil.rmtree(self.out / "manifest", ignore_errors=True)
        copy.rename(self.out / "manifest")

    def _frames(self, files: str) -> dict[str, Any]:
        """What decides the pixels of a frame, as inputs of a stage."""
        return {"data": files, "downscale": self.config.data.downscale}

    def _count(self, done: int, total: int, what: str) -> None:
        self.progress.update(done / max(1, total), f"{done} of {total} {what}")

    def _count_frames(self, done: int, total: int) -> None:
        self._count(done, total, "frames")

    def _show_fleet(self, state: FleetState) -> None:
        totals = state.totals
        bpp = totals["bits_delivered"] / max(1, totals["pixels_delivered"])
        self.progress.update(
            state.share,
            f"{state.hours:.1f} h  {totals['captured']} captured  {totals['delivered']} delivered  "
            f"{totals['bits_sent'] / 1e6:.1f} Mbit  {bpp:.3f} bpp  "
            f"buffers {state.buffer_bytes / 1e3:.0f} kB  "
            f"{state.links_up}/{self.config.fleet.vehicles} links up",
        )

    def _show_training(self, report: StepReport) -> None:
        self.progress.update(
            report.step / report.steps, f"step {report.step}/{report.steps}  loss {report.loss:.3f}"
        )


def _spread(refs: tuple[FrameRef, ...], count: int) -> tuple[str, ...]:
    """So many frame ids, evenly spread."""
    count = min(count, len(refs))
    return tuple(
        refs[(2 * index + 1) * len(refs) // (2 * count)].frame_id for index in range(count)
    )


def _fingerprint(refs: tuple[FrameRef, ...]) -> str:
    """A digest of files by name, size and time of change: quick, and new when a file is replaced."""
    facts = []
    for ref in refs:
        for path in (ref.image, ref.labels):
            stat = path.stat() if path is not None else None
            facts.append([ref.frame_id, stat.st_size, stat.st_mtime_ns] if stat else None)
    return digest_inputs({"files": facts})


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
