"""The chart of rate and distortion: every codec, compressed and restored."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter

from server.report import units
from server.report.study.drawing import (
    dot,
    linear_span,
    log_span,
    rate_axis,
    restorer_line,
    restorer_marker,
    short,
)
from server.report.study.estimates import Estimates
from server.report.study.tables import RateDistortion
from server.report.svg import Chart, Key, canvas, dress, ink

_INKS = 8


def rate_distortion(m: Estimates, curve: list[RateDistortion]) -> list[Chart]:
    """PSNR and MS-SSIM against rate, a line for each codec and domain; what was measured of them."""
    charts = []
    for name, title, decimals, unit in (("psnr", "PSNR", 2, "dB"), ("ms_ssim", "MS-SSIM", 4, "")):
        value = attrgetter(name)
        known = [point for point in curve if value(point) is not None]
        if not known:
            continue
        lines: dict[tuple[str, str | None], list[RateDistortion]] = defaultdict(list)
        for point in sorted(known, key=lambda point: point.bpp):
            lines[point.codec, point.restorer if point.domain == "R" else None].append(point)
        with canvas(f"rate-distortion-{name}", 340) as drawing:
            axes = drawing.figure.add_subplot()
            dress(axes, "rate, bpp (log scale)", f"{title}, {unit}".rstrip(", "))
            rate_axis(axes, log_span([point.bpp for point in known]))
            # One point still has an axis around it: 2 dB or 0.02 of MS-SSIM.
            axes.set_ylim(*linear_span([value(p) for p in known], least=2.0 if unit else 0.02))
            for (codec, restorer), points in sorted(lines.items(), key=lambda pair: str(pair[0])):
                colour = f"city{m.measured.index(codec) % _INKS}"
                line, marker, domain = "-", "s", "compressed"
                if restorer is not None:
                    line = restorer_line(restorer, m.restorers)[0]  # type: ignore[assignment]
                    marker = restorer_marker(restorer, m.restorers)
                    domain = f"restored, {restorer}"
                bpp, shown = [p.bpp for p in points], [value(p) for p in points]
                axes.plot(bpp, shown, color=ink(colour), ls=line, lw=1.8)
                for x, y, point in zip(bpp, shown, points, strict=True):
                    figure = units.fixed(y, decimals, unit)
                    quality = units.plain(point.quality, 6)
                    rate = units.significant(x, 2)
                    tip = f"{codec}, quality {quality}, {domain}: {title} {figure} at {rate} bpp"
                    dot(drawing, axes, (x, y), colour, marker, tip)
            drawing.description = f"{title} against rate: " + "; ".join(
                f"{codec}, {'compressed' if restorer is None else f'restored, {restorer}'} "
                f"{units.interval(value(points[0]), value(points[-1]), 1, decimals)} {unit}".rstrip()
                for (codec, restorer), points in lines.items()
            )
            charts.append(Chart(f"{title} against rate", drawing.svg()))
    return charts


def rate_distortion_keys(m: Estimates, curve: list[RateDistortion]) -> list[Key]:
    """The legend of both: colours are codecs, lines are domains."""
    codecs = [name for name in m.measured if any(point.codec == name for point in curve)]
    keys = [Key(short(c), f"city{m.measured.index(c) % _INKS}", "area") for c in codecs]
    keys.append(Key("C, compressed", "muted"))
    for restorer in m.restorers:
        if any(point.restorer == restorer for point in curve):
            shape = restorer_line(restorer, m.restorers)[1]
            keys.append(Key(f"R, {short(restorer)}", "muted", shape))
    return keys
