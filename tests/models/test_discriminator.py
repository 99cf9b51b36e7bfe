"""The discriminator judges patches at its scales, is bounded, and resumes bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from models.checkpoint import load_checkpoint, load_weights, save_checkpoint, write_tensors
from models.discriminator import (
    DiscriminatorConfig,
    MultiScaleDiscriminator,
    build_discriminator,
)

TINY = DiscriminatorConfig(scales=2, channels=8, layers=2)


def config_of(**fields: object) -> DiscriminatorConfig:
    return DiscriminatorConfig.model_validate({"channels": 8, "layers": 2, **fields})


def judge(model: MultiScaleDiscriminator, height: int, width: int) -> list[list[torch.Tensor]]:
    frames = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    decoded = frames.roll(1, 0) if model.config.conditional else None
    out: list[list[torch.Tensor]] = model(frames, decoded)
    return out


def test_maps_of_each_scale_end_with_logits() -> None:
    maps = judge(build_discriminator(TINY), 40, 57)
    shapes = [[tuple(x.shape[1:]) for x in scale] for scale in maps]
    assert shapes == [
        [(8, 20, 28), (16, 10, 14), (32, 9, 13), (1, 8, 12)],
        [(8, 10, 14), (16, 5, 7), (32, 4, 6), (1, 3, 5)],
    ]


def test_width_stops_doubling() -> None:
    model = build_discriminator(DiscriminatorConfig(scales=1, channels=256, layers=3))
    assert [x.shape[1] for x in judge(model, 24, 24)[0]] == [256, 512, 512, 512, 1]


@pytest.mark.parametrize("scales", [1, 2, 4])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("normalisation", ["spectral", "instance"])
def test_smallest_crop_is_the_smallest(scales: int, layers: int, normalisation: str) -> None:
    config = config_of(scales=scales, layers=layers, normalisation=normalisation)
    model, side = build_discriminator(config), config.smallest_crop
    maps = judge(model, side, side + 3)
    assert len(maps) == scales
    assert all(len(scale) == layers + 2 for scale in maps)
    assert maps[-1][-1].shape[2] == 1
    with pytest.raises(ValueError, match=rf"{side}×{side - 1} pixels is too small .*{side}×{side}"):
        judge(model, side - 1, side)
    # One pixel less would indeed leave the coarsest judge nothing to judge.
    x = torch.rand(1, 6, side - 1, side - 1)
    for _ in range(scales - 1):
        x = torch.nn.functional.avg_pool2d(x, 3, 2, 1)
    with pytest.raises((RuntimeError, ValueError), match=r"Kernel size|spatial element"):
        model.judges[-1](x)


def test_coarser_scale_sees_a_larger_patch() -> None:
    model = build_discriminator(config_of(normalisation="none", conditional=False)).double()
    frames = torch.rand(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    reach = []
    for scale in model(frames):
        logits = scale[-1]
        middle = logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle, frames, retain_graph=True)
        rows = gradient.abs().sum((0, 1, 3)).nonzero()
        reach.append(int(rows.max() - rows.min()) + 1)
    # 1 + 3·(1 + 2 + 4 + 4) for 4×4 convolutions of strides 2, 2, 1 and 1.
    assert reach[0] == 34
    assert reach[1] >= 2 * 34


def test_conditional_looks_at_the_decoded_frame() -> None:
    model = build_discriminator(TINY).eval()
    frames, one, other = torch.rand(3, 1, 3, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(model(frames, one)[0][-1], model(frames, other)[0][-1])


def test_decoded_frames_are_asked_for_and_only_then_taken() -> None:
    frames = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="wants decoded frames"):
        build_discriminator(TINY)(frames)
    with pytest.raises(ValueError, match="takes no decoded frames"):
        build_discriminator(config_of(conditional=False))(frames, frames)
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 32\) beside .*\(1, 3, 32, 30\)"):
        build_discriminator(TINY)(frames, frames[..., :30])


def test_bytes_are_refused() -> None:
    # Joined with floats they would silently become 0–255.
    frames = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="floating"):
        build_discriminator(TINY)(frames, (frames * 255).byte())


def test_spectral_norm_bounds_every_convolution() -> None:
    model = build_discriminator(config_of(normalisation="spectral"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(50)
    for _ in range(30):
        judge(model, 32, 32)
    model.eval()
    convolutions = [x for x in model.modules() if isinstance(x, torch.nn.Conv2d)]
    assert len(convolutions) == 2 * 4
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.05)


def test_instance_norm_ignores_a_maps_spread() -> None:
    model = build_discriminator(config_of(normalisation="instance"))
    inner = [x for x in model.modules() if isinstance(x, torch.nn.InstanceNorm2d)]
    assert len(inner) == 2 * 2  # neither the first layer's nor the logits'
    maps = judge(model, 64, 64)
    before = torch.nn.functional.leaky_relu(maps[0][1], 5)  # slope 0.2 undone
    torch.testing.assert_close(before.mean((2, 3)), torch.zeros(2, 16), atol=1e-4, rtol=0)
    plain = build_discriminator(config_of(normalisation="none"))
    names = {type(x).__name__ for x in plain.modules()}
    assert not names & {"InstanceNorm2d", "ParametrizationList"}


def test_weights_are_the_seeds() -> None:
    state = torch.get_rng_state()
    one, same, other = (build_discriminator(TINY, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_weights_round_trip_with_their_power_iteration(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    source, target = build_discriminator(TINY, seed=1), build_discriminator(TINY, seed=2)
    judge(source, 32, 32)
    write_tensors(file, source.state_dict(), {})
    load_weights(target, file)
    assert any(name.endswith("._u") for name in source.state_dict())
    for a, b in zip(judge(source, 32, 32), judge(target, 32, 32), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    with pytest.raises(ValueError, match="not this network's weights") as caught:
        load_weights(build_discriminator(config_of(channels=16)), file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("normalisation", ["spectral", "instance"])
def test_resumed_training_is_the_same_to_the_bit(normalisation: str, tmp_path: Path) -> None:
    config = config_of(normalisation=normalisation)
    file = tmp_path / "checkpoint.safetensors"

    def steps(
        model: MultiScaleDiscriminator, optimiser: torch.optim.Optimizer, start: int, stop: int
    ) -> None:
        for step in range(start, stop):
            generator = torch.Generator().manual_seed(step)
            fake, real, decoded = torch.rand(3, 1, 3, 32, 32, generator=generator)[:, None, 0]
            loss = torch.zeros(())
            for lies, truth in zip(model(fake, decoded), model(real, decoded), strict=True):
                loss = loss + (1 + lies[-1]).relu().mean() + (1 - truth[-1]).relu().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def start(seed: int) -> tuple[MultiScaleDiscriminator, torch.optim.Optimizer]:
        model = build_discriminator(config, seed=seed).to(memory_format=torch.channels_last)
        return model, torch.optim.AdamW(model.parameters(), 1e-3)

    model, optimiser = start(1)
    steps(model, optimiser, 0, 2)
    save_checkpoint(file, model, optimiser, 2, "run")
    steps(model, optimiser, 2, 4)
    resumed, optimiser = start(2)
    assert load_checkpoint(file, resumed, optimiser) == 2
    steps(resumed, optimiser, 2, 4)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    "fields",
    [{"scale": 2}, {"scales": 5}, {"layers": 0}, {"channels": "32"}, {"normalisation": "batch"}],
)
def test_config_is_strict(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        DiscriminatorConfig.model_validate(fields)
