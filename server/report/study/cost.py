"""The chart of accuracy against the total cost of collecting, with and without restoration."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from server.report import units
from server.report.study.drawing import (
    Span,
    bar,
    dot,
    log_span,
    log_ticks,
    marker_of,
    miou_span,
    said,
    short,
)
from server.report.study.estimates import Estimate, Estimates, Rate, over_seeds
from server.report.study.tables import Row, Study
from server.report.svg import Chart, Key, canvas, dress, ink


@dataclass(frozen=True)
class Purchase:
    """What a share of the fleet's driving hours bought; `rate` is None for originals."""

    configuration: str
    codec: str
    rate: Rate | None
    restorer: str | None
    share: float
    cost: float
    frames: float
    score: Estimate


def purchases(m: Estimates, study: Study) -> list[Purchase]:
    """OO, CO, and RO by each restorer, at every rate and share; cheapest first."""
    shares = sorted({row.share for row in study.rows})
    found = []
    for codec in m.codecs:
        rates = m.of(codec)
        for share in shares:
            rows = [row for rate in rates for row in m.rows("OO", rate, None, share)]
            found += _bought(rows, "OO", codec, None, None, share)
            for rate in rates:
                for name, restorer in [("CO", None), *(("RO", r) for r in m.restorers)]:
                    rows = m.rows(name, rate, restorer, share)
                    found += _bought(rows, name, codec, rate, restorer, share)
    return sorted(found, key=lambda p: p.cost)


def accuracy_cost(m: Estimates, study: Study) -> list[Chart]:
    """Each purchase as a point and the best that money bought, a chart for each codec."""
    shown = [p for p in purchases(m, study) if p.restorer in (None, m.restorer)]
    if not shown:
        return []
    costs = [p.cost for p in shown]
    log = min(costs) > 0 and max(costs) > 8 * min(costs)
    across = log_span(costs) if log else (0.0, 1.08 * max(costs) or 1.0)
    span = miou_span([p.score for p in shown])
    charts = []
    for number, codec in enumerate(m.codecs):
        here = [p for p in shown if p.codec == codec]
        if not here:
            continue
        with canvas(f"accuracy-cost-{number}", 360) as drawing:
            axes = drawing.figure.add_subplot()
            scale = " (log scale)" if log else ""
            dress(axes, f"total cost, {short(study.facts.currency)}{scale}", "mIoU, %")
            if log:
                axes.set_xscale("log")
                log_ticks(axes.xaxis, across)
            else:
                axes.xaxis.set_major_formatter(lambda value, _: units.significant(value, 1))
            axes.set_xlim(*across)
            axes.set_ylim(*span)
            for name in ("OO", "CO", "RO"):
                _line(axes, [p for p in here if p.configuration == name], name.lower(), across[1])
            for p in here:
                colour = p.configuration.lower()
                bar(axes, p.cost, p.score, colour, span)
                marker = marker_of(p.configuration)
                tip = (
                    f"{_named(p)}: {said(p.score)} for {units.money(p.cost, study.facts.currency)}"
                )
                dot(drawing, axes, (p.cost, 100 * p.score.mean), colour, marker, tip)
            drawing.description = f"{codec}: total cost against mIoU. " + "; ".join(
                f"{_named(p)} {p.score.text} for {units.significant(p.cost)}" for p in here
            )
            charts.append(Chart(short(codec, 60), drawing.svg()))
    return charts


def accuracy_cost_keys(m: Estimates) -> list[Key]:
    """The legend of `accuracy_cost`."""
    names = [name for name in ("OO", "CO", "RO") if name in m.configurations]
    labels = {
        "OO": "OO, originals",
        "CO": "CO, without restoration",
        "RO": f"RO, with restoration ({short(m.restorer or '')})",
    }
    return [Key(labels[name], name.lower(), "dot") for name in names] + [
        Key("best mIoU for at most that cost", "muted")
    ]


def frontier(points: Sequence[Span]) -> list[Span]:
    """Of points (cost, mIoU), those that none beats at the same or a lower cost."""
    best: list[Span] = []
    for cost, miou in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or miou > best[-1][1]:
            best.append((cost, miou))
    return best


def _line(axes: Axes, bought: list[Purchase], colour: str, right: float) -> None:
    """The best mIoU for at most a cost, and faintly what more driving buys at one rate."""
    best = frontier([(p.cost, 100 * p.score.mean) for p in bought])
    if best:
        xs, ys = [x for x, _ in best], [y for _, y in best]
        axes.plot(
            [*xs, right], [*ys, ys[-1]], color=ink(colour), lw=1.8, drawstyle="steps-post"
        )  # fmt: skip
    for rate in dict.fromkeys(p.rate for p in bought):
        few = [p for p in bought if p.rate == rate]
        axes.plot(
            [p.cost for p in few],
            [100 * p.score.mean for p in few],
            color=ink(colour),
            lw=0.8,
            alpha=0.55,
        )


def _bought(
    rows: list[Row], name: str, codec: str, rate: Rate | None, restorer: str | None, share: float
) -> list[Purchase]:
    score = over_seeds(rows)
    if score is None:
        return []
    cost = statistics.fmean(row.cost_total for row in rows)
    frames = statistics.fmean(row.frames_trained for row in rows)
    return [Purchase(name, codec, rate, restorer, share, cost, frames, score)]


def _named(p: Purchase) -> str:
    """A purchase in a tooltip."""
    rate = "" if p.rate is None else f" at {p.rate.text} ({p.rate.setting})"
    share = "" if p.share == 1.0 else f", {units.percent(p.share, 0)} of the driving hours"
    return f"{p.configuration}{rate}{share}"
