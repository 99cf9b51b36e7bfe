"""The segmenter takes any size, in bytes or floats, and refuses what it does not know."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from models.segmenter import Segmenter, SegmenterConfig, build_segmenter

SMALL = SegmenterConfig(decoder_channels=8)


@pytest.mark.parametrize(
    "architecture",
    ["unet", "fpn", "upernet", "deeplabv3plus", "segformer", "linknet", "unetplusplus"],
)
def test_logits_have_the_frames_size(architecture: str) -> None:
    config = SegmenterConfig.model_validate({"architecture": architecture, "decoder_channels": 32})
    model = build_segmenter(config, classes=5).eval()
    frames = torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8)
    with torch.inference_mode():
        assert model(frames).shape == (2, 5, 45, 70)


def test_bytes_and_floats_are_the_same_frame() -> None:
    model = build_segmenter(SMALL).eval()
    frames = torch.randint(0, 256, (1, 3, 33, 40), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(model(frames), model(frames.float() / 255))


def test_input_is_normalised_and_padded_with_its_edge() -> None:
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, x_N3HW: torch.Tensor) -> torch.Tensor:
            seen.append(x_N3HW)
            return x_N3HW

    frames = torch.full((1, 3, 30, 31), 255, dtype=torch.uint8)
    out = Segmenter(Spy())(frames)
    assert seen[0].shape == (1, 3, 32, 32)
    assert out.shape == (1, 3, 30, 31)
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0], white.view(1, 3, 1, 1).expand(1, 3, 32, 32))


def test_weights_are_the_seeds() -> None:
    state = torch.get_rng_state()
    one, same, other = (build_segmenter(SMALL, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert any(
        not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("encoder", "near"),
    [("resnet19", "resnet18"), ("tu-resnet10tt", "tu-resnet10t"), ("?", "comp")],
)
def test_unknown_encoder_names_near_ones(encoder: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"^encoder: .*{near}") as caught:
        build_segmenter(SegmenterConfig(encoder=encoder))
    assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_had_are_one_line() -> None:
    # No weights of that name exist: the same path as a download that fails, without a network.
    config = SegmenterConfig(encoder="resnet18", encoder_weights="nowhere")
    with pytest.raises(ValueError, match=r"^encoder_weights: 'nowhere'") as caught:
        build_segmenter(config)
    assert "\n" not in str(caught.value)


def test_compact_has_no_pretrained_weights() -> None:
    with pytest.raises(ValueError, match=r"^encoder_weights: 'imagenet' for 'compact'"):
        build_segmenter(SegmenterConfig(encoder_weights="imagenet"))


@pytest.mark.parametrize(
    "fields",
    [
        {"encodr": "x"},
        {"decoder_channels": "48"},
        {"decoder_channels": 48, "architecture": "fpn"},
        {"architecture": "vgg"},
    ],
)
def test_config_is_strict(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        SegmenterConfig.model_validate(fields)
