"""`bitfleet simulate`: one campaign on a cluster, with its progress and its result on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.errors import InputError
from models.segmenter_training import TrainingDiverged
from server.campaign import CampaignConfig
from server.metrics.watch import Watch
from server.pipeline import Pipeline
from server.progress import Progress
from server.stages import ArtifactStore


def simulate(
    config: CampaignConfig,
    out: Path,
    store: Path,
    command: str,
    console: Console | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Runs a campaign and shows it; gives the result row.

    Args:
        config: the campaign.
        out: the campaign's folder.
        store: folder of artifacts.
        command: the command line, for the provenance.
        console: where to show it; default: the standard output.
        watch: what live metrics are served from.

    Raises:
        InputError: config and data do not go together, a file is bad, a folder cannot be written, or
            training diverges.
    """
    console = console or Console()
    progress = Progress(console)
    if watch is not None:
        watch.expect(1)
        progress.listeners.append(watch.campaign(config.name))
    console.print(Text(config.name, "bold") + Text(f": {_story(config)}"), soft_wrap=True)
    pipeline = Pipeline(config, out.resolve(), ArtifactStore(store), progress, command)
    with progress.shown():
        try:
            result = pipeline.run()
        except TrainingDiverged as error:
            raise InputError(str(error)) from None
    if watch is not None:
        watch.finished()
    _show(result, out, console)
    return result


def _story(config: CampaignConfig) -> str:
    budget, fleet = config.budget, config.fleet
    limits = []
    if budget.bits_per_frame is not None:
        limits.append(f"{_bits(budget.bits_per_frame)} a frame")
    if budget.bits_per_hour is not None:
        limits.append(f"{_bits(budget.bits_per_hour)} an hour")
    if budget.campaign_bits is not None:
        limits.append(f"{_bits(budget.campaign_bits)} in all")
    codecs = " and ".join(codec.name for codec in config.codecs)
    return (
        f"{fleet.vehicles} vehicles × {fleet.hours:g} h, a frame every "
        f"{fleet.capture_interval_s:g} s, codec {codecs}, {', '.join(limits)}"
    )


def _show(result: dict[str, Any], out: Path, console: Console) -> None:
    """The result as a table."""
    title = Text(f"{result['name']}: what the bits bought")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name, score in result["configurations"].items():
        table.add_row(f"{name} mIoU", f"{100 * score['miou']:.2f} %")
    bpp, psnr = result["bpp_mean"], result["psnr"]
    table.add_section()
    table.add_row("frames captured", f"{result['frames_captured']:,}")
    table.add_row("frames delivered", f"{result['frames_delivered']:,}")
    table.add_row("frames trained on", f"{result['frames_trained']:,}")
    table.add_row("uploads refused", f"{result['uploads_refused']:,}")
    table.add_section()
    table.add_row("bits sent", f"{result['bits_sent']:,}")
    table.add_row("mean rate", "—" if bpp is None else f"{bpp:.4f} bpp")
    table.add_row("PSNR", "—" if psnr is None else f"{psnr:.2f} dB")
    table.add_row("budget used", f"{100 * result['budget_utilisation']:.1f} %")
    table.add_row("encodes a frame", f"{result['encodes_per_frame']:.2f}")
    table.add_section()
    for item, cost in result["cost"].items():
        if cost > 0:
            table.add_row(item, f"{_money(cost)} {result['currency']}")
    total = f"{_money(result['cost_total'])} {result['currency']}"
    table.add_row(Text("total cost", "bold"), Text(total, "bold"))
    console.print(table)
    console.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)


def _money(amount: float) -> str:
    """Two decimals, or two significant digits of what is less than a cent."""
    return f"{amount:,.2f}" if amount >= 0.01 or amount == 0 else f"{amount:.2g}"


def _bits(bits: int) -> str:
    for unit, size in (("Gbit", 1e9), ("Mbit", 1e6), ("kbit", 1e3)):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits} bit"
