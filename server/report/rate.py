"""Charts of the delivered frames: rate against distortion, rate against quality."""

from __future__ import annotations

import numpy as np

from server.report import units
from server.report.result import Result
from server.report.svg import Chart, Key, canvas, dress, ink
from server.report.tables import Frames

_MOST_FRAMES = 700
_MOST_CITIES = 8


def rate_distortion(frames: Frames, result: Result) -> list[Chart]:
    """bpp against PSNR, and against quality, a dot for each delivered frame, coloured by city."""
    if not frames.bpp.size:
        return []
    kept = np.arange(frames.bpp.size)
    if kept.size > _MOST_FRAMES:  # the same choice every time
        kept = np.sort(np.random.default_rng(0).choice(kept, _MOST_FRAMES, replace=False))
    order = np.argsort(-np.bincount(frames.city, minlength=len(frames.cities)), kind="stable")
    alone = order if order.size <= _MOST_CITIES else order[: _MOST_CITIES - 1]
    keys = [
        Key(frames.cities[city][:28] or "no city", f"city{n}", "dot")
        for n, city in enumerate(alone)
    ]
    if order.size > alone.size:
        keys.append(Key(f"{order.size - alone.size} more cities", f"city{_MOST_CITIES - 1}", "dot"))
    rank = np.full(len(frames.cities), _MOST_CITIES - 1)
    rank[alone] = np.arange(alone.size)
    group = rank[frames.city]
    size = 26 if kept.size < 200 else 16
    few, all_ = units.count(kept.size), units.count(frames.bpp.size)
    note = f"All {all_} delivered frames."
    if few != all_:
        note = f"{few} of {all_} delivered frames, drawn by lot."
    charts = []
    for name, title, y, axis in (
        ("psnr", "Distortion against rate", frames.psnr, "PSNR, dB"),
        (
            "quality",
            "The quality that the budget bought",
            frames.quality,
            f"quality ({result.codec[:20]})",
        ),
    ):
        known = kept[np.isfinite(y[kept]) & np.isfinite(frames.bpp[kept])]
        if not known.size:
            continue
        with canvas(name, 310) as drawing:
            axes = drawing.figure.add_subplot()
            dress(axes, "rate, bpp", axis)
            for number in range(len(keys)):
                rows = known[group[known] == number]
                if rows.size:
                    axes.scatter(
                        frames.bpp[rows],
                        y[rows],
                        s=size,
                        color=ink(f"city{number}"),
                        alpha=0.7,
                        lw=0,
                    )
            axes.set_xlim(0, 1.06 * float(frames.bpp[known].max()) or 1.0)
            axes.margins(y=0.08)
            drawing.description = (
                f"{axis} against bpp of {known.size} delivered frames: medians "
                f"{np.median(y[known]):.4g} and {np.median(frames.bpp[known]):.3g} bpp"
            )
            charts.append(Chart(title, drawing.svg(), tuple(keys), note))
    return charts
