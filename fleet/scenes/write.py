"""A set of scenes on disk, in the layout of Cityscapes."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fleet.errors import InputError
from fleet.scenes.config import ScenesConfig
from fleet.scenes.render import render_scene
from fleet.scenes.street import FRAMES_PER_DRIVE
from fleet.scenes.style import CityStyle, draw_city

_FIRST = ("alt", "birk", "dorn", "eichen", "falken", "gruen", "hohen", "linden", "neu", "rosen")
_LAST = ("au", "bach", "burg", "feld", "hain", "heim", "stadt", "tal", "werder", "wiesen", "born",
         "dorf")  # fmt: skip
_VAL_NAMES = 60  # names from here on belong to val


class _Job(NamedTuple):
    city: CityStyle
    frame: int
    width: int
    height: int
    image: str
    labels: str


def city_name(split: int, index: int) -> str:
    """The name of city `index` of split 0 (train) or 1 (val): an invented one, lower-case ASCII."""
    number = index + _VAL_NAMES * split
    return _FIRST[number % len(_FIRST)] + _LAST[number // len(_FIRST)]


def _jobs(config: ScenesConfig, root: Path) -> Iterator[_Job]:
    splits = (
        ("train", config.train_cities, config.frames_per_city),
        ("val", config.val_cities, config.val_frames_per_city),
    )
    for number, (split, cities, frames) in enumerate(splits):
        for index in range(cities):
            name = city_name(number, index)
            city = draw_city(name, config.seed, number, index)
            images, labels = (root / kind / split / name for kind in ("leftImg8bit", "gtFine"))
            for frame in range(frames):
                drive, place = divmod(frame, FRAMES_PER_DRIVE)
                stem = f"{name}_{drive:06d}_{place:06d}"
                yield _Job(
                    city, frame, config.width, config.height,
                    str(images / f"{stem}_leftImg8bit.png"),
                    str(labels / f"{stem}_gtFine_labelIds.png"),
                )  # fmt: skip


def _write_frame(job: _Job) -> None:
    image, labels = render_scene(job.city, job.frame, job.width, job.height)
    # Noise does not pack: a low level of compression is as small and much faster.
    Image.fromarray(image).save(job.image, compress_level=2)
    Image.fromarray(labels).save(job.labels)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; name a folder that does not exist yet or is empty")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty; name a folder that does not exist yet or is empty")


def write_scenes(
    config: ScenesConfig,
    out: Path,
    processes: int | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> None:
    """Write a set of scenes under `out`, all of it or nothing.

    Images go to `leftImg8bit/{split}/{city}/{city}_{drive}_{frame}_leftImg8bit.png`, label ids to
    `gtFine/{split}/{city}/{city}_{drive}_{frame}_gtFine_labelIds.png`. The files do not depend on
    `processes` (None: one for each processor). `on_frame(done, total)` is called after each frame.

    Raises InputError if `out` is a file or a folder with something in it.
    """
    if processes is not None and processes < 1:
        raise InputError(f"processes: must be at least 1, not {processes}")
    _check_free(out)
    parent = out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, so that the last step is a rename: a killed run leaves no part of a set there.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=parent) as scratch:
        root = Path(scratch) / "set"
        jobs = list(_jobs(config, root))
        for folder in {Path(file).parent for job in jobs for file in (job.image, job.labels)}:
            folder.mkdir(parents=True, exist_ok=True)
        workers = min(processes or _processors(), len(jobs))
        if workers == 1:
            for done, job in enumerate(jobs, 1):
                _write_frame(job)
                if on_frame is not None:
                    on_frame(done, len(jobs))
        else:
            # A drive at a time, as its frames share a street. Spawned: the caller may have threads.
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                results = pool.map(_write_frame, jobs, chunksize=FRAMES_PER_DRIVE)
                for done, _ in enumerate(results, 1):
                    if on_frame is not None:
                        on_frame(done, len(jobs))
        _check_free(out)
        root.replace(out)
