"""The stages on the way of a campaign's frames from the road to decoded pixels, made when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.frames.data import DataSet, open_data
from fleet.frames.layout import FrameRef
from fleet.scenes import write_scenes
from server.calibration import (
    calibration_collection,
    check_arrived,
    take_calibration_frames,
)
from server.campaign import CampaignConfig
from server.collection import (
    CollectionConfig,
    FleetState,
    collect,
    read_collected,
    read_state,
)
from server.decoding import decode_collection, distinct_pixels, read_frames
from server.figures import RunningCost, on_the_road, unpacked
from server.manifest import read_manifest
from server.progress import Teller
from server.references import compress_test_frames, receive_calibration, unpack_originals
from server.stages import Artifact, ArtifactStore, digest_inputs


@dataclass(frozen=True)
class Source:
    """Digests of the files that frames come from."""

    train: str
    test: str
    calibration: str


class Gathering:
    """What a campaign gathers: collection, decoded frames, originals, test and calibration frames.

    Each attribute is an artifact, found or made when it is first asked for.

    Attributes:
        config: the campaign's.
        store: of the artifacts.
        progress: told how it goes.
        data: the frames of the fleet and of the test, without calibration frames.
        calibration_data: the calibration frames as train frames, unlabelled; None without any.
    """

    def __init__(self, config: CampaignConfig, store: ArtifactStore, progress: Teller) -> None:
        """Looks at the data, or makes the procedural scenes.

        Raises:
            InputError: the config and the data do not go together, or a file is bad.
        """
        self.config, self.store, self.progress = config, store, progress
        self._cost = RunningCost(config.prices)
        root, scenes = self._root()
        self.data = open_data(config.data, root)
        self.calibration_data: DataSet | None = None
        if config.calibration is not None:
            self.data, self.calibration_data = take_calibration_frames(
                config.calibration, config.data, root, self.data
            )
            # What is wrong with it is said now, not when the fleet has come home.
            calibration_collection(
                config.calibration, config.fleet, self.calibration_data, config.seed
            )
        if scenes is not None:
            self._source = Source(scenes.digest, scenes.digest, scenes.digest)
        else:
            taken = self.calibration_data.train if self.calibration_data else ()
            self._source = Source(
                _fingerprint(self.data.train), _fingerprint(self.data.test), _fingerprint(taken)
            )

    def _root(self) -> tuple[Path, Artifact | None]:
        """The data set's folder; with the artifact where scenes were made."""
        config = self.config.data
        if config.root is not None:
            return config.root.resolve(), None
        self.progress.start("scenes")
        artifact = self.store.run(
            "scenes",
            {"version": 1, "scenes": config.scenes.model_dump(mode="json")},
            lambda folder: write_scenes(
                config.scenes, folder / "data",
                on_frame=lambda done, total: count(self.progress, done, total),
            ),
        )  # fmt: skip
        self.progress.end("procedural street scenes", artifact.reused)
        return artifact.path / "data", artifact

    @cached_property
    def collection(self) -> Artifact:
        """The fleet's collection."""
        return self._collect("collect", self.config.collection, self.data, self._source.train)

    @cached_property
    def calibration(self) -> Artifact:
        """The collection of the calibration frames.

        Raises:
            InputError: too few of them arrived.
        """
        config, data = self.config.calibration, self.calibration_data
        assert config is not None
        assert data is not None
        collection = calibration_collection(config, self.config.fleet, data, self.config.seed)
        artifact = self._collect("calibrate", collection, data, self._source.calibration)
        check_arrived(config, artifact.path)
        return artifact

    @cached_property
    def calibration_originals(self) -> Artifact:
        """The calibration frames' pixels, as they arrived."""
        collection, config = self.calibration, self.config.calibration
        assert config is not None
        self.progress.start("calibration frames")
        artifact = self.store.run(
            "calibration-originals",
            {"version": 1, "calibration": collection.digest},
            lambda folder: receive_calibration(
                collection.path, config.lossless, self.data.max_pixels, folder, self.count_frames
            ),
        )
        self.progress.end("decoded", artifact.reused)
        return artifact

    def _collect(
        self, stage: str, config: CollectionConfig, data: DataSet, source: str
    ) -> Artifact:
        self.progress.start(stage)
        ids = [ref.frame_id for ref in data.train]
        inputs = {**config.inputs(), **self._frames(source), "train": ids}

        def observe(state: FleetState) -> None:
            self.progress.observe(state)
            spent = on_the_road(state, calibration=stage == "calibrate")
            self.progress.observe(self._cost.of(stage, spent))

        def show(state: FleetState) -> None:
            observe(state)
            totals = state.totals
            bpp = totals["bits_delivered"] / max(1, totals["pixels_delivered"])
            self.progress.update(
                state.share,
                f"{state.hours:.1f} h  {totals['captured']} captured  "
                f"{totals['delivered']} delivered  {totals['bits_sent'] / 1e6:.1f} Mbit  "
                f"{bpp:.3f} bpp  buffers {state.buffer_bytes / 1e3:.0f} kB  "
                f"{state.links_up}/{config.fleet.vehicles} links up",
            )

        artifact = self.store.run(
            stage,
            inputs,
            lambda folder: collect(
                config, digest_inputs(inputs), data, self.store.bitstreams, folder, show
            ),
            resumable=True,
        )
        if artifact.reused:
            observe(read_state(artifact.path, config.fleet))
        collected = read_collected(artifact.path)
        refused = sum(collected.refused.values())
        self.progress.end(
            f"{collected.frames} frames, {collected.bits / 1e6:.2f} Mbit committed"
            + (f", {refused} uploads refused" if refused else ""),
            artifact.reused,
        )
        return artifact

    @cached_property
    def decoded(self) -> Artifact:
        """The decoded frames."""
        collection = self.collection
        self.progress.start("decode")
        artifact = self.store.run(
            "decode",
            {"version": 2, "collection": collection.digest},
            lambda folder: decode_collection(
                collection.path, self.config.codecs, self.data, folder, self.count_frames,
                self.progress.observe,
            ),
        )  # fmt: skip
        spent = unpacked(
            sum(row["trained"] for row in read_frames(artifact.path)),
            distinct_pixels(read_manifest(collection.path / "manifest")),
        )
        self.progress.observe(self._cost.of("decode", spent))
        self.progress.end("every distinct bitstream once", artifact.reused)
        return artifact

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The table of delivered frames; see `server.decoding`."""
        return read_frames(self.decoded.path)

    @cached_property
    def trained(self) -> dict[str, float]:
        """The frames that are trained on, by id in order, each with its quality.

        Raises:
            InputError: there are none.
        """
        found = {row["frame_id"]: row["quality"] for row in self.rows if row["trained"]}
        if not found:
            raise InputError(
                "no labelled frame was delivered, so there is nothing to train on: "
                "raise the budget or the uplink's bandwidth, or drive more hours"
            )
        return dict(sorted(found.items()))

    @cached_property
    def originals(self) -> Artifact:
        """Originals and labels of the frames that are trained on, and of the test frames."""
        trained = list(self.trained)
        self.progress.start("originals")
        by_id = {ref.frame_id: ref for ref in self.data.train}
        test = [ref.frame_id for ref in self.data.test]
        artifact = self.store.run(
            "originals",
            {
                "version": 1,
                **self._frames(self._source.train),
                "test_data": self._source.test,
                "train": trained,
                "test": test,
            },
            lambda folder: unpack_originals(
                [by_id[frame_id] for frame_id in trained], self.data, folder, self.count_frames
            ),
        )
        self.progress.end(f"{len(trained)} train and {len(test)} test frames", artifact.reused)
        return artifact

    @cached_property
    def tested(self) -> Artifact:
        """The test frames as the campaign's codec leaves them."""
        qualities = sorted((row["codec"], row["quality"]) for row in self.rows)
        codecs = [codec.model_dump(mode="json") for codec in self.config.codecs]
        self.progress.start("test frames")
        inputs = {
            "version": 2,
            **self._frames(self._source.test),
            "test": [ref.frame_id for ref in self.data.test],
            "codecs": codecs,
            "qualities": qualities,
            "seed": self.config.seed,
        }
        artifact = self.store.run(
            "test-frames",
            inputs,
            lambda folder: compress_test_frames(
                self.config.codecs, qualities, self.data, self.config.seed, self.store.bitstreams,
                folder, self.count_frames,
            ),
        )  # fmt: skip
        self.progress.end(f"{len(self.data.test)} compressed as the fleet's were", artifact.reused)
        return artifact

    @property
    def test_ids(self) -> tuple[str, ...]:
        """Ids of the test frames, in order."""
        return tuple(ref.frame_id for ref in self.data.test)

    def count_frames(self, done: int, total: int) -> None:
        """Tells the progress how many frames are done."""
        count(self.progress, done, total)

    def _frames(self, files: str) -> dict[str, Any]:
        """What decides the pixels of a frame, as inputs of a stage."""
        return {"data": files, "downscale": self.config.data.downscale}


def count(progress: Teller, done: int, total: int) -> None:
    """Tells how many frames of a stage are done."""
    progress.update(done / max(1, total), f"{done} of {total} frames")


def _fingerprint(refs: tuple[FrameRef, ...]) -> str:
    """A digest of files by name, size and time of change: quick, and new when a file is replaced."""
    facts = []
    for ref in refs:
        for path in (ref.image, ref.labels):
            stat = path.stat() if path is not None else None
            facts.append([ref.frame_id, stat.st_size, stat.st_mtime_ns] if stat else None)
    return digest_inputs({"files": facts})
