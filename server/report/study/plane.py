"""The perception–distortion plane, after Blau & Michaeli (2018)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from server.report import units
from server.report.study.drawing import (
    Span,
    dot,
    linear_span,
    log_span,
    log_ticks,
    restorer_ink,
    restorer_keys,
    restorer_marker,
    short,
)
from server.report.study.estimates import Estimates, Rate
from server.report.study.tables import Row
from server.report.svg import Canvas, Chart, Key, canvas, dress, ink

_LABEL = (40.0, 15.0)  # pixels that the label of a rate takes


@dataclass(frozen=True)
class Distances:
    """How far the train domain's frames are from the originals: means of what was measured."""

    rate: Rate
    restorer: str | None
    psnr: float | None
    ms_ssim: float | None
    frechet: float | None
    lpips: float | None
    fid: float | None

    @property
    def name(self) -> str:
        """The domain, and who restored it."""
        return "C" if self.restorer is None else f"R, {self.restorer}"


def distances(m: Estimates) -> list[Distances]:
    """The distances of C and of R by each restorer at every rate."""
    found = []
    for rate in m.rates:
        for restorer in (None, *m.restorers):
            names = [c for c in m.configurations if c[0] == ("C" if restorer is None else "R")]
            rows = [row for name in names for row in m.rows(name, rate, restorer)]
            if rows:
                found.append(_mean(rate, restorer, rows))
    return found


def plane(m: Estimates) -> list[Chart]:
    """PSNR against Fréchet distance, a chart for each codec: from C to R at every rate."""
    points = [
        (d, (d.psnr, d.frechet))
        for d in distances(m)
        if d.psnr is not None and d.frechet is not None
    ]
    if not points:
        return []
    across = linear_span([x for _, (x, _) in points], pad=0.1, least=2.0)
    heights = [y for _, (_, y) in points]
    log = min(heights) > 0 and max(heights) > 8 * min(heights)
    span = log_span(heights, 1.35) if log else (0.0, 1.15 * max(heights) or 1.0)
    charts = []
    for number, codec in enumerate(m.codecs):
        here = [(d, at) for d, at in points if d.rate.codec == codec]
        if not here:
            continue
        with canvas(f"plane-{number}", 360) as drawing:
            axes = drawing.figure.add_subplot()
            scale = " (log scale)" if log else ""
            dress(axes, "PSNR, dB", f"Fréchet distance{scale}", grid="both")
            axes.set_xlim(*across)
            if log:
                axes.set_yscale("log")
                log_ticks(axes.yaxis, span)
            axes.set_ylim(*span)
            _arrows(axes, here)
            for restorer in (None, *m.restorers):
                line = [(d, at) for d, at in here if d.restorer == restorer]
                colour = "co" if restorer is None else restorer_ink(restorer, m.restorers)
                marker = "s" if restorer is None else restorer_marker(restorer, m.restorers)
                axes.plot([x for _, (x, _) in line], [y for _, (_, y) in line], color=ink(colour))
                for d, at in line:
                    tip = (
                        f"{d.name} at {d.rate.text} ({d.rate.setting}): PSNR {at[0]:.2f} dB, "
                        f"Fréchet distance {units.significant(at[1])}"
                    )
                    dot(drawing, axes, at, colour, marker, tip)
            _rates(drawing, here, across, span, math.log if log else float)
            drawing.description = f"{codec}: PSNR and Fréchet distance. " + "; ".join(
                f"{d.name} at {d.rate.text} {x:.1f} dB, {units.significant(y)}"
                for d, (x, y) in here
            )
            charts.append(Chart(short(codec, 60), drawing.svg()))
    return charts


def plane_keys(m: Estimates) -> list[Key]:
    """The legend of `plane`."""
    return [Key("C", "co", "dot"), *restorer_keys(m, "R, "), Key("the same rate", "muted", "thin")]


def _mean(rate: Rate, restorer: str | None, rows: list[Row]) -> Distances:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return Distances(
        rate,
        restorer,
        mean([row.psnr for row in rows]),
        mean([row.ms_ssim for row in rows]),
        mean([row.frechet for row in rows]),
        mean([row.lpips for row in rows]),
        mean([row.fid for row in rows]),
    )


def _arrows(axes: Axes, here: list[tuple[Distances, Span]]) -> None:
    """From C to each R of the same rate."""
    starts = {d.rate: at for d, at in here if d.restorer is None}
    for d, at in here:
        if d.restorer is not None and d.rate in starts:
            axes.annotate(
                "", at, starts[d.rate],
                arrowprops={
                    "arrowstyle": "-|>,head_width=0.18,head_length=0.36", "color": ink("muted"),
                    "lw": 0.9, "alpha": 0.7, "shrinkA": 5, "shrinkB": 5,
                },
            )  # fmt: skip


def _rates(
    drawing: Canvas,
    here: list[tuple[Distances, Span]],
    across: Span,
    span: Span,
    scale: Callable[[float], float],
) -> None:
    """The rate beside each C, where there is room for it."""
    axes = drawing.figure.axes[0]
    wide, high = 460.0, 290.0
    taken: list[Span] = []
    for d, (x, y) in here:
        if d.restorer is not None:
            continue
        left = wide * (x - across[0]) / (across[1] - across[0])
        up = high * (scale(y) - scale(span[0])) / (scale(span[1]) - scale(span[0]))
        if any(abs(left - a) < _LABEL[0] and abs(up - b) < _LABEL[1] for a, b in taken):
            continue
        taken.append((left, up))
        axes.annotate(
            units.significant(d.rate.bpp, 2), (x, y), xytext=(0, 7), textcoords="offset points",
            ha="center", va="bottom", color=ink("co"), fontsize=10.5,
        )  # fmt: skip
