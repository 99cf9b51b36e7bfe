"""What the figures of a study share: axes of rates, interval bars, labels, colours of restorers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator

from server.report import units
from server.report.result import CONTROLS
from server.report.study.estimates import Estimate, Estimates, Rate
from server.report.svg import MARKERS, Canvas, Key, ink

Span = tuple[float, float]

_RESTORERS = ("adversarial", "distortion-only")
_LINES = ((0, (4, 2)), (0, (1, 1.6)), (0, (6, 2, 1, 2)))  # of restored frames, by restorer


def restorer_ink(restorer: str | None, restorers: Sequence[str]) -> str:
    """The colour of what a restorer made."""
    if restorer in _RESTORERS or restorer is None:
        return "rd" if restorer == _RESTORERS[1] else "ro"
    return f"city{restorers.index(restorer) % 8}"


def restorer_line(restorer: str, restorers: Sequence[str]) -> tuple[object, str]:
    """The line of what a restorer made, for a drawing and for its legend."""
    number = restorers.index(restorer)
    return _LINES[number % len(_LINES)], "dots" if number % len(_LINES) == 1 else "dash"


def restorer_marker(restorer: str, restorers: Sequence[str]) -> str:
    """The marker of what a restorer made."""
    return "D^vPX*"[restorers.index(restorer) % 6]


def short(name: str, most: int = 36) -> str:
    """A name from a config, cut in the middle to what a legend has room for."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def said(score: Estimate) -> str:
    """An mIoU in a tooltip."""
    text = f"mIoU {100 * score.mean:.2f} %"
    if score.half is None:
        return text + ", one seed"
    ends = units.interval(score.low, score.high, decimals=2)
    return f"{text}, 95 % interval {ends}, {score.seeds} seeds"


def line_of(configuration: str) -> tuple[object, str]:
    """The line of a configuration, dashed for a control, for a drawing and for its legend."""
    return ((0, (4, 2)), "dash") if configuration in CONTROLS else ("-", "line")


def rate_span(rates: Sequence[Rate]) -> Span:
    """The limits of an axis of rates: wide enough for two ticks, however few rates there are."""
    return log_span([rate.bpp for rate in rates])


def log_span(values: Sequence[float], pad: float = 1.25) -> Span:
    """The limits of a logarithmic axis."""
    low, high = min(values), max(values)
    stretch = max(pad, math.sqrt(4 * low / high))
    return low / stretch, high * stretch


def linear_span(values: Sequence[float], pad: float = 0.08, least: float = 1.0) -> Span:
    """The limits of a linear axis."""
    low, high = min(values), max(values)
    reach = pad * (high - low) + max(0.0, least - (high - low)) / 2
    return low - reach, high + reach


def miou_span(scores: Sequence[Estimate]) -> Span:
    """The limits of an axis of mIoU in %: every mean, and as much of the intervals as suits them."""
    means = [100 * score.mean for score in scores]
    room = 0.6 * max(max(means) - min(means), 2.0)
    low = max(min(100 * score.low for score in scores), min(means) - room, 0.0)
    high = min(max(100 * score.high for score in scores), max(means) + room, 100.0)
    return linear_span([low, high], least=2.0)


def log_ticks(axis: Axis, span: Span) -> None:
    """Ticks at 1, 2 and 5 of each decade, fewer on a long axis, written as people write them."""
    decades = math.log10(span[1] / span[0])
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=20))
    axis.set_major_formatter(lambda value, _: units.significant(value, 1))
    axis.set_minor_locator(NullLocator())


def rate_axis(axes: Axes, span: Span) -> None:
    """A logarithmic axis of rates."""
    axes.set_xscale("log")
    axes.set_xlim(*span)
    log_ticks(axes.xaxis, span)


def dodged(rates: Sequence[Rate], number: int, of: int) -> list[float]:
    """Where the points of one of a few series stand, a little beside each other, on a log axis."""
    logs = sorted({math.log(rate.bpp) for rate in rates})
    gap = min((b - a for a, b in pairwise(logs)), default=0.7)
    step = min(0.5 * gap / max(of, 1), 0.05)
    return [rate.bpp * math.exp((number - (of - 1) / 2) * step) for rate in rates]


def bar(axes: Axes, x: float, score: Estimate, colour: str, span: Span) -> None:
    """The interval of a score, as far as it lies within the drawing."""
    if score.half is not None:
        ends = [min(max(100 * end, span[0]), span[1]) for end in (score.low, score.high)]
        axes.plot([x, x], ends, color=ink(colour), lw=1.5, alpha=0.5, solid_capstyle="butt")


def dot(drawing: Canvas, axes: Axes, at: Span, colour: str, marker: str, tip: str) -> None:
    """A point with its hover text."""
    artist = axes.scatter(
        [at[0]], [at[1]], s=46, marker=marker, color=ink(colour), edgecolors=ink("page"),
        linewidths=0.8, zorder=3,
    )  # fmt: skip
    artist.set_gid(drawing.tip(tip))


def level(axes: Axes, score: Estimate, colour: str, span: Span) -> None:
    """A score that does not depend on the rate: a line across, with a band for its interval."""
    if score.half is not None:
        ends = [min(max(100 * end, span[0]), span[1]) for end in (score.low, score.high)]
        axes.axhspan(*ends, color=ink(colour), alpha=0.13, lw=0)
    axes.axhline(100 * score.mean, color=ink(colour), lw=1.6)


def apart(heights: Sequence[float], span: Span, gap: float) -> list[float]:
    """Label heights, in the order given: `gap` apart, close to their own, within the span."""
    gap = min(gap, (span[1] - span[0]) / max(len(heights) - 1, 1))
    order = sorted(range(len(heights)), key=lambda n: (heights[n], n))
    blocks: list[tuple[float, list[int]]] = []  # where the lowest label is, and which labels
    for number in order:
        low, members = heights[number], [number]
        while True:
            low = sum(heights[n] - place * gap for place, n in enumerate(members)) / len(members)
            low = max(min(low, span[1] - (len(members) - 1) * gap), span[0])
            if not blocks or blocks[-1][0] + len(blocks[-1][1]) * gap <= low:
                break
            members = blocks.pop()[1] + members
        blocks.append((low, members))
    placed = {n: low + place * gap for low, members in blocks for place, n in enumerate(members)}
    return [placed[number] for number in range(len(heights))]


def marker_of(configuration: str) -> str:
    """The marker of a configuration, by its train domain."""
    return MARKERS[configuration[0]]


def restorer_keys(m: Estimates, prefix: str = "RO, ") -> list[Key]:
    """Legend entries of the restorers, as dots."""
    return [Key(f"{prefix}{short(r)}", restorer_ink(r, m.restorers), "dot") for r in m.restorers]
