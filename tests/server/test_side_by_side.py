"""What a person reads while a study runs, and how its jobs are stopped."""

from __future__ import annotations

import io
import threading

import pytest
from prometheus_client import generate_latest
from rich.console import Console

from server import side_by_side
from server.figures import Evaluated
from server.metrics.watch import Watch
from server.side_by_side import JobsProgress, Stopped


def plain(total: int = 4) -> tuple[JobsProgress, io.StringIO]:
    """A progress that prints plain lines, as into a log."""
    text = io.StringIO()
    return JobsProgress(Console(file=text, width=40), total), text


def test_plain_lines_say_which_job_what_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_PLAIN_EVERY_S", 0.0)
    progress, text = plain()
    one, other = progress.job("bpg 50 seed 0"), progress.job("bpg 42 [50 %] seed 1")
    with progress.shown():
        one.start("train on C")
        other.start("collect")
        one.update(0.25, "step 5/20  loss 2.345")
        other.end("72 frames, 0.31 Mbit committed")
        one.end("20 steps")
        progress.finished("bpg 50 seed 0")
    assert text.getvalue().splitlines() == [
        "  0 of 4 jobs, 0 s  bpg 50 seed 0: train on C",
        "  0 of 4 jobs, 0 s  bpg 50 seed 0: train on C; bpg 42 [50 %] seed 1: collect",
        "  0 of 4 jobs, 0 s  bpg 50 seed 0: train on C 25% step 5/20  loss 2.345; "
        "bpg 42 [50 %] seed 1: collect",
        "✓ bpg 42 [50 %] seed 1: collect: 72 frames, 0.31 Mbit committed  (0.0 s)",
        "✓ bpg 50 seed 0: train on C: 20 steps  (0.0 s)",
        "✓ bpg 50 seed 0  (1 of 4 jobs, 0 s, about 0 s left)",
    ]


def test_running_stages_are_told_now_and_then_only() -> None:
    progress, text = plain()
    job = progress.job("one")
    job.start("train on C")
    for step in range(1000):
        job.update(step / 1000, "")
    assert text.getvalue() == ""


def test_what_was_found_is_neither_told_nor_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, text = plain()
    found = progress.job("data")
    found.start("scenes")
    found.end("procedural street scenes", reused=True)
    monkeypatch.setattr(side_by_side, "_PLAIN_EVERY_S", 0.0)
    progress.job("one").start("collect")
    assert text.getvalue() == "  0 of 4 jobs, 0 s  one: collect\n"


def test_on_a_terminal_what_ended_and_what_runs() -> None:
    text = io.StringIO()
    progress = JobsProgress(Console(file=text, force_terminal=True, width=100), 2)
    with progress.shown():
        one, other = progress.job("one"), progress.job("other")
        one.start("train on C")
        one.end("20 steps")
        other.start("collect")
    shown = text.getvalue()
    for words in ("one: train on C: 20 steps", "other: collect", "0 of 2 jobs"):
        assert words in shown


def test_after_a_stop_every_word_raises() -> None:
    progress, _ = plain()
    job = progress.job("one")
    job.start("train on C")
    progress.stop.set()
    with pytest.raises(Stopped):
        job.update(0.5, "step 1/2")
    with pytest.raises(Stopped):
        progress.job("other").start("collect")
    job.end("20 steps")  # what is done is done


def test_it_may_be_told_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_PLAIN_EVERY_S", 0.0)
    progress, text = plain(8)

    def work(label: str) -> None:
        job = progress.job(label)
        for stage in range(50):
            job.start(f"stage {stage}")
            job.update(0.5, "half")
            job.end("done")
        progress.finished(label)

    threads = [threading.Thread(target=work, args=(f"job {index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = text.getvalue().splitlines()
    assert len(lines) == 8 * (3 * 50 + 1)
    assert sum("8 of 8 jobs" in line for line in lines) == 1
    assert "left" not in lines[-1]


def test_live_metrics_are_told_what_jobs_tell() -> None:
    watch = Watch()
    watch.expect(2, "Study")
    progress = JobsProgress(Console(file=io.StringIO()), 2, watch)
    for label, miou in (("bpg 42 seed 0", 0.25), ("bpg 42 seed 1", 0.5)):
        job = progress.job(label)
        job.start("evaluate CO")
        job.update(0.5, "")
        job.observe(Evaluated("CO", miou))
        job.end("", reused=True)
        progress.finished(label)
    text = generate_latest(watch.registry).decode()
    for line in (
        'bitfleet_miou_ratio{campaign="Study: bpg 42 seed 0",configuration="CO"} 0.25',
        'bitfleet_miou_ratio{campaign="Study: bpg 42 seed 1",configuration="CO"} 0.5',
        'bitfleet_stages_ended_total{campaign="Study: bpg 42 seed 0",outcome="found"} 1.0',
        "bitfleet_campaigns_finished_total 2.0",
    ):
        assert line in text.splitlines()
