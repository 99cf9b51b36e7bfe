"""Intervals: against hand computations, against simulation, and paired against unpaired."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.metrics import mean_iou
from server.statistics import (
    Interval,
    bootstrap_interval,
    drops,
    seed_interval,
    share_won_back,
    statistics,
)


def test_t_interval_by_hand() -> None:
    # 1, 2, 4: mean 7/3, s² = 7/3; t(0.975; 2) = 4.302653 by any table; half width 3.794583.
    found = seed_interval([1, 2, 4])
    assert found.count == 3
    assert found.mean == pytest.approx(7 / 3)
    assert found.low == pytest.approx(7 / 3 - 3.794583, abs=1e-6)
    assert found.high == pytest.approx(7 / 3 + 3.794583, abs=1e-6)
    # t(0.95; 2) = 2.919986
    narrower = seed_interval([1, 2, 4], level=0.9)
    assert narrower.high == pytest.approx(7 / 3 + 2.919986 * (7 / 9) ** 0.5, abs=1e-6)


def test_one_seed_has_no_bounds() -> None:
    assert seed_interval([0.5]) == Interval(0.5, None, None, 1)


@pytest.mark.parametrize(
    ("values", "level", "match"),
    [([], 0.95, "no values"), ([1, 2], 95, "level: 95"), ([1], 0, "level: 0")],
)
def test_seed_interval_refuses(values: list[float], level: float, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        seed_interval(values, level)


MIOU = {
    "OO": [0.60, 0.62, 0.61],
    "CC": [0.55, 0.56, 0.57],
    "CO": [0.50, 0.51, 0.52],
    "RO": [0.56, 0.57, 0.57],
}


def test_drops_by_seed() -> None:
    found = drops(MIOU)
    assert list(found) == ["drop", "information loss", "covariate shift", "won back"]
    np.testing.assert_allclose(found["drop"], [0.10, 0.11, 0.09])
    np.testing.assert_allclose(found["information loss"], [0.05, 0.06, 0.04])
    np.testing.assert_allclose(found["covariate shift"], [0.05, 0.05, 0.05])
    np.testing.assert_allclose(found["won back"], [0.06, 0.06, 0.05])
    parts = found["information loss"] + found["covariate shift"]
    np.testing.assert_allclose(found["drop"], parts)


def test_only_what_the_configurations_allow() -> None:
    assert list(drops({"CO": [0.5], "CC": [0.5]})) == ["covariate shift"]
    assert list(drops({"OO": [0.5]})) == []
    controls = {name: [0.5] for name in ("RO", "AO", "BO", "MO")}
    assert list(drops(controls)) == ["RO − AO", "RO − BO", "RO − MO"]
    assert list(statistics(["CO", "RO"])) == ["won back"]
    assert list(statistics(["CO", "RO", "OO"])) == ["drop", "won back", "share won back"]
    with pytest.raises(ValueError, match="different numbers of seeds"):
        drops({"OO": [0.5, 0.6], "CO": [0.5]})


def test_fieller_is_where_the_t_test_turns() -> None:
    share = share_won_back(MIOU)
    assert share is not None
    assert share.mean == pytest.approx(0.17 / 0.30)
    assert share.low is not None
    assert share.high is not None
    assert share.low < share.mean < share.high
    won, drop = drops(MIOU)["won back"], drops(MIOU)["drop"]
    # At the bounds, won back − θ · drop just does not differ from 0.
    for bound, side in ((share.low, "low"), (share.high, "high")):
        edge = seed_interval(won - bound * drop)
        touching = edge.low if side == "low" else edge.high
        assert touching == pytest.approx(0, abs=1e-12)


def test_fieller_covers_as_often_as_it_says() -> None:
    # Three seeds; true ratio 0.04 / 0.10, noise shared through CO and strong.
    rng = np.random.default_rng(0)
    covered = defined = 0
    for _ in range(2000):
        miou = {
            name: list(rng.normal(mean, 0.008, 3))
            for name, mean in (("OO", 0.6), ("CO", 0.5), ("RO", 0.54))
        }
        share = share_won_back(miou)
        if share is not None:
            assert share.low is not None
            assert share.high is not None
            defined += 1
            covered += share.low <= 0.4 <= share.high
    assert defined > 1500
    assert covered / defined == pytest.approx(0.95, abs=0.015)


def test_share_is_undefined_without_a_drop() -> None:
    unsure = {"OO": [0.50, 0.60, 0.55], "CO": [0.50, 0.51, 0.52], "RO": [0.5, 0.5, 0.5]}
    assert seed_interval(drops(unsure)["drop"]).low < 0  # type: ignore[operator]
    assert share_won_back(unsure) is None
    gain = {"OO": MIOU["CO"], "CO": MIOU["OO"], "RO": MIOU["RO"]}
    assert share_won_back(gain) is None
    single = {name: values[:1] for name, values in MIOU.items()}
    assert share_won_back(single) == Interval(pytest.approx(0.6), None, None, 1)
    assert share_won_back({**single, "OO": single["CO"]}) is None


Confusions = NDArray[np.int64]


def _images(
    rng: np.random.Generator, images: int, right: dict[str, float], seeds: int = 2
) -> dict[str, Confusions]:
    """Test images of 3 classes whose difficulty varies much, and in common to all networks."""
    share = rng.dirichlet(np.ones(3), images)
    hard = rng.uniform(-0.3, 0.3, (images, 1))
    out = {}
    for name, mean in right.items():
        confusions = np.zeros((seeds, images, 3, 3), np.int64)
        for s in range(seeds):
            p = (mean + hard + rng.normal(0, 0.01, (images, 1))).clip(0, 1)
            for c in range(3):
                pixels = share[:, c] * 10_000
                confusions[s, :, c, c] = (pixels * p[:, 0]).astype(int)
                wrong = (pixels * (1 - p[:, 0]) / 2).astype(int)
                confusions[s, :, c, (c + 1) % 3] = wrong
                confusions[s, :, c, (c + 2) % 3] = wrong
        out[name] = confusions
    return out


def _difference(miou: object) -> NDArray[np.float64]:
    return miou["OO"] - miou["CO"]  # type: ignore[index,no-any-return]


def _miou(confusions: Confusions) -> float:
    return float(np.mean([mean_iou(seed.sum(axis=0)) for seed in confusions]))


def test_estimate_is_the_mean_iou_of_the_whole_set() -> None:
    confusions = _images(np.random.default_rng(0), 30, {"OO": 0.7, "CO": 0.6})
    found = bootstrap_interval(_difference, confusions, draws=200)
    assert found.mean == pytest.approx(_miou(confusions["OO"]) - _miou(confusions["CO"]))
    assert found.count == 30
    assert found == bootstrap_interval(_difference, confusions, draws=200)
    assert found != bootstrap_interval(_difference, confusions, draws=200, seed=1)


def test_draws_are_resampled_test_sets() -> None:
    # The same by the long way: repeat images, sum matrices, score.
    confusions = _images(np.random.default_rng(1), 12, {"OO": 0.7, "CO": 0.6})
    confusions["OO"][:, :, 2], confusions["CO"][:, :, 2] = 0, 0
    weights = np.random.default_rng(7).multinomial(12, [1 / 12] * 12, size=50)
    by_hand = []
    for row in weights:
        chosen = np.repeat(np.arange(12), row)
        by_hand.append(_miou(confusions["OO"][:, chosen]) - _miou(confusions["CO"][:, chosen]))
    low, high = np.quantile(by_hand, [0.05, 0.95])
    found = bootstrap_interval(_difference, confusions, level=0.9, draws=50, seed=7)
    assert found.low == pytest.approx(low, abs=1e-12)
    assert found.high == pytest.approx(high, abs=1e-12)


def test_paired_is_narrower_than_unpaired() -> None:
    confusions = _images(np.random.default_rng(2), 60, {"OO": 0.65, "CO": 0.63})
    paired = bootstrap_interval(_difference, confusions, draws=400)
    shuffled = np.random.default_rng(3).permutation(60)
    unpaired = bootstrap_interval(
        _difference, {**confusions, "CO": confusions["CO"][:, shuffled]}, draws=400
    )
    assert unpaired.mean == pytest.approx(paired.mean)
    assert paired.low is not None
    assert paired.high is not None
    assert unpaired.low is not None
    assert unpaired.high is not None
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)
    # The difference is real, and only the paired interval can tell.
    assert paired.low > 0 > unpaired.low


def test_it_covers_the_difference_of_the_population() -> None:
    rng = np.random.default_rng(4)
    right = {"OO": 0.66, "CO": 0.6}
    population = _images(rng, 20_000, right, seeds=1)
    true = _miou(population["OO"]) - _miou(population["CO"])
    covered = 0
    for _ in range(200):
        found = bootstrap_interval(_difference, _images(rng, 60, right, seeds=1), draws=200)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)


def test_undefined_in_a_draw_has_no_bounds() -> None:
    rng = np.random.default_rng(5)
    share = statistics(["OO", "CO", "RO"])["share won back"]
    sure = bootstrap_interval(share, _images(rng, 40, {"OO": 0.7, "CO": 0.6, "RO": 0.65}))
    assert sure.low is not None
    assert sure.high is not None
    assert sure.low < sure.mean < sure.high
    even = _images(rng, 40, {"OO": 0.6, "CO": 0.6, "RO": 0.65})
    assert bootstrap_interval(share, even).low is None
    # One image of three holds labels: some draws hold none, and have no mIoU.
    scarce = _images(rng, 3, {"OO": 0.7, "CO": 0.6})
    for confusions in scarce.values():
        confusions[:, 1:] = 0
    found = bootstrap_interval(_difference, scarce)
    assert np.isfinite(found.mean)
    assert (found.low, found.high) == (None, None)


def test_bootstrap_refuses() -> None:
    a = np.ones((1, 4, 2, 2), np.int64)
    with pytest.raises(ValueError, match=r"same images.*'CO': 3"):
        bootstrap_interval(_difference, {"OO": a, "CO": a[:, :3]})
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval(_difference, {"OO": a[:, :0], "CO": a[:, :0]})
    with pytest.raises(ValueError, match="level: 2"):
        bootstrap_interval(_difference, {"OO": a, "CO": a}, level=2)
