"""The reader of the Cityscapes layout: what it reads, and what it says of what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleet.errors import InputError
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.frames.labels import CLASSES, LABEL_ID, LABELS, VOID, train_ids
from fleet.frames.layout import FrameReader, scan_split


def write_frame(
    root: Path,
    frame_id: str,
    split: str = "train",
    annotation: str | None = "gtFine",
    size: tuple[int, int] = (32, 16),
) -> Path:
    city = frame_id.split("_")[0]
    rng = np.random.default_rng(len(frame_id))
    image = root / "leftImg8bit" / split / city / f"{frame_id}_leftImg8bit.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(image)
    if annotation:
        labels = root / annotation / split / city / f"{frame_id}_{annotation}_labelIds.png"
        labels.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 34, (size[1], size[0]), np.uint8)).save(labels)
    return image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for city in ("bonn", "ulm"):
        for index in range(4):
            write_frame(tmp_path, f"{city}_000000_{index:06d}")
    write_frame(tmp_path, "jena_000000_000001", split="val")
    return tmp_path


def load(root: Path, **config: object) -> DataSet:
    return open_data(DataConfig.model_validate({"root": root, **config}), root)


def test_frames_are_found_and_sorted(root: Path) -> None:
    data = load(root)
    assert [ref.frame_id for ref in data.train][:2] == ["bonn_000000_000000", "bonn_000000_000001"]
    assert {ref.city for ref in data.train} == {"bonn", "ulm"}
    assert [ref.frame_id for ref in data.test] == ["jena_000000_000001"]
    frame, labels = data.reader.frame(data.train[0]), data.reader.labels(data.train[0])
    assert frame.shape == (16, 32, 3)
    assert labels.shape == (16, 32)
    assert set(np.unique(labels)) <= {*range(19), VOID}


def test_the_real_data_reads(shared_data: Path) -> None:
    data = load(shared_data / "camvid")
    assert (len(data.train), len(data.test)) == (367, 113)
    eight = load(shared_data / "cityscapes8", test_split=None, holdout=0.25, downscale=2)
    assert (len(eight.train), len(eight.test)) == (6, 2)
    assert eight.reader.frame(eight.train[0]).shape == (512, 1024, 3)
    assert eight.reader.size(eight.train[0]) == (1024, 512)
    assert eight.max_pixels == 1024 * 512


def test_coarse_labels_and_frames_without_labels(root: Path) -> None:
    for index in range(3):
        kind = "gtCoarse" if index else None
        write_frame(root, f"trier_000000_{index:06d}", split="train_extra", annotation=kind)
    refs = scan_split(root, "train_extra", "gtCoarse")
    assert [ref.labels is not None for ref in refs] == [False, True, True]
    with pytest.raises(InputError, match="trier_000000_000000 has no labels"):
        FrameReader().labels(refs[0])


def test_downscaling_averages_frames_and_keeps_labels_aligned(tmp_path: Path) -> None:
    write_frame(tmp_path, "a_0_0", size=(35, 18))
    (ref,) = scan_split(tmp_path, "train", "gtFine")
    whole, reader = FrameReader(), FrameReader(downscale=4)
    small, labels = reader.frame(ref), reader.labels(ref)
    assert small.shape == (4, 8, 3)
    assert reader.size(ref) == (8, 4)
    blocks = whole.frame(ref)[:16, :32].reshape(4, 4, 8, 4, 3).mean((1, 3))
    assert np.abs(blocks - small).max() <= 1
    np.testing.assert_array_equal(labels, whole.labels(ref)[:16, :32][2::4, 2::4])


def test_held_out_frames_are_never_trained_on(root: Path) -> None:
    data = load(root, test_split=None, holdout=0.25)
    assert [ref.frame_id[-1] for ref in data.test] == ["3", "3"]
    assert not {ref.frame_id for ref in data.train} & {ref.frame_id for ref in data.test}
    write_frame(root, "bonn_000000_000002", split="val")
    with pytest.raises(InputError, match="bonn_000000_000002 is in both"):
        load(root)


def test_limits_spread_over_the_data(root: Path) -> None:
    data = load(root, limit_train=4)
    assert [ref.city for ref in data.train] == ["bonn", "bonn", "ulm", "ulm"]


def spoil_image(root: Path, image: Path) -> None:
    image.write_bytes(b"no picture")


def cut_header(root: Path, image: Path) -> None:
    image.write_bytes(image.read_bytes()[:20])


def deepen(root: Path, image: Path) -> None:
    Image.fromarray(np.zeros((16, 32), np.uint16)).save(image)


def enlarge(root: Path, image: Path) -> None:
    Image.new("RGB", (64, 16)).save(image)


def resize_labels(root: Path, image: Path) -> None:
    labels = next((root / "gtFine" / "train" / "bonn").glob("*.png"))
    Image.new("L", (8, 8)).save(labels)


def rename(root: Path, image: Path) -> None:
    image.rename(image.with_name("bonn-1_leftImg8bit.png"))


def remove_labels(root: Path, image: Path) -> None:
    for labels in (root / "gtFine" / "train").rglob("*.png"):
        labels.unlink()


def remove_test_labels(root: Path, image: Path) -> None:
    for labels in (root / "gtFine" / "val").rglob("*.png"):
        labels.unlink()


def remove_frames(root: Path, image: Path) -> None:
    for path in (root / "leftImg8bit" / "train").rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_image, "leftImg8bit.png: not a readable PNG file"),
        (cut_header, "leftImg8bit.png: not a readable PNG file"),
        (deepen, "pixels are I;16; expected 8-bit RGB or L"),
        (enlarge, "64×16 pixels is larger than the configured frame"),
        (resize_labels, "labelIds.png: labels are of another size than"),
        (rename, "not named {city}_{sequence}_{frame}_leftImg8bit.png"),
        (remove_labels, "no labels in"),
        (remove_test_labels, "has no gtFine labels"),
        (remove_frames, "holds no frames"),
    ],
)
def test_what_is_wrong_is_named(root: Path, spoil: object, says: str) -> None:
    image = next((root / "leftImg8bit" / "train" / "bonn").glob("*.png"))
    spoil(root, image)  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        load(root, max_width=32, max_height=16)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_label_ids_are_named(root: Path) -> None:
    labels = next((root / "gtFine" / "train" / "bonn").glob("*.png"))
    Image.fromarray(np.full((16, 32), 77, np.uint8)).save(labels)
    data = load(root)
    (ref,) = (ref for ref in data.train if ref.labels == labels)
    with pytest.raises(InputError, match=r"labelIds\.png: label id 77 is not a Cityscapes"):
        data.reader.labels(ref)


def test_the_label_table_is_the_official_one() -> None:
    helpers = pytest.importorskip("cityscapesscripts.helpers.labels")
    official = {one.name: one for one in helpers.labels}
    assert {label.name for label in LABELS} == set(official)
    for label in LABELS:
        one = official[label.name]
        assert label.label_id == one.id
        assert label.train_id == (one.trainId if 0 <= one.trainId < 19 else VOID)
        assert label.colour == one.color
    assert len(CLASSES) == 19
    ids = np.array([LABEL_ID["car"], LABEL_ID["sky"], 0, 255], np.uint8)
    assert train_ids(ids).tolist() == [13, 10, VOID, VOID]
