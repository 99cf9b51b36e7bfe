"""Charts of what was bought: accuracy against cost, and the parts of the drop."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from server.report import units
from server.report.result import Configuration, Result
from server.report.svg import MARKERS, Chart, canvas, dress, ink


def accuracy_cost(result: Result) -> Chart:
    """Each configuration as a point: what its training frames cost against its mIoU."""
    points = [
        (name, s.miou, _cost(result, name)) for name, s in result.listed() if s.miou is not None
    ]
    placed = [(name, miou * 100, cost) for name, miou, cost in points if cost is not None]
    floating = [(name, miou * 100) for name, miou, cost in points if cost is None]
    costs = [cost for _, _, cost in placed if cost > 0]
    log = len(costs) == len(placed) and bool(costs) and max(costs) > 8 * min(costs)
    with canvas("accuracy-cost", 320) as drawing:
        axes = drawing.figure.add_subplot()
        dress(axes, f"total cost, {result.currency}{' (log scale)' if log else ''}", "mIoU, %")
        low, high = _limits(axes, [m for _, m, _ in placed] + [m for _, m in floating])
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.set_xlim(min(costs) / 2, max(costs) * 2)
        else:
            axes.set_xlim(0, 1.35 * max(costs, default=1.0))
        axes.xaxis.set_major_formatter(lambda value, _: units.significant(value, 1))
        axes.xaxis.set_minor_locator(NullLocator())
        for name, miou in floating:
            axes.axhline(miou, color=ink(name.lower()), ls=(0, (5, 3)), lw=1.6)
            axes.text(
                0.99,
                miou,
                f"{name} {miou:.1f} %, cost not known\n",
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                color=ink(name.lower()),
                weight="bold",
            )
        right = max(costs, default=0.0)
        for name, miou, cost in placed:
            tip = f"{name}: mIoU {miou:.2f} % at {units.plain(cost)} {result.currency}"
            artist = axes.scatter(
                [cost],
                [miou],
                s=100,
                marker=MARKERS[name[0]],
                color=ink(name.lower()),
                edgecolors=ink("page"),
                zorder=3,
            )
            artist.set_gid(drawing.tip(tip))
        gap = 0.06 * (high - low)
        for group in {cost for _, _, cost in placed}:
            members = sorted(((m, n) for n, m, c in placed if c == group), reverse=True)
            left = len({c for _, _, c in placed}) > 1 and group == right and not log
            for (miou, name), y in zip(members, _apart([m for m, _ in members], gap), strict=True):
                axes.annotate(
                    f"{name} {miou:.1f} %", (group, y), xytext=(-10 if left else 10, 0),
                    textcoords="offset points", ha="right" if left else "left", va="center",
                    color=ink(name.lower()), weight="bold",
                )  # fmt: skip
        drawing.description = "Total cost against mIoU: " + ", ".join(
            f"{name} {miou * 100:.1f} % at {units.money(cost, result.currency)}"
            if cost is not None
            else f"{name} {miou * 100:.1f} %, cost not known"
            for name, miou, cost in points
        )
        note = "Trained on originals: at the cost of collecting the same frames losslessly."
        if floating:
            note = "Dashed: what collecting the same frames losslessly would cost is not known."
        return Chart("Accuracy against cost", drawing.svg(), note=note)


def drop_split(result: Result) -> Chart | None:
    """The way from OO over CC to CO, as steps; None unless all three were evaluated."""
    oo, cc, co = (result.miou_of(name) for name in ("OO", "CC", "CO"))
    if oo is None or cc is None or co is None:
        return None
    steps: list[tuple[str, str, float, str, float]] = [
        ("information loss, OO − CC", "OO", oo, "CC", cc),
        ("covariate shift, CC − CO", "CC", cc, "CO", co),
    ]
    ro = result.miou_of("RO")
    if ro is not None:
        steps.append(("won back by restoring, RO − CO", "CO", co, "RO", ro))
    with canvas("drop-split", 320) as drawing:
        axes = drawing.figure.add_subplot()
        dress(axes, "mIoU, %", "", grid="x")
        values = [100 * v for _, _, a, _, b in steps for v in (a, b)]
        span = max(max(values) - min(values), 2.0)
        axes.set_xlim(min(values) - 0.22 * span, max(values) + 0.22 * span)
        axes.set_ylim(len(steps) - 0.4, -0.65)
        axes.set_yticks([])
        for row, (text, first, start, last, end) in enumerate(steps):
            a, b = 100 * start, 100 * end
            lost = start - end if first != "CO" else end - start
            axes.plot(
                [a, b], [row, row], color=ink(last.lower()), lw=6, alpha=0.35, solid_capstyle="butt"
            )
            for name, x in ((first, a), (last, b)):
                tip = f"{name}: mIoU {x:.2f} %"
                dot = axes.scatter(
                    [x], [row], s=80, marker=MARKERS[name[0]], color=ink(name.lower()), zorder=3
                )
                dot.set_gid(drawing.tip(tip))
                leftmost = x < (a + b) / 2 or (a == b and name == last)
                axes.annotate(
                    f"{name} {x:.1f}",
                    (x, row),
                    xytext=(-9 if leftmost else 9, 0),
                    textcoords="offset points",
                    ha="right" if leftmost else "left",
                    va="center",
                    color=ink(name.lower()),
                    weight="bold",
                )
            axes.text(
                0.0, row - 0.3, f"{text}: {units.points(lost).lstrip('+')}",
                transform=axes.get_yaxis_transform(), ha="left", va="center",
                bbox={"facecolor": ink("page"), "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
        drop = units.points(oo - co).lstrip("+")
        drawing.description = f"The drop OO − CO of {drop} in parts: " + ", ".join(
            f"{text} {units.points(b - a if first == 'CO' else a - b)}"
            for text, first, a, _, b in steps
        )
        note = (
            "Information loss is what compressed frames no longer hold; covariate shift is what "
            "testing on originals costs after training on compressed frames. Below zero: a gain."
        )
        return Chart(f"The drop OO − CO of {drop}, in its parts", drawing.svg(), note=note)


def _cost(result: Result, configuration: Configuration) -> float | None:
    # The train domain decides what had to be collected; testing costs no bits.
    told = result.configurations.get(configuration)
    if told is not None and told.cost_total is not None:
        return told.cost_total
    return result.cost_originals if configuration[0] == "O" else result.cost_total


def _limits(axes: Axes, values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=100.0)
    pad = max(0.25 * (high - low), 1.0)
    limits = (max(0.0, low - pad), min(100.0, high + pad) if high < 99 else 101.0)
    axes.set_ylim(*limits)
    return limits


def _apart(values: list[float], gap: float) -> list[float]:
    """Label heights, from the top down, at least `gap` apart and close to their values."""
    placed: list[float] = []
    for value in values:
        placed.append(value if not placed else min(value, placed[-1] - gap))
    shift = float(np.mean(np.array(values) - np.array(placed))) if placed else 0.0
    return [height + shift for height in placed]
