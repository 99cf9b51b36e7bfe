"""What a study's page says in words and figures: headline, key figures, what was run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from markupsafe import Markup

from server.report import units
from server.report.story import Figure
from server.report.study.estimates import Estimate, Estimates, Rate
from server.report.study.tables import Claim, Drop, Study

VERDICTS = {"holds": "✓", "fails": "✗", "undecided": "?"}
"""The verdicts on a claim, each with its sign."""


def headline(m: Estimates, study: Study) -> Markup:
    """The study's answer: the drop, what was won back, and how many claims hold."""
    drops = [drop for rate in m.rates if (drop := _known(m, rate, "drop"))]
    won = [drop for rate in m.rates if (drop := _known(m, rate, "won back"))]
    if not drops:
        return Markup("The drop OO − CO was not measured{}").format(_claims(study.claims))
    where = f"At {m.rates[0].text}"
    if len(m.rates) > 1:
        ends = [units.significant(f(r.bpp for r in m.rates), 2) for f in (min, max)]
        where = f"At {len(m.rates)} rates from {ends[0]} to {ends[1]} bpp"
    sentence = Markup(
        "{}, training on compressed frames instead of originals costs <strong>{}</strong> of mIoU"
    ).format(where, _range(drops))
    if won:
        share = _known(m, m.rates[0], "share won back") if len(m.rates) == 1 else None
        of = "" if share is None else f", {units.percent(share.mean, 0)} of the drop"
        sentence += Markup("; restoring them wins back <strong>{}</strong>{}").format(
            _range(won), of
        )
    else:
        sentence += "; restoring them was not evaluated"
    return sentence + _claims(study.claims)


def figures(m: Estimates, study: Study) -> list[Figure]:
    """The key figures, at the rate with the largest drop."""
    rate = largest_drop(m)
    named = []
    if rate is not None:
        drop, share = _known(m, rate, "drop"), _known(m, rate, "share won back")
        parts = [
            f"{name} {units.fixed(100 * part.mean, 1)}"
            for name in ("information loss", "covariate shift")
            if (part := _known(m, rate, name)) is not None and part.mean is not None
        ]
        ro = m.score("RO", rate, m.restorer)
        named = [
            _score("OO", m.score("OO", rate), "trained and tested on originals"),
            _score("CO", m.score("CO", rate), "trained on compressed"),
            _score("RO", ro, f"restorer {m.restorer}" if ro else "not evaluated"),
            Figure(
                "Drop OO − CO",
                Markup.escape(_points(drop)),
                " + ".join(parts),
            ),
            Figure(
                "Share won back",
                Markup.escape("–" if share is None else units.percent(share.mean, 0)),
                _ends(share) if share else "not defined",
            ),
        ]
    verdicts = Counter[str](claim.verdict for claim in study.claims)
    rest = [f"{verdicts[v]} {v}" for v in ("fails", "undecided") if verdicts[v]]
    held = f"{verdicts['holds']} of {len(study.claims)}" if study.claims else units.NONE
    return [*named, Figure("Claims that hold", Markup.escape(held), ", ".join(rest))]


def largest_drop(m: Estimates) -> Rate | None:
    """The rate at which OO − CO is largest: there a share of it means most."""
    drops = {rate: drop.mean for rate in m.rates if (drop := _known(m, rate, "drop"))}
    return max(drops, key=lambda rate: drops[rate] or 0.0, default=None)


def setting(m: Estimates, study: Study) -> list[str]:
    """What was run, in a line."""
    facts = study.facts
    seeds = ", ".join(str(seed) for seed in facts.seeds)
    return [
        ", ".join(facts.codecs or m.codecs) or "no codec",
        f"restorer{'' if len(m.restorers) == 1 else 's'} {', '.join(m.restorers)}"
        if m.restorers
        else "no restorer",
        f"seed{'' if len(facts.seeds) == 1 else 's'} {seeds}",
        f"{units.count(facts.train_frames)} train frames",
        f"{units.count(facts.test_frames)} test frames",
        f"{units.count(facts.calibration_frames)} calibration frames",
    ]


def facts(study: Study) -> list[tuple[str, str]]:
    """What was run, on what, how long."""
    f = study.facts
    named = [
        ("configurations", ", ".join(f.configurations)),
        ("codecs", ", ".join(f.codecs)),
        ("restorers", ", ".join(f.restorers) or "none"),
        ("seeds", ", ".join(str(seed) for seed in f.seeds)),
        ("train frames", units.count(f.train_frames)),
        ("test frames", units.count(f.test_frames)),
        ("calibration frames", units.count(f.calibration_frames)),
        ("calibration bits", units.quantity(f.calibration_bits, "bit")),
        ("wall time", units.duration(f.wall_seconds)),
    ]
    return named + [(name.replace("_", " "), _plainly(name, v)) for name, v in f.hardware.items()]


def intervals(m: Estimates) -> str:
    """What the intervals are; with one seed there are none over seeds, which is said."""
    if m.seeds() == 1:
        return (
            "One seed was run: no interval over seeds can be given, and a difference of a point "
            "or so may be chance. Below a difference: its 95 % interval over images, for that "
            "one seed."
        )
    return (
        f"Scores are means over up to {m.seeds()} seeds; ± and bars are their 95 % intervals "
        "(Student's t). Below a difference: its 95 % interval over seeds. Bars are cut where "
        "they leave the drawing; the tables have them in full."
    )


def _claims(claims: list[Claim]) -> Markup:
    if not claims:
        return Markup(".")
    verdicts = Counter(claim.verdict for claim in claims)
    if verdicts["holds"] == len(claims) > 1:
        return Markup(". <strong>All {} claims hold</strong>.").format(len(claims))
    some = "claim holds" if verdicts["holds"] == 1 else "claims hold"
    head = f"{verdicts['holds'] or 'No'} {some}" if verdicts["holds"] else "No claim holds"
    rest = ""
    if verdicts["fails"]:
        rest += f", {verdicts['fails']} fail{'s' if verdicts['fails'] == 1 else ''}"
    if verdicts["undecided"]:
        rest += (
            f", {verdicts['undecided']} {'is' if verdicts['undecided'] == 1 else 'are'} undecided"
        )
    return Markup(". <strong>{}</strong>{}.").format(head, rest)


def _known(m: Estimates, rate: Rate, quantity: str) -> Drop | None:
    """A quantity at a rate, for the main restorer; None if it is missing or undefined."""
    restored = quantity in ("won back", "share won back")
    drop = m.drop(rate, quantity, m.restorer if restored else None)
    return None if drop is None or drop.mean is None else drop


def _range(drops: list[Drop]) -> str:
    """From the least to the most, in points."""
    means = [drop.mean for drop in drops if drop.mean is not None]
    low, high = (units.fixed(100 * end, 1) for end in (min(means), max(means)))
    return f"{low} points" if low == high else f"{low} to {high} points"


def _points(drop: Drop | None) -> str:
    return units.NONE if drop is None or drop.mean is None else _range([drop])


def _ends(drop: Drop) -> str:
    """The narrowest description of an interval: over seeds, or else over images."""
    for low, high, over in (
        (drop.seed_low, drop.seed_high, "seeds"),
        (drop.image_low, drop.image_high, "images"),
    ):
        if low is not None and high is not None:
            return f"{units.interval(low, high, decimals=0)} % over {over}"
    return ""


def _score(name: str, score: Estimate | None, aside: str) -> Figure:
    if score is None:
        return Figure(f"mIoU, {name}", Markup(units.NONE), aside)
    value = units.exact(units.percent(score.mean), f"{100 * score.mean:.4f} %")
    half = "" if score.half is None else f"± {units.fixed(100 * score.half, 1)}; "
    return Figure(f"mIoU, {name}", value, half + aside)


def _plainly(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plainly("", entry) for entry in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plainly(str(key), entry)}" for key, entry in value.items())
    if name.endswith("bytes") and isinstance(value, int):
        return units.quantity(value, "B")
    return str(value)
