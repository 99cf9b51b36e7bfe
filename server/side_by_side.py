"""What a person sees while many campaigns run: which are at work, what is done, what is left."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from server.figures import Figures
from server.metrics.watch import Watch

_PLAIN_EVERY_S = 15.0
"""Seconds between two lines about running stages where there is no terminal."""
_SHOWN = 12
"""Stages shown on a terminal that ended last."""


class Stopped(Exception):
    """The whole ends; whoever still works on it is to stop."""


class JobsProgress:
    """Shows jobs that run side by side. Safe to be told from several threads.

    Attributes:
        total: jobs in all.
        watch: what live metrics are served from, if they are.
        stop: set to make every job stop at its next word.
        note: a line that stands below the others, such as what is best so far.
    """

    def __init__(
        self, console: Console, total: int, watch: Watch | None = None, noun: str = "jobs"
    ) -> None:
        self.total, self.note = total, ""
        self.watch = watch
        self._noun = noun
        self.stop = threading.Event()
        self._console = console
        self._guard = threading.Lock()
        self._running: dict[str, str] = {}
        self._ended: deque[Text] = deque(maxlen=_SHOWN)
        self._done = self._found = 0
        self._live: Live | None = None
        self._started = self._printed = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Shows progress for as long as the context lasts."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, get_renderable=self._render) as live:
            self._live = live
            yield

    def job(self, label: str) -> JobProgress:
        """What a job tells its progress to."""
        return JobProgress(self, label)

    def tell(self, label: str, line: str) -> None:
        """What a job is at.

        Raises:
            Stopped: the study ends.
        """
        if self.stop.is_set():
            raise Stopped(label)
        with self._guard:
            self._running[label] = line
            now = time.monotonic()
            if self._live is not None or now - self._printed < _PLAIN_EVERY_S:
                return
            self._printed = now
            running = "; ".join(f"{name}: {what}" for name, what in self._running.items())
            self._say(f"  {self._where()}  {running}")

    def ended(self, label: str, line: str | None) -> None:
        """A stage of a job ended; None: there is nothing to be said of it."""
        with self._guard:
            self._running.pop(label, None)
            if line is None:
                return
            self._ended.append(Text("✓ ", "green") + Text(f"{label}: {line}"))
            if self._live is None:
                self._say(f"✓ {label}: {line}")

    def found(self, jobs: int) -> None:
        """So many jobs were through before this run began; they say nothing of how long one takes."""
        with self._guard:
            self._done += jobs
            self._found += jobs

    def finished(self, label: str, fault: str | None = None) -> None:
        """A job is through, or ended with a fault."""
        with self._guard:
            self._running.pop(label, None)
            self._done += 1
            if self.watch is not None:
                self.watch.finished()
            if fault is not None:
                self._ended.append(Text("✗ ", "red") + Text(f"{label}: {fault}"))
            if self._live is None:
                mark, what = ("✓", label) if fault is None else ("✗", f"{label}: {fault}")
                note = f"; {self.note}" if self.note else ""
                self._say(f"{mark} {what}  ({self._where()}{note})")

    def _where(self) -> str:
        """How many jobs are done, and how long the others may take if they are like those."""
        spent = time.monotonic() - self._started
        text = f"{self._done} of {self.total} {self._noun}, {_duration(spent)}"
        made = self._done - self._found
        if made and self._done < self.total:
            left = spent / made * (self.total - self._done)
            text += f", about {_duration(left)} left"
        return text

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        with self._guard:
            running = [
                Text("● ", "cyan") + Text(f"{label}: {line}")
                for label, line in self._running.items()
            ]
            note = [Text(self.note)] if self.note else []
            return Group(*self._ended, *running, Text(self._where(), "bold"), *note)


class JobProgress:
    """One job's part of the progress; a `server.progress.Teller`."""

    def __init__(self, jobs: JobsProgress, label: str) -> None:
        self._jobs, self._label = jobs, label
        self._watch = jobs.watch.campaign(label) if jobs.watch is not None else None
        self._stage, self._started = "", 0.0

    def start(self, stage: str) -> None:
        """Begins a stage."""
        if self._watch is not None:
            self._watch.start(stage)
        self._stage, self._started = stage, time.monotonic()
        self._jobs.tell(self._label, stage)

    def update(self, share: float, details: str) -> None:
        """Tells how far the running stage is: a share in [0, 1] and a few words."""
        if self._watch is not None:
            self._watch.update(share, details)
        self._jobs.tell(self._label, f"{self._stage} {share:.0%} {details}")

    def observe(self, figures: Figures) -> None:
        """Tells figures of the running stage."""
        if self._watch is not None:
            self._watch.observe(figures)

    def end(self, details: str, reused: bool = False) -> None:
        """Ends the running stage; what was found rather than made is not worth a line."""
        if self._watch is not None:
            self._watch.end(details, reused)
        seconds = time.monotonic() - self._started
        line = None if reused else f"{self._stage}: {details}  ({seconds:.1f} s)"
        self._jobs.ended(self._label, line)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
