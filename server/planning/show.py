"""A plan as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from server.planning.choice import Choice, Fitted
from server.planning.config import GivenLaw
from server.planning.fixed_bytes import Split
from server.planning.law import Law
from server.planning.measured import Measured
from server.statistics import seed_interval


def show_split(given: GivenLaw, split: Split, console: Console) -> None:
    """Shows a plan by a given law."""
    bpp = f" ({8 * split.size / given.pixels:.3f} bpp)" if given.pixels else ""
    for line in (
        given.name,
        f"  frames    {split.frames:,.0f}",
        f"  bytes     {split.size:,.0f} a frame{bpp}, {split.bytes:,.0f} in all",
        f"  accuracy  {1 - split.error:.2%} expected",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def show_fits(fitted: Sequence[Fitted], skipped: Sequence[str], console: Console) -> None:
    """Shows each option's law, and what it tells beside what was measured."""
    console.print(
        "error(n, L) = A·n^−α + B·L^−β + E of n train frames of L bytes; in brackets the middle "
        "95 % of a bootstrap over seeds",
        highlight=False,
        soft_wrap=True,
    )
    for one in fitted:
        table = Table(title=f"{one.option.label}: {_law(one)}", title_justify="left")
        for name in ("vehicles", "frames n", "bytes L", "mIoU measured, %", "by the law, %", "off"):
            table.add_column(name, justify="right")
        off = []
        for setting in one.option.settings:
            frames, size = setting.mean("frames_trained"), setting.mean("bytes_mean")
            told = 100 * float(1 - one.surface.law.error(frames, size))
            interval = seed_interval(100 * setting.each("miou"))
            half = (
                ""
                if interval.low is None or interval.high is None
                else f" ± {(interval.high - interval.low) / 2:.1f}"
            )
            off.append(told - interval.mean)
            table.add_row(
                str(setting.vehicles),
                f"{frames:,.0f}",
                f"{size:,.0f}",
                f"{interval.mean:.1f}{half}",
                f"{told:.1f}",
                f"{off[-1]:+.1f}",
            )
        console.print(table)
        console.print(
            f"root mean square of the differences: {np.sqrt(np.mean(np.square(off))):.2f} points",
            highlight=False,
        )
    for line in skipped:
        console.print(f"not fitted: {line}", highlight=False, soft_wrap=True)


def show_plan(
    chosen: Choice,
    surer: Choice | None,
    fitted: Sequence[Fitted],
    measured: Measured,
    console: Console,
) -> None:
    """Shows the choice, and what it would cost to be surer."""
    lines = ["", "choose", *_lines(chosen, measured)]
    seeds = min(len(s.rows) for one in fitted for s in one.option.settings)
    if seeds < 2:
        lines += ["no intervals: the sweep has a single seed (seeds: [0, 1, 2] gives them)"]
    elif surer is None:
        lines += [
            f"to be surer: no choice within what was measured has an interval that lies above "
            f"{chosen.accuracy:.2%}; more seeds would narrow the intervals"
        ]
    elif surer.cost <= chosen.cost * 1.0001:
        lines += ["to be surer: this choice's interval lies above what was asked already"]
    else:
        lines += [
            f"to be surer (an interval that lies above what is expected here): "
            f"{surer.cost - chosen.cost:,.2f} {measured.currency} more",
            *_lines(surer, measured),
        ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _lines(choice: Choice, measured: Measured) -> list[str]:
    option = choice.option
    settings = "".join(f", {field} ≈ {value:.4g}" for field, value in choice.settings.items())
    others = [f"  {field:<12}{value}" for field, value in option.others.items()]
    return [
        f"  vehicles    {choice.vehicles}",
        f"  bitrate     {choice.bpp:.3f} bpp ({choice.size:,.0f} bytes a frame{settings})",
        f"  codec       {option.codec}",
        f"  restoration {option.restorer or 'none'} ({option.configuration})",
        *others,
        f"  frames      {choice.frames:,.0f} to train on",
        f"  accuracy    {choice.accuracy:.2%}{_bounds(choice.accuracy_bounds, '.2%')} mIoU expected",
        f"  cost        {choice.cost:,.2f}{_bounds(choice.cost_bounds, ',.2f')} {measured.currency}",
    ]


def _bounds(bounds: tuple[float, float] | None, form: str) -> str:
    return "" if bounds is None else f" ({bounds[0]:{form}} to {bounds[1]:{form}})"


def _law(one: Fitted) -> str:
    signs = dict(zip(Law.names(), ["A", "α", "B", "β", "E"], strict=True))
    told = []
    for index, (name, sign) in enumerate(signs.items()):
        text = f"{sign} {getattr(one.surface.law, name):.3g}"
        if one.laws:
            low, high = np.percentile([law.values()[index] for law in one.laws], (2.5, 97.5))
            text += f" ({low:.3g} to {high:.3g})"
        told.append(text)
    return ", ".join(told)
