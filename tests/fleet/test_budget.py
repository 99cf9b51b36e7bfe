"""The bit budget: exact, never exceeded, and used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.budget import Budget, BudgetConfig


def make(config: BudgetConfig, vehicles: int = 1, hours: float = 1.0, every_s: int = 60) -> Budget:
    shares = config.campaign_shares(vehicles)
    return Budget(config, shares, round(hours * 3_600_000), every_s * 1000)


def test_some_limit_must_be_given() -> None:
    with pytest.raises(ValidationError, match="at least one of"):
        BudgetConfig()
    with pytest.raises(ValidationError, match="burst_bits goes with"):
        BudgetConfig(bits_per_frame=1, burst_bits=1)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        BudgetConfig(bits_per_hour=0)


@given(st.integers(1, 10**12), st.integers(1, 500))
def test_shares_of_a_campaign_sum_to_it_exactly(bits: int, vehicles: int) -> None:
    shares = BudgetConfig(campaign_bits=bits).campaign_shares(vehicles)
    assert shares.sum() == bits
    assert shares.max() - shares.min() <= 1


@given(
    rate=st.integers(1, 10**9),
    burst=st.integers(1, 10**9),
    steps=st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 1)), max_size=40),
)
def test_a_bucket_holds_in_every_window(
    rate: int, burst: int, steps: list[tuple[int, float]]
) -> None:
    budget = make(BudgetConfig(bits_per_hour=rate, burst_bits=burst), hours=1000)
    now, sendings = 0, []
    for wait_ms, share in steps:
        now += wait_ms
        budget.advance(now)
        bits = int(budget.sendable()[0] * share)
        budget.spend(np.array([bits]))
        sendings.append((now, bits))
        assert 0 <= budget.level[0] <= burst
    for first in range(len(sendings)):
        for last in range(first, len(sendings)):
            sent = sum(bits for _, bits in sendings[first : last + 1])
            span = sendings[last][0] - sendings[first][0]
            # One bit of grace: accrual is rounded down at both ends of a window.
            assert sent <= burst + rate * span / 3_600_000 + 1


def test_accrual_does_not_depend_on_the_tick() -> None:
    config = BudgetConfig(bits_per_hour=1_000_003, burst_bits=10**9)
    fine, coarse = make(config, hours=10), make(config, hours=10)
    for second in range(0, 7200, 7):
        fine.advance(second * 1000)
    fine.advance(7_200_000)
    coarse.advance(7_200_000)
    assert fine.level[0] == coarse.level[0]
    assert fine.granted[0] == 10**9 + 2 * 1_000_003


def test_nothing_accrues_after_the_drive() -> None:
    budget = make(BudgetConfig(bits_per_hour=1000, burst_bits=10_000), hours=1)
    budget.spend(np.array([10_000]))
    budget.advance(50 * 3_600_000)
    assert budget.level[0] == 1000


def test_the_tightest_limit_rules() -> None:
    config = BudgetConfig(
        bits_per_frame=500, bits_per_hour=3600, burst_bits=3600, campaign_bits=100
    )
    allowance = make(config, vehicles=1).allow(0, 0)
    assert allowance.limit == 100
    assert allowance.aim == 100 // 60


def test_what_waits_aboard_is_reserved() -> None:
    budget = make(BudgetConfig(bits_per_hour=3600, burst_bits=3600))
    free = budget.allow(0, 0).limit
    assert budget.allow(0, 1000).limit == free - 1000
    assert budget.allow(0, 100_000).limit < 0
