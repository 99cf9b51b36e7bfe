"""What a scrape says of what campaigns told."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fleet.latency import Latencies
from fleet.shard import Counters
from models.training_config import StepReport
from server.collection import FleetState
from server.collector import Collected, Taken
from server.costs import PriceConfig, Quantities, total_cost
from server.decoding import DecodeState
from server.figures import CostSoFar, Evaluated, RunningCost, on_the_road, unpacked
from server.metrics.watch import CampaignWatch, Watch

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by the sample's name and sorted labels."""


def fleet(vehicles: int = 3, **totals: int) -> FleetState:
    encoded, stored = Latencies(), Latencies()
    for seconds in (0.004, 0.004, 0.3):
        encoded.add(seconds)
    stored.add(0.015)
    return FleetState(
        vehicles=vehicles,
        share=0.5,
        hours=0.25,
        totals={each.name: totals.get(each.name, 0) for each in fields(Counters)},
        buffer_bytes=1234,
        links_up=vehicles - 1,
        bits_granted=4000,
        waiting=7,
        taken=Taken(
            Collected(5, 800, {"digest does not match": 2, "no such frame": 1}, 90), stored
        ),
        encoding={"bpg": encoded},
    )


def tell_all(campaign: CampaignWatch, vehicles: int = 3) -> None:
    """One of every kind of figure."""
    campaign.start("collect")
    campaign.observe(fleet(vehicles, captured=9, delivered=8, bits_sent=1000))
    campaign.update(0.5, "")
    campaign.observe(CostSoFar(1.25, "EUR"))
    campaign.end("")
    campaign.start("decode")
    decoded = Latencies()
    decoded.add(0.02)
    campaign.observe(DecodeState({"bpg": decoded}))
    campaign.end("", reused=True)
    campaign.start("train on C")
    for step in range(1, 4):
        campaign.observe(StepReport(step, 4, 2.0 / step, 1e-3, 0.1))
        campaign.update(step / 4, "")
    campaign.observe(Evaluated("CO", 0.375))


@pytest.fixture
def watch() -> Watch:
    return Watch()


def read(watch: Watch) -> Samples:
    """What a scrape gives, through Prometheus' own text format."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(watch.registry).decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(samples: Samples, name: str, **labels: Any) -> float:
    return samples[f"bitfleet_{name}", tuple(sorted(labels.items()))]


def test_every_figure_is_served_with_its_labels(watch: Watch) -> None:
    watch.expect(1)
    tell_all(watch.campaign("one"))
    watch.finished()
    samples = read(watch)
    road = {"campaign": "one", "stage": "collect"}
    assert value(samples, "campaigns") == value(samples, "campaigns_finished_total") == 1
    assert value(samples, "stage_progress_ratio", **road) == 1
    assert value(samples, "stage_progress_ratio", campaign="one", stage="train on C") == 0.75
    assert value(samples, "stages_ended_total", campaign="one", outcome="made") == 1
    assert value(samples, "stages_ended_total", campaign="one", outcome="found") == 1
    assert value(samples, "vehicles", **road) == 3
    assert value(samples, "vehicles_online", **road) == 2
    assert value(samples, "simulated_seconds", **road) == 900
    assert value(samples, "frames_captured_total", **road) == 9
    assert value(samples, "sent_bits_total", **road) == 1000
    assert value(samples, "budget_used_ratio", **road) == 0.25
    assert value(samples, "buffer_bytes", **road) == 1234
    assert value(samples, "queue_uploads", **road) == 7
    assert value(samples, "uploads_total", **road, outcome="committed") == 5
    assert value(samples, "uploads_total", **road, outcome="refused") == 3
    assert value(samples, "committed_bits_total", **road) == 800
    assert value(samples, "commit_seconds_count", **road) == 1
    assert value(samples, "decode_seconds_sum", campaign="one", codec="bpg") == 0.02
    assert value(samples, "training_loss", campaign="one", stage="train on C") == 2 / 3
    assert value(samples, "training_step", campaign="one", stage="train on C") == 3
    assert value(samples, "miou_ratio", campaign="one", configuration="CO") == 0.375
    assert value(samples, "cost", campaign="one", currency="EUR") == 1.25


def test_histograms_count_all_that_are_shorter(watch: Watch) -> None:
    tell_all(watch.campaign("one"))
    samples = read(watch)
    where = {"campaign": "one", "stage": "collect", "codec": "bpg"}
    buckets = {
        bound: value(samples, "encode_seconds_bucket", **where, le=bound)
        for bound in ("0.002", "0.005", "0.2", "0.5", "+Inf")
    }
    assert buckets == {"0.002": 0, "0.005": 2, "0.2": 2, "0.5": 3, "+Inf": 3}
    assert value(samples, "encode_seconds_count", **where) == 3
    assert value(samples, "encode_seconds_sum", **where) == pytest.approx(0.308)


def test_series_do_not_grow_with_vehicles_or_steps(watch: Watch) -> None:
    tell_all(watch.campaign("one"), vehicles=3)
    few = set(read(watch))
    tell_all(watch.campaign("one"), vehicles=3000)
    assert set(read(watch)) == few
    assert len(few) < 120


def test_campaigns_side_by_side_are_kept_apart(watch: Watch) -> None:
    watch.expect(2, "study")
    first, second = watch.campaign("a"), watch.campaign("b")
    first.start("collect")
    second.start("collect")
    first.observe(fleet(captured=1))
    second.observe(fleet(captured=2))
    samples = read(watch)
    for name, captured in (("study: a", 1), ("study: b", 2)):
        where = {"campaign": name, "stage": "collect"}
        assert value(samples, "frames_captured_total", **where) == captured
    assert watch.campaign("a") is first


def test_two_watches_in_a_process_know_nothing_of_each_other() -> None:
    first, second = Watch(), Watch()
    tell_all(first.campaign("one"))
    assert not [key for key in read(second) if ("campaign", "one") in key[1]]


def test_of_many_campaigns_those_at_work_and_the_last_stay(watch: Watch) -> None:
    watch.campaign("at work").start("collect")
    for index in range(30):
        campaign = watch.campaign(f"c{index}")
        campaign.start("collect")
        campaign.end("")
    there = {dict(labels).get("campaign") for _, labels in read(watch)} - {None}
    assert there == {"at work", *(f"c{index}" for index in range(22, 30))}
    again = watch.campaign("c0")
    again.start("decode")
    assert value(read(watch), "stage_progress_ratio", campaign="c0", stage="decode") == 0


def test_names_have_the_prefix_and_a_help_text(watch: Watch) -> None:
    tell_all(watch.campaign("one"))
    for family in text_string_to_metric_families(generate_latest(watch.registry).decode()):
        assert family.name.startswith("bitfleet_")
        assert family.documentation.endswith("."), family.name
        assert not {label for sample in family.samples for label in sample.labels} - {
            "campaign", "stage", "codec", "configuration", "outcome", "currency", "le"
        }  # fmt: skip


def test_dashboard_and_rules_name_only_metrics_that_there_are(watch: Watch) -> None:
    tell_all(watch.campaign("one"))
    there = {name for name, _ in read(watch)}
    for path in ("grafana/dashboards/bitfleet.json", "prometheus/rules.yml"):
        text = re.sub(r"campaign:bitfleet_\w+", "", (DEPLOY / path).read_text())
        named = set(re.findall(r"bitfleet_\w+", text))
        assert named
        assert named <= there, path


def test_the_dashboard_finds_its_data_source_and_is_found() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "bitfleet.json").read_text())
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == source["type"] == "prometheus"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == "${datasource}"
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounts = [each.split(":")[:2] for one in services.values() for each in one["volumes"]]
    inside = {place for source, place in mounts if source.startswith("./")}
    assert all((DEPLOY / source).is_dir() for source, _ in mounts if source.startswith("./"))
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "bitfleet.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] in inside
    assert source["url"].removeprefix("http://") in " ".join(services["prometheus"]["command"])


def test_the_running_cost_is_what_the_ledger_makes_of_the_same_quantities() -> None:
    prices = PriceConfig(uplink_gb=4e6, calibration_gb=7e6, encoded_gigapixel=3.0)
    state = fleet(bits_sent=1000, bits_retransmitted=60, bits_unfinished=50, pixels_encoded=10**9)
    calibration = replace(fleet(vehicles=2, bits_sent=5000), hours=0.5)
    running = RunningCost(prices)
    first = running.of("collect", on_the_road(state, calibration=False))
    running.of("calibrate", on_the_road(calibration, calibration=True))
    last = running.of("decode", unpacked(frames_annotated=3, pixels_decoded=10**6))
    quantities = Quantities(
        vehicle_hours=3 * 0.25 + 2 * 0.5,
        bits_committed=800,
        bits_retransmitted=60,
        bits_refused=90,
        bits_calibration=5000,
        bits_unfinished=50,
        frames_annotated=3,
        pixels_encoded=10**9,
        pixels_decoded=10**6,
        pixels_trained=0,
        bits_calibration_stored=800,
    )
    assert last.cost == pytest.approx(total_cost(quantities, prices))
    assert 0 < first.cost < last.cost
    assert running.of("decode", unpacked(3, 10**6)) == last, "told again, it is not added again"
