"""A sweep's `report.html`: the dashboard's page as one file that needs no server and no network."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup

from server.costs import PriceConfig, Quantities, total_cost
from server.dashboard.catalogue import Catalogue
from server.dashboard.details import frames_embedded, read_details
from server.report.page import environment, write_page
from server.sweep.rows import QUANTITIES, Row

_HERE = Path(__file__).parent
_ROOM = 20_000_000
"""Characters that the campaigns' details may take, all together."""
_PICTURES = 400_000
"""Characters that one campaign's pictures may take."""


def write_sweep_report(folder: Path) -> Path:
    """Writes a sweep's `report.html`; returns its path. The same folder gives the same page.

    The campaigns on the Pareto front of accuracy against cost come with all details, then those next
    in accuracy while there is room; the page names those that do not.

    Raises:
        InputError: the folder has no campaigns, or a result that cannot be read.
    """
    catalogue = Catalogue(folder)
    news = catalogue.news() or {}
    names = details_order(catalogue.rows())
    details: dict[str, Any] = {}
    room = _ROOM
    for name in names:
        campaign = catalogue.folder_of(name)
        if campaign is None:
            continue
        found = read_details(campaign, lambda path: frames_embedded(path, _PICTURES))
        room -= len(json.dumps(found))
        if room < 0:
            break
        details[name] = found
    data = {"news": _steady(news), "details": details}
    made = environment(news["prices"]["currency"])
    made.loader = ChoiceLoader([FileSystemLoader(_HERE), *([made.loader] if made.loader else [])])
    page = made.get_template("report.html").render(
        style=Markup((_HERE / "assets" / "dashboard.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in page_scripts()],
        plotly=Markup(files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")),
        data=Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")),
        left_out=[name for name in names if name not in details],
        campaigns=len(names),
    )
    return write_page(folder, page)


def page_scripts() -> list[str]:
    """The page's own scripts in the order in which they are to run, without Dash."""
    paths = [path for path in sorted((_HERE / "assets").glob("*.js")) if "dash" not in path.stem]
    return [path.read_text(encoding="utf-8") for path in [*paths, _HERE / "report.js"]]


def details_order(rows: list[Row]) -> list[str]:
    """The campaigns, those on the Pareto front at their own prices first, then by accuracy."""
    known = sorted(
        (row for row in rows if row["miou"] is not None),
        key=lambda row: (_cost(row), -row["miou"], row["campaign"]),
    )
    front, best = [], -1.0
    for row in known:
        if row["miou"] > best:
            best = row["miou"]
            front.append(row["campaign"])
    rest = sorted(known, key=lambda row: (-row["miou"], row["campaign"]))
    without = [row["campaign"] for row in rows]
    return list(dict.fromkeys([*front, *(row["campaign"] for row in rest), *without]))


def _cost(row: Row) -> float:
    prices = {name: row.get(f"config.prices.{name}") for name in PriceConfig.model_fields}
    told = {name: value for name, value in prices.items() if value is not None}
    quantities = Quantities(**{name: row[f"quantity.{name}"] for name in QUANTITIES})
    return total_cost(quantities, PriceConfig.model_validate(told, strict=False))


def _steady(news: dict[str, Any]) -> dict[str, Any]:
    """News without what changes from one writing to the next."""
    times = [one["updated"] for one in news["standing"] if one["updated"] is not None]
    return {**news, "epoch": 1, "live": 0, "now": max(times, default=0)}
