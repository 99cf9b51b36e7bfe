"""The stages that restore, train and evaluate what a campaign gathered, made when asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from models.segmenter_training import WEIGHTS
from models.training_config import StepReport
from server.augmentation import augment
from server.evaluation import Score, evaluate_domain, read_score, reestimate
from server.figures import Evaluated
from server.gathering import Gathering
from server.learning import RESTORED, PairFiles, train_domain
from server.measures import Measures, mean_of, read_frechet, write_features, write_perceptual
from server.references import test_qualities
from server.restoration import (
    SemanticNetwork,
    make_pairs,
    read_restorer,
    served_qualities,
    train_restorer,
    weights_file,
)
from server.restoring import DecodedFrame, read_restored, restore_frames
from server.stages import Artifact, digest_file

Item = TypeVar("Item")


class Scoring:
    """What is made of what a campaign gathered: restorer, restored frames, segmenters, scores."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self.config, self.store = gathering.config, gathering.store
        self.progress = gathering.progress
        self._segmenters: dict[str, Artifact] = {}
        self._evaluations: dict[str, Artifact] = {}
        self.pictured = tuple(
            ref.frame_id for ref in spread(gathering.data.test, self.config.learning.pictures)
        )

    @property
    def seed(self) -> int:
        """Of the segmenters."""
        seed = self.config.learning.seed
        return self.config.seed if seed is None else seed

    # Restoration

    @cached_property
    def restorer(self) -> tuple[Path, str]:
        """The restorer's weights, and a digest of all that went into them."""
        config = self.config.restoration
        assert config is not None
        if config.weights is not None:
            read_restorer(config.restorer, config.weights)
            return config.weights.resolve(), digest_file(config.weights)
        artifact = self._train_restorer()
        return weights_file(artifact.path), artifact.digest

    @cached_property
    def pairs(self) -> Artifact:
        """The pairs that the restorer learns from."""
        gathering, config = self.gathering, self.config.restoration
        assert config is not None
        codec, scale = self.config.codec, self.config.codec.build().scale
        delivered = [row["quality"] for row in gathering.rows]
        qualities = served_qualities(config, scale, delivered)
        originals = gathering.calibration_originals
        self.progress.start("pairs")
        artifact = self.store.run(
            "pairs",
            {
                "version": 1,
                "originals": originals.digest,
                "codec": codec.model_dump(mode="json"),
                "qualities": qualities,
            },
            lambda folder: make_pairs(
                originals.path, codec, qualities, gathering.data.max_pixels, folder,
                gathering.count_frames,
            ),
        )  # fmt: skip
        self.progress.end(f"qualities {', '.join(f'{q:g}' for q in qualities)}", artifact.reused)
        return artifact

    def _train_restorer(self) -> Artifact:
        config = self.config.restoration
        assert config is not None
        pairs, training = self.pairs, config.training
        seed = self.config.seed if config.seed is None else config.seed
        judge = self._train("C", self.config.seed) if training.semantic_weight > 0 else None
        network = self.config.learning.segmenter
        semantic = SemanticNetwork(network, judge.path / WEIGHTS) if judge else None
        self.progress.start(f"{training.objective} restorer")
        artifact = self.store.run(
            "restorer",
            {
                "version": 1,
                "pairs": pairs.digest,
                "restorer": config.restorer.model_dump(mode="json"),
                "training": training.model_dump(mode="json", exclude={"checkpoint_every"}),
                "workers": config.trainer.workers,
                "gpu": config.trainer.gpus_per_worker > 0,
                "seed": seed,
                **({"semantic": judge.digest} if judge else {}),
            },
            lambda folder: train_restorer(
                config,
                pairs.path,
                self.gathering.calibration_originals.path,
                semantic,
                seed,
                folder,
                self._show_training,
            ),
            resumable=True,
        )
        self.progress.end(f"{training.steps} steps", artifact.reused)
        return artifact

    @cached_property
    def restored(self) -> Artifact:
        """The restored train frames."""
        decoded, originals = self.gathering.decoded, self.gathering.originals
        return self._restore("restore", self.gathering.trained, decoded, originals)

    @cached_property
    def restored_test(self) -> Artifact:
        """The restored test frames."""
        tested, originals = self.gathering.tested, self.gathering.originals
        return self._restore("restore test frames", test_qualities(tested.path), tested, originals)

    def _restore(
        self, stage: str, qualities: dict[str, float], decoded: Artifact, originals: Artifact
    ) -> Artifact:
        config = self.config.restoration
        assert config is not None
        scale = self.config.codec.build().scale
        frames = [DecodedFrame(name, scale.place(q)) for name, q in qualities.items()]
        weights, digest = self.restorer
        self.progress.start(stage)
        artifact = self.store.run(
            "restore",
            {
                "version": 1,
                "restorer": digest,
                "network": config.restorer.model_dump(mode="json"),
                "precision": config.training.precision,
                "gpu": config.trainer.gpus_per_worker > 0,
                "decoded": decoded.digest,
                "originals": originals.digest,
                "frames": [[frame.frame_id, frame.position] for frame in frames],
            },
            lambda folder: restore_frames(
                config, weights, frames, decoded.path / "frames", originals.path / "frames",
                folder, self.gathering.count_frames,
            ),
        )  # fmt: skip
        self.progress.end(f"{len(frames)} frames", artifact.reused)
        return artifact

    # Domains

    def pixels(self, domain: str, *, test: bool = False) -> list[tuple[Artifact, str]]:
        """Where a domain's frames lie: artifacts, and the folder in each."""
        gathering = self.gathering
        match domain:
            case "O":
                return [(gathering.originals, "frames")]
            case "C":
                return [(gathering.tested if test else gathering.decoded, "frames")]
            case "R":
                return [(self.restored_test if test else self.restored, "frames")]
            case "M":
                return [(gathering.decoded, "frames"), (self.restored, "frames")]
            case "A":
                copies = range(1, self.config.learning.augmentation.copies + 1)
                artifact = self.augmented
                decoded = (gathering.decoded, "frames")
                return [decoded, *((artifact, f"copy-{copy}") for copy in copies)]
        raise ValueError(f"no frames of domain {domain}")

    @cached_property
    def augmented(self) -> Artifact:
        """Further compressed copies of the decoded frames, for train domain A."""
        decoded, config = self.gathering.decoded, self.config
        trained = tuple(self.gathering.trained)
        self.progress.start("augment")
        artifact = self.store.run(
            "augment",
            {
                "version": 1,
                "decoded": decoded.digest,
                "trained": list(trained),
                "codec": config.codec.model_dump(mode="json"),
                "augmentation": config.learning.augmentation.model_dump(mode="json"),
                "seed": config.seed,
            },
            lambda folder: augment(
                config.learning.augmentation, config.codec, trained, decoded.path / "frames",
                self.gathering.data.max_pixels, config.seed, folder, self.gathering.count_frames,
            ),
        )  # fmt: skip
        self.progress.end(f"{config.learning.augmentation.copies} copies a frame", artifact.reused)
        return artifact

    # Segmenters

    def segmenter(self, domain: str) -> Artifact:
        """The segmenter of a train domain."""
        if domain not in self._segmenters:
            made = self._reestimated() if domain == "B" else self._train(domain, self.seed)
            self._segmenters[domain] = made
        return self._segmenters[domain]

    def _train(self, domain: str, seed: int) -> Artifact:
        pixels, originals = self.pixels(domain), self.gathering.originals
        trained = tuple(self.gathering.trained)
        folders = tuple(artifact.path / name for artifact, name in pixels)
        files = PairFiles(trained, folders, originals.path / "labels")
        learning = self.config.learning
        digests = [f"{artifact.digest}/{name}" for artifact, name in pixels]
        self.progress.start(f"train on {domain}")
        inputs = {
            "version": 2,
            "pixels": digests,
            "labels": originals.digest,
            "segmenter": learning.segmenter.model_dump(mode="json"),
            "training": learning.training.model_dump(mode="json", exclude={"checkpoint_every"}),
            "workers": learning.trainer.workers,
            "gpu": learning.trainer.gpus_per_worker > 0,
            "seed": seed,
        }
        artifact = self.store.run(
            "segmenter",
            inputs,
            lambda folder: train_domain(learning, files, seed, folder, self._show_training),
            resumable=True,
        )
        self.progress.end(f"{learning.training.steps} steps", artifact.reused)
        return artifact

    def _reestimated(self) -> Artifact:
        compressed, originals = self.segmenter("C"), self.gathering.calibration_originals
        self.progress.start("batch norm of B")
        files = tuple(sorted((originals.path / "frames").glob("*.npy")))
        artifact = self.store.run(
            "reestimate",
            {"version": 1, "segmenter": compressed.digest, "originals": originals.digest},
            lambda folder: reestimate(self.config.learning, compressed.path, files, folder),
        )
        self.progress.end(f"over {len(files)} calibration frames", artifact.reused)
        return artifact

    def evaluation(self, name: str) -> Artifact:
        """How a configuration does on the test frames."""
        if name in self._evaluations:
            return self._evaluations[name]
        train, test = name[0], name[1]
        weights, originals = self.segmenter(train), self.gathering.originals
        ((artifact, folder),) = self.pixels(test, test=True)
        files = PairFiles(
            self.gathering.test_ids, (artifact.path / folder,), originals.path / "labels"
        )
        self.progress.start(f"evaluate {name}")
        found = self.store.run(
            "evaluate",
            {
                "version": 2,
                "weights": weights.digest,
                "pixels": artifact.digest,
                "labels": originals.digest,
                "pictured": list(self.pictured),
            },
            lambda out: evaluate_domain(
                self.config.learning, weights.path, files, self.pictured, out
            ),
        )
        self._evaluations[name] = found
        miou = read_score(found.path).miou
        self.progress.observe(Evaluated(name, miou))
        self.progress.end(f"{name} mIoU {100 * miou:.2f} %", found.reused)
        return found

    def prepare(self) -> None:
        """Makes what comes before the segmenters, in the order in which a frame goes its way."""
        learning, gathering = self.config.learning, self.gathering
        _ = gathering.collection, gathering.decoded, gathering.originals
        if any(name[1] != "O" for name in learning.configurations):
            _ = gathering.tested
        if learning.uses(RESTORED):
            _ = self.restorer
        if learning.trains(RESTORED):
            _ = self.restored
        for domain in dict.fromkeys(name[0] for name in learning.configurations):
            self.segmenter(domain)

    def scores(self) -> dict[str, Score]:
        """Scores of all configurations."""
        names = self.config.learning.configurations
        return {name: read_score(self.evaluation(name).path) for name in names}

    # Measures

    def measures(self, domain: str) -> Measures:
        """A train domain's frames against their originals.

        Those of B are those of C. A and M have several versions of each frame and no measures.
        """
        if domain == "B":
            domain = "C"
        if domain not in "CR":
            return Measures()
        trained = self.gathering.trained
        rows = read_restored(self.restored.path) if domain == "R" else self.gathering.rows
        rows = [row for row in rows if row.get("trained", True) and row["frame_id"] in trained]
        frechet = None
        if any(name[0] == "O" for name in self.config.learning.configurations):
            folders = [self._features(each).path for each in ("O", domain)]
            frechet = read_frechet(*folders)
        perceptual = self.perceptual(domain)
        return Measures(
            mean_of(rows, "psnr"), mean_of(rows, "ms_ssim"), frechet,
            perceptual.get("lpips"), perceptual.get("fid"),
        )  # fmt: skip

    def perceptual(self, domain: str) -> dict[str, Any]:
        """LPIPS and FID of a train domain, with what was `skipped`; empty if not asked for."""
        if not self.config.learning.perceptual:
            return {}
        ids, pixels = self.measured(), self.pixels(domain)[0][0]
        originals = self.gathering.originals
        self.progress.start(f"LPIPS and FID of {domain}")
        artifact = self.store.run(
            "perceptual",
            {"version": 1, "pixels": pixels.digest, "originals": originals.digest, "frames": ids},
            lambda folder: write_perceptual(_files(pixels, ids), _files(originals, ids), folder),
        )
        found: dict[str, Any] = json.loads((artifact.path / "perceptual.json").read_text())
        self.progress.end("; ".join(found["skipped"]) or "measured", artifact.reused)
        return found

    def _features(self, domain: str) -> Artifact:
        weights, ids, pixels = self.segmenter("O"), self.measured(), self.pixels(domain)[0][0]
        self.progress.start(f"features of {domain}")
        artifact = self.store.run(
            "features",
            {"version": 1, "weights": weights.digest, "pixels": pixels.digest, "frames": ids},
            lambda folder: write_features(
                self.config.learning, weights.path, _files(pixels, ids), folder
            ),
        )
        self.progress.end(f"{len(ids)} frames", artifact.reused)
        return artifact

    def measured(self) -> list[str]:
        """Ids of the train frames whose features are compared."""
        return list(spread(tuple(self.gathering.trained), self.config.learning.measured_frames))

    def _show_training(self, report: StepReport) -> None:
        self.progress.observe(report)
        self.progress.update(
            report.step / report.steps, f"step {report.step}/{report.steps}  loss {report.loss:.3f}"
        )


def spread(items: tuple[Item, ...], count: int) -> tuple[Item, ...]:
    """So many of the items, evenly spread; all of them if there are no more."""
    count = min(count, len(items))
    return tuple(items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count))


def _files(pixels: Artifact, ids: list[str]) -> list[Path]:
    return [pixels.path / "frames" / f"{frame_id}.npy" for frame_id in ids]
