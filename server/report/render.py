"""From a campaign's folder to its `report.html`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleet.frames.labels import CLASSES, PALETTE
from server.report import accuracy, learning, rate, road, story, units
from server.report.page import environment, write_page
from server.report.pictures import Strip, read_pictures
from server.report.result import CONTROLS
from server.report.tables import Campaign, Frames, read_campaign


def write_report(folder: Path) -> Path:
    """Writes a campaign's `report.html`: one self-contained page, the same for the same folder.

    Args:
        folder: a campaign's folder.

    Returns:
        The path of the page. It is written whole or not at all.

    Raises:
        InputError: a file of the folder that is missing or malformed; the text names it.
    """
    return write_page(folder, render(read_campaign(folder), read_pictures(folder / "pictures")))


def render(campaign: Campaign, strips: list[Strip]) -> str:
    """The page of a campaign."""
    result = campaign.result
    names = story.class_order(result)
    fleet = road.on_one_grid(campaign.telemetry)
    budgeted = bool(story.budget(result))
    return (
        environment(result.currency)
        .get_template("template.html")
        .render(
            r=result,
            controls=[(n, CONTROLS[n]) for n, _ in result.listed() if n in CONTROLS],
            headline=story.headline(result),
            figures=story.figures(result),
            steps=story.way_of_a_frame(result),
            refusals=story.refusals(result),
            bits=story.bits(result),
            budget=story.budget(result),
            names=names,
            absent=[
                n for n in names if all(s.iou_per_class.get(n) is None for _, s in result.listed())
            ],
            accuracy_cost=accuracy.accuracy_cost(result),
            drop_split=accuracy.drop_split(result),
            classes=learning.classes(result, names),
            training=learning.training(campaign.training),
            over_time=[road.bits_over_time(fleet, budgeted), road.buffers_over_time(fleet)]
            if fleet
            else [],
            rate_distortion=rate.rate_distortion(campaign.frames, result),
            ledger=campaign.ledger,
            ledger_total=sum(row.cost for row in campaign.ledger),
            ledger_gap=story.sums_up(campaign.ledger, result.cost_total),
            strips=[_shown(strip, campaign.frames) for strip in strips],
            palette=[(name, "#" + bytes(PALETTE[n]).hex()) for n, name in enumerate(CLASSES)],
            provenance=campaign.provenance,
            config=campaign.config,
        )
    )


def _shown(strip: Strip, frames: Frames) -> dict[str, Any]:
    """A strip with the words below it."""
    row = frames.row_of(strip.frame_id)
    facts = []
    if row is not None:
        city = frames.cities[int(frames.city[row])]
        facts = [
            *([city] if city else []),
            units.quantity(int(frames.bits[row]), "bit"),
            f"{frames.bpp[row]:.3f} bpp",
            f"quality {units.plain(float(frames.quality[row]), 4)}",
            f"PSNR {units.fixed(float(frames.psnr[row]), 1, 'dB')}",
        ]
    return {"frame_id": strip.frame_id, "facts": " · ".join(facts), "pictures": strip.pictures}
