"""What a study found, as tables on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.statistics import seed_interval

_COLOURS = {"holds": "green", "fails": "red", "undecided": "yellow"}


def show(folder: Path, console: Console) -> None:
    """Shows mIoU of every configuration at each rate, and the claims.

    Args:
        folder: the study's, finished.
        console: where to show them.
    """
    rows = pq.read_table(folder / "study.parquet").to_pylist()
    rows = [row for row in rows if row["share"] == 1]
    rates = list(dict.fromkeys((row["codec"], row["quality"], row["bpp"]) for row in rows))
    # No title of the table's: it would be broken to the width of a narrow one.
    console.print("mIoU, %: mean over seeds ± half of its 95 % interval", highlight=False)
    table = Table()
    table.add_column("")
    for codec, quality, bpp in rates:
        table.add_column(f"{codec} {quality:g}\n{bpp:.3f} bpp", justify="right")
    for name, restorer in dict.fromkeys((row["configuration"], row["restorer"]) for row in rows):
        label = f"{name} {restorer}" if restorer else name
        table.add_row(label, *(_cell(rows, name, restorer, rate) for rate in rates))
    console.print(table)
    for claim in json.loads((folder / "claims.json").read_text()):
        verdict = Text(claim["verdict"], _COLOURS[claim["verdict"]])
        console.print(verdict + Text(f"  {claim['claim']} — {claim['evidence']}", ""))


def _cell(
    rows: list[dict[str, Any]], name: str, restorer: str | None, rate: tuple[str, float, float]
) -> str:
    scores = [
        100 * row["miou"]
        for row in rows
        if (row["configuration"], row["restorer"]) == (name, restorer)
        and (row["codec"], row["quality"], row["bpp"]) == rate
    ]
    if not scores:
        return "—"
    found = seed_interval(scores)
    if found.high is None:
        return f"{found.mean:.2f}"
    return f"{found.mean:.2f} ± {found.high - found.mean:.2f}"
