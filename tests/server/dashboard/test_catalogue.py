"""Campaigns beneath a folder: rows, what is varied, what is new, what is wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fleet.errors import InputError
from server.dashboard import catalogue as catalogue_module
from server.dashboard.catalogue import Catalogue
from server.dashboard.columns import as_columns
from server.sweep.rows import campaign_rows, sweep_rows


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "_LEAST_S", 0.0)


def decoded(news: dict[str, Any]) -> list[dict[str, Any]]:
    columns = {}
    for name, column in news["columns"].items():
        if "all" in column:
            columns[name] = [column["all"]] * news["rows"]
        elif "of" in column:
            columns[name] = [column["of"][at] for at in column["at"]]
        else:
            columns[name] = column["each"]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_folder_of_campaigns_and_their_sweep_tell_the_same(sweep: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(sweep / "campaigns", plain / "some" / "where")
    of_sweep, of_folder = Catalogue(sweep).news(), Catalogue(plain).news()
    assert of_sweep is not None
    assert of_folder is not None
    assert of_sweep["name"] == "Synthetic sweep"
    assert of_folder["name"] == "plain"
    assert set(of_sweep["varied"]) == set(of_folder["varied"])
    key = lambda row: (row["campaign"], row["configuration"])  # noqa: E731
    rows, others = sorted(decoded(of_sweep), key=key), sorted(decoded(of_folder), key=key)
    assert len(rows) == 16 * 3
    for row, other in zip(rows, others, strict=True):
        assert other.pop("campaign") == f"some/where/{row.pop('campaign')}"
        assert row == other
    (name, *_) = (path.name for path in (sweep / "campaigns").iterdir())
    alone = Catalogue(sweep / "campaigns" / name).news()
    assert alone is not None
    assert (alone["campaigns"], alone["rows"], alone["varied"]) == (1, 3, [])


def test_only_what_is_new_is_told(sweep: Path, tmp_path: Path, synthetic: Any) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    catalogue = Catalogue(folder)
    first = catalogue.news()
    assert first is not None
    assert first["reset"]
    held = (first["epoch"], first["campaigns"], first["live"])
    assert catalogue.news(*held) is None

    grid = synthetic.Grid()
    new = folder / "campaigns" / "8-300000-bpg-0"
    synthetic.write_campaign(new, 8, 300_000, "bpg", 0, grid, whole=False)
    (new / "result.json").rename(new / "later")
    synthetic.write_status(new, "running", stage="train on C", share=0.5)
    news = catalogue.news(*held)
    assert news is not None
    assert (news["reset"], news["rows"]) == (False, 0)
    assert [(one["campaign"], one["stage"]) for one in news["standing"]] == [
        ("8-300000-bpg-0", "train on C")
    ]

    (new / "later").rename(new / "result.json")
    synthetic.write_status(new, "done")
    news = catalogue.news(*held)
    assert news is not None
    assert (news["reset"], news["rows"], news["standing"]) == (False, 3, [])
    assert {row["campaign"] for row in decoded(news)} == {"8-300000-bpg-0"}
    held = (news["epoch"], news["campaigns"], news["live"])

    result = json.loads((new / "result.json").read_text())
    result["configurations"]["CO"]["miou"] = 0.5
    (new / "result.json").write_text(json.dumps(result))
    later = (new / "result.json").stat().st_mtime_ns + 10**9
    os.utime(new / "result.json", ns=(later, later))
    news = catalogue.news(*held)
    assert news is not None
    assert news["reset"]
    changed = [row for row in decoded(news) if row["campaign"] == "8-300000-bpg-0"]
    assert {row["configuration"]: row["miou"] for row in changed}["CO"] == 0.5

    held = (news["epoch"], news["campaigns"], news["live"])
    shutil.rmtree(new)
    news = catalogue.news(*held)
    assert news is not None
    assert (news["reset"], news["campaigns"]) == (True, 16)


def test_a_result_that_turns_bad_while_looked_at_is_told_not_raised(
    sweep: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    catalogue = Catalogue(folder)
    path = next((folder / "campaigns").iterdir()) / "result.json"
    path.write_text("{")
    news = catalogue.news()
    assert news is not None
    assert news["campaigns"] == 15
    (one,) = news["standing"]
    assert one["campaign"] == path.parent.name
    assert "not valid JSON" in one["details"]


def test_columns_say_the_same_in_less() -> None:
    rows = [{"a": n % 2, "b": n, "c": 1 / 3, "quantity.x": 7.0, "d": True} for n in range(8)]
    assert as_columns(rows, ["a", "b", "c", "quantity.x", "d", "none"]) == {
        "a": {"of": [0, 1], "at": [0, 1] * 4},
        "b": {"each": list(range(8))},
        "c": {"all": 0.3333333},
        "quantity.x": {"all": 7},
        "d": {"all": True},
        "none": {"all": None},
    }
    mixed = as_columns([{"a": 1}, {"a": True}, {"a": float("nan")}], ["a"])
    assert mixed["a"]["each"][0] is not True
    assert mixed["a"]["each"][1:] == [True, None]


def one_campaign(folder: Path, synthetic: Any) -> Path:
    synthetic.write_campaign(folder, 4, 100_000, "bpg", 0, synthetic.Grid(), whole=False)
    return folder


def test_bad_folders_are_named(tmp_path: Path, synthetic: Any) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        Catalogue(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no campaign in it"):
        Catalogue(tmp_path)
    folder = one_campaign(tmp_path / "one", synthetic)
    result = json.loads((folder / "result.json").read_text())
    del result["configurations"]["CO"]["quantities"]["pixels_restored"]
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(
        InputError, match=r"quantities: pixels_restored is missing .* another version"
    ):
        Catalogue(tmp_path)
    del result["configurations"]["CO"]["quantities"]
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match=r"CO\.quantities: missing: written by another version"):
        Catalogue(tmp_path)


def test_currencies_and_versions_do_not_mix(sweep: Path, tmp_path: Path, synthetic: Any) -> None:
    one_campaign(tmp_path / "a", synthetic)
    other = one_campaign(tmp_path / "b", synthetic)
    result = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps({**result, "currency": "USD"}))
    with pytest.raises(InputError, match=r"prices in USD .* campaigns of one currency"):
        Catalogue(tmp_path)
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    table = pq.read_table(folder / "sweep.parquet")
    pq.write_table(table.drop_columns("quantity.vehicle_hours"), folder / "sweep.parquet")
    with pytest.raises(InputError, match=r"quantity\.vehicle_hours is missing: .* another version"):
        Catalogue(folder)
    facts = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps({**facts, "version": 2}))
    with pytest.raises(InputError, match=r"sweep\.json: version"):
        Catalogue(folder)


def test_rows_are_what_the_result_says(sweep: Path) -> None:
    path = next((sweep / "campaigns").iterdir())
    rows = campaign_rows(path.name, path)
    result = json.loads((path / "result.json").read_text())
    assert {row["configuration"]: row["miou"] for row in rows} == {
        name: one["miou"] for name, one in result["configurations"].items()
    }
    assert {row["configuration"]: row["restorer"] for row in rows} == {
        "CO": None, "OO": None, "RO": "adversarial"
    }  # fmt: skip
    assert rows[0]["config.fleet.vehicles"] == result["vehicles"]
    assert rows[0]["config.also"] == "[]"
    table = {row["configuration"]: row for row in sweep_rows(sweep / "sweep.parquet")[path.name]}
    assert all(table["CO"][name] == value for name, value in rows[0].items())
