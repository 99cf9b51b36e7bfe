"""A campaign's figures as Prometheus metric families: names, units, help texts, labels.

Labels are campaign, stage, codec, configuration and outcome, and of the cost its currency. Nothing
has a vehicle's, a frame's or a host's name in it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fleet.latency import BOUNDS_S, Latencies
from models.training_config import StepReport
from server.collection import FleetState
from server.decoding import DecodeState
from server.figures import CostSoFar


@dataclass
class StageFigures:
    """A stage: when it began and ended (monotonic seconds), and how much of it is done, in [0, 1]."""

    began: float
    share: float = 0.0
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began


@dataclass
class CampaignFigures:
    """The latest figures of a campaign.

    Attributes:
        stages, fleets, steps: by stage, as far as they have any.
        ended: stages that ended, by whether their artifact was `made` or `found`.
        decoding: of the decode stage.
        miou: by configuration, in [0, 1].
        cost: what it cost so far.
        told: when anything was last heard of it, seconds since 1970.
    """

    stages: dict[str, StageFigures] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    fleets: dict[str, FleetState] = field(default_factory=dict)
    decoding: DecodeState | None = None
    steps: dict[str, StepReport] = field(default_factory=dict)
    miou: dict[str, float] = field(default_factory=dict)
    cost: CostSoFar | None = None
    told: float = 0.0

    @property
    def running(self) -> bool:
        """Whether a stage is at work."""
        return any(stage.ended is None for stage in self.stages.values())


def run_families(asked: int, done: int) -> Iterator[Metric]:
    """How many campaigns the process was asked for, and how many are through."""
    yield GaugeMetricFamily("bitfleet_campaigns", "Campaigns that this process runs.", asked)
    yield CounterMetricFamily(
        "bitfleet_campaigns_finished_total", "Campaigns of this process that are through.", done
    )


def campaign_families(campaigns: Mapping[str, CampaignFigures]) -> Iterator[Metric]:
    """All families of all campaigns."""
    yield from _stage_families(campaigns)
    yield from _fleet_families(campaigns)
    yield from _latency_families(campaigns)
    yield from _learning_families(campaigns)


def _stage_families(campaigns: Mapping[str, CampaignFigures]) -> Iterator[Metric]:
    labels = ["campaign", "stage"]
    share = GaugeMetricFamily(
        "bitfleet_stage_progress_ratio", "Share of a stage that is done, 0 to 1.", labels=labels
    )
    seconds = GaugeMetricFamily(
        "bitfleet_stage_duration_seconds", "Wall clock a stage has taken so far.", labels=labels
    )
    ended = CounterMetricFamily(
        "bitfleet_stages_ended_total",
        "Stages that ended, by outcome: made, or found as made before.",
        labels=["campaign", "outcome"],
    )
    told = GaugeMetricFamily(
        "bitfleet_last_progress_timestamp_seconds",
        "When the campaign last told of progress, seconds since 1970.",
        labels=["campaign"],
    )
    for name, figures in campaigns.items():
        for stage, each in figures.stages.items():
            share.add_metric([name, stage], each.share)
            seconds.add_metric([name, stage], each.seconds)
        for outcome in ("made", "found"):
            ended.add_metric([name, outcome], figures.ended[outcome])
        told.add_metric([name], figures.told)
    yield from (share, seconds, ended, told)


_GAUGES: tuple[tuple[str, str, Callable[[FleetState], float]], ...] = (
    ("vehicles", "Vehicles of the fleet.", lambda s: s.vehicles),
    ("vehicles_online", "Vehicles whose uplink is up.", lambda s: s.links_up),
    ("simulated_seconds", "Simulated time driven.", lambda s: 3600 * s.hours),
    ("buffer_bytes", "Bytes that wait in the buffers of all vehicles.", lambda s: s.buffer_bytes),
    (
        "budget_used_ratio",
        "Bits sent over the bits that the budget has granted so far, 0 to 1.",
        lambda s: s.totals["bits_sent"] / max(1, s.bits_granted),
    ),
    (
        "queue_uploads",
        "Uploads handed in to the collector and not yet answered: the sum of each host's peak since "
        "it last reported.",
        lambda s: s.waiting,
    ),
)
_COUNTERS: tuple[tuple[str, str, Callable[[FleetState], float]], ...] = (
    ("frames_captured", "Frames captured.", lambda s: s.totals["captured"]),
    (
        "frames_skipped",
        "Frames captured for which no quality fitted the bit budget.",
        lambda s: s.totals["skipped"],
    ),
    (
        "frames_dropped",
        "Encoded frames that the buffers' bound cost.",
        lambda s: s.totals["dropped"],
    ),
    ("frames_delivered", "Frames whose upload arrived.", lambda s: s.totals["delivered"]),
    ("encodes", "Qualities tried by rate control, found ones too.", lambda s: s.totals["encodes"]),
    ("sent_bits", "Bits put on the uplinks.", lambda s: s.totals["bits_sent"]),
    (
        "retransmitted_bits",
        "Bits of sendings that were lost on the way and made again.",
        lambda s: s.totals["bits_retransmitted"],
    ),
    ("granted_bits", "Bits that the budget has granted.", lambda s: s.bits_granted),
    (
        "committed_bits",
        "Bits of the uploads that are stored.",
        lambda s: s.taken.collected.bits,
    ),
    (
        "refused_bits",
        "Bits of the uploads that were refused.",
        lambda s: s.taken.collected.bits_refused,
    ),
)


def _fleet_families(campaigns: Mapping[str, CampaignFigures]) -> Iterator[Metric]:
    fleets = [
        ([name, stage], state)
        for name, figures in campaigns.items()
        for stage, state in figures.fleets.items()
    ]
    labels = ["campaign", "stage"]
    for name, text, value in _GAUGES:
        gauge = GaugeMetricFamily(f"bitfleet_{name}", text, labels=labels)
        for where, state in fleets:
            gauge.add_metric(where, value(state))
        yield gauge
    for name, text, value in _COUNTERS:
        counter = CounterMetricFamily(f"bitfleet_{name}_total", text, labels=labels)
        for where, state in fleets:
            counter.add_metric(where, value(state))
        yield counter
    uploads = CounterMetricFamily(
        "bitfleet_uploads_total",
        "Uploads that the collector answered, by outcome: committed or refused.",
        labels=[*labels, "outcome"],
    )
    for where, state in fleets:
        collected = state.taken.collected
        uploads.add_metric([*where, "committed"], collected.frames)
        uploads.add_metric([*where, "refused"], sum(collected.refused.values()))
    yield uploads


def _latency_families(campaigns: Mapping[str, CampaignFigures]) -> Iterator[Metric]:
    encode = HistogramMetricFamily(
        "bitfleet_encode_seconds",
        "How long a host took to make a bitstream; those found are not counted.",
        labels=["campaign", "stage", "codec"],
    )
    commit = HistogramMetricFamily(
        "bitfleet_commit_seconds",
        "How long the collector took to check a batch of uploads and to store it durably.",
        labels=["campaign", "stage"],
    )
    decode = HistogramMetricFamily(
        "bitfleet_decode_seconds",
        "How long a bitstream of the fleet took to decode in the data centre.",
        labels=["campaign", "codec"],
    )
    for name, figures in campaigns.items():
        for stage, state in figures.fleets.items():
            commit.add_metric([name, stage], *_buckets(state.taken.commits))
            for codec, latencies in state.encoding.items():
                encode.add_metric([name, stage, codec], *_buckets(latencies))
        if figures.decoding is not None:
            for codec, latencies in figures.decoding.decoding.items():
                decode.add_metric([name, codec], *_buckets(latencies))
    yield from (encode, commit, decode)


def _buckets(latencies: Latencies) -> tuple[list[tuple[str, float]], float]:
    """A histogram as Prometheus has it: each bucket with all that are shorter; and the sum."""
    total, buckets = 0, []
    for bound, count in zip((*BOUNDS_S, math.inf), latencies.counts, strict=True):
        total += count
        buckets.append(("+Inf" if math.isinf(bound) else str(bound), float(total)))
    return buckets, latencies.seconds


def _learning_families(campaigns: Mapping[str, CampaignFigures]) -> Iterator[Metric]:
    loss = GaugeMetricFamily(
        "bitfleet_training_loss",
        "Loss of the last step told: the segmenter's in nats, the restorer's a weighted sum.",
        labels=["campaign", "stage"],
    )
    step = GaugeMetricFamily(
        "bitfleet_training_step", "Optimiser steps done.", labels=["campaign", "stage"]
    )
    miou = GaugeMetricFamily(
        "bitfleet_miou_ratio",
        "Mean IoU on the test frames, 0 to 1.",
        labels=["campaign", "configuration"],
    )
    cost = GaugeMetricFamily(
        "bitfleet_cost",
        "Cost so far in the prices' currency: of the road live, of labels and decoding once frames "
        "are decoded, in the end what the ledger comes to, training and restoring included.",
        labels=["campaign", "currency"],
    )
    for name, figures in campaigns.items():
        for stage, report in figures.steps.items():
            loss.add_metric([name, stage], report.loss)
            step.add_metric([name, stage], report.step)
        for configuration, value in figures.miou.items():
            miou.add_metric([name, configuration], value)
        if figures.cost is not None:
            cost.add_metric([name, figures.cost.currency], figures.cost.cost)
    yield from (loss, step, miou, cost)
