"""The pages in headless Chromium: the dashboard as it is served, and report.html from its file."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from server.costs import PriceConfig, Quantities, ledger, total_cost
from server.dashboard.report import details_order, write_sweep_report
from server.dashboard.serve import open_server
from server.sweep.rows import QUANTITIES, campaign_rows

PRICES: list[dict[str, Any]] = [
    {},
    {"uplink_gb": 0.0, "annotated_frame": 0.0},
    {"calibration_gb": 1.5, "uplink_gb": 9000.0, "encoded_gigapixel": 0.7},
    {"stored_gb_month": 2.0, "storage_months": 0.5, "restorer_gigapixel": 31.0},
    {
        "vehicle_hour": 0.0,
        "decoded_gigapixel": 4.0,
        "trained_gigapixel": 2,
        "restored_gigapixel": 3,
    },
]
FRONT = "() => bitfleet.page.model().front.map((n) => bitfleet.page.points.rows[n][0])"
DRAWN_FRONT = """() => {
  const plane = document.querySelector("#plane.js-plotly-plot, #plane .js-plotly-plot");
  return Array.from(plane.data[plane.data.length - 1].x);
}"""


@pytest.fixture(scope="module")
def address(sweep: Path, serving: Any) -> Iterator[str]:
    with serving(sweep) as found:
        yield found


@pytest.fixture(scope="module")
def report(sweep: Path) -> Path:
    return write_sweep_report(sweep)


@pytest.fixture(params=["dashboard", "report"])
def place(request: pytest.FixtureRequest) -> tuple[str, str, tuple[str, ...]]:
    """Where a page is, how its state is set apart in the address, and what it may ask for."""
    if request.param == "dashboard":
        address = str(request.getfixturevalue("address"))
        return address, "?", (address,)
    uri = request.getfixturevalue("report").as_uri()
    return uri, "#", (uri,)


def slide(page: Any, name: str, step: int) -> None:
    page.locator(f"#price-{name}").evaluate(
        "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }", step
    )


def settled(page: Any) -> None:
    """Waits until the address and the lists have followed a slider."""
    page.wait_for_timeout(50)
    page.wait_for_function("bitfleet.page.resting === null")


def test_a_price_moves_front_table_and_address_and_the_address_restores_it(
    place: tuple[str, str, tuple[str, ...]], watch: Any
) -> None:
    where, mark, allowed = place
    watched = watch(where)
    page = watched.page
    before, drawn = page.evaluate(FRONT), page.evaluate(DRAWN_FRONT)
    costs = page.locator("#points .cost").all_inner_texts()
    slide(page, "vehicle_hour", 0)
    slide(page, "uplink_gb", 200)
    settled(page)
    page.wait_for_function(f"(old) => ({DRAWN_FRONT})()[0] !== old", arg=drawn[0])
    after = page.evaluate(FRONT)
    assert after != before
    assert page.locator("#points .cost").all_inner_texts() != costs
    assert f"{mark}price.uplink_gb=40000&price.vehicle_hour=0" in page.evaluate("location.href")
    page.select_option("#choose-x", "bits")
    page.uncheck("input[value=OO]")
    settled(page)
    last = page.evaluate(FRONT)
    page.reload()
    page.wait_for_selector("#points tbody tr")
    assert page.evaluate(FRONT) == last
    assert not page.is_checked("input[value=OO]")
    assert page.input_value("#choose-x") == "bits"
    assert page.input_value("#price-vehicle_hour") == "0"
    page.wait_for_function("document.querySelector('#plane').textContent.includes('Gbit')")
    watched.check(allowed)


def test_a_click_opens_the_campaign_and_its_pictures_are_seen(
    place: tuple[str, str, tuple[str, ...]], watch: Any
) -> None:
    where, _, allowed = place
    watched = watch(where)
    page = watched.page
    assert page.locator("#campaign-section").is_hidden()
    page.locator("#plane .scatterlayer .trace .points path").nth(3).click(force=True)
    page.wait_for_selector("#campaign-pictures img")
    opened = page.locator("#campaign-name").inner_text()
    assert f"campaign={opened}" in page.evaluate("location.href")
    assert page.locator("#campaign-section").is_visible()
    seen = (
        "() => [...document.querySelectorAll('#campaign-pictures img')].map((i) => i.naturalWidth)"
    )
    page.wait_for_function(f"({seen})().every((width) => width > 0)")
    captions = page.locator("#campaign-pictures figcaption").all_inner_texts()
    assert captions == [
        "original", "decoded", "restored", "prediction CO", "prediction OO", "prediction RO", "truth"
    ]  # fmt: skip
    source = "() => document.querySelector('#campaign-pictures img').src"
    first = page.evaluate(source)
    page.focus("#frame-slider")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(source) != first
    assert "2 of 3" in page.locator("output").inner_text()
    assert page.locator("#campaign-iou tbody tr").count() > 10
    page.wait_for_selector("#campaign-bits .main-svg")
    cost = page.locator("#campaign-cost").inner_text()
    slide(page, "annotated_frame", 200)
    page.wait_for_function(
        "(old) => document.querySelector('#campaign-cost').innerText !== old", arg=cost
    )
    page.click("#close")
    assert page.locator("#campaign-section").is_hidden()
    page.go_back()
    page.wait_for_selector("#campaign-pictures img")
    assert page.locator("#campaign-name").inner_text() == opened
    watched.check(allowed)


def test_all_is_done_from_the_keyboard_and_kept_as_csv(
    place: tuple[str, str, tuple[str, ...]], watch: Any, sweep: Path
) -> None:
    where, _, allowed = place
    watched = watch(where, 420)
    page = watched.page
    page.locator("#price-uplink_gb").focus()
    before = page.evaluate(FRONT), page.locator("#price-uplink_gb").input_value()
    page.keyboard.press("End")
    settled(page)
    assert page.locator("#price-uplink_gb").input_value() == "200"
    assert page.locator("#price-uplink_gb").get_attribute("aria-valuetext") == "40000 EUR/GB"
    assert page.evaluate(FRONT) != before[0]
    page.get_by_role("button", name="All points").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.locator("#csv").press("Enter")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) == 2 * 2 * 2 * 3
    expected = {
        row["configuration"]: total_cost(
            Quantities(**{name: row[f"quantity.{name}"] for name in QUANTITIES}),
            PriceConfig(vehicle_hour=0.5, uplink_gb=40_000.0, annotated_frame=0.02),
        )
        for row in campaign_rows("x", sweep / "campaigns" / "4-100000-bpg-0")
    }
    for row in rows:
        if row["campaigns"].startswith("4-100000-bpg-0"):
            assert float(row["cost_EUR"]) == pytest.approx(expected.pop(row["configuration"]))
            assert row["campaigns"] == "4-100000-bpg-0 4-100000-bpg-1"
            assert float(row["half_interval_95_percent"]) > 0
    assert expected == {}
    page.locator("#points button.open").first.press("Enter")
    page.wait_for_selector("#campaign-pictures img")
    assert page.evaluate("document.activeElement.id") == "campaign-name"
    watched.check(allowed)


@pytest.mark.parametrize("prices", PRICES, ids=str)
def test_costs_are_those_of_the_ledger(
    prices: dict[str, Any], report: Path, watch: Any, sweep: Path
) -> None:
    page = watch(report.as_uri()).page
    config = PriceConfig(**prices)
    told = config.model_dump(exclude={"currency"})
    rows = [row for path in (sweep / "campaigns").iterdir() for row in campaign_rows("x", path)]
    for row in rows[:6]:
        quantities = {name: row[f"quantity.{name}"] for name in QUANTITIES}
        lines = page.evaluate("([q, p]) => bitfleet.cost.ledger(q, p)", [quantities, told])
        assert [(one["item"], one["unit"]) for one in lines] == [
            (one.item, one.unit) for one in ledger(Quantities(**quantities), config)
        ]
        costs = [one.cost for one in ledger(Quantities(**quantities), config)]
        assert [one["cost"] for one in lines] == pytest.approx(costs, rel=1e-12)
        total = page.evaluate(
            "([q, p]) => bitfleet.cost.weigh(Object.fromEntries(Object.entries(q).map(([k, v]) => [k, "
            "[v]])), bitfleet.cost.factors(p), 1)[0]",
            [quantities, told],
        )
        assert total == pytest.approx(total_cost(Quantities(**quantities), config), rel=1e-12)


def test_points_intervals_and_fronts_are_what_statistics_say(report: Path, watch: Any) -> None:
    from scipy import stats

    page = watch(report.as_uri()).page
    table = {
        "reset": True, "rows": 5, "varied": [], "columns": {
            "campaign": {"each": list("abcde")}, "configuration": {"all": "CO"}, "codec": {"all": "bpg"},
            "restorer": {"all": None}, "seed": {"each": [0, 1, 2, 0, 5]}, "vehicles": {"all": 3},
            "bpp": {"all": 0.1}, "miou": {"each": [0.3, 0.34, 0.32, 0.5, None]},
        },
    }  # fmt: skip
    points = page.evaluate(
        "(news) => { const p = bitfleet.points.group(bitfleet.points.extend(null, news));"
        "return { rows: p.rows, miou: [...p.miou], half: [...p.half].map((h) => isNaN(h) ? null : h) } }",
        table,
    )
    # A seed that comes twice is no further evidence; a campaign without mIoU is no point.
    assert points["rows"] == [[0, 1, 2], [3]]
    assert points["miou"] == pytest.approx([32.0, 50.0])
    half = stats.t.ppf(0.975, 2) * stats.sem([30, 34, 32])
    assert points["half"] == [pytest.approx(half, rel=1e-3), None]
    for freedom in (1, 7, 30, 31, 60, 500):
        t95 = page.evaluate("(n) => bitfleet.points.t95(n)", freedom)
        assert t95 == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)
    front = page.evaluate(
        "() => bitfleet.points.front([3, 1, 2, 2, 9, NaN], [5, 1, 4, 3, 5, 99], [0, 1, 2, 3, 4, 5])"
    )
    assert front == [1, 2, 0]


def test_a_campaign_that_finishes_meanwhile_appears(
    sweep: Path, tmp_path: Path, synthetic: Any, serving: Any, watch: Any
) -> None:
    folder = tmp_path / "runs"
    first = folder / "first"
    synthetic.write_status(first, "running", stage="collect", share=0.25, details="<b>1 of 4</b>")
    shutil.copy(sweep / "campaigns" / "4-100000-bpg-0" / "config.yaml", first)
    with serving(folder) as address:
        watched = watch(address)
        page = watched.page
        page.wait_for_selector(".stands.silent")
        assert "No campaign has finished yet." in page.locator("#points").inner_text()
        assert "<b>1 of 4</b>" in page.locator("#standing").inner_text()
        synthetic.write_campaign(first, 4, 100_000, "bpg", 0, synthetic.Grid(), whole=False)
        page.wait_for_selector("#points tbody tr")
        page.wait_for_function("!document.querySelector('#standing li')")
        assert "1 campaign finished" in page.locator("#facts").inner_text()
        synthetic.write_campaign(folder / "b" / "c", 8, 900_000, "bpg", 0, synthetic.Grid())
        page.wait_for_function(
            "document.querySelector('#facts').textContent.includes('2 campaigns')"
        )
        assert "vehicles" in page.locator("#facts").inner_text()
        page.goto(f"{address}?campaign=first")
        page.wait_for_selector("#campaign-ledger table")
        page.get_by_text("ledger.parquet: missing from the folder").wait_for()
        page.get_by_text("No pictures were kept.").wait_for()
        watched.check((address,))


def test_only_pictures_of_known_campaigns_are_served(sweep: Path, address: str) -> None:
    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(address + path) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    campaign = "campaign=4-100000-bpg-0"
    assert status(f"picture?{campaign}&file=town_000000__truth.png") == 200
    outside = sweep / "campaigns" / "secret__x.png"
    outside.write_bytes(b"secret")
    link = sweep / "campaigns" / "4-100000-bpg-0" / "pictures" / "link__x.png"
    link.symlink_to(outside)
    for file in (
        "..%2F..%2Fsecret__x.png", "..%2Fresult.json", "link__x.png", "town_000000__nothing.png", "",
        str(outside).replace("/", "%2F"), "%00", ".", "..",
    ):  # fmt: skip
        assert status(f"picture?{campaign}&file={file}") == 404, file
    link.unlink()
    outside.unlink()
    for name in ("..", "..%2F..", "%2Fetc", "nothing", ""):
        assert status(f"details?campaign={name}") == 404
        assert status(f"picture?campaign={name}&file=town_000000__truth.png") == 404
    with urllib.request.urlopen(f"{address}details?{campaign}") as answer:
        details = json.load(answer)
    assert details["missing"] == []
    assert len(details["frames"]) == 3


def test_the_report_says_what_it_leaves_out_and_is_the_same_each_time(
    sweep: Path, report: Path, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = report.read_bytes()
    assert write_sweep_report(sweep).read_bytes() == whole
    rows = [r for p in (sweep / "campaigns").iterdir() for r in campaign_rows(p.name, p)]
    order = details_order(rows)
    monkeypatch.setattr("server.dashboard.report._ROOM", 300_000)
    write_sweep_report(sweep)
    watched = watch(report.as_uri())
    page = watched.page
    embedded = page.evaluate(
        "Object.keys(JSON.parse(document.getElementById('bitfleet-data').textContent).details)"
    )
    assert embedded == order[: len(embedded)]
    assert 0 < len(embedded) < len(order)
    named = page.locator("details.left-out p").text_content()
    assert all((f" {name}" in named) == (name not in embedded) for name in order)
    page.evaluate("(name) => bitfleet.page.open(name, 'CO')", order[-1])
    page.get_by_text("were left out to keep this file small").wait_for()
    assert page.locator("#campaign-ledger table").is_visible()
    report.write_bytes(whole)


def test_the_command_line_says_what_is_wrong(sweep: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server", *map(str, arguments)]
        root = Path(__file__).parents[3]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=root, env=os.environ, check=False
        )

    server = open_server(sweep, "127.0.0.1", 0)
    for arguments, said in (
        ((tmp_path / "nowhere",), "no such folder"),
        ((tmp_path,), "no campaign in it"),
        ((sweep, "--port", server.server_port), f"--port {server.server_port}: in use"),
    ):
        ended = run("dashboard", *arguments)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1
    server.server_close()
    with pytest.raises(InputError, match="must be a port"):
        open_server(sweep, "127.0.0.1", 70_000)


def test_names_cannot_write_markup(
    tmp_path: Path, synthetic: Any, serving: Any, watch: Any
) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    grid = synthetic.Grid(vehicles=(4,), bits_per_hour=(100_000,), codecs=("bpg",), seeds=(0,))
    synthetic.write_sweep(folder, grid)
    evil = "</script><img src=x onerror=alert(1)>"
    facts = json.loads((folder / "sweep.json").read_text())
    facts |= {"name": evil, "failed": [{"campaign": evil, "error": evil}]}
    (folder / "sweep.json").write_text(json.dumps(facts))
    with serving(folder) as address:
        for where in (address, write_sweep_report(folder).as_uri()):
            watched = watch(where)
            assert watched.page.locator("#name").inner_text() == evil
            assert watched.page.locator("#standing li").inner_text().count(evil) == 2
            assert watched.page.locator("img").count() == 0
            assert watched.wrong == []
