"""The tables of a study's page: what its figures show, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from server.report import units
from server.report.study.cost import Purchase
from server.report.study.estimates import Estimate, Estimates, Rate
from server.report.study.plane import Distances
from server.report.study.tables import RateDistortion

Cell = str | Markup


@dataclass(frozen=True)
class Table:
    """A table; the first `texts` columns are words, the others figures."""

    name: str
    columns: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1

    def without(self, column: str) -> Table:
        """The table less a column of words; itself if it has none of that name."""
        if column not in self.columns:
            return self
        at = self.columns.index(column)
        rows = [[*row[:at], *row[at + 1 :]] for row in self.rows]
        columns = [*self.columns[:at], *self.columns[at + 1 :]]
        return Table(self.name, columns, rows, max(self.texts - 1, 0))


def configurations(m: Estimates, codec: str) -> Table:
    """The mIoU of every configuration, by each restorer, at every rate of a codec."""
    rates = m.of(codec)
    rows: list[Sequence[Cell]] = []
    for name in m.configurations:
        for restorer in m.variants(name):
            scores = [m.score(name, rate, restorer) for rate in rates]
            label = name if restorer is None else f"{name}, {restorer}"
            rows.append([label, *(score_cell(score) for score in scores)])
    return Table(f"mIoU in %, {codec}", ["configuration", *heads(rates)], rows)


def rate_distortion(m: Estimates, curve: list[RateDistortion]) -> Table:
    """PSNR and MS-SSIM of every codec, compressed and restored."""
    order = sorted(
        curve,
        key=lambda p: (
            m.measured.index(p.codec), p.bpp, p.quality, p.domain,
            -1 if p.restorer is None else m.restorers.index(p.restorer),
        ),
    )  # fmt: skip
    rows = [
        [
            p.codec,
            p.domain if p.restorer is None else f"{p.domain}, {p.restorer}",
            units.plain(p.quality, 6),
            units.significant(p.bpp),
            units.fixed(p.psnr, 2),
            units.fixed(p.ms_ssim, 4),
            units.count(p.frames),
        ]
        for p in order
    ]
    columns = ("codec", "domain", "quality", "bpp", "PSNR, dB", "MS-SSIM", "frames")
    return Table("Rate and distortion", columns, rows, texts=2)


def plane(distances: list[Distances]) -> Table:
    """How far every domain's frames are from the originals; what was never measured is left out."""
    measures = {
        "PSNR, dB": [units.fixed(d.psnr, 2) for d in distances],
        "MS-SSIM": [units.fixed(d.ms_ssim, 4) for d in distances],
        "Fréchet distance": [_significant(d.frechet) for d in distances],
        "LPIPS": [units.fixed(d.lpips, 4) for d in distances],
        "FID": [_significant(d.fid) for d in distances],
    }
    kept = {name: v for name, v in measures.items() if any(text != units.NONE for text in v)}
    rows = [
        [
            d.rate.codec, d.name, units.plain(d.rate.quality, 6), units.significant(d.rate.bpp, 2),
            *(values[n] for values in kept.values()),
        ]
        for n, d in enumerate(distances)
    ]  # fmt: skip
    columns = ("codec", "domain", "quality", "bpp", *kept)
    return Table("Distances of the train frames to the originals", columns, rows, texts=2)


def costs(bought: list[Purchase], currency: str) -> Table:
    """What every share of the driving hours cost and bought, cheapest first."""
    rows = [
        [
            p.configuration if p.restorer is None else f"{p.configuration}, {p.restorer}",
            p.codec,
            units.NONE if p.rate is None else units.plain(p.rate.quality, 6),
            units.percent(p.share, 0),
            units.count(p.frames),
            units.money(p.cost, "").strip(),
            score_cell(p.score),
        ]
        for p in bought
    ]
    columns = (
        "configuration", "codec", "quality", "driving hours", "frames trained",
        f"total cost, {currency}", "mIoU, %",
    )  # fmt: skip
    return Table("Total cost and mIoU", columns, rows, texts=2)


def score_cell(score: Estimate | None) -> Cell:
    """A score with half its interval, its exact mean in the title."""
    if score is None:
        return units.NONE
    seeds = f"{score.seeds} seed{'' if score.seeds == 1 else 's'}"
    return units.exact(score.text, f"{100 * score.mean:.4f} %, {seeds}")


def heads(rates: list[Rate]) -> list[Cell]:
    """A column head for each rate."""
    texts = [lines(rate.text, [f"quality {units.plain(rate.quality, 6)}"]) for rate in rates]
    return [Markup('<span class="n">{}</span>').format(text) for text in texts]


def lines(first: str, rest: Sequence[str]) -> Markup:
    """A cell of several lines, the first in full strength."""
    text = Markup.escape(first)
    for line in rest:
        text += Markup('<br><span class="under">{}</span>').format(line)
    return text


def _significant(value: float | None) -> str:
    return units.NONE if value is None else units.significant(value)
