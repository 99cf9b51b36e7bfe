"""Restoration, without a cluster: which qualities are served, what is restored, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file

from fleet.codecs import BpgConfig, CodecConfig, JpegConfig, LosslessConfig
from fleet.codecs.base import QualityScale
from fleet.errors import InputError
from models.checkpoint import write_tensors
from models.metrics import psnr
from models.restorer import RestorerConfig, build_restorer
from models.restorer_training_config import RestorerTrainingConfig
from models.restoring import restore
from server.augmentation import AugmentationConfig, augment
from server.campaign import CampaignConfig
from server.config_file import load_config
from server.pipeline import check_given
from server.restoration import (
    RestorationConfig,
    make_pairs,
    read_pairs,
    read_restorer,
    served_qualities,
)
from server.restoring import DecodedFrame, read_restored, restore_frames

QP = BpgConfig().build().scale
Frame = NDArray[np.uint8]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on many items is done here, in this process, in place of Ray's."""

    def map_items(
        work: Callable[[Any], Any],
        items: list[Any],
        on_done: Callable[[int], None] = lambda done: None,
        gpus: float = 0,
    ) -> list[Any]:
        results = [work(item) for item in items]
        on_done(len(items))
        return results

    for module in ("augmentation", "restoration", "restoring"):
        monkeypatch.setattr(f"server.{module}.map_items", map_items)


def frames_in(folder: Path, count: int, height: int = 24, width: int = 40) -> list[Frame]:
    """Frames of soft noise, in `{folder}/frame-{number}.npy`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    frames = []
    for number in range(count):
        coarse = rng.integers(40, 216, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
        frame = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
        frame = frame + rng.integers(0, 24, frame.shape, dtype=np.uint8)
        np.save(folder / f"frame-{number}.npy", frame)
        frames.append(frame)
    return frames


# Qualities


@given(st.lists(st.integers(0, 51).map(float), min_size=1, max_size=80))
def test_of_delivered_qualities_the_extremes_and_some_between_are_learned(
    delivered: list[float],
) -> None:
    served = served_qualities(RestorationConfig(), QP, delivered)
    assert set(served) <= set(delivered)
    assert served == sorted(set(served), reverse=True), "coarsest first, each once"
    assert (served[0], served[-1]) == (max(delivered), min(delivered))
    assert len(served) == min(4, len(set(delivered)))


def test_a_range_that_is_asked_for_is_served() -> None:
    asked = RestorationConfig(qualities=[35.0, 50.0, 42.0, 35.0])
    assert served_qualities(asked, QP, [35.0, 40.0, 50.0]) == [50.0, 42.0, 35.0]
    jpeg = JpegConfig().build().scale
    assert served_qualities(RestorationConfig(qualities=[40.0, 5.0]), jpeg, [17.0]) == [5.0, 40.0]


@pytest.mark.parametrize(
    ("qualities", "delivered", "says"),
    [
        ([35.0, 50.0], [34.0, 40.0], "frames arrived at quality 34, outside the range 50 to 35"),
        ([35.0, 50.0], [40.0, 51.0], "frames arrived at quality 51, outside the range 50 to 35"),
    ],
)
def test_qualities_that_cannot_be_served_are_named(
    qualities: list[float], delivered: list[float], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        served_qualities(RestorationConfig(qualities=qualities), QP, delivered)
    assert str(caught.value).startswith("restoration.qualities: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scale", "quality", "place"),
    [
        (QP, 51, 0.0),
        (QP, 0, 1.0),
        (QP, 34, 1 / 3),
        (JpegConfig().build().scale, 1, 0.0),
        (JpegConfig().build().scale, 100, 1.0),
        (LosslessConfig().build().scale, 0, 0.0),
    ],
)
def test_a_place_is_told_from_the_coarsest_on(
    scale: QualityScale, quality: float, place: float
) -> None:
    assert scale.place(quality) == pytest.approx(place)


# Pairs and copies


def test_pairs_are_what_the_codec_makes_of_the_originals(here: None, tmp_path: Path) -> None:
    originals = frames_in(tmp_path / "originals" / "frames", 2)
    config, folder = JpegConfig(), tmp_path / "pairs"
    folder.mkdir()
    make_pairs(tmp_path / "originals", config, [10.0, 60.0], 24 * 40, folder, lambda *done: None)
    pairs, codec = read_pairs(folder, tmp_path / "originals"), config.build()
    assert len(pairs) == 4
    for index in range(4):
        decoded, original, position = pairs[index]
        frame, quality = originals[index // 2], (10.0, 60.0)[index % 2]
        assert np.array_equal(original, frame)
        assert np.array_equal(decoded, codec.decode(codec.encode(frame, quality), 24 * 40))
        assert position == pytest.approx((quality - 1) / 99)


def copies_of(
    frames: Path, folder: Path, codec: CodecConfig, count: int, seed: int = 3, **settings: Any
) -> list[list[Frame]]:
    """Augmented copies, by copy and frame."""
    folder.mkdir()
    config = AugmentationConfig(**settings)
    ids = tuple(f"frame-{number}" for number in range(count))
    augment(config, codec, ids, frames, 24 * 40, seed, folder, lambda *done: None)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"copy-{copy}" for copy in range(1, config.copies + 1)
    ]
    return [
        [np.load(folder / f"copy-{copy}" / f"{frame_id}.npy") for frame_id in ids]
        for copy in range(1, config.copies + 1)
    ]


def test_copies_are_compressed_within_the_bounds_and_by_the_seed(
    here: None, tmp_path: Path
) -> None:
    frames = frames_in(tmp_path / "decoded", 20)
    config = JpegConfig()
    codec, bounds = config.build(), {"coarsest": 20.0, "finest": 23.0}
    made = copies_of(tmp_path / "decoded", tmp_path / "a", config, 20, copies=2, **bounds)
    seen = set()
    for copy in made:
        for frame, again in zip(frames, copy, strict=True):
            at = [
                quality
                for quality in (20.0, 21.0, 22.0, 23.0)
                if np.array_equal(again, codec.decode(codec.encode(frame, quality), 24 * 40))
            ]
            assert at, "of none of the qualities between the bounds"
            seen.update(at if len(at) == 1 else [])
    assert seen == {20.0, 21.0, 22.0, 23.0}
    same = copies_of(tmp_path / "decoded", tmp_path / "b", config, 20, copies=2, **bounds)
    other = copies_of(tmp_path / "decoded", tmp_path / "c", config, 20, 4, copies=2, **bounds)
    assert np.array_equal(made, same)
    assert not np.array_equal(made, other)
    assert not np.array_equal(made[0], made[1]), "copies are of different qualities"


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"finest": 99.0}, r"^learning\.augmentation\.finest: quality 99: must be"),
        ({"coarsest": 30.5}, r"^learning\.augmentation\.coarsest: quality 30\.5: must be"),
        (
            {"coarsest": 20.0, "finest": 30.0},
            r"^learning\.augmentation\.finest: is coarser than learning\.augmentation\.coarsest$",
        ),
    ],
)
def test_bounds_off_the_scale_are_named(
    bounds: dict[str, float], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        copies_of(tmp_path, tmp_path / "copies", BpgConfig(), 1, **bounds)


# The restorer

NETWORK = RestorerConfig(channels=8, blocks=1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A restorer that changes frames, for positions 0.2 to 0.6."""
    model = build_restorer(NETWORK, (0.2, 0.6))
    with torch.no_grad():
        model.tail.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    write_tensors(tmp_path / "restorer.safetensors", model.state_dict(), {})
    return tmp_path / "restorer.safetensors"


def test_weights_bring_their_range(weights: Path) -> None:
    assert read_restorer(NETWORK, weights).get_buffer("range").tolist() == [0.2, 0.6]


def broken(tmp_path: Path, weights: Path) -> dict[str, tuple[RestorerConfig, Path]]:
    junk, other = tmp_path / "junk.safetensors", tmp_path / "other.safetensors"
    junk.write_bytes(b"\x00" * 100)
    save_file({"head.weight": torch.zeros(1)}, other)
    return {
        "architecture": (RestorerConfig(channels=16, blocks=2), weights),
        "junk": (NETWORK, junk),
        "other": (NETWORK, other),
        "missing": (NETWORK, tmp_path / "none.safetensors"),
        "folder": (NETWORK, tmp_path),
    }


@pytest.mark.parametrize("case", ["architecture", "junk", "other", "missing", "folder"])
def test_weights_that_cannot_be_used_are_named(case: str, weights: Path, tmp_path: Path) -> None:
    config, path = broken(tmp_path, weights)[case]
    with pytest.raises(InputError) as caught:
        read_restorer(config, path)
    assert str(caught.value).startswith("restoration.")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_frame_is_restored_at_its_own_quality_and_measured(
    here: None, weights: Path, tmp_path: Path
) -> None:
    decoded = frames_in(tmp_path / "decoded", 3)
    originals = [255 - frame for frame in decoded]
    (tmp_path / "originals").mkdir()
    for number, frame in enumerate(originals):
        np.save(tmp_path / "originals" / f"frame-{number}.npy", frame)
    positions = [0.2, 0.4, 0.6]
    for precision in ("fp32", "bf16"):
        training = RestorerTrainingConfig.model_validate({"precision": precision})
        config = RestorationConfig(restorer=NETWORK, training=training)
        frames = [DecodedFrame(f"frame-{n}", place) for n, place in enumerate(positions)]
        (tmp_path / precision).mkdir()
        restore_frames(
            config, weights, frames, tmp_path / "decoded", tmp_path / "originals",
            tmp_path / precision, lambda *done: None,
        )  # fmt: skip
        model, cpu = read_restorer(NETWORK, weights), torch.device("cpu")
        expected = restore(
            model, np.stack(decoded), positions, cpu, threads=1, precision=training.precision
        )
        rows = read_restored(tmp_path / precision)
        assert [row["frame_id"] for row in rows] == ["frame-0", "frame-1", "frame-2"]
        for number, row in enumerate(rows):
            made = np.load(tmp_path / precision / "frames" / f"frame-{number}.npy")
            assert np.array_equal(made, expected[number])
            assert not np.array_equal(made, decoded[number])
            assert row["psnr"] == pytest.approx(psnr(originals[number], made))
            assert row["ms_ssim"] is None, "too small a frame for it"
    one, other = (
        np.load(tmp_path / precision / "frames" / "frame-0.npy") for precision in ("fp32", "bf16")
    )
    assert not np.array_equal(one, other), "the precision that was asked for is computed in"


def test_a_quality_outside_the_restorers_range_is_refused(weights: Path, tmp_path: Path) -> None:
    frames_in(tmp_path / "decoded", 1)
    config = RestorationConfig(restorer=NETWORK)
    for position in (0.19, 0.61):
        frames = [DecodedFrame("frame-0", 0.4), DecodedFrame("frame-1", position)]
        with pytest.raises(InputError, match=rf"^restoration: frame frame-1: position {position}"):
            restore_frames(
                config, weights, frames, tmp_path / "decoded", tmp_path / "decoded", tmp_path,
                lambda *done: None,
            )  # fmt: skip
    assert not (tmp_path / "frames").exists()


# A campaign's config


def campaign(*configurations: str, **sections: Any) -> CampaignConfig:
    values = {
        "budget": {"bits_per_hour": 1_000_000},
        "learning": {"configurations": list(configurations)},
        **sections,
    }
    return CampaignConfig.model_validate_json(json.dumps(values))


GIVEN = {"restoration": {"weights": "/somewhere/restorer.safetensors"}}


@pytest.mark.parametrize(
    ("configurations", "sections", "says"),
    [
        (["RO"], {}, "domains R and M need a section restoration"),
        (["CO", "OR"], {}, "domains R and M need a section restoration"),
        (["MO"], {"calibration": {}}, "domains R and M need a section restoration"),
        (["RO"], {"restoration": {}}, "domains R, M and B need a section calibration"),
        (["BO"], {}, "domains R, M and B need a section calibration"),
        (["RO", "BO"], GIVEN, "domain B needs a section calibration"),
    ],
)
def test_domains_that_cannot_be_had_are_said_in_one_line(
    configurations: list[str], sections: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "campaign.yaml"
    values = {"budget": {"bits_per_hour": 1_000_000}, **sections}
    values["learning"] = {"configurations": configurations}
    path.write_text(json.dumps(values))
    with pytest.raises(InputError) as caught:
        load_config(CampaignConfig, path)
    assert f"learning.configurations: {says}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_domains_that_can_be_had_are_taken() -> None:
    both = {"restoration": {}, "calibration": {}}
    assert campaign("RO", "MO", "BO", "OR", **both).calibrated == set("RMB")
    assert campaign("BO", calibration={}).calibrated >= {"B"}
    assert campaign("RO", "MO", **GIVEN).calibration is None
    assert campaign("RO", "BO", **GIVEN, calibration={}).calibrated == {"B"}
    assert campaign("CO", "AO").restoration is None


def test_given_weights_are_looked_at_before_anything_is_driven(
    weights: Path, tmp_path: Path
) -> None:
    network = NETWORK.model_dump()
    section = {"weights": str(weights), "restorer": network}
    check_given(campaign("RO", restoration=section), tmp_path / "out")
    with pytest.raises(InputError, match=r"^restoration\.weights: lies where this campaign writes"):
        check_given(campaign("RO", restoration=section), tmp_path)
    for case, (config, path) in broken(tmp_path, weights).items():
        section = {"weights": str(path), "restorer": config.model_dump()}
        with pytest.raises(InputError, match=r"^restoration\."):
            check_given(campaign("RO", restoration=section), tmp_path / case)
        check_given(campaign("CO", restoration=section), tmp_path / case)  # nothing is restored
