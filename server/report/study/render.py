"""From a study's folder to its `report.html`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fleet.frames.labels import CLASSES, PALETTE
from server.report.page import environment, write_page
from server.report.pictures import Strip, read_pictures
from server.report.result import CONTROLS
from server.report.study import accuracy, cost, drops, plane, rates, story, tabled
from server.report.study.estimates import Estimates
from server.report.study.tables import Study, read_study
from server.report.svg import Chart, Key

_MOST_OPEN = 16  # rows of a table that has room beside a lone chart


@dataclass(frozen=True)
class Panel:
    """A figure of the paper: its charts side by side, one legend, and what they show as tables."""

    id: str
    title: str
    lead: str
    charts: list[Chart]
    keys: list[Key]
    tables: list[tabled.Table]
    empty: str

    @property
    def open(self) -> bool:
        """Whether the tables fill the room beside a lone chart."""
        rows = sum(len(table.rows) for table in self.tables)
        return len(self.charts) == 1 and 0 < rows <= _MOST_OPEN


def write_study_report(folder: Path) -> Path:
    """Writes a study's `report.html`: one self-contained page, the same for the same folder.

    Args:
        folder: a study's folder.

    Returns:
        The path of the page. It is written whole or not at all.

    Raises:
        InputError: a file of the folder that is missing or malformed; the text names it.
    """
    return write_page(folder, render(read_study(folder), read_pictures(folder / "pictures")))


def render(study: Study, strips: list[Strip]) -> str:
    """The page of a study."""
    m = Estimates(study)
    largest = story.largest_drop(m)
    return (
        environment(study.facts.currency)
        .get_template("study/page.html")
        .render(
            study=study,
            headline=story.headline(m, study),
            figures=story.figures(m, study),
            largest=largest if len(m.rates) > 1 else None,
            setting=story.setting(m, study),
            one_seed=m.seeds() == 1,
            intervals=story.intervals(m) if study.rows else "",
            verdicts=story.VERDICTS,
            restorer=m.restorer,
            controls=[(name, CONTROLS[name]) for name in m.configurations if name in CONTROLS],
            at_each_rate=drops.at_each_rate(m),
            drops=[drops.parts(m, codec) for codec in m.codecs if m.quantities(codec)],
            panels=panels(m, study),
            facts=story.facts(study),
            strips=[{"frame_id": s.frame_id, "facts": "", "pictures": s.pictures} for s in strips],
            palette=[(name, "#" + bytes(PALETTE[n]).hex()) for n, name in enumerate(CLASSES)],
        )
    )


def panels(m: Estimates, study: Study) -> list[Panel]:
    """The five figures."""
    far = plane.distances(m)
    few = any(len(m.of(codec)) <= accuracy.MOST_LABELLED for codec in m.codecs)
    known = few and any(m.drop(rate, drops.RESTORERS) for rate in m.rates)
    above = f" Above: {drops.RESTORERS}, in points." if known else ""
    found = [
        Panel(
            "rd",
            "Rate and distortion",
            "What each codec keeps of a frame at a rate, and what restoring adds to it or takes "
            "from it.",
            rates.rate_distortion(m, study.curve),
            rates.rate_distortion_keys(m, study.curve),
            [tabled.rate_distortion(m, study.curve)],
            "No rate and distortion were measured.",
        ),
        Panel(
            "miou",
            "Every configuration against rate",
            "mIoU by train domain and test domain; points of one rate stand side by side. "
            + (f"R is restored by the {m.restorer} restorer." if m.restorer else ""),
            accuracy.configurations(m),
            accuracy.configurations_keys(m),
            [tabled.configurations(m, codec) for codec in m.codecs],
            "No configuration was evaluated.",
        ),
        Panel(
            "restorers",
            "Adversarial against distortion-only",
            f"RO by each restorer, from CO at the same rate.{above}",
            accuracy.restorers(m),
            accuracy.restorers_keys(m),
            [drops.restorers(m)] if len(m.variants("RO")) > 1 else [],
            "RO was not evaluated with two restorers: there is nothing to compare.",
        ),
        Panel(
            "plane",
            "The perception–distortion plane",
            "Distortion as PSNR (further right: less of it) against perception as the Fréchet "
            "distance to originals in the OO segmenter's features (further down: better), after "
            "Blau & Michaeli (2018). Originals stand at 0, out of sight to the right.",
            plane.plane(m),
            plane.plane_keys(m),
            [tabled.plane(far)] if far else [],
            "PSNR and Fréchet distance were not both measured.",
        ),
        Panel(
            "cost",
            "Accuracy against cost",
            "What collecting cost in total, with and without restoration. Thin lines join shares "
            "of the fleet's driving hours at one rate.",
            cost.accuracy_cost(m, study),
            cost.accuracy_cost_keys(m),
            [tabled.costs(cost.purchases(m, study), study.facts.currency)],
            "No cost is known.",
        ),
    ]
    lone = len(m.codecs) == 1
    return [
        replace(
            panel,
            tables=[t.without("codec") if lone else t for t in panel.tables if t.rows],
        )
        for panel in found
    ]
