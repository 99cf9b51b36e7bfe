"""Procedural scenes: their layout, their labels, and that the same config gives the same set."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fleet.errors import InputError
from fleet.frames.labels import LABELS, VOID
from fleet.scenes import ScenesConfig, city_name, draw_city, render_scene, write_scenes

TRAIN_IDS = {label.label_id for label in LABELS if label.train_id not in (VOID, -1)}
SMALL = ScenesConfig(
    width=128, height=64, train_cities=1, val_cities=1, frames_per_city=3, val_frames_per_city=2
)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "small"
    write_scenes(SMALL, out, processes=1)
    return out


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))


def test_layout_is_that_of_cityscapes(small: Path) -> None:
    train, val = city_name(0, 0), city_name(1, 0)
    expected = []
    for split, city, count in (("train", train, 3), ("val", val, 2)):
        for k in range(count):
            stem = f"{city}_000000_{k:06d}"
            expected.append(f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
            expected.append(f"gtFine/{split}/{city}/{stem}_gtFine_labelIds.png")
    assert files(small) == sorted(expected)


def test_frames_are_rgb_and_labels_are_label_ids_of_the_same_size(small: Path) -> None:
    known = {label.label_id for label in LABELS if label.label_id >= 0}
    for path in small.rglob("*_leftImg8bit.png"):
        image = pixels(path)
        name = path.name.replace("leftImg8bit", "gtFine_labelIds")
        labels = pixels(small / "gtFine" / path.parent.relative_to(small / "leftImg8bit") / name)
        assert image.shape == (64, 128, 3)
        assert image.dtype == np.uint8
        assert labels.shape == (64, 128)
        assert labels.dtype == np.uint8
        assert set(np.unique(labels).tolist()) <= known


def test_the_set_does_not_depend_on_the_number_of_processes(small: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    config = SMALL.model_copy(update={"frames_per_city": 12})
    write_scenes(config, tmp_path / "two", processes=2, on_frame=lambda *n: seen.append(n))
    assert seen == [(k, 14) for k in range(1, 15)]
    for name in files(small):
        assert (tmp_path / "two" / name).read_bytes() == (small / name).read_bytes(), name


def test_another_seed_is_another_set() -> None:
    frames = [render_scene(draw_city("x", seed, 0, 0), 0, 128, 64)[0] for seed in (0, 1)]
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 10


def test_a_default_set_has_the_classes_of_cityscapes() -> None:
    default = ScenesConfig()
    count: dict[int, Counter[int]] = {}
    plan = ((0, default.train_cities, default.frames_per_city),
            (1, default.val_cities, default.val_frames_per_city))  # fmt: skip
    for split, cities, frames in plan:
        count[split] = Counter()
        for index in range(cities):
            city = draw_city(city_name(split, index), default.seed, split, index)
            for frame in range(0, frames, 6):
                _, labels = render_scene(city, frame, 192, 96)
                ids, numbers = np.unique(labels, return_counts=True)
                count[split].update(dict(zip(ids.tolist(), numbers.tolist(), strict=True)))
    # A class counts from two hundred pixels: a speck teaches nothing and scores nothing.
    present = {
        split: {k for k, n in c.items() if n >= 200} & TRAIN_IDS for split, c in count.items()
    }
    assert len(present[0] | present[1]) >= 14
    assert len(present[0]) >= 12
    assert len(present[1]) >= 12


def test_neighbouring_frames_of_a_drive_show_the_same_street() -> None:
    city = draw_city("x", 0, 0, 0)
    first, second, elsewhere = (render_scene(city, k, 128, 64)[1] for k in (2, 3, 12))
    same = (first == second).mean()
    assert 0.5 < same < 1.0
    assert same > (first == elsewhere).mean()


def test_cities_look_different() -> None:
    means = []
    for split, index in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        city = draw_city("x", 0, split, index)
        frames = [render_scene(city, k, 96, 48)[0] for k in (1, 11, 21)]
        means.append(np.mean([frame.mean((0, 1)) for frame in frames], axis=0))
    for i, a in enumerate(means):
        for b in means[:i]:
            assert np.abs(a - b).max() > 2.0
    assert np.ptp(means, axis=0).max() > 12.0


def test_texture_is_there_to_be_lost() -> None:
    """JPEG at quality 20 costs a frame about what it costs a photograph."""
    image = render_scene(draw_city("x", 0, 0, 1), 3, 384, 192)[0]

    def psnr(quality: int) -> float:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        error = np.asarray(Image.open(stream)).astype(float) - image
        return float(10 * np.log10(255**2 / np.mean(error**2)))

    assert 25 < psnr(20) < 34
    assert psnr(90) > psnr(20) + 6


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        write_scenes(SMALL, tmp_path, processes=1)
    with pytest.raises(InputError, match="is a file"):
        write_scenes(SMALL, tmp_path / "kept.txt", processes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(SMALL, tmp_path / "out", processes=1, on_frame=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    tiny = SMALL.model_copy(update={"frames_per_city": 1, "val_cities": 0})
    write_scenes(tiny, tmp_path, processes=1)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize(
    "bad",
    [{"width": 10}, {"height": "192"}, {"train_cities": 0}, {"seed": -1}, {"citys": 3},
     {"frames_per_city": 0}],
)  # fmt: skip
def test_a_bad_config_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        ScenesConfig.model_validate(bad)


def test_no_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="processes"):
        write_scenes(SMALL, tmp_path / "out", processes=0)
