"""A study's config: which campaigns it comes to, and what is wrong with a bad one, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.errors import InputError
from server.config_file import dump_yaml, load_config
from server.study.config import StudyConfig

GOOD: dict[str, Any] = {
    "name": "Small",
    "seeds": [0, 1],
    "qualities": [50, 42],
    "fewer": [{"quality": 42, "share": 0.5}],
    "campaign": {
        "budget": {"bits_per_frame": 1_000_000},
        "fleet": {"vehicles": 1, "hours": 0.4, "capture_interval_s": 60, "tick_s": 10},
        "calibration": {},
        "restoration": {},
        "learning": {"configurations": ["RO", "CO", "OO", "RC"]},
    },
}


def load(tmp_path: Path, *overrides: str, **values: Any) -> StudyConfig:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(GOOD | values))
    return load_config(StudyConfig, path, overrides)


def test_the_jobs_and_their_order(tmp_path: Path) -> None:
    config = load(tmp_path, also=[{"codec": {"name": "jpeg"}, "qualities": [10]}])
    names = ("RO", "CO", "OO", "RC")
    found = [(job.label, job.configurations) for job in config.jobs()]
    assert found == [
        *((f"bpg {q} seed {s} adversarial", names) for q in (50, 42) for s in (0, 1)),
        *((f"jpeg 10 seed {s} adversarial", names) for s in (0, 1)),
        *((f"bpg {q} seed {s} distortion-only", ("RO", "RC")) for q in (50, 42) for s in (0, 1)),
        *((f"jpeg 10 seed {s} distortion-only", ("RO", "RC")) for s in (0, 1)),
        *((f"bpg 42 50 % seed {s} adversarial", ("RO", "CO")) for s in (0, 1)),
    ]


def test_no_two_jobs_give_the_same_row(tmp_path: Path) -> None:
    config = load(tmp_path, also=[{"codec": {"name": "jpeg"}, "qualities": [10, 42]}])
    keys = [
        (name, job.codec.name, job.quality, job.share, job.restorer, job.seed)
        for job in config.jobs()
        for name in job.configurations
    ]
    assert len(keys) == len(set(keys))


def test_a_job_is_a_campaign_with_little_changed(tmp_path: Path) -> None:
    config = load(tmp_path, also=[{"codec": {"name": "jpeg"}, "qualities": [10]}])
    base = config.campaign
    for job in config.jobs():
        campaign = job.campaign(config)
        assert campaign.name == f"Small: {job.label}"
        assert campaign.codec == job.codec
        bounds = (campaign.rate_control.coarsest, campaign.rate_control.finest)
        assert bounds == (job.quality, job.quality)
        assert campaign.fleet.hours == pytest.approx(0.4 * job.share)
        # A study's seeds are the segmenters' own: frames and restorers are the same for all.
        assert (campaign.seed, campaign.learning.seed) == (base.seed, job.seed)
        assert campaign.restoration is not None
        assert campaign.restoration.training.objective == job.restorer
        assert campaign.restoration.qualities == ([10] if job.codec.name == "jpeg" else [50, 42])
        # Distances between domains are told by the segmenter of O; less driving has none.
        extra = [] if "OO" in job.configurations or job.share < 1 else ["OO"]
        assert campaign.learning.configurations == [*job.configurations, *extra]


def test_without_domain_r_nothing_is_restored(tmp_path: Path) -> None:
    config = load(tmp_path, "campaign.learning.configurations=[OO, CO]")
    assert not config.restores
    jobs = config.jobs()
    assert [job.label for job in jobs[:2]] == ["bpg 50 seed 0", "bpg 50 seed 1"]
    assert {job.restorer for job in jobs} == {None}
    assert [job.configurations for job in jobs] == [("OO", "CO")] * 4 + [("CO",)] * 2


def test_domain_m_needs_one_restorer_and_no_job_of_the_other(tmp_path: Path) -> None:
    config = load(tmp_path, "campaign.learning.configurations=[MO, CO]", "fewer=[]")
    assert config.restores
    assert {job.restorer for job in config.jobs()} == {"adversarial"}


def test_overrides(tmp_path: Path) -> None:
    config = load(tmp_path, "qualities=[42]", "seeds=[7]", "restorers=[distortion-only]")
    assert [job.label for job in config.jobs()] == [
        "bpg 42 seed 7 distortion-only", "bpg 42 50 % seed 7 distortion-only"
    ]  # fmt: skip
    assert load(tmp_path, "campaign.fleet.vehicles=3").campaign.fleet.vehicles == 3


def test_the_resolved_config_reads_back_as_itself(tmp_path: Path) -> None:
    config = load(tmp_path)
    (tmp_path / "resolved.yaml").write_text(dump_yaml(config))
    assert load_config(StudyConfig, tmp_path / "resolved.yaml") == config


JPEG = "{codec: {name: jpeg}, qualities: [10]}"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seeds=[0, 0]", "seeds: names 0 twice"),
        ("seeds=[]", "seeds: List should have at least 1 item"),
        ("seeds=[-1]", "seeds.0: Input should be greater than or equal to 0, not -1"),
        ("seeds=[0.5]", "seeds.0: Input should be a valid integer"),
        ("qualities=[42, 42.0]", "qualities: names 42 twice"),
        ("qualities=[]", "qualities: List should have at least 1 item"),
        ("qualities=[42, 52]", "qualities: bpg quality 52: must be a multiple of 1 from 0 to 51"),
        ("qualities=[42.5]", "qualities: bpg quality 42.5: must be"),
        ("qualities=[.nan]", "qualities.0: Input should be a finite number"),
        ("qualities=['42']", "qualities.0: Input should be a valid number"),
        ("qualities=null", "qualities: Input should be a valid array"),
        ("fewer=[{quality: 47, share: 0.5}]", "fewer: quality 47 is none of the study's qualities"),
        ("fewer=[{quality: 42, share: 1.0}]", "fewer.0.share: Input should be less than 1"),
        ("fewer=[{quality: 42, share: 0}]", "fewer.0.share: Input should be greater than 0"),
        (
            "fewer=[{quality: 42, share: 0.333}]",
            "fewer: quality 42, share 0.333: fleet: hours must be a whole number of tick_s",
        ),
        (
            "fewer=[{quality: 42, share: 0.5}, {quality: 42, share: 0.5}]",
            "fewer: names quality 42 with share 0.5 twice",
        ),
        ("restorers=[adversarial, adversarial]", "restorers: names adversarial twice"),
        ("restorers=[best]", "restorers.0: Input should be 'adversarial' or 'distortion-only'"),
        ("restorers=[]", "restorers: List should have at least 1 item"),
        ("also=[{codec: {name: bpg}, qualities: [30]}]", "also: names a codec twice"),
        (f"also=[{JPEG}, {JPEG}]", "also: names a codec twice"),
        ("also=[{codec: {name: jpeg}, qualities: [0]}]", "also: jpeg quality 0: must be"),
        ("also=[{codec: {name: jpeg}, qualities: [9, 9]}]", "also.0.qualities: names 9 twice"),
        ("also=[{codec: {name: gif}, qualities: [9]}]", "also.0.codec.name: must be one of"),
        ("compare=[{codec: {name: webp}, qualities: [101]}]", "compare: webp quality 101: must be"),
        ("compare=[{codec: {name: webp}, qualities: []}]", "compare.0.qualities: List should"),
        ("parallel=0", "parallel: Input should be greater than or equal to 1"),
        ("campaign.restoration=null", "campaign: learning.configurations: domains R and M need"),
        ("campaign.calibration=null", "campaign: learning.configurations: domains R, M and B need"),
        ("campaign.restoration.weights=w.safetensors", "campaign.restoration.weights: a study"),
        ("campaign.fleet.vehicels=1", "campaign.fleet.vehicels: unknown key"),
        ("campagin.seed=1", "campagin: unknown key"),
        ("campaign=null", "campaign: Input should be an object"),
    ],
)
def test_bad_configs_say_so_in_one_line(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, override)
    assert str(caught.value).startswith(f"{tmp_path / 'study.yaml'}: {says}")
    assert "\n" not in str(caught.value)
