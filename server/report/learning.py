"""Charts of what was learnt: IoU of each class, training loss."""

from __future__ import annotations

import numpy as np

from server.report.result import Result
from server.report.svg import Chart, Key, canvas, dress, ink
from server.report.tables import Floats, Loss

_MOST_STEPS = 300


def classes(result: Result, names: list[str]) -> Chart:
    """IoU of each class as grouped bars, one bar a configuration; absent classes are said."""
    shown = [(name, scores.iou_per_class) for name, scores in result.listed()]
    bar = 7.0 if len(shown) > 3 else 9.0
    height = int(60 + len(names) * max(bar * len(shown) + 8, 18))
    with canvas("classes", height) as drawing:
        axes = drawing.figure.add_subplot()
        dress(axes, "IoU, %", "", grid="x")
        width = 0.8 / len(shown)
        for index, (configuration, scores) in enumerate(shown):
            for row, name in enumerate(names):
                iou = scores.get(name)
                if iou is None:
                    continue
                middle = row - 0.4 + (index + 0.5) * width
                colour = ink(configuration.lower())
                (patch,) = axes.barh(middle, 100 * iou, 0.86 * width, color=colour)
                patch.set_gid(drawing.tip(f"{name}, {configuration}: IoU {100 * iou:.2f} %"))
        for row, name in enumerate(names):
            if all(scores.get(name) is None for _, scores in shown):
                axes.text(1, row, "absent", va="center", color=ink("muted"), style="italic")
        axes.set_yticks(range(len(names)), [name[:24] for name in names], color=ink("ink"))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        drawing.description = "IoU of each class for " + ", ".join(name for name, _ in shown)
        keys = tuple(Key(name, name.lower(), "area") for name, _ in shown)
        return Chart("IoU of each class", drawing.svg(), keys)


def training(curves: list[Loss]) -> Chart | None:
    """Training loss over steps, one line a train domain; None if nothing was trained."""
    curves = [curve for curve in curves if curve.step.size]
    if not curves:
        return None
    inks = {domain: f"{domain.lower()}o" for domain in "OCRABM"}
    with canvas("training", 300) as drawing:
        axes = drawing.figure.add_subplot()
        dress(axes, "step", "training loss")
        top, last = 0.0, 1
        for curve in curves:
            steps, mean = _thin(curve)
            axes.plot(steps, mean, color=ink(inks.get(curve.domain, "muted")), lw=1.8)
            top, last = max(top, float(mean.max())), max(last, int(curve.step[-1]))
        axes.set_ylim(min(0.0, *(float(c.loss.min()) for c in curves)), 1.05 * top or 1.0)
        axes.set_xlim(0, last)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        drawing.description = "Training loss over steps: " + ", ".join(
            f"domain {c.domain} from {c.loss[0]:.3g} to {c.loss[-1]:.3g}" for c in curves
        )
        keys = tuple(Key(f"domain {c.domain}", inks.get(c.domain, "muted")) for c in curves)
        return Chart("Training loss by train domain", drawing.svg(), keys)


def _thin(curve: Loss) -> tuple[Floats, Floats]:
    """At most _MOST_STEPS points: the means of equal runs of steps."""
    runs = np.array_split(np.arange(curve.step.size), min(curve.step.size, _MOST_STEPS))
    steps = np.array([curve.step[run].mean() for run in runs])
    return steps, np.array([curve.loss[run].mean() for run in runs])
