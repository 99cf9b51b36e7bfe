"""What every page is made with: the templates, the filters for numbers, the writing at once."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server.report import units


def environment(currency: str) -> Environment:
    """The templates of the pages, with `server.report.units` as filters."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        count=units.count,
        duration=units.duration,
        exact=units.exact,
        fixed=units.fixed,
        money=partial(units.money, currency=currency),
        percent=units.percent,
        plain=units.plain,
        points=units.points,
        quantity=units.quantity,
        unbroken=_unbroken,
    )
    return made


def _unbroken(name: str) -> str:
    """A column's name that keeps its unit beside it."""
    return name.replace(", ", ",\N{NO-BREAK SPACE}")


def write_page(folder: Path, page: str) -> Path:
    """Writes a folder's `report.html`, whole or not at all; returns its path."""
    path = folder / "report.html"
    part = folder / f".report.html.{os.getpid()}.part"
    try:
        # A picture's file name may hold bytes that are no UTF-8.
        part.write_bytes(page.encode("utf-8", errors="replace"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
