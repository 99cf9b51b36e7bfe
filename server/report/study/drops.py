"""The tables of the drop: OO, CO and RO at each rate, the drop's parts, one restorer or the other."""

from __future__ import annotations

from collections.abc import Sequence

from server.report import units
from server.report.study.estimates import Estimates
from server.report.study.tabled import Cell, Table, heads, lines, score_cell
from server.report.study.tables import Drop

RESTORERS = "adversarial − distortion-only"
"""The quantity that compares the restorers."""


def at_each_rate(m: Estimates) -> Table:
    """OO, CO, RO and the parts of the drop at every rate."""
    restorer = m.restorer
    named = ("drop", "information loss", "covariate shift")
    won = ("won back", "share won back")
    rows = []
    for rate in m.rates:
        scores = [m.score("OO", rate), m.score("CO", rate), m.score("RO", rate, restorer)]
        found = [m.drop(rate, q) for q in named] + [m.drop(rate, q, restorer) for q in won]
        quantities = (*named, *won)
        rows.append(
            [
                rate.codec,
                units.plain(rate.quality, 6),
                units.significant(rate.bpp, 2),
                *(score_cell(score) for score in scores),
                *(_cell(drop, q) for drop, q in zip(found, quantities, strict=True)),
            ]
        )
    columns = (
        "codec", "quality", "bpp", "OO, %", "CO, %", "RO, %", "drop", "information loss",
        "covariate shift", "won back", "share won back",
    )  # fmt: skip
    return Table("What was found at each rate", columns, rows)


def parts(m: Estimates, codec: str) -> Table:
    """Every quantity at every rate of a codec, with its interval over seeds and over images."""
    rates = m.of(codec)
    rows: list[Sequence[Cell]] = []
    for quantity, restorer in m.quantities(codec):
        found = [m.drop(rate, quantity, restorer) for rate in rates]
        over = [
            name
            for name, known in (
                ("over seeds", any(d and d.seed_low is not None for d in found)),
                ("over images", any(d and d.image_low is not None for d in found)),
            )
            if known
        ]
        which = f", {restorer}" if restorer and restorer not in quantity else ""
        rows.append(
            [lines(_titled(quantity) + which, over)]
            + [lines(_mean(drop, quantity), [_ends(drop, quantity, o) for o in over])
               for drop in found]
        )  # fmt: skip
    return Table(f"The drop and its parts, {codec}", ["points of mIoU", *heads(rates)], rows)


def restorers(m: Estimates) -> Table:
    """CO and RO by each restorer, and their difference, at every rate."""
    rows: list[Sequence[Cell]] = []
    for rate in m.rates:
        scores = [m.score("CO", rate), *(m.score("RO", rate, r) for r in m.restorers)]
        if not any(scores[1:]):
            continue
        drop = m.drop(rate, RESTORERS)
        rows.append(
            [
                rate.codec,
                units.plain(rate.quality, 6),
                units.significant(rate.bpp, 2),
                score_cell(m.score("OO", rate)),
                *(score_cell(score) for score in scores),
                _cell(drop, RESTORERS),
            ]
        )
    columns = (
        "codec", "quality", "bpp", "OO, %", "CO, %", *(f"RO {r}, %" for r in m.restorers),
        "difference, points",
    )  # fmt: skip
    return Table("RO of each restorer", columns, rows)


def _titled(quantity: str) -> str:
    spelt = {
        "drop": "drop, OO − CO",
        "information loss": "information loss, OO − CC",
        "covariate shift": "covariate shift, CC − CO",
        "won back": "won back, RO − CO",
    }
    return spelt.get(quantity, quantity)


def _cell(drop: Drop | None, quantity: str) -> Cell:
    """A mean, and below it its interval over seeds, or over images where one seed ran."""
    if drop is None or drop.mean is None:
        return _mean(drop, quantity)
    over = "over images" if drop.seed_low is None else "over seeds"
    ends = _ends(drop, quantity, over)
    return lines(_mean(drop, quantity), [] if ends == units.NONE else [ends])


def _decimals(quantity: str) -> int:
    return 0 if quantity == "share won back" else 1


def _mean(drop: Drop | None, quantity: str) -> str:
    if drop is None:
        return units.NONE
    if drop.mean is None:
        return "undefined"
    text = units.fixed(100 * drop.mean, _decimals(quantity))
    return f"{text} %" if quantity == "share won back" else text


def _ends(drop: Drop | None, quantity: str, over: str) -> str:
    if drop is None:
        return units.NONE
    seeds = over == "over seeds"
    low, high = (
        (drop.seed_low, drop.seed_high) if seeds else (drop.image_low, drop.image_high)
    )  # fmt: skip
    return units.interval(low, high, decimals=_decimals(quantity))
