"""How fluid the dashboard is with many campaigns, in headless Chromium.

    python tests/benchmarks/bench_dashboard.py [--campaigns 10000] [--moves 20]

Prints how long the server takes to read a made-up sweep and the page to load, and the time from a
slider's move until the browser has painted the figures that it moves: median and longest of the moves,
for `bitfleet dashboard` and for `report.html`. Without a GPU, Chromium draws in software. The CPU time of
a move, of all of Chromium's processes together, tells what a busy machine hides; so does the yardstick, a
loop of 10⁸ additions in the same page, which takes about 0.1 s on an idle core.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

from server.dashboard.report import write_sweep_report
from server.dashboard.serve import open_server

MOVES = """
async (moves) => {
  const plane = document.querySelector("#plane.js-plotly-plot, #plane .js-plotly-plot");
  const slider = document.querySelector("#price-uplink_gb");
  const times = [];
  for (let n = 0; n < moves; n += 1) {
    const begun = performance.now();
    const drawn = new Promise((done) => plane.once("plotly_afterplot", done));
    slider.value = 40 + 5 * n;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await drawn;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - begun);
  }
  return times;
}
"""
SPIN = """() => {
  const begun = performance.now();
  let sum = 0;
  for (let n = 0; n < 1e8; n += 1) sum += n;
  return [performance.now() - begun, sum];
}"""


def cpu_seconds() -> float:
    """CPU time that Chromium's processes have used so far."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                times = process.cpu_times()
                used += times.user + times.system
    return used


def synthetic() -> Any:
    """The maker of made-up sweeps, which lies among the tests."""
    path = Path(__file__).parents[1] / "server" / "dashboard" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["synthetic"] = module
    spec.loader.exec_module(module)
    return module


def measure(page: Page, address: str, what: str, moves: int) -> None:
    """Prints the load and the moves of one page."""
    begun = time.perf_counter()
    page.goto(address, timeout=120_000)
    page.wait_for_selector("#points tbody tr", timeout=120_000)
    page.wait_for_function("document.querySelector('#plane .main-svg')", timeout=120_000)
    loaded = time.perf_counter() - begun
    page.wait_for_timeout(3000)
    spin, before = page.evaluate(SPIN)[0], cpu_seconds()
    times = page.evaluate(MOVES, moves)
    cpu = 1000 * (cpu_seconds() - before) / moves
    print(
        f"{what}: loaded in {loaded:.1f} s; a slider move {statistics.median(times):.0f} ms "
        f"(median of {moves}, longest {max(times):.0f}), {cpu:.0f} ms of CPU; yardstick {spin / 1000:.2f} s"
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--moves", type=int, default=20)
    options = parser.parse_args()
    made = synthetic()
    side = max(1, round((options.campaigns / 2) ** 0.5))
    grid = made.Grid(
        vehicles=range(2, 2 + side), bits_per_hour=range(50_000, 50_000 + 9_000 * side, 9_000),
        codecs=("bpg", "jpeg"), seeds=(0,), configurations=("CO", "RO"),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        sweep = made.write_flat_sweep(Path(folder) / "sweep", grid)
        print(f"{2 * side * side:,} campaigns, each of 2 configurations and a point of its own")
        begun = time.perf_counter()
        server = open_server(sweep, "127.0.0.1", 0)
        print(f"server: reads them in {time.perf_counter() - begun:.1f} s")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        measure(
            page, f"http://127.0.0.1:{server.server_port}/", "bitfleet dashboard", options.moves
        )
        report = write_sweep_report(sweep)
        print(f"report.html: {report.stat().st_size / 1e6:.1f} MB")
        measure(page, report.as_uri(), "report.html", options.moves)
        chromium.close()
        server.shutdown()


if __name__ == "__main__":
    main()
