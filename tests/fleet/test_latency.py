"""Histograms of durations: fixed buckets that add up."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
