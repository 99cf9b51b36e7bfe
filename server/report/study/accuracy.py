"""Charts of accuracy: every configuration against rate, and one restorer against the other."""

from __future__ import annotations

from server.report import units
from server.report.result import CONTROLS
from server.report.study.drawing import (
    Span,
    apart,
    bar,
    dodged,
    dot,
    level,
    line_of,
    marker_of,
    miou_span,
    rate_axis,
    rate_span,
    restorer_ink,
    restorer_keys,
    restorer_marker,
    said,
    short,
)
from server.report.study.estimates import Estimate, Estimates, Rate
from server.report.svg import Canvas, Chart, Key, canvas, dress, ink

MOST_LABELLED = 6
"""Rates of a codec up to which the restorers' difference is written above each."""


def configurations(m: Estimates) -> list[Chart]:
    """The mIoU of every configuration against rate, a chart for each codec, on the same axes."""
    found = [s for c in m.configurations for r in m.rates if (s := m.score(c, r, m.main(c)))]
    if not found:
        return []
    span, across = miou_span(found), rate_span(m.rates)
    charts = []
    for number, codec in enumerate(m.codecs):
        shown: list[tuple[str, list[tuple[Rate, Estimate]]]] = [
            (name, points)
            for name in m.configurations
            if name != "OO" and (points := _points(m, name, codec))
        ]
        with canvas(f"configurations-{number}", 400) as drawing:
            axes = drawing.figure.add_subplot()
            dress(axes, "rate, bpp (log scale)", "mIoU, %")
            rate_axis(axes, across)
            axes.set_ylim(*span)
            ends: list[tuple[str, float, float]] = []
            originals = m.originals(codec)
            if originals is not None:
                level(axes, originals, "oo", span)
                ends.append(("OO", across[1], 100 * originals.mean))
            for place, (name, points) in enumerate(shown):
                xs = dodged([rate for rate, _ in points], place, len(shown))
                ys = [100 * score.mean for _, score in points]
                colour = name.lower()
                axes.plot(xs, ys, color=ink(colour), lw=1.8, ls=line_of(name)[0])
                for x, y, (rate, score) in zip(xs, ys, points, strict=True):
                    bar(axes, x, score, colour, span)
                    tip = f"{name}: {said(score)} at {rate.text} ({rate.setting})"
                    dot(drawing, axes, (x, y), colour, marker_of(name), tip)
                ends.append((name, xs[-1], ys[-1]))
            heights = apart([y for _, _, y in ends], span, 0.052 * (span[1] - span[0]))
            for (label, x, y), height in zip(ends, heights, strict=True):
                colour = label.lower()
                axes.plot([x, across[1]], [y, height], color=ink(colour), lw=0.8, alpha=0.5)
                axes.annotate(
                    label, (across[1], height), xytext=(3, 0), textcoords="offset points",
                    va="center", color=ink(colour), weight="bold",
                )  # fmt: skip
            drawing.description = f"{codec}: mIoU against rate. " + "; ".join(
                f"{name} {units.interval(points[0][1].mean, points[-1][1].mean)} % from the lowest "
                "rate to the highest"
                for name, points in shown
            )
            charts.append(Chart(short(codec, 60), drawing.svg()))
    return charts


def configurations_keys(m: Estimates) -> list[Key]:
    """The legend of `configurations`: what the lines' labels do not say."""
    keys = [Key("OO, the same at every rate", "oo")] if "OO" in m.configurations else []
    if any(name in CONTROLS for name in m.configurations):
        keys.append(Key("a control", "muted", "dash"))
    if m.seeds() > 1:
        keys.append(Key("95 % interval over seeds", "muted", "area soft"))
    return keys


def restorers(m: Estimates) -> list[Chart]:
    """RO of each restorer beside CO and OO, rate by rate; a chart for each codec."""
    if len(m.variants("RO")) < 2:
        return []
    shown = {rate: _restored(m, rate) for rate in m.rates}
    scores = [score for marks in shown.values() for _, score in marks]
    scores += [o for codec in m.codecs if (o := m.originals(codec))]
    if not any(shown.values()):
        return []
    span = miou_span(scores)
    top = span[1] + 0.08 * (span[1] - span[0])  # room above for the differences
    charts = []
    for number, codec in enumerate(m.codecs):
        rates = [rate for rate in m.of(codec) if shown[rate]]
        if not rates:
            continue
        with canvas(f"restorers-{number}", 340) as drawing:
            axes = drawing.figure.add_subplot()
            dress(axes, "rate, bpp", "mIoU, %")
            axes.set_ylim(span[0], top)
            beside = 1.0 if len(rates) == 1 else 0.6
            axes.set_xlim(-beside, len(rates) - 1 + beside)
            axes.set_xticks(range(len(rates)), [units.significant(r.bpp, 2) for r in rates])
            if len(rates) > 10:
                axes.tick_params(axis="x", labelrotation=90)
            originals = m.originals(codec)
            if originals is not None:
                level(axes, originals, "oo", span)
            for place, rate in enumerate(rates):
                _one_rate(drawing, m, shown[rate], float(place), rate, span)
                if len(rates) <= MOST_LABELLED:
                    _difference(drawing, m, rate, (float(place), top))
            drawing.description = f"{codec}: RO by restorer, rate by rate. " + "; ".join(
                f"{rate.text}: "
                + ", ".join(f"{name or 'CO'} {score.text}" for name, score in marks)
                for rate, marks in shown.items()
                if rate in rates
            )
            charts.append(Chart(short(codec, 60), drawing.svg()))
    return charts


def restorers_keys(m: Estimates) -> list[Key]:
    """The legend of `restorers`."""
    return [Key("OO", "oo"), Key("CO", "co", "dot"), *restorer_keys(m)]


def _points(m: Estimates, name: str, codec: str) -> list[tuple[Rate, Estimate]]:
    scores = [(rate, m.score(name, rate, m.main(name))) for rate in m.of(codec)]
    return [(rate, score) for rate, score in scores if score is not None]


def _restored(m: Estimates, rate: Rate) -> list[tuple[str | None, Estimate]]:
    """CO, under None, and RO of each restorer at a rate."""
    scores = [(None, m.score("CO", rate)), *((r, m.score("RO", rate, r)) for r in m.restorers)]
    return [(name, score) for name, score in scores if score is not None]


def _one_rate(
    drawing: Canvas,
    m: Estimates,
    marks: list[tuple[str | None, Estimate]],
    place: float,
    rate: Rate,
    span: Span,
) -> None:
    axes = drawing.figure.axes[0]
    base = next((100 * score.mean for name, score in marks if name is None), None)
    step = 0.6 / max(len(m.restorers), 2)
    for name, score in marks:
        y, x = 100 * score.mean, place
        if name is None:
            tip = f"CO: {said(score)} at {rate.text}"
            bar(axes, x, score, "co", span)
            dot(drawing, axes, (x, y), "co", marker_of("CO"), tip)
            continue
        at = m.restorers.index(name)
        x += (at - (len(m.restorers) - 1) / 2) * step if len(m.restorers) > 1 else step
        colour = restorer_ink(name, m.restorers)
        if base is not None:
            axes.plot([x, x], [base, y], color=ink(colour), lw=6, alpha=0.3, solid_capstyle="butt")
        bar(axes, x, score, colour, span)
        tip = f"RO, {name}: {said(score)} at {rate.text}"
        dot(drawing, axes, (x, y), colour, restorer_marker(name, m.restorers), tip)


def _difference(drawing: Canvas, m: Estimates, rate: Rate, at: Span) -> None:
    """The restorers' difference, written at the top of the drawing."""
    drop = m.drop(rate, "adversarial − distortion-only")
    if drop is None or drop.mean is None:
        return
    text = units.points(drop.mean).removesuffix(" points")
    drawing.figure.axes[0].text(*at, text, ha="center", va="top", color=ink("muted"))
