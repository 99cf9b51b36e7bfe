"""The report of a synthetic campaign's folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fleet.errors import InputError
from fleet.frames.labels import CLASSES, PALETTE
from server.report import write_report
from server.report.pictures import read_pictures

Maker = Callable[..., Path]
VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}


class Balance(HTMLParser):
    """Checks that every element is closed in order; keeps what a page could load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.images_without_alt = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.images_without_alt += tag == "img" and not dict(attrs).get("alt")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    parser.text = " ".join(parser.text.split())
    return parser


def scores(miou: float, rng: np.random.Generator) -> dict[str, Any]:
    present = [name for name in CLASSES if name not in ("train", "bus")]
    iou = np.clip(miou + 0.22 * rng.standard_normal(len(present)), 0.02, 0.97)
    iou += miou - iou.mean()
    found = {n: float(v) for n, v in zip(present, np.clip(iou, 0, 1), strict=True)}
    return {"miou": miou, "iou_per_class": {name: found.get(name) for name in CLASSES}}


def make_result(vehicles: int, frames: int, rng: np.random.Generator) -> dict[str, Any]:
    miou = {"OO": 0.475, "CC": 0.434, "CO": 0.412, "RO": 0.441}
    configurations = {name: scores(value, rng) for name, value in miou.items()}
    committed = 18_234_512
    parts = {"retransmitted": 41_200, "refused": 12_008, "calibration": 0, "unfinished": 6_240}
    cost = {"vehicle-hours": 480.0, "bits sent": 21.95, "annotation": 300.0, "compute": 10.05}
    return {
        "name": "first-drive",
        "configuration": "CO",
        "codec": "bpg",
        "codec_settings": {"chroma": "444", "preset": "slow"},
        "restorer": None,
        "vehicles": vehicles,
        "hours": 4.0,
        "seed": 7,
        "currency": "EUR",
        "frames_captured": frames + 120,
        "frames_delivered": frames,
        "frames_trained": frames - 40,
        "frames_skipped_over_budget": 63,
        "frames_dropped_buffer": 38,
        "frames_left_aboard": 16,
        "uploads_refused": 3,
        "refusals": {"digest mismatch": 2, "truncated": 1},
        "bits_sent": committed + sum(parts.values()),
        "bits_committed": committed,
        **{f"bits_{name}": value for name, value in parts.items()},
        "bpp_mean": 0.1413,
        "budget": {
            "bits_per_frame": 40_000,
            "bits_per_hour": 400_000.0,
            "burst_bits": 80_000.0,
            "campaign_bits": None,
        },
        "budget_utilisation": 0.953,
        "encodes_per_frame": 2.4,
        "quality_mean": 38.2,
        **configurations["CO"],
        "configurations": configurations,
        "psnr": 29.47,
        "ms_ssim": 0.9312,
        "cost_total": 812.0,
        "cost": cost,
        "cost_originals": 1964.5,
        "manifest_digest": "9f2c" * 16,
        "wall_seconds": 412.5,
    }


def write_telemetry(folder: Path, vehicles: int, samples: int, rng: np.random.Generator) -> None:
    time = np.linspace(0, 4 * 3600, samples)
    up = rng.random((vehicles, samples)) > 0.05
    up[:, samples // 3 : samples // 3 + max(3, samples // 12)] = rng.random((vehicles, 1)) > 0.7
    granted = np.broadcast_to(80_000 + 400_000 * time / 3600, up.shape)
    rate = (40_000 * 10 / 3600) * (0.8 + 0.2 * rng.random((vehicles, 1)))
    made = rate * time
    sent = np.maximum.accumulate(np.where(up, made, 0), axis=1)
    table = {
        "time_s": np.tile(time, vehicles),
        "vehicle": np.repeat(np.arange(vehicles, dtype=np.int32), samples),
        "bits_sent": sent.ravel().astype(np.int64),
        "bits_granted": granted.ravel().astype(np.int64),
        "buffer_bytes": ((made - sent) / 8).ravel().astype(np.int64),
        "captured": (made / 40_000).ravel().astype(np.int64),
        "delivered": (sent / 40_000).ravel().astype(np.int64),
        "link_up": up.ravel(),
    }
    pq.write_table(pa.table(table), folder / "telemetry.parquet")


def write_frames(folder: Path, vehicles: int, frames: int, rng: np.random.Generator) -> None:
    cities = np.array(["aachen", "bremen", "cologne", "jena"])[rng.integers(0, 4, frames)]
    quality = rng.integers(33, 45, frames).astype(float)
    bpp = 0.14 * 2 ** ((38 - quality) / 6) * np.exp(0.3 * rng.standard_normal(frames))
    missing = rng.random(frames) < 0.05
    table = {
        "vehicle": rng.integers(0, vehicles, frames).astype(np.int32),
        "sequence": np.arange(frames, dtype=np.int32),
        "frame_id": [f"{city}_{n:06d}" for n, city in enumerate(cities)],
        "city": cities,
        "quality": quality,
        "bits": (bpp * 256 * 512).astype(np.int64),
        "bpp": bpp,
        "psnr": pa.array(48 - 0.5 * quality + rng.standard_normal(frames), mask=missing),
        "ms_ssim": pa.nulls(frames, pa.float64()),
        "trained": rng.random(frames) < 0.9,
    }  # fmt: skip
    pq.write_table(pa.table(table), folder / "frames.parquet")
    write_pictures(folder / "pictures", table["frame_id"][:3], rng)


def write_pictures(folder: Path, names: list[str], rng: np.random.Generator) -> None:
    folder.mkdir()
    y, x = np.mgrid[0:128, 0:256]
    for n, name in enumerate(names):
        truth = np.where(y < 40, 10, np.where(y < 75, 2, 0)).astype(np.uint8)
        truth[(np.abs(x - 60 - 50 * n) < 24) & (np.abs(y - 78) < 16)] = 13
        truth[(x > 200) & (y > 20) & (y < 90)] = 8
        photo = PALETTE[truth] * 0.6 + 40 + 12 * rng.standard_normal((128, 256, 1))
        rough = photo.reshape(16, 8, 32, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1)
        guess = np.roll(truth, 3, axis=1)
        for kind, pixels in {
            "original": photo,
            "decoded": 0.5 * photo + 0.5 * rough,
            "truth": PALETTE[truth],
            "prediction_CO": PALETTE[guess],
            "prediction_OO": PALETTE[np.roll(truth, 1, axis=1)],
        }.items():
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"{name}__{kind}.png")


def write_rest(folder: Path, result: dict[str, Any], rng: np.random.Generator) -> None:
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "config.yaml").write_text("name: first-drive\nfleet:\n  vehicles: 12\n")
    prices = {
        "vehicle-hours": ("h", 10.0),
        "bits sent": ("bit", 1.2e-6),
        "annotation": ("frame", 0.5),
    }
    ledger = []
    for item, cost in result["cost"].items():
        unit, price = prices.get(item, ("h", 0.67))
        ledger.append(
            {
                "item": item,
                "quantity": cost / price,
                "unit": unit,
                "unit_price": price,
                "cost": cost,
            }
        )
    pq.write_table(pa.Table.from_pylist(ledger), folder / "ledger.parquet")
    steps = np.arange(1, 1201)
    loss = {d: 2.4 * steps**-f + 0.2 * rng.random(1200) for d, f in (("O", 0.25), ("C", 0.2))}
    training = {
        "domain": ["O"] * 1200 + ["C"] * 1200,
        "step": np.tile(steps, 2),
        "loss": np.concatenate(list(loss.values())),
    }
    pq.write_table(pa.table(training), folder / "training.parquet")
    provenance = {
        "versions": {"numpy": "2.2.0", "ray": "2.60.0", "torch": "2.14.1"},
        "git_revision": "0123abc",
        "seed": 7,
        "hardware": {"cpus": 2, "memory_bytes": 8 << 30, "gpus": [], "machine": "x86_64"},
        "started": "2026-01-05T10:00:00+00:00",
        "finished": "2026-01-05T10:06:52+00:00",
        "command": "bitfleet simulate configs/first-drive.yaml --out runs/first-drive",
        "hosts": 2,
        "stages": {
            "collect": {"seconds": 93.1, "reused": False},
            "train C": {"seconds": 301.9, "reused": False},
            "train O": {"seconds": 0.4, "reused": True},
        },
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))


def make_campaign(
    parent: Path, vehicles: int = 12, frames: int = 480, samples: int = 120, **changes: Any
) -> Path:
    """Makes a campaign's folder; further keywords replace entries of its result."""
    rng = np.random.default_rng(1)
    folder = parent / "campaign"
    folder.mkdir()
    result = make_result(vehicles, frames, rng) | changes
    write_telemetry(folder, vehicles, samples, rng)
    write_frames(folder, vehicles, frames, rng)
    write_rest(folder, result, rng)
    return folder


@pytest.fixture
def campaign(tmp_path: Path) -> Maker:
    return partial(make_campaign, tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary campaign's folder with its report."""
    folder = make_campaign(tmp_path_factory.mktemp("reported"))
    before = {path.name for path in folder.iterdir()}
    assert write_report(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}
    return folder


def test_report_is_one_whole_page_that_loads_nothing(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    parsed = parse(page)
    assert all(ref.startswith(("#", "data:image/")) for ref in parsed.references)
    assert not re.search(r"https?://|@import|url\(", page)
    assert parsed.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    assert parsed.images_without_alt == 0
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+', page)) == page.count("<svg") == 8
    assert page.count("<img") == 15
    # Each drawing's parts have ids of their own, and each reference finds its part.
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {r[1:] for r in parsed.references if r.startswith("#")} <= set(ids)
    assert len(page) < 3_000_000
    # Stand-in colours and matplotlib's own fonts are gone.
    assert "#fe01" not in page
    assert "DejaVu" not in page


def test_every_number_of_the_headline_appears(reported: Path) -> None:
    text = parse((reported / "report.html").read_text(encoding="utf-8")).text
    assert (
        "12 vehicles spent 18.3 Mbit (0.14 bpp) → CO mIoU 41.2 %, 6.3 points below OO; "
        "total cost 812 EUR"
    ) in text
    for shown in (
        "bpg · chroma 444 · preset slow · no restorer · 4 h of simulated driving · 2 hosts",
        "95.3 %", "29.5 dB", "MS-SSIM 0.9312", "41.3 % of collecting originals",
        "600 frames", "−63 skipped", "−38 dropped", "−16 left aboard", "−3 lost to refused uploads",
        "digest mismatch 2, truncated 1", "−40 delivered, not trained on",
        "18,293,960", "The parts sum to the bits sent, to the bit.",
        "information loss, OO − CC: 4.1 points", "covariate shift, CC − CO: 2.2 points",
        "Absent from the test frames, and left out of the mean: bus, train.",
        "0.0000012", "812.00", "1,964 EUR", "9f2c", "0123abc", "vehicles: 12",
    ):  # fmt: skip
        assert shown in text, shown


def test_names_cannot_write_markup(campaign: Maker) -> None:
    evil = "<script>alert('x')</script>\"&$\\frac{1}{2}$\ud800"
    folder = campaign(
        name=evil, codec=evil, codec_settings={evil: evil}, currency=evil, restorer=evil,
        refusals={evil: 3}, manifest_digest=evil, cost={evil[:-1]: 812.0},
        iou_per_class={evil: 0.412, "<b>": None},
    )  # fmt: skip
    table = pq.read_table(folder / "frames.parquet")
    cities = pa.array([evil[:-1]] * table.num_rows)
    table = table.set_column(table.column_names.index("city"), "city", cities)
    pq.write_table(table, folder / "frames.parquet")
    (folder / "config.yaml").write_text("name: </pre><script>1</script>\n")
    parsed = parse(write_report(folder).read_text(encoding="utf-8"))
    assert parsed.tags.isdisjoint({"script", "b"}) or parsed.tags & {"script", "b"} == {"b"}
    assert "<script>alert('x')</script>\"&$\\frac{1}{2}$" in parsed.text
    assert "</pre><script>1</script>" in parsed.text


def test_what_is_not_known_is_said(campaign: Maker) -> None:
    folder = campaign(
        ms_ssim=None, cost_originals=None, psnr=None, quality_mean=None, budget={},
        budget_utilisation=None, iou_per_class=dict.fromkeys(CLASSES),
    )  # fmt: skip
    (folder / "training.parquet").unlink()
    for path in (folder / "pictures").iterdir():
        path.unlink()
    text = parse(write_report(folder).read_text(encoding="utf-8")).text
    assert "OO 47.5 %, cost not known" in text
    assert "MS-SSIM none: frames too small" in text
    assert "No training loss was recorded." in text
    assert "No pictures were kept." in text
    assert "Bit budget of a vehicle: none." in text


def test_nothing_delivered(campaign: Maker) -> None:
    folder = campaign(
        frames_delivered=0, frames_trained=0, bpp_mean=None, psnr=None, ms_ssim=None, miou=None,
        iou_per_class={}, configurations={"CO": {"miou": None, "iou_per_class": {}}}, bits_sent=0,
    )  # fmt: skip
    for name in ("frames", "telemetry", "training"):
        path = folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    text = parse(write_report(folder).read_text(encoding="utf-8")).text
    assert "12 vehicles spent 0 bit → CO no mIoU; total cost 812 EUR" in text
    assert "No frame was delivered." in text
    assert "There is no telemetry." in text
    assert "differ from the bits sent" in text


def test_one_vehicle(campaign: Maker) -> None:
    text = parse(write_report(campaign(vehicles=1, frames=60)).read_text(encoding="utf-8")).text
    assert "1 vehicle spent" in text
    assert "vehicle 0" in text


def test_two_thousand_vehicles_stay_small(campaign: Maker) -> None:
    path = write_report(campaign(vehicles=2000, frames=20_000, samples=100))
    page = path.read_text(encoding="utf-8")
    assert "25–75 % of vehicles" in page
    assert "700 of 20,000 delivered frames" in page
    assert len(page) < 1_500_000


def test_large_pictures_are_scaled(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (384, 1024, 3), dtype=np.uint8)
    for kind in ("original", "truth"):
        Image.fromarray(noise).save(tmp_path / f"a__{kind}.png", compress_level=0)
        for name in "bcde":
            shutil.copy(tmp_path / f"a__{kind}.png", tmp_path / f"{name}__{kind}.png")
    strips = read_pictures(tmp_path)
    assert [strip.frame_id for strip in strips] == list("abcde")
    assert sum(len(p.uri) for strip in strips for p in strip.pictures) < 2_000_000
    assert [p.kind for p in strips[0].pictures] == ["original", "truth"]
    assert strips[0].pictures[0].width < 640


def test_same_folder_same_page(reported: Path) -> None:
    first = (reported / "report.html").read_bytes()
    assert write_report(reported).read_bytes() == first


NEEDED = "result.json provenance.json config.yaml ledger.parquet telemetry.parquet frames.parquet"


@pytest.mark.parametrize("name", NEEDED.split())
def test_a_missing_or_malformed_file_is_named(campaign: Maker, name: str) -> None:
    folder = campaign()
    (folder / name).write_bytes(b"\xff{")
    for _ in range(2):
        with pytest.raises(InputError, match=re.escape(name)) as caught:
            write_report(folder)
        assert "\n" not in str(caught.value)
        (folder / name).unlink(missing_ok=True)
    assert not (folder / "report.html").exists()


def test_a_wrong_field_column_or_picture_is_named(campaign: Maker) -> None:
    folder = campaign(miou=41.2)
    with pytest.raises(InputError, match=r"result\.json: miou: .* less than or equal to 1"):
        write_report(folder)
    (folder / "result.json").write_text(json.dumps(make_result(2, 480, np.random.default_rng(1))))
    table = pq.read_table(folder / "ledger.parquet")
    pq.write_table(table.drop_columns(["cost"]), folder / "ledger.parquet")
    with pytest.raises(InputError, match=r"ledger\.parquet: column cost is missing"):
        write_report(folder)
    broken = table.set_column(4, "cost", pa.array([float("nan")] * table.num_rows))
    pq.write_table(broken, folder / "ledger.parquet")
    with pytest.raises(InputError, match=r"ledger\.parquet: column cost has .* not finite"):
        write_report(folder)
    pq.write_table(table, folder / "ledger.parquet")
    picture = next((folder / "pictures").glob("*__truth.png"))
    picture.write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=re.escape(picture.name)):
        write_report(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        write_report(tmp_path / "nowhere")
