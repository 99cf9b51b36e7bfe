"""What live metrics cost a run.

    python tests/benchmarks/bench_metrics.py [--runs 15]

Prints the CPU time that a host's encoder takes with its latencies counted, over the same without
(medians over runs that take turns, JPEG, 384×192: the quickest codec, so the worst case); how large a
host's report of them is; and how long the driving process takes to answer a scrape.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import tempfile
import time
from pathlib import Path

from prometheus_client import generate_latest

from fleet.codecs import JpegConfig
from fleet.encoder import Encoder
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.latency import Latencies
from fleet.scenes import ScenesConfig, write_scenes
from server.decoding import DecodeState
from server.metrics.watch import Watch


class Uncounted(Latencies):
    """Latencies that nobody counts."""

    def add(self, seconds: float) -> None:
        """Does nothing."""


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scenes = ScenesConfig(
            width=384, height=192, train_cities=1, val_cities=1, frames_per_city=12
        )
        write_scenes(scenes, root / "data", processes=1)
        data = open_data(DataConfig(root=root / "data"), root / "data")
        ratios = []
        for index in range(runs):
            kinds = [Latencies(), Uncounted()]
            times = [
                encode(data, root / f"{index}-{type(kind).__name__}", kind)
                for kind in (kinds if index % 2 else kinds[::-1])
            ]
            counted, uncounted = times if index % 2 else times[::-1]
            ratios.append(counted / uncounted)
    print(f"encoding, counted over uncounted: {statistics.median(ratios):.3f}, "
          f"from {min(ratios):.3f} to {max(ratios):.3f} over {runs} runs")  # fmt: skip
    print(f"a host's report of them: {len(pickle.dumps({'jpeg': Latencies([10**6] * 16)}))} bytes")
    watch = Watch()
    for name in "abcdefgh":
        campaign = watch.campaign(name)
        for stage in range(20):
            campaign.start(f"stage {stage}")
            campaign.observe(DecodeState({"bpg": Latencies()}))
            campaign.end("")
    started = time.process_time()
    for _ in range(100):
        size = len(generate_latest(watch.registry))
    spent = (time.process_time() - started) / 100
    print(f"a scrape of eight campaigns: {1000 * spent:.1f} ms of CPU time, {size / 1e3:.0f} kB")


def encode(data: DataSet, folder: Path, latencies: Latencies) -> float:
    """Seconds of CPU time to encode every frame at several qualities into a new folder."""
    encoder = Encoder(JpegConfig(), data.reader, folder)
    encoder._latencies = latencies
    for ref in data.train:
        encoder.pixels(ref)  # read beforehand
    started = time.process_time()
    for ref in data.train:
        for quality in range(20, 90, 5):
            encoder.encode(ref, quality)
    return time.process_time() - started


if __name__ == "__main__":
    main()
