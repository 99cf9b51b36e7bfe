"""Histograms of durations: fixed buckets that add up."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import encoder
from fleet.frames.layout import FrameRef
from fleet.latency import BOUNDS_S, Latencies, merge_by_name

durations = st.lists(st.floats(0, 100), max_size=50)


def of(seconds: list[float]) -> Latencies:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    return latencies


@given(durations, durations)
def test_merged_is_as_if_counted_together(first: list[float], second: list[float]) -> None:
    merged = of(first)
    merged.merge(of(second))
    assert merged.counts == of(first + second).counts
    assert merged.seconds == pytest.approx(sum(first) + sum(second))
    assert merged.count == len(first) + len(second)


@given(durations)
def test_each_bucket_holds_what_is_within_its_bound(seconds: list[float]) -> None:
    counts = of(seconds).counts
    for index, bound in enumerate(BOUNDS_S):
        assert sum(counts[: index + 1]) == sum(each <= bound for each in seconds)


def test_a_bound_lies_in_its_own_bucket_and_more_than_all_in_the_last() -> None:
    assert of([BOUNDS_S[0]]).counts[0] == 1
    assert of([10 * BOUNDS_S[-1]]).counts[-1] == 1


def test_merging_by_name_keeps_names_apart_and_copies_stay() -> None:
    into = {"bpg": of([0.1])}
    before = into["bpg"].copy()
    merge_by_name(into, {"bpg": of([0.2]), "jpeg": pickle.loads(pickle.dumps(of([0.3, 0.4])))})
    assert {name: each.count for name, each in into.items()} == {"bpg": 2, "jpeg": 2}
    assert before.count == 1


class Analysed:
    """A codec's analysis of a frame."""

    def bits(self, quality: float) -> float:
        return 8.0

    def encode(self, quality: float) -> bytes:
        return b"x"


class Analysing:
    """A codec that analyses two frames together, and its config."""

    name, suffix, scale, batch = "made up", ".x", None, 2
    encode = probe = decode = staticmethod(lambda *arguments: pytest.fail("not asked for"))

    def build(self) -> Analysing:
        return self

    def model_dump_json(self) -> str:
        return "{}"

    def analyse(self, frames: list[Any]) -> list[Analysed]:
        return [Analysed() for _ in frames]


def test_a_frames_analysis_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        def frame(self, ref: FrameRef) -> Any:
            return np.full((4, 4, 3), ord(ref.frame_id), np.uint8)

    clock = itertools.count()  # every look at it is a second later
    monkeypatch.setattr(encoder.time, "perf_counter", lambda: float(next(clock)))
    refs = [FrameRef(name, "c", tmp_path / name, None) for name in ("a", "b")]
    made = encoder.Encoder(Analysing(), Reader(), tmp_path)  # type: ignore[arg-type]
    made.prepare(refs)
    for quality in (1.0, 2.0, 2.0):
        made.encode(refs[0], quality)
    taken = made.take_latencies()
    assert taken.count == made.encodes == 2, "a bitstream that was found is not counted"
    assert taken.seconds == 0.5 + 1 + 1, "half of the analysis of two frames, and two encodes"
    made.encode(refs[1], 1.0)
    assert made.take_latencies().seconds == 0.5 + 1
    assert made.take_latencies() == Latencies()
