"""The report of a synthetic study's folder."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
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
from server import report
from server.report import write_study_report
from server.report.accuracy import accuracy_cost
from server.report.learning import classes
from server.report.result import ORDER, Result, Scores
from server.report.study.cost import frontier
from server.report.study.drawing import apart
from server.report.study.estimates import Estimates, over_seeds, student
from server.report.study.tables import read_study

Maker = Callable[..., Path]
CONFIGURATIONS = ("OO", "CC", "CO", "RO", "RR", "RC", "OR", "OC", "AO", "BO", "MO")
RESTORERS = ("adversarial", "distortion-only")
VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}
STRINGS = ("configuration", "codec", "restorer", "quantity", "domain")


class Balance(HTMLParser):
    """Checks that every element is closed in order; keeps what a page could load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

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


def miou(configuration: str, bpp: float, restorer: str | None) -> float:
    """A plausible mIoU: what is lost falls with the rate; restoring wins some of it back."""
    lost = 0.10 * (0.15 / bpp) ** 0.7
    won = {"adversarial": 0.62, "distortion-only": 0.31}.get(restorer or "", 0.6)
    lost_by = {
        "OO": 0.0, "CC": 0.45, "CO": 1.0, "RO": 1 - won, "RR": 0.5, "RC": 0.7, "OR": 0.75 - won / 3,
        "OC": 1.15, "AO": 0.68, "BO": 0.8, "MO": 0.9 - won,
    }[configuration]  # fmt: skip
    return 0.655 - lost_by * lost


def write_table(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    table = {
        name: pa.array([row.get(name) for row in rows], pa.string())
        if name in STRINGS
        else pa.array([row.get(name) for row in rows])
        for name in columns
    }
    pq.write_table(pa.table(table), path)


def make_rows(
    seeds: int,
    codecs: dict[str, list[float]],
    restorers: Sequence[str],
    configurations: Sequence[str],
    shares: Sequence[float],
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    rows = []
    for number, (codec, qualities) in enumerate(codecs.items()):
        for place, quality in enumerate(qualities):
            bpp = (0.06 + 0.02 * number) * 1.9**place
            for configuration in configurations:
                takes = "R" in configuration or configuration == "MO"
                for restorer in restorers if takes else [None]:
                    for share in shares if configuration in ("OO", "CO", "RO") else [1.0]:
                        for seed in range(seeds):
                            noise = np.random.default_rng(
                                seed + (0 if configuration == "OO" else 7 * place + len(rows))
                            ).normal(0, 0.004)
                            distance = 0.9 * (0.1 / bpp) * (1.3 if number else 1.0)
                            trained, psnr = configuration[0], 27 + 2.4 * place - number
                            if restorer == "adversarial" and trained == "R":
                                distance, psnr = 0.25 * distance, psnr - 0.9
                            elif restorer and trained == "R":
                                distance, psnr = 0.7 * distance, psnr + 0.8
                            score = miou(configuration, bpp, restorer) + noise
                            rows.append({
                                "configuration": configuration, "codec": codec, "quality": quality,
                                "restorer": restorer, "seed": seed, "bpp": bpp,
                                "miou": score + 0.03 * math.log2(share),
                                "psnr": None if trained == "O" else psnr,
                                "ms_ssim": None if trained == "O" else 1 - (
                                    0.02 * len(restorer or "domain") ** 0.5 / (place + 1.5)
                                ),
                                "frechet": 0.0 if trained == "O" else distance,
                                "cost_total": share * (900.0 if trained == "O" else 200 + 80 * bpp)
                                + (40 if trained == "R" else 0),
                                "frames_trained": int(2975 * share), "share": share,
                                "lpips": None if trained == "O" else rng.random() * 0.3,
                                "fid": None,
                            })  # fmt: skip
    return rows


def make_drops(rows: list[dict[str, Any]], restorers: Sequence[str]) -> list[dict[str, Any]]:
    """The drops of the rows' means, with made-up intervals."""
    found: dict[tuple[Any, ...], list[float]] = {}
    seeds = len({row["seed"] for row in rows})
    for row in rows:
        if row["share"] == 1.0:
            key = row["configuration"], row["codec"], row["quality"], row["restorer"]
            found.setdefault(key, []).append(row["miou"])
    means = {key: float(np.mean(values)) for key, values in found.items()}
    drops = []
    for codec, quality in dict.fromkeys((row["codec"], row["quality"]) for row in rows):

        def at(name: str, restorer: str | None = None, c: str = codec, q: float = quality) -> Any:
            return means.get((name, c, q, restorer), math.nan)

        drop = at("OO") - at("CO")
        named = [
            ("drop", None, drop),
            ("information loss", None, at("OO") - at("CC")),
            ("covariate shift", None, at("CC") - at("CO")),
        ]
        for r in restorers:
            won = at("RO", r) - at("CO")
            named += [
                ("won back", r, won),
                ("share won back", r, won / drop if drop > 0 else math.nan),
                ("RO − AO", r, at("RO", r) - at("AO")),
                ("RO − BO", r, at("RO", r) - at("BO")),
                ("RO − MO", r, at("RO", r) - at("MO", r)),
            ]
        if len(restorers) == 2:
            difference = at("RO", restorers[0]) - at("RO", restorers[1])
            named.append(("adversarial − distortion-only", None, difference))
        for quantity, restorer, mean in named:
            known = None if math.isnan(mean) else mean
            half = 0.1 if quantity == "share won back" else 0.008
            over = seeds > 1 and known is not None
            drops.append({
                "codec": codec, "quality": quality, "restorer": restorer, "quantity": quantity,
                "mean": known,
                "seed_low": mean - half if over else None,
                "seed_high": mean + half if over else None,
                "image_low": None if known is None else mean - 0.7 * half,
                "image_high": None if known is None else mean + 0.7 * half, "seeds": seeds,
            })  # fmt: skip
    return drops


def make_curve(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    curve = {}
    for row in rows:
        if row["configuration"] in ("CO", "RO") and row["share"] == 1.0:
            domain = row["configuration"][0]
            key = row["codec"], row["quality"], domain, row["restorer"]
            curve[key] = {**row, "domain": domain, "frames": 500}
    return list(curve.values())


CLAIMS = [
    {
        "claim": "Training on compressed frames and testing on originals loses accuracy.",
        "verdict": "holds",
        "evidence": "OO − CO is above zero at 10 of 10 rates, over seeds and over images.",
    },
    {
        "claim": "Adversarial restoration wins back more than distortion-only restoration.",
        "verdict": "holds",
        "evidence": "adversarial − distortion-only lies above zero at 9 of 10 rates.",
    },
    {
        "claim": "Restoring beats augmenting with further compression.",
        "verdict": "undecided",
        "evidence": "RO − AO spans zero at 4 of 10 rates.",
    },
    {
        "claim": "Restoring beats re-estimated batch norm at every rate.",
        "verdict": "fails",
        "evidence": "RO − BO lies below zero at bpg 46.",
    },
]
FEW = {"bpg": [42.0, 34.0]}
BOTH = {"bpg": [46.0, 42.0, 38.0, 34.0, 30.0], "jpeg": [5.0, 10.0, 20.0, 35.0, 60.0]}


def make_study(
    parent: Path,
    seeds: int = 3,
    codecs: dict[str, list[float]] = BOTH,
    restorers: Sequence[str] = RESTORERS,
    configurations: Sequence[str] = CONFIGURATIONS,
    shares: Sequence[float] = (1.0, 0.5, 0.25),
    change: Callable[[dict[str, Any]], None] | None = None,
    **facts: Any,
) -> Path:
    """Makes a study's folder; `change` is applied to every row, further keywords to its facts."""
    folder = parent / "study"
    folder.mkdir()
    rows = make_rows(seeds, codecs, restorers, configurations, shares)
    for row in rows:
        if change:
            change(row)
    drops = make_drops(rows, restorers)
    write_table(folder / "study.parquet", rows, (
        "configuration", "codec", "quality", "restorer", "seed", "bpp", "miou", "psnr", "ms_ssim",
        "frechet", "cost_total", "frames_trained", "share", "lpips", "fid",
    ))  # fmt: skip
    write_table(folder / "drops.parquet", drops, (
        "codec", "quality", "restorer", "quantity", "mean", "seed_low", "seed_high", "image_low",
        "image_high", "seeds",
    ))  # fmt: skip
    write_table(folder / "rate_distortion.parquet", make_curve(rows), (
        "codec", "quality", "domain", "restorer", "bpp", "psnr", "ms_ssim", "frames",
    ))  # fmt: skip
    (folder / "claims.json").write_text(json.dumps(facts.pop("claims", CLAIMS)))
    said = {
        "name": "compressed-cityscapes", "currency": "EUR", "seeds": list(range(seeds)),
        "test_frames": 500, "train_frames": 2975, "calibration_frames": 120,
        "calibration_bits": 812_334_112, "skipped": ["jpeg, quality 60: MO was not trained"],
        "hardware": {
            "cpus": 16, "memory_bytes": 128 << 30, "gpus": ["NVIDIA H200"], "machine": "x86_64",
        },
        "wall_seconds": 18_312.4, "configurations": list(configurations),
        "restorers": list(restorers), "codecs": list(codecs),
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(said | facts))
    return folder


def write_pictures(folder: Path) -> None:
    folder.mkdir()
    y, x = np.mgrid[0:128, 0:256]
    for n, name in enumerate(("aachen_000001", "bremen_000002")):
        photo = np.stack([(x + 40 * n) % 256, (2 * y) % 256, (x + y) % 256], axis=2)
        for kind in (
            "truth", "restored-distortion-only", "original", "prediction_RO", "decoded",
            "restored-adversarial",
        ):  # fmt: skip
            Image.fromarray(photo.astype(np.uint8)).save(folder / f"{name}__{kind}.png")


@pytest.fixture
def study(tmp_path: Path) -> Maker:
    return partial(make_study, tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary study's folder with its report."""
    folder = make_study(tmp_path_factory.mktemp("reported"))
    write_pictures(folder / "pictures")
    before = {path.name for path in folder.iterdir()}
    assert write_study_report(folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}
    return folder


def read(folder: Path) -> str:
    return parse((folder / "report.html").read_text(encoding="utf-8")).text


def test_report_is_one_whole_page_that_loads_nothing(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    parsed = parse(page)
    assert all(ref.startswith(("#", "data:image/")) for ref in parsed.references)
    assert not re.search(r"https?://|@import|url\(", page)
    assert parsed.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    # Each of the figures for each codec; the first as PSNR and as MS-SSIM.
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+', page)) == page.count("<svg") == 10
    assert page.count("<img") == 12
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {r[1:] for r in parsed.references if r.startswith("#")} <= set(ids)
    assert len(page) < 1_000_000
    assert "#fe01" not in page
    assert "DejaVu" not in page


def test_the_answer_is_plain(reported: Path) -> None:
    text = read(reported)
    m = Estimates(read_study(reported))
    drops = [d.mean for rate in m.rates if (d := m.drop(rate, "drop"))]
    won = [d.mean for rate in m.rates if (d := m.drop(rate, "won back", "adversarial"))]
    low, high = (100 * end(mean or 0 for mean in drops) for end in (min, max))
    least, most = (100 * end(mean or 0 for mean in won) for end in (min, max))
    assert (
        "At 10 rates from 0.060 to 1.0 bpp, training on compressed frames instead of originals "
        f"costs {low:.1f} to {high:.1f} points of mIoU; restoring them wins back {least:.1f} to "
        f"{most:.1f} points. 2 claims hold, 1 fails, 1 is undecided."
    ) in text
    for shown in (
        "Scores and shares above: bpg, quality 46, 0.060 bpp, where the drop is largest.",
        "53 to 73 % over seeds", "2 of 4", "RO − AO spans zero at 4 of 10 rates.",
        "✗ fails",
        "jpeg, quality 60: MO was not trained", "means over up to 3 seeds",
        "AO is a control, trained on C with random further compression as augmentation.",
        "won back, RO − CO, distortion-only", "R, distortion-only",
        "812 Mbit", "NVIDIA H200", "137 GB", "restored, distortion-only", "best mIoU for at most",
    ):  # fmt: skip
        assert shown in text, shown
    assert "FID" not in text  # nothing measured it
    assert "LPIPS" in text
    # Scores, with half their interval, of each configuration and restorer.
    for configuration in CONFIGURATIONS:
        for restorer in m.variants(configuration):
            for rate in m.rates:
                score = m.score(configuration, rate, restorer)
                assert score is not None
                assert re.search(r"\d\d\.\d ± \d\.\d", score.text)
                assert score.text in text


def test_points_have_tooltips(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    for tip in (
        r"CO: mIoU [\d.]+ %, 95 % interval [\d.]+ to [\d.]+, 3 seeds at 0\.060 bpp \(bpg, quality 46\)",
        r"RO, distortion-only: mIoU",
        r"jpeg, quality 5, restored, adversarial: PSNR [\d.]+ dB at 0\.080 bpp",
        r"R, adversarial at 0\.11 bpp \(bpg, quality 42\): PSNR [\d.]+ dB, Fréchet distance",
        r"CO at 0\.060 bpp \(bpg, quality 46\), 25 % of the driving hours: mIoU .* for [\d.]+ EUR",
    ):
        assert re.search(f"<title>{tip}", page), tip


def test_one_seed_and_one_quality(study: Maker) -> None:
    folder = study(seeds=1, codecs={"bpg": [38.0]}, shares=(1.0,), claims=[])
    page = write_study_report(folder).read_text(encoding="utf-8")
    text = parse(page).text
    assert "One seed was run: no interval over seeds can be given" in text
    assert "over seeds" not in text.replace("no interval over seeds", "")
    assert "over images" in text
    assert re.search(r"At 0\.060 bpp, training .* wins back [\d.]+ points, \d+ % of the drop", text)
    assert "±" not in text
    assert page.count("<svg") == 6
    assert ", one seed at 0.060 bpp" in page


def test_one_restorer_or_none(study: Maker, tmp_path: Path) -> None:
    text = parse(write_study_report(study(codecs=FEW, restorers=RESTORERS[1:])).read_text()).text
    assert "R is restored by the distortion-only restorer." in text
    assert "RO was not evaluated with two restorers" in text
    (tmp_path / "plain").mkdir()
    folder = make_study(
        tmp_path / "plain", codecs=FEW, restorers=(), configurations=("OO", "CC", "CO")
    )
    page = write_study_report(folder).read_text()
    text = parse(page).text
    assert "restoring them was not evaluated." in text
    assert "no restorer" in text
    assert "a control" not in text
    assert page.count("<svg") == 5


def test_a_third_restorer_has_a_colour_of_its_own(study: Maker) -> None:
    page = write_study_report(study(codecs=FEW, restorers=(*RESTORERS, "tried-later"))).read_text()
    assert "RO, tried-later" in page
    assert "--city2" in page


def test_measures_that_are_missing_leave_their_figure_empty(study: Maker) -> None:
    def change(row: dict[str, Any]) -> None:
        row.update(psnr=None, ms_ssim=None, frechet=None, lpips=None)

    page = write_study_report(study(codecs=FEW, change=change)).read_text()
    text = parse(page).text
    assert "No rate and distortion were measured." in text
    assert "PSNR and Fréchet distance were not both measured." in text
    assert page.count("<svg") == 3


def test_ms_ssim_alone_may_be_missing(study: Maker) -> None:
    page = write_study_report(
        study(codecs=FEW, change=lambda row: row.update(ms_ssim=None))
    ).read_text()
    assert "PSNR against rate" in page
    assert "MS-SSIM against rate" not in page


def test_a_drop_below_zero_is_said_as_it_is(study: Maker) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["configuration"] == "OO":
            row["miou"] = 0.40

    folder = study(codecs={"bpg": [38.0]}, change=change)
    text = parse(write_study_report(folder).read_text()).text
    assert re.search(r"instead of originals costs −\d+\.\d points of mIoU", text)
    assert "undefined" in text
    assert "% of the drop" not in text


def test_a_campaign_may_evaluate_the_controls() -> None:
    scores = {name: Scores(miou=0.5 + 0.02 * n, iou_per_class={}) for n, name in enumerate(ORDER)}
    result = Result.model_construct(
        configuration="CO", configurations=scores, miou=0.5, iou_per_class={}, currency="EUR",
        cost_total=10.0, cost_originals=None,
    )  # fmt: skip
    drawn = accuracy_cost(result).svg
    listed = classes(result, ["road"])
    style = (Path(report.__file__).parent / "style.css").read_text()
    for name in ("AO", "BO", "MO"):
        assert f"{name}: mIoU" in drawn
        assert name in [key.label for key in listed.keys]
    for scheme in re.findall(r"--page:.*?}", style, re.S):
        colours = [re.search(rf"--{name.lower()}: (#\w{{6}});", scheme) for name in ORDER]
        assert len({colour[1] for colour in colours if colour}) == len(ORDER)


def test_nothing_evaluated(study: Maker) -> None:
    folder = study(claims=[], skipped=[])
    for name in ("study", "drops", "rate_distortion"):
        path = folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    page = write_study_report(folder).read_text()
    text = parse(page).text
    assert "The drop OO − CO was not measured." in text
    for said in ("Nothing was evaluated.", "No claim was tested.", "Nothing was skipped."):
        assert said in text
    assert "<svg" not in page


def test_many_codecs_with_long_names(study: Maker) -> None:
    names = [f"a-codec-with-quite-a-long-name-that-goes-on-and-on-{n}" for n in range(10)]
    folder = study(
        seeds=2, codecs={name: [1.0] for name in names}, shares=(1.0,),
        configurations=("OO", "CO", "RO"),
    )  # fmt: skip
    page = write_study_report(folder).read_text()
    assert page.count("<svg") == 2 + 4 * 10
    assert "a-codec-with-quit…-goes-on-and-on-3" in page
    assert len(page) < 1_500_000


def test_names_cannot_write_markup(study: Maker) -> None:
    evil = "<script>alert('x')</script>\"&$\\frac{1}{2}$"
    claims = [{"claim": evil, "verdict": "holds", "evidence": evil}]
    folder = study(
        codecs={evil: [1.0, 2.0]}, restorers=(evil,), claims=claims, name=evil + "\ud800",
        currency=evil, skipped=[evil], hardware={evil: [evil, {evil: evil}]},
    )  # fmt: skip
    parsed = parse(write_study_report(folder).read_text(encoding="utf-8"))
    assert "script" not in parsed.tags
    assert evil in parsed.text


def test_same_folder_same_page(reported: Path) -> None:
    first = (reported / "report.html").read_bytes()
    assert write_study_report(reported).read_bytes() == first


NEEDED = "study.json claims.json study.parquet drops.parquet rate_distortion.parquet"


@pytest.mark.parametrize("name", NEEDED.split())
def test_a_missing_or_malformed_file_is_named(study: Maker, name: str) -> None:
    folder = study(seeds=1, codecs={"bpg": [38.0]})
    (folder / name).write_bytes(b"\xff{")
    for _ in range(2):
        with pytest.raises(InputError, match=re.escape(name)) as caught:
            write_study_report(folder)
        assert "\n" not in str(caught.value)
        (folder / name).unlink(missing_ok=True)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [("miou", 41.2), ("share", 0.0), ("bpp", 0.0), ("configuration", "XO"), ("cost_total", -1.0)],
)
def test_a_cell_out_of_its_range_is_named(study: Maker, column: str, value: Any) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["configuration"] == "CO":
            row[column] = value

    folder = study(seeds=1, codecs={"bpg": [38.0]})
    rows = pq.read_table(folder / "study.parquet").to_pylist()
    for row in rows:
        change(row)
    write_table(folder / "study.parquet", rows, list(rows[0]))
    with pytest.raises(InputError, match=rf"study\.parquet: column {column}: .*{value}"):
        write_study_report(folder)


def test_what_restored_is_named_where_something_was(study: Maker) -> None:
    folder = study(seeds=1, codecs={"bpg": [38.0]})
    path = folder / "study.parquet"
    whole = pq.read_table(path).to_pylist()
    for name, restorer, said in (
        ("RO", None, "RO without a restorer"),
        ("CO", "adversarial", "CO with a restorer, 'adversarial'"),
    ):
        rows = [r | {"restorer": restorer} if r["configuration"] == name else r for r in whole]
        write_table(path, rows, list(rows[0]))
        with pytest.raises(InputError, match=rf"study\.parquet: column restorer: {said}"):
            write_study_report(folder)


def test_a_wrong_verdict_or_column_is_named(study: Maker) -> None:
    folder = study(claims=[{"claim": "a", "verdict": "maybe", "evidence": "b"}])
    with pytest.raises(InputError, match=r"claims\.json: 0\.verdict: "):
        write_study_report(folder)
    (folder / "claims.json").write_text("[]")
    table = pq.read_table(folder / "drops.parquet")
    pq.write_table(table.drop_columns(["seed_low"]), folder / "drops.parquet")
    with pytest.raises(InputError, match=r"drops\.parquet: column seed_low is missing"):
        write_study_report(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        write_study_report(tmp_path / "nowhere")


def test_the_mean_over_seeds_has_students_interval(study: Maker) -> None:
    rows = read_study(study(codecs={"bpg": [38.0]})).rows
    score = over_seeds(row for row in rows if row.configuration == "CC")
    values = [row.miou for row in rows if row.configuration == "CC"]
    assert score is not None
    assert score.half is not None
    assert score.mean == pytest.approx(np.mean(values))
    assert score.half == pytest.approx(4.3027 * np.std(values, ddof=1) / math.sqrt(3), rel=1e-3)
    assert over_seeds([]) is None
    # OO repeats for each quality: a seed is counted once.
    assert over_seeds([*rows[:3], *rows[:3]]) == over_seeds(rows[:3])
    assert [student(n) for n in (1, 11, 30, 1000)] == pytest.approx(
        [12.706, 2.201, 2.0423, 1.9623], rel=1e-3
    )


def test_labels_stand_apart_and_within() -> None:
    heights = [50.0, 50.5, 50.6, 80.0, 99.9, 99.8]
    placed = apart(heights, (40.0, 100.0), 5.0)
    order = np.argsort(heights)
    assert (np.diff(np.array(placed)[order]) >= 5 - 1e-9).all()
    assert min(placed) >= 40
    assert max(placed) <= 100
    assert placed[3] == 80.0
    assert apart([], (0, 1), 1) == []
    assert max(apart([1.0] * 9, (0.0, 1.0), 5.0)) <= 1 + 1e-9


def test_the_frontier_holds_what_none_beats() -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (3.0, 7.0), (3.0, 6.0), (4.0, 7.0)]
    assert frontier(points) == [(1.0, 5.0), (3.0, 7.0)]
    assert frontier([]) == []
