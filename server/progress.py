"""What a person sees while a campaign runs: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from server.figures import Figures

_PLAIN_EVERY_S = 10.0
"""Seconds between two lines of a running stage where there is no terminal."""


class Teller(Protocol):
    """Who is told how a campaign's stages go."""

    def start(self, stage: str) -> None:
        """Begins a stage."""

    def update(self, share: float, details: str) -> None:
        """Tells how far the running stage is: a share in [0, 1] and a few words."""

    def observe(self, figures: Figures) -> None:
        """Tells figures of the running stage, for those who count."""

    def end(self, details: str, reused: bool = False) -> None:
        """Ends the running stage with a summary of what came of it."""


class Progress:
    """Shows the stages of a campaign, one line each: state, share done, details, time.

    Others who are told the same, such as `server.status.StatusFile`, are appended to `listeners`.

    Attributes:
        listeners: who is told the same.
        seconds: time of each stage that ended, by name, with whether it was found rather than made.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[tuple[Text, ...]] = []
        self._live: Live | None = None
        self._stage = ""
        self._started = 0.0
        self._printed = 0.0
        self.listeners: list[Teller] = []
        self.seconds: dict[str, dict[str, float | bool]] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows progress for as long as the context lasts."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._render(), console=self._console, refresh_per_second=4) as self._live:
            yield

    def start(self, stage: str) -> None:
        """Begins a stage."""
        self._stage, self._started, self._printed = stage, time.monotonic(), 0.0
        for listener in self.listeners:
            listener.start(stage)
        self._show(0.0, "")

    def update(self, share: float, details: str) -> None:
        """Tells how far the running stage is: a share in [0, 1] and a few words."""
        for listener in self.listeners:
            listener.update(share, details)
        self._show(share, details)

    def observe(self, figures: Figures) -> None:
        """Tells figures of the running stage to the listeners."""
        for listener in self.listeners:
            listener.observe(figures)

    def _show(self, share: float, details: str) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._render(share, details))
        elif details and now - self._printed >= _PLAIN_EVERY_S:
            self._printed = now
            self._say(f"  {self._stage}: {share:4.0%}  {details}")

    def end(self, details: str, reused: bool = False) -> None:
        """Ends the running stage with a summary of what came of it."""
        seconds = time.monotonic() - self._started
        for listener in self.listeners:
            listener.end(details, reused)
        self.seconds[self._stage] = {"seconds": round(seconds, 3), "reused": reused}
        took = "found" if reused else f"{seconds:.1f} s"
        self._lines.append(
            (Text("✓", "green"), Text(self._stage, "bold"), Text(details), Text(took, "dim"))
        )
        if self._live is not None:
            self._live.update(self._render())
        else:
            self._say(f"✓ {self._stage}: {details}  ({took})")
        self._stage = ""

    def _say(self, line: str) -> None:
        """Prints a plain line as it is: a log has no width."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _render(self, share: float = 0.0, details: str = "") -> Table:
        table = Table.grid(padding=(0, 2))
        for line in self._lines:
            table.add_row(*line)
        if self._stage:
            done = round(20 * min(1.0, share))
            bar = Text("━" * done, "cyan") + Text("━" * (20 - done), "dim")
            table.add_row(
                Text("●", "cyan"),
                Text(self._stage, "bold"),
                bar + Text(f" {share:4.0%}  {details}"),
                Text(f"{time.monotonic() - self._started:.0f} s", "dim"),
            )
        return table
