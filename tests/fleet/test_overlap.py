"""Preparing and finishing at the same time: in order, never more than two batches, errors come out."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleet.budget import Allowance, BudgetConfig
from fleet.codecs import JpegConfig, MshConfig
from fleet.codecs.base import Analysis, Frame
from fleet.codecs.msh import MshCodec
from fleet.fleet_config import FleetConfig
from fleet.frames.layout import FrameReader, FrameRef
from fleet.host import HostSpec, VehicleHost
from fleet.overlap import overlapped
from fleet.rate_control import RateControlConfig
from fleet.shard import Capture, Shot

BATCHES = [[0, 1], [2, 3], [4], [5, 6]]


def test_one_batch_is_finished_while_the_next_is_prepared() -> None:
    second = threading.Event()

    def prepare(batch: Sequence[int]) -> Sequence[int]:
        if 2 in batch:
            second.set()
        return batch

    def finish(item: int) -> int:
        if item < 2:
            assert second.wait(60), "the first batch is finished before the second is prepared"
        return 10 * item

    with ThreadPoolExecutor(1) as pool:
        assert overlapped(BATCHES, prepare, finish, pool) == [10 * item for item in range(7)]
        assert overlapped([], prepare, finish, pool) == []


def test_a_third_batch_waits_for_the_first() -> None:
    finished: set[int] = set()

    def prepare(batch: Sequence[int]) -> Sequence[int]:
        before = [item for one in BATCHES[: max(0, BATCHES.index([*batch]) - 1)] for item in one]
        assert finished >= set(before)
        return batch

    with ThreadPoolExecutor(2) as pool:
        overlapped(BATCHES, prepare, finished.add, pool)
    assert finished == set(range(7))


@pytest.mark.parametrize("where", ["prepare", "finish"])
def test_an_error_comes_out_and_nothing_runs_on(where: str) -> None:
    finished = []

    def prepare(batch: Sequence[int]) -> Sequence[int]:
        if where == "prepare" and 2 in batch:
            raise ValueError("bad batch")
        return batch

    def finish(item: int) -> None:
        finished.append(item)
        if where == "finish" and item == 1:
            raise ValueError("bad item")

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="bad"):
            overlapped(BATCHES, prepare, finish, pool)
        seen = len(finished)
        pool.submit(int).result()  # all that was asked of the pool before is through
        assert len(finished) == seen
        assert not {5, 6} & set(finished)


def test_a_host_makes_the_same_shots_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a codec that is best at batches, as on a GPU, and one that is not, in a mixed fleet."""
    refs = []
    for number in range(5):
        path = tmp_path / f"ulm_000000_00000{number}_leftImg8bit.png"
        coarse = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((96, 72)).save(path)
        refs.append(FrameRef(f"ulm_000000_00000{number}", "ulm", path, None))
    analysed: list[int] = []

    def host(folder: str, cpus: float) -> VehicleHost:
        spec = HostSpec(
            campaign="c", fleet=FleetConfig(vehicles=10, cpus_per_host=cpus),
            budget=BudgetConfig(bits_per_frame=20_000), rate_control=RateControlConfig(),
            codecs=(MshConfig(), JpegConfig()), refs=refs, reader=FrameReader(),
            vehicles=np.arange(10), seed=0, bitstreams=tmp_path / folder,
        )  # fmt: skip
        setup = tmp_path / f"{folder}.pickle"
        setup.write_bytes(pickle.dumps(spec))
        return VehicleHost(setup)

    def shots(made: VehicleHost) -> list[Shot]:
        captures = [
            Capture(vehicle, refs[(vehicle * 3) % 5], Allowance(20_000, 20_000))
            for vehicle in range(10)
        ]
        return made._shoot(captures)

    alone = shots(host("alone", 1.0))
    analyse = MshCodec.analyse

    def noted(self: MshCodec, frames: Sequence[Frame]) -> list[Analysis]:
        analysed.append(len(frames))
        return analyse(self, frames)

    monkeypatch.setattr(MshCodec, "batch", 2)
    monkeypatch.setattr(MshCodec, "analyse", noted)
    for cpus in (1.0, 3.0):
        analysed.clear()
        together = shots(host(f"batches{cpus:g}", cpus))
        assert max(analysed) == 2
        for one, other in zip(alone, together, strict=True):
            assert one.capture.vehicle == other.capture.vehicle
            assert one.choice == other.choice
            assert one.encoded is not None
            assert other.encoded is not None
            assert one.encoded.digest == other.encoded.digest
