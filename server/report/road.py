"""Charts of the road over time: bits against the budget, buffers, outages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from server.report import units
from server.report.svg import Canvas, Chart, Key, canvas, dress, ink
from server.report.tables import Floats, Telemetry

_GRID = 121
_FEW = 6  # vehicles up to which each has a line of its own
_FAR = 4  # a budget more than this many times the bits sent would flatten them


@dataclass(frozen=True)
class Fleet:
    """Telemetry on one time grid: a row for each vehicle, a column for each time."""

    seconds: Floats
    sent: Floats
    granted: Floats
    buffer: Floats
    down: Floats
    vehicles: list[int]


def on_one_grid(telemetry: Telemetry) -> Fleet | None:
    """Every vehicle's last sample at each of a few times; None without samples."""
    if not telemetry.time_s.size:
        return None
    seconds = np.linspace(float(telemetry.time_s.min()), float(telemetry.time_s.max()), _GRID)
    vehicles, starts = np.unique(telemetry.vehicle, return_index=True)
    rows: list[NDArray[np.intp]] = []
    for start, end in zip(starts, [*starts[1:], telemetry.vehicle.size], strict=True):
        at = np.searchsorted(telemetry.time_s[start:end], seconds, side="right") - 1
        rows.append(start + np.maximum(at, 0))
    pick = np.stack(rows)
    return Fleet(
        seconds,
        telemetry.bits_sent[pick].astype(float),
        telemetry.bits_granted[pick].astype(float),
        telemetry.buffer_bytes[pick].astype(float),
        1.0 - telemetry.link_up[pick].astype(float),
        [int(vehicle) for vehicle in vehicles],
    )


def bits_over_time(fleet: Fleet, budgeted: bool) -> Chart:
    """Cumulative bits of a vehicle against what its bit budget has allowed."""
    top = float(fleet.sent.max())
    allowed = np.median(fleet.granted, axis=0)
    shown = (
        np.where(allowed <= _FAR * max(top, 1.0), allowed, np.nan) if budgeted else allowed * np.nan
    )
    factor, unit = units.scale(max(top, float(np.nanmax([0.0, *shown]))), "bit")
    with canvas("bits", 320) as drawing:
        axes, keys = drawing.figure.add_subplot(), _lines_keys(fleet)
        _clock(axes, fleet, f"bits sent by a vehicle, {unit}")
        _lines(
            drawing, axes, fleet, fleet.sent / factor, lambda v: units.quantity(v * factor, "bit")
        )
        _outages(axes, fleet)
        if np.isfinite(shown).any():
            axes.plot(_time(fleet)[0], shown / factor, color=ink("limit"), ls=(0, (5, 2.5)), lw=1.8)
            of = ", median" if len(fleet.vehicles) > 1 else ""
            keys.append(Key(f"bit budget so far{of}", "limit", "dash"))
        note = _kept(fleet) if budgeted else "The vehicles have no bit budget."
        if budgeted and (allowed > _FAR * max(top, 1.0)).any():
            most = units.quantity(float(allowed[-1]), "bit")
            note += f" The bit budget reaches {most} a vehicle, outside the drawing."
        axes.set_ylim(0, 1.06 * max(top, float(np.nanmax([0.0, *shown])), 1.0) / factor)
        drawing.description = (
            f"Cumulative bits sent by a vehicle over time, at the end "
            f"{units.quantity(float(np.median(fleet.sent[:, -1])), 'bit')} in the median"
        )
        return Chart(
            "Bits of a vehicle against its budget",
            drawing.svg(),
            (*keys, *_outage_key(fleet)),
            note,
        )


def buffers_over_time(fleet: Fleet) -> Chart:
    """Buffer occupancy and, for a fleet, the share of vehicles whose uplink is down."""
    factor, unit = units.scale(float(fleet.buffer.max()), "B")
    with canvas("buffers", 320) as drawing:
        if len(fleet.vehicles) > 1:
            axes, below = drawing.figure.subplots(2, sharex=True, height_ratios=[2, 1])
            _clock(below, fleet, "uplinks down, % of vehicles")
            time = _time(fleet)[0]
            share = 100 * fleet.down.mean(axis=0)
            below.fill_between(time, share, color=ink("outage"), lw=0, step="post")
            below.set_ylim(0, max(10.0, 1.1 * float(share.max())))
        else:
            axes = drawing.figure.add_subplot()
        _clock(axes, fleet, f"buffer of a vehicle, {unit}")
        if len(fleet.vehicles) > 1:
            axes.set_xlabel("")
        _lines(
            drawing, axes, fleet, fleet.buffer / factor, lambda v: units.quantity(v * factor, "B")
        )
        _outages(axes, fleet)
        axes.set_ylim(0, 1.06 * max(float(fleet.buffer.max()), 1.0) / factor)
        peak = units.quantity(float(fleet.buffer.max()), "B")
        down = units.percent(float(fleet.down.mean()))
        drawing.description = (
            f"Buffer occupancy over time, {peak} at most; uplinks down {down} of the time"
        )
        note = f"At most {peak} in one buffer; an uplink is down {down} of the time."
        return Chart(
            "Buffers and outages", drawing.svg(), (*_lines_keys(fleet), *_outage_key(fleet)), note
        )


def _time(fleet: Fleet) -> tuple[Floats, str]:
    factor, unit = units.time_scale(float(fleet.seconds[-1]))
    return fleet.seconds / factor, unit


def _clock(axes: Axes, fleet: Fleet, y: str) -> None:
    time, unit = _time(fleet)
    dress(axes, f"simulated time, {unit}", y)
    axes.set_xlim(float(time[0]), max(float(time[-1]), float(time[0]) + 1e-6))
    axes.yaxis.set_major_formatter(lambda value, _: units.plain(value, 6))


def _lines(
    drawing: Canvas, axes: Axes, fleet: Fleet, values: Floats, tell: Callable[[float], str]
) -> None:
    time = _time(fleet)[0]
    if len(fleet.vehicles) > _FEW:
        bands = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        axes.fill_between(time, bands[0], bands[4], color=ink("fleet"), alpha=0.16, lw=0)
        axes.fill_between(time, bands[1], bands[3], color=ink("fleet"), alpha=0.26, lw=0)
        axes.plot(time, bands[2], color=ink("fleet"), lw=2.2)
    for row in _examples(fleet):
        width = 0.9 if len(fleet.vehicles) > _FEW else 1.7
        (line,) = axes.plot(time, values[row], color=ink("fleet"), lw=width, alpha=0.85)
        line.set_gid(
            drawing.tip(f"vehicle {fleet.vehicles[row]}, at the end {tell(values[row, -1])}")
        )


def _examples(fleet: Fleet) -> list[int]:
    """The vehicles with a line of their own: all of a few, else the least, middle and most bits."""
    if len(fleet.vehicles) <= _FEW:
        return list(range(len(fleet.vehicles)))
    order = np.argsort(fleet.sent[:, -1], kind="stable")
    return [int(order[0]), int(order[order.size // 2]), int(order[-1])]


def _kept(fleet: Fleet) -> str:
    """Whether the samples stay within the budget, in words."""
    over = int((fleet.sent > fleet.granted).any(axis=1).sum())
    if not over:
        return "Every sample of every vehicle lies within its bit budget."
    return (
        f"{units.count(over)} of {units.count(len(fleet.vehicles))} vehicles exceed their budget."
    )


def _lines_keys(fleet: Fleet) -> list[Key]:
    if len(fleet.vehicles) == 1:
        return [Key(f"vehicle {fleet.vehicles[0]}", "fleet")]
    if len(fleet.vehicles) <= _FEW:
        return [Key(f"each of {len(fleet.vehicles)} vehicles", "fleet")]
    few = ", ".join(str(fleet.vehicles[row]) for row in _examples(fleet))
    return [
        Key("median", "fleet"),
        Key("25–75 % of vehicles", "fleet", "area soft"),
        Key("5–95 %", "fleet", "area faint"),
        Key(f"vehicles {few} (least, middle, most bits)", "fleet", "thin"),
    ]


def _outages(axes: Axes, fleet: Fleet) -> None:
    """Shades the times at which uplinks are down; for many vehicles that is every time."""
    if len(fleet.vehicles) > _FEW:
        return
    time, share = _time(fleet)[0], fleet.down.mean(axis=0)
    changes = np.flatnonzero(np.diff(share)) + 1
    for start, end in zip([0, *changes], [*changes, share.size - 1], strict=True):
        if share[start] > 0 and end > start:
            axes.axvspan(
                float(time[start]),
                float(time[end]),
                color=ink("outage"),
                alpha=0.45 * float(share[start]),
                lw=0,
            )


def _outage_key(fleet: Fleet) -> list[Key]:
    if len(fleet.vehicles) > _FEW or not fleet.down.any():
        return []
    one = len(fleet.vehicles) == 1
    return [Key("outage" if one else "outage; darker, more vehicles", "outage", "area soft")]
