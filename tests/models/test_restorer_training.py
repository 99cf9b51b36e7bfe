"""Training a restorer: the same run gives the same bits, killed or not; what goes wrong says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models.discriminator import DiscriminatorConfig, MultiScaleDiscriminator, build_discriminator
from models.restoration_pairs import RestorationPair
from models.restorer import RestorerConfig, build_restorer
from models.restorer_training import (
    CHECKPOINT,
    WEIGHTS,
    RestorerTrainingConfig,
    StepReport,
    TrainingDiverged,
    fit_restorer,
    prepare,
)

CPU = torch.device("cpu")
JUDGE = DiscriminatorConfig(scales=2, channels=8, layers=1)
TINY = RestorerTrainingConfig(
    steps=8,
    warmup_steps=3,
    batch_size=2,
    crop=16,
    learning_rate=2e-3,
    discriminator=JUDGE,
    checkpoint_every=2,
    threads=1,
)
DISTORTION = TINY.model_copy(update={"objective": "distortion-only"})


class Killed(Exception):
    pass


class Forgetful(nn.Module):
    """A restorer with dropout, so that resuming has a random state to get right."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build_restorer(RestorerConfig(channels=8, blocks=1), (0.2, 0.8), seed=1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames_N3HW: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
        restored: torch.Tensor = self.inner(frames_N3HW, positions_N)
        dropped: torch.Tensor = self.dropout(restored)
        return dropped


def _pairs(count: int = 3, side: int = 24) -> list[RestorationPair]:
    """Smooth pictures, and what a coarse quantiser makes of them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    pairs: list[RestorationPair] = []
    for _ in range(count):
        slopes = rng.uniform(-60, 60, (2, 3))
        original = (128 + y[..., None] * slopes[0] + x[..., None] * slopes[1]).astype(np.uint8)
        pairs.append((original // 32 * 32, original, 0.5))
    return pairs


def _run(
    folder: Path,
    config: RestorerTrainingConfig = TINY,
    *,
    seed: int = 5,
    kill_after: int | None = None,
    features: nn.Module | None = None,
    judge: MultiScaleDiscriminator | None = None,
) -> tuple[Forgetful, list[StepReport]]:
    model, reports = Forgetful(), list[StepReport]()
    judge = judge or build_discriminator(config.discriminator, seed=2)

    def on_step(report: StepReport) -> None:
        reports.append(report)
        if report.step == kill_after:
            raise Killed

    fit_restorer(
        model,
        judge,
        _pairs(),
        config,
        seed=seed,
        device=CPU,
        folder=folder,
        features=features,
        on_step=on_step,
    )
    return model, reports


def _same(a: Path, b: Path) -> bool:
    one, other = load_file(a / WEIGHTS), load_file(b / WEIGHTS)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("changes", "kill_after"),
    [
        ({}, 2),  # in the warm-up, at a checkpoint
        ({}, 3),  # at its end, a step after a checkpoint
        ({}, 7),
        ({"channels_last": False, "adversary": "lsgan"}, 7),
        ({"discriminator": JUDGE.model_copy(update={"normalisation": "instance"})}, 5),
        ({"objective": "distortion-only"}, 5),
    ],
)
def test_resumed_run_ends_in_the_same_bits(
    tmp_path: Path, changes: dict[str, object], kill_after: int
) -> None:
    config = TINY.model_copy(update=changes)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    _, reports = _run(straight, config)
    with pytest.raises(Killed):
        _run(killed, config, kill_after=kill_after)
    assert [file.name for file in killed.iterdir()] == [CHECKPOINT]
    _, rest = _run(killed, config)
    resumed = kill_after // 2 * 2
    assert [report.step for report in rest] == list(range(resumed + 1, 9))
    assert [report.parts for report in rest] == [report.parts for report in reports[resumed:]]
    assert _same(straight, killed)
    assert [file.name for file in killed.iterdir()] == [WEIGHTS]


def test_same_seed_same_bits_other_seed_others(tmp_path: Path) -> None:
    torch.manual_seed(1)
    _run(tmp_path / "a")
    torch.manual_seed(2)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    _run(tmp_path / "b")
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    _run(tmp_path / "c", seed=6)
    assert _same(tmp_path / "a", tmp_path / "b")
    assert not _same(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_moving_average_is_what_is_left(tmp_path: Path, decay: float) -> None:
    config = TINY.model_copy(update={"ema_decay": decay})
    model = Forgetful()
    average = {name: p.detach().clone() for name, p in model.named_parameters()}

    def follow(report: StepReport) -> None:
        own = min(decay, (1 + report.step) / (10 + report.step))
        for name, parameter in model.named_parameters():
            average[name] = own * average[name] + (1 - own) * parameter.detach()

    judge = build_discriminator(JUDGE)
    fit_restorer(
        model, judge, _pairs(), config, seed=0, device=CPU, folder=tmp_path, on_step=follow
    )
    written = load_file(tmp_path / WEIGHTS)
    assert written.keys() == model.state_dict().keys()
    assert written["inner.range"].tolist() == [0.2, 0.8]
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, written[name])
        torch.testing.assert_close(written[name], average[name])
    assert not model.training


def test_finished_folder_is_loaded_not_trained_again(tmp_path: Path) -> None:
    model, _ = _run(tmp_path)
    again, reports = _run(tmp_path)
    assert reports == []
    assert not again.training
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _run(tmp_path, kill_after=3)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: of another run"):
        _run(tmp_path, seed=6)
    with pytest.raises(ValueError, match="of another run"):
        _run(tmp_path, judge=build_discriminator(JUDGE, seed=9))
    (tmp_path / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: not a safetensors file"):
        _run(tmp_path)


def test_terms_join_after_the_warm_up_and_add_up_to_the_loss(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"semantic_weight": 3.0})
    _, reports = _run(tmp_path, config, features=nn.Conv2d(3, 2, 3))
    joined = {"adversarial", "feature_matching", "semantic"}
    for report in reports:
        parts = report.parts
        late = report.step > config.warmup_steps
        assert parts.keys() == {"pixel"} | (joined | {"discriminator"} if late else set())
        weights = {"pixel": 50.0, "adversarial": 1.0, "feature_matching": 10.0, "semantic": 3.0}
        total = sum(weights[name] * parts[name] for name in parts if name != "discriminator")
        assert report.loss == pytest.approx(total, rel=1e-5)


def test_both_sides_learn_and_only_when_they_should(tmp_path: Path) -> None:
    before = build_discriminator(JUDGE, seed=2)
    for name, config, moves in (("a", TINY, True), ("b", DISTORTION, False)):
        judge = build_discriminator(JUDGE, seed=2)
        model, reports = _run(tmp_path / name, config, judge=judge)
        pairs = zip(judge.parameters(), before.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) != moves
        fresh = Forgetful().inner.tail.weight
        assert not torch.equal(model.inner.tail.weight, fresh)
        assert ("adversarial" in reports[-1].parts) == moves


def test_distortion_only_comes_closer_to_the_originals(tmp_path: Path) -> None:
    changes = {"steps": 150, "batch_size": 4, "objective": "distortion-only"}
    config = TINY.model_copy(update=changes)
    model = build_restorer(RestorerConfig(channels=8, blocks=1), (0.5, 0.5), seed=1)
    fit_restorer(model, None, _pairs(), config, seed=0, device=CPU, folder=tmp_path)
    gains = []
    for decoded, original, position in _pairs():
        frames_13HW = torch.from_numpy(decoded).permute(2, 0, 1)[None]
        with torch.inference_mode():
            restored_13HW = model(frames_13HW, torch.tensor([position]))
        restored = restored_13HW[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
        errors = [np.square(frame - original.astype(float)).mean() for frame in (decoded, restored)]
        gains.append(10 * np.log10(errors[0] / errors[1]))
    assert min(gains) > 3  # dB


def test_semantic_loss_is_of_the_network_handed_in(tmp_path: Path) -> None:
    config = DISTORTION.model_copy(update={"semantic_weight": 1.0, "warmup_steps": 0})
    seen: list[bool] = []

    class Watched(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            seen.append(self.training)
            return super().forward(input)

    network = Watched(3, 2, 3)
    weights = network.weight.detach().clone()
    _run(tmp_path / "with", config, features=network)
    _run(tmp_path / "without", config.model_copy(update={"semantic_weight": 0.0}))
    assert not _same(tmp_path / "with", tmp_path / "without")
    assert len(seen) == 2 * config.steps
    assert not any(seen)
    assert torch.equal(weights, network.weight)
    assert network.weight.grad is None
    with pytest.raises(ValueError, match="of another run"):
        _run(tmp_path / "with", config, features=nn.Conv2d(3, 2, 3))


def test_an_unconditional_discriminator_is_shown_no_decoded_frames(tmp_path: Path) -> None:
    judge = JUDGE.model_copy(update={"conditional": False})
    _, reports = _run(tmp_path, TINY.model_copy(update={"discriminator": judge}))
    assert len(reports) == 8


def test_bf16_runs(tmp_path: Path) -> None:
    model, reports = _run(tmp_path, TINY.model_copy(update={"precision": "bf16"}))
    assert len(reports) == 8
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def _diverges(folder: Path, config: RestorerTrainingConfig, match: str, position: float) -> None:
    pairs = [(decoded, original, position) for decoded, original, _ in _pairs()]
    model, judge = Forgetful(), build_discriminator(config.discriminator)
    states = [{k: v.clone() for k, v in model.state_dict().items()}]

    def keep(report: StepReport) -> None:
        states.append({k: v.clone() for k, v in model.state_dict().items()})

    with pytest.raises(TrainingDiverged, match=match) as caught:
        fit_restorer(model, judge, pairs, config, seed=0, device=CPU, folder=folder, on_step=keep)
    assert "\n" not in str(caught.value)
    assert not (folder / WEIGHTS).exists()
    # The step that failed was not taken.
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), states[-1][name].nan_to_num())


def test_bad_input_diverges_before_a_weight_moves(tmp_path: Path) -> None:
    _diverges(tmp_path, TINY, "the pixel loss is nan at step 1 of 8", float("nan"))


@pytest.mark.parametrize(
    ("rate", "match"),
    [
        ("learning_rate", "the pixel loss is (nan|inf) at step 2 of 8"),
        ("discriminator_learning_rate", "the adversarial loss is -?(nan|inf) at step 5 of 8"),
    ],
)
def test_divergence_names_the_loss_and_the_step(tmp_path: Path, rate: str, match: str) -> None:
    _diverges(tmp_path, TINY.model_copy(update={rate: float("inf")}), match, 0.5)


def test_a_gradient_that_is_none_is_named_though_the_losses_are_finite(tmp_path: Path) -> None:
    class Steep(nn.Module):
        """A root whose slope at 0 is infinite."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, frames_N3HW: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
            return frames_N3HW + self.weight.sqrt()

    with pytest.raises(TrainingDiverged, match="norm of the generator's gradient is inf at step 1"):
        fit_restorer(Steep(), None, _pairs(), DISTORTION, seed=0, device=CPU, folder=tmp_path)


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    model, judge = Forgetful(), build_discriminator(JUDGE)

    def fit(pairs: list[RestorationPair], **changes: object) -> None:
        config = TINY.model_copy(update=changes)
        fit_restorer(model, judge, pairs, config, seed=0, device=CPU, folder=tmp_path)

    with pytest.raises(ValueError, match="no frames"):
        fit([])
    with pytest.raises(ValueError, match="pair 0: 24×24 pixels, smaller than a crop of 32×32"):
        fit(_pairs(1), crop=32)
    with pytest.raises(ValueError, match="semantic_weight: above 0, but there is no network"):
        fit(_pairs(), semantic_weight=1.0)
    with pytest.raises(ValueError, match="adversarial, but there is no discriminator"):
        fit_restorer(model, None, _pairs(), TINY, seed=0, device=CPU, folder=tmp_path)
    with pytest.raises(ValueError, match="batch_size: 2 crops among 3 workers"):
        fit_restorer(
            model, judge, _pairs(), TINY, seed=0, device=CPU, folder=tmp_path, world_size=3
        )


def test_bad_configs_say_what_would_be_right() -> None:
    with pytest.raises(ValidationError, match="warmup_steps 200 leaves none of the 100 steps"):
        RestorerTrainingConfig(steps=100)
    assert RestorerTrainingConfig(steps=100, objective="distortion-only").warmup_steps == 200
    with pytest.raises(ValidationError, match=r"crop 40 is too small for the .* wants 47 pixels"):
        RestorerTrainingConfig(crop=40)
    with pytest.raises(ValidationError, match="steps"):
        RestorerTrainingConfig.model_validate({"steps": "10"})


def test_learning_rates_are_constant_then_fall() -> None:
    config = RestorerTrainingConfig(steps=100, warmup_steps=10, decay=0.25)
    falls = [config.fall_at(step) for step in range(100)]
    assert falls[:76] == [1.0] * 76
    assert falls[75:] == pytest.approx([(100 - step) / 25 for step in range(75, 100)])
    flat = config.model_copy(update={"decay": 0.0})
    assert flat.fall_at(99) == 1.0
    assert TINY.ema_decay_at(1) == 2 / 11
    assert TINY.ema_decay_at(100_000) == 0.999


def test_wrapped_in_ddp_a_lone_worker_ends_in_the_same_bits(tmp_path: Path) -> None:
    _run(tmp_path / "bare")
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        model = DistributedDataParallel(prepare(Forgetful(), TINY, CPU))
        judge = DistributedDataParallel(prepare(build_discriminator(JUDGE, seed=2), TINY, CPU))
        folder = tmp_path / "wrapped"
        fit_restorer(model, judge, _pairs(), TINY, seed=5, device=CPU, folder=folder)
    finally:
        torch.distributed.destroy_process_group()
    assert _same(tmp_path / "bare", tmp_path / "wrapped")


WORKER = """
import sys
from pathlib import Path
import torch
from torch.nn.parallel import DistributedDataParallel
sys.path.insert(0, sys.argv[1])
from test_restorer_training import CPU, JUDGE, TINY, _pairs
from models.discriminator import build_discriminator
from models.restorer import RestorerConfig, build_restorer
from models.restorer_training import fit_restorer, prepare

folder, rank, workers = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
# Not hinge: there the gradient of the logits' bias is 0 but for rounding, which Adam blows up.
config = TINY.model_copy(update={"adversary": "lsgan"})
model = prepare(build_restorer(RestorerConfig(channels=8, blocks=1), (0.5, 0.5), seed=1), config, CPU)
judge = prepare(build_discriminator(JUDGE, seed=2), config, CPU)
if workers > 1:
    store = f"file://{folder.parent / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=workers)
    model, judge = DistributedDataParallel(model), DistributedDataParallel(judge)
fit_restorer(
    model, judge, _pairs(), config, seed=5, device=CPU, folder=folder, rank=rank, world_size=workers
)
"""


@pytest.mark.slow
def test_two_workers_agree_with_one(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    for workers in (1, 2):
        folder = str(tmp_path / str(workers))
        command = [sys.executable, "-c", WORKER, here, folder]
        processes = [
            subprocess.Popen([*command, str(rank), str(workers)]) for rank in range(workers)
        ]
        assert [process.wait(300) for process in processes] == [0] * workers
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("1", "2"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
