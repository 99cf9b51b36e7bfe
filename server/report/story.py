"""What the page says in words and figures: headline, key figures, the way of a frame, the bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from fleet.frames.labels import CLASSES
from server.report import units
from server.report.result import Result
from server.report.tables import LedgerRow


@dataclass(frozen=True)
class Figure:
    """A key figure: what it is, its value, and what puts it in proportion."""

    name: str
    value: Markup
    aside: str = ""


@dataclass(frozen=True)
class Loss:
    """Frames that went no further, and why."""

    frames: int
    reason: str


@dataclass(frozen=True)
class Step:
    """One step of the way of a frame: how many got there, how many did not."""

    name: str
    frames: int
    share: float
    losses: Sequence[Loss] = field(default_factory=tuple)


def headline(result: Result) -> Markup:
    """The campaign's answer in one sentence."""
    bpp = "" if result.bpp_mean is None else f" ({units.significant(result.bpp_mean, 2)} bpp)"
    miou = "no mIoU" if result.miou is None else f"mIoU {units.percent(result.miou)}"
    who = f"{units.count(result.vehicles)} vehicle{'' if result.vehicles == 1 else 's'}"
    return Markup(
        "{} spent <strong>{}{}</strong> → <strong>{} {}</strong>{}; total cost <strong>{}</strong>"
    ).format(
        who,
        units.quantity(result.bits_sent, "bit"),
        bpp,
        result.configuration,
        miou,
        against_originals(result),
        units.money(result.cost_total, result.currency),
    )


def against_originals(result: Result) -> str:
    """How far the primary configuration stands from OO, as the end of a sentence; or nothing."""
    reference = result.miou_of("OO")
    if result.configuration == "OO" or reference is None or result.miou is None:
        return ""
    gap = round(100 * (reference - result.miou), 1)
    if gap == 0:
        return ", level with OO"
    return f", {abs(gap):.1f} points {'below' if gap > 0 else 'above'} OO"


def figures(result: Result) -> list[Figure]:
    """The key figures, most important first."""
    e, money = units.exact, result.currency
    score = "–" if result.miou is None else f"{100 * result.miou:.4f} %"
    saved = ""
    if result.cost_originals:
        saved = (
            f"{units.percent(result.cost_total / result.cost_originals)} of collecting originals"
        )
    per_frame = (
        ""
        if result.encodes_per_frame is None
        else f"{result.encodes_per_frame:.2f} encodes a frame"
    )
    rate = "" if result.bpp_mean is None else f"mean {result.bpp_mean:.4f} bpp"
    if result.quality_mean is not None:
        rate += f", quality {result.quality_mean:.1f}"
    structural = "none: frames too small" if result.ms_ssim is None else f"{result.ms_ssim:.4f}"
    used = result.budget_utilisation
    return [
        Figure(
            f"mIoU, {result.configuration}",
            e(units.percent(result.miou), score),
            against_originals(result).lstrip(", "),
        ),
        Figure(
            "Total cost",
            e(units.money(result.cost_total, money), f"{units.plain(result.cost_total)} {money}"),
            saved,
        ),
        Figure(
            "Bits sent",
            e(units.quantity(result.bits_sent, "bit"), f"{result.bits_sent:,} bit"),
            rate.lstrip(", "),
        ),
        Figure(
            "Bit budget used",
            e(units.percent(used), "no budget" if used is None else f"{100 * used:.4f} %"),
            per_frame,
        ),
        Figure(
            "Frames delivered",
            e(units.count(result.frames_delivered), f"{result.frames_delivered:,}"),
            f"of {units.count(result.frames_captured)} captured",
        ),
        Figure(
            "PSNR",
            e(units.fixed(result.psnr, 1, "dB"), units.fixed(result.psnr, 4, "dB")),
            f"MS-SSIM {structural}",
        ),
    ]


def way_of_a_frame(result: Result) -> list[Step]:
    """Captured → encoded → delivered → trained, with what was lost at each step."""
    skipped, delivered = result.frames_skipped_over_budget, result.frames_delivered
    encoded = max(result.frames_captured - skipped, 0)
    losses = [
        Loss(result.frames_dropped_buffer, "dropped: the buffer was full"),
        Loss(result.frames_left_aboard, "left aboard at the end of the campaign"),
    ]
    rest = encoded - delivered - sum(loss.frames for loss in losses)
    # A refused upload may be sent again and delivered: it is not always a lost frame.
    refused = min(max(rest, 0), result.uploads_refused)
    losses += [
        Loss(refused, "lost to refused uploads"),
        Loss(rest - refused, "not delivered, no reason recorded"),
    ]
    idle = Loss(delivered - result.frames_trained, "delivered, not trained on")
    steps: list[tuple[str, int, list[Loss]]] = [
        ("captured", result.frames_captured, []),
        ("encoded", encoded, [Loss(skipped, "skipped: over the bit budget at any quality")]),
        ("delivered", delivered, losses),
        ("trained", result.frames_trained, [idle]),
    ]
    most = max(result.frames_captured, 1)
    return [
        Step(name, frames, min(frames / most, 1.0), [loss for loss in lost if loss.frames > 0])
        for name, frames, lost in steps
    ]


def refusals(result: Result) -> str:
    """How many uploads were refused, and why."""
    if not result.uploads_refused:
        return "No upload was refused."
    named = sorted(result.refusals.items(), key=lambda item: (-item[1], item[0]))
    why = ", ".join(f"{reason} {units.count(number)}" for reason, number in named if number)
    text = f"{units.count(result.uploads_refused)} of the uploads refused and kept aside"
    return f"{text}: {why}." if why else f"{text}."


def bits(result: Result) -> list[tuple[str, int]]:
    """The bits sent, by what became of them."""
    return [
        ("committed bitstreams", result.bits_committed),
        ("retransmissions", result.bits_retransmitted),
        ("refused uploads", result.bits_refused),
        ("calibration frames", result.bits_calibration),
        ("unfinished at the end", result.bits_unfinished),
    ]


def budget(result: Result) -> list[tuple[str, str]]:
    """The limits of a vehicle's bit budget that are set."""
    limits = result.budget
    named = [
        ("a frame", limits.bits_per_frame),
        ("an hour", limits.bits_per_hour),
        ("burst", limits.burst_bits),
        ("the campaign", limits.campaign_bits),
    ]
    scaled = [
        (name, limit, *units.scale(limit, "bit")) for name, limit in named if limit is not None
    ]
    return [(name, f"{units.plain(limit / by, 4)} {unit}") for name, limit, by, unit in scaled]


def class_order(result: Result) -> list[str]:
    """Every class, best first in the primary configuration; the absent ones last."""
    seen = [name for _, scores in result.listed() for name in scores.iou_per_class]
    names = list(dict.fromkeys([*(name for name in CLASSES if name in seen), *sorted(seen)]))

    def rank(name: str) -> tuple[bool, float]:
        found = [s.iou_per_class.get(name) for _, s in result.listed()]
        iou = result.iou_per_class.get(name)
        return all(value is None for value in found), -(0.0 if iou is None else iou)

    return sorted(names, key=rank)


def sums_up(rows: Sequence[LedgerRow], total: float) -> str:
    """Whether the ledger's items sum to the total cost; a difference is said, not hidden."""
    difference = sum(row.cost for row in rows) - total
    if abs(difference) <= 1e-6 * max(abs(total), 1.0):
        return ""
    return f"The items differ from the campaign's total cost by {units.plain(difference, 6)}."
