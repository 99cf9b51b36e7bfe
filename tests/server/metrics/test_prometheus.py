"""A real Prometheus, with the config of deploy/, reads a real run, and every panel has data."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.scenes import ScenesConfig, write_scenes

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PATIENCE_S = 1100
pytestmark = pytest.mark.timeout(1200)  # half a minute where the cores are idle
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs the programs prometheus and promtool (Debian's package prometheus)",
)

CAMPAIGN: dict[str, Any] = {
    "name": "Watched",
    "budget": {"bits_per_hour": 600_000, "burst_bits": 40_000},
    "codec": {"name": "jpeg"},
    "fleet": {
        "vehicles": 3,
        "hours": 0.2,
        "capture_interval_s": 30,
        "tick_s": 5,
        "hosts": 1,
        "uplink": {"bits_per_second": 2_000, "loss": 0.1, "corruption": 0.15},
    },
    "calibration": {
        "frames": 4, "vehicles": 1, "uplink": {"bits_per_second": 100_000},
        "lossless": {"method": 0},
    },
    "restoration": {
        "restorer": {"channels": 8, "blocks": 1},
        "training": {
            "steps": 3, "warmup_steps": 1, "batch_size": 2, "crop": 64, "threads": 1,
            "discriminator": {"channels": 8, "scales": 1, "layers": 2},
        },
        "trainer": {"cpus_per_worker": 1, "report_every": 1},
    },
    "learning": {
        "configurations": ["RO", "CO"],
        "segmenter": {"encoder": "compact-small", "decoder_channels": 16},
        "training": {
            "steps": 3, "batch_size": 2, "crop_height": 64, "crop_width": 64, "threads": 1
        },
        "trainer": {"cpus_per_worker": 1, "report_every": 1},
        "pictures": 1,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that has read a whole run.

    Attributes:
        port: where it answers.
        start, end: the run's time, seconds since 1970.
        result: the run's result row.
    """

    port: int
    start: float
    end: float
    result: dict[str, Any]

    def get(self, path: str, **query: object) -> Any:
        """The `data` of an answer of its API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{query}: {error.read().decode()}")

    def over_the_run(self, query: str) -> list[dict[str, Any]]:
        """Series of a query at every second of the run."""
        found: list[dict[str, Any]] = self.get(
            "query_range", query=query, start=self.start, end=self.end, step=1
        )["result"]
        return found

    def last(self, query: str) -> float:
        """The last value of a query that gives one series."""
        (series,) = self.over_the_run(query)
        return float(series["values"][-1][1])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def adapted(folder: Path, target: str) -> Path:
    """The config of deploy/, with the run's address, quicker, and Ray's list of nodes in a folder."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    ours, rays = config["scrape_configs"]
    ours["static_configs"] = [{"targets": [target]}]
    (listed,) = rays["file_sd_configs"][0]["files"]
    nodes = folder / Path(listed).name
    nodes.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": ["127.0.0.1:1"]}]))
    rays["file_sd_configs"][0]["files"] = [str(nodes)]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("watched")
    scenes = ScenesConfig(
        width=128, height=64, train_cities=3, val_cities=1, frames_per_city=4, val_frames_per_city=2
    )
    write_scenes(scenes, folder / "data", processes=1)
    (folder / "c.yaml").write_text(
        yaml.safe_dump({**CAMPAIGN, "data": {"root": str(folder / "data")}})
    )
    command = [
        sys.executable, "-m", "server", "simulate", folder / "c.yaml", "--out", folder / "out",
        "--metrics-port", "0", "--metrics-linger", "60",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    start, port, log = time.time(), free_port(), folder / "log.txt"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=output, text=True, env=environment, cwd=folder
        ) as run,
    ):
        server = None
        try:
            assert run.stdout is not None
            target = run.stdout.readline().split("//")[1].split("/")[0]
            server = subprocess.Popen(
                [
                    "prometheus", f"--config.file={adapted(folder, target)}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
                ],
                stdout=output, stderr=output,
            )  # fmt: skip
            said, _ = run.communicate(timeout=PATIENCE_S)
            assert run.returncode == 0, said + log.read_text()
            time.sleep(2)  # for what was read last to be stored, and the rules to see it
            result = json.loads((folder / "out" / "result.json").read_text())
            yield Prometheus(port, start, time.time(), result)
        finally:
            if server is not None:
                server.terminate()
                server.wait()
            if run.poll() is None:
                run.terminate()


def panels() -> list[tuple[str, str]]:
    """Title and query of every target of every panel."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "bitfleet.json").read_text())
    return [
        (panel["title"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


@needs_prometheus
def test_every_panel_has_data(prometheus: Prometheus) -> None:
    empty = []
    for title, query in panels():
        for name, text in (
            ("$campaign", ".*"), ("$__rate_interval", "15s"), ("$__range", "15m")
        ):  # fmt: skip
            query = query.replace(name, text)
        assert "$" not in query, f"{title}: a variable that this test does not know"
        values = [value for each in prometheus.over_the_run(query) for _, value in each["values"]]
        if not any(math.isfinite(float(value)) for value in values):
            empty.append(f"{title}: {query}")
    assert not empty


@needs_prometheus
def test_the_last_values_are_the_results(prometheus: Prometheus) -> None:
    result, last = prometheus.result, prometheus.last
    road = '{campaign="Watched",stage="collect"}'
    assert last(f"bitfleet_frames_captured_total{road}") == result["frames_captured"]
    assert last(f"bitfleet_committed_bits_total{road}") == result["bits_committed"] > 0
    assert last(f"bitfleet_refused_bits_total{road}") == result["bits_refused"] > 0
    assert last(f"bitfleet_budget_used_ratio{road}") == result["budget_utilisation"]
    uploads = 'bitfleet_uploads_total{stage="collect",outcome="%s"}'
    assert last(uploads % "committed") == result["frames_delivered"]
    assert last(uploads % "refused") == result["uploads_refused"]
    assert last('bitfleet_sent_bits_total{stage="calibrate"}') == result["bits_calibration"]
    assert last("bitfleet_cost") == pytest.approx(result["cost_total"])
    for name, score in result["configurations"].items():
        assert last(f'bitfleet_miou_ratio{{configuration="{name}"}}') == score["miou"]
    assert last("bitfleet_campaigns_finished_total") == 1
    assert last("min(bitfleet_stage_progress_ratio)") == 1
    made = last('bitfleet_encode_seconds_count{stage="collect"}')
    assert 0 < made <= last(f"bitfleet_encodes_total{road}")


@needs_prometheus
def test_series_are_few_and_rules_and_targets_are_well(prometheus: Prometheus) -> None:
    assert prometheus.last('count(last_over_time({__name__=~"bitfleet_.*"}[15m]))') < 400
    (group,) = prometheus.get("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    targets = {each["labels"]["job"]: each for each in prometheus.get("targets")["activeTargets"]}
    assert targets["ray"]["discoveredLabels"]["__address__"] == "127.0.0.1:1"
    assert prometheus.last('max(max_over_time(up{job="bitfleet"}[15m]))') == 1


@needs_prometheus
def test_promtool_finds_no_fault() -> None:
    for command in ("config", "rules"):
        file = {"config": "prometheus.yml", "rules": "rules.yml"}[command]
        subprocess.run(
            ["promtool", "check", command, DEPLOY / "prometheus" / file],
            check=True,
            capture_output=True,
        )


@needs_prometheus
def test_alerts_tell_of_trouble_and_of_nothing_else(tmp_path: Path) -> None:
    """Three campaigns: `a` goes well, `b` has a third refused and buffers full, `c` stands still."""
    series = {
        'up{job="bitfleet",instance="i"}': "1x60",
        'up{job="bitfleet",instance="gone"}': "1x19 0x40",
        'bitfleet_stage_progress_ratio{instance="gone",campaign="g",stage="collect"}': "0.5x19",
        'bitfleet_stage_progress_ratio{instance="i",campaign="a",stage="collect"}': "0.5x60",
        'bitfleet_stage_progress_ratio{instance="i",campaign="b",stage="collect"}': "1x60",
        'bitfleet_stage_progress_ratio{instance="i",campaign="c",stage="collect"}': "0.5x60",
        'bitfleet_last_progress_timestamp_seconds{instance="i",campaign="a"}': "0+60x60",
        'bitfleet_last_progress_timestamp_seconds{instance="i",campaign="b"}': "0x60",
        'bitfleet_last_progress_timestamp_seconds{instance="i",campaign="c"}': "0x60",
        'bitfleet_uploads_total{instance="i",campaign="a",outcome="committed"}': "0+20x60",
        'bitfleet_uploads_total{instance="i",campaign="a",outcome="refused"}': "0+1x60",
        'bitfleet_uploads_total{instance="i",campaign="b",outcome="committed"}': "0+20x60",
        'bitfleet_uploads_total{instance="i",campaign="b",outcome="refused"}': "0+10x60",
        'bitfleet_frames_dropped_total{instance="i",campaign="a"}': "7x60",
        'bitfleet_frames_dropped_total{instance="i",campaign="b"}': "0+2x60",
    }

    def fires(alert: str, minute: int, **labels: str) -> dict[str, Any]:
        expected = [{"exp_labels": labels}] if labels else []
        return {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}

    one = {"instance": "i"}
    cases = [
        fires("UploadsRefused", 20, **one, campaign="b", severity="warning"),
        fires("FramesDropped", 20, **one, campaign="b", severity="info"),
        fires("NoProgress", 10),
        fires("NoProgress", 20, **one, campaign="c", severity="warning"),
        fires("EndpointGone", 15),
        fires("EndpointGone", 22, job="bitfleet", instance="gone", severity="warning"),
    ]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)  # how a value is worded is not this test's
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "alert_rule_test": cases,
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
