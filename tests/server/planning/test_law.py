"""The law of error against frames and bytes: the published optimum, and fits that find it again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.planning.fixed_bytes import best_split, fewest_bytes
from server.planning.law import Law, fit

CITYSCAPES = Law(4.287, 0.589, 428277, 1.606, 0.1355)


def test_the_published_constants_give_the_published_optimum() -> None:
    split = best_split(CITYSCAPES, 36.4e6)
    assert split.frames == pytest.approx(1139, rel=0.005)
    assert split.size == pytest.approx(31_970, rel=0.005)
    assert split.bytes == pytest.approx(36.4e6)


@given(
    st.floats(0.1, 50), st.floats(0.1, 1.5), st.floats(10, 1e6), st.floats(0.3, 2), st.floats(4, 12)
)
def test_no_other_split_is_better(
    a: float, alpha: float, b: float, beta: float, digits: float
) -> None:
    law, total = Law(a, alpha, b, beta, 0.1), 10**digits
    best = best_split(law, total)
    frames = np.geomspace(1, total, 500)
    assert best.error <= law.error(frames, total / frames).min() + 1e-9


def test_fewest_bytes_reach_the_error_and_fewer_do_not() -> None:
    split = fewest_bytes(CITYSCAPES, 0.2)
    assert split.error == pytest.approx(0.2)
    assert best_split(CITYSCAPES, 0.99 * split.bytes).error > 0.2
    with pytest.raises(ValueError, match=r"never falls below an error of 0\.1355"):
        fewest_bytes(CITYSCAPES, 0.1)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 1.2), st.floats(0.4, 1.8), st.floats(0, 0.4))
def test_a_fit_tells_what_the_law_tells(alpha: float, beta: float, floor: float) -> None:
    law = Law(3.0, alpha, 50.0 * 3000**beta / 1000, beta, floor)
    n, size = np.meshgrid([100, 200, 400, 800], [1500, 3000, 6000, 12000])
    found = fit(n.ravel(), size.ravel(), law.error(n, size).ravel())
    between = np.array([150, 300, 600]), np.array([2000, 4000, 9000])
    assert found.error(*between) == pytest.approx(law.error(*between), abs=0.003)


def test_too_few_sizes_are_refused_by_what_is_missing() -> None:
    n, size = np.meshgrid([100, 200], [1500, 3000, 6000])
    with pytest.raises(ValueError, match=r"at least 3 numbers of frames .* there are 2"):
        fit(n.ravel(), size.ravel(), np.full(6, 0.5))
    n, size = np.meshgrid([100, 200, 400], [3000, 3010, 3020])
    with pytest.raises(ValueError, match=r"at least 3 bitrates .* there are 1"):
        fit(n.ravel(), size.ravel(), np.full(9, 0.5))
