"""The losses, on tensors whose values can be worked out by hand."""

from __future__ import annotations

import pytest
import torch

from models.restoration_losses import (
    Maps,
    discriminator_loss,
    feature_loss,
    feature_matching,
    generator_loss,
    pixel_loss,
)


def _maps(*scales: list[list[float]]) -> list[list[torch.Tensor]]:
    return [[torch.tensor(values).view(1, 1, 1, -1) for values in scale] for scale in scales]


# Two scales; features, then logits.
FAKE = _maps([[0.0, 4.0], [1.0], [0.5, -2.0]], [[2.0], [3.0], [3.0]])
REAL = _maps([[1.0, 1.0], [1.0], [2.0, 0.0]], [[2.5], [1.0], [-1.0]])


def test_pixel_loss_is_the_mean_absolute_difference() -> None:
    a, b = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.75]])
    assert pixel_loss(a, b).item() == pytest.approx((0.5 + 0.25) / 2)


def test_hinge_by_hand() -> None:
    # Generator: −mean of (0.5, −2) is 0.75, of 3 it is −3; scales count alike, however many patches.
    assert generator_loss("hinge", FAKE).item() == pytest.approx((0.75 - 3) / 2)
    # First scale: fake (1.5 + 0)/2, real (0 + 1)/2. Second: fake 4, real 2.
    expected = (0.75 + 0.5 + 4 + 2) / 2
    assert discriminator_loss("hinge", FAKE, REAL).item() == pytest.approx(expected)


def test_lsgan_by_hand() -> None:
    assert generator_loss("lsgan", FAKE).item() == pytest.approx(((0.25 + 9) / 2 + 4) / 2)
    # First scale: fake (0.25 + 4)/2, real (1 + 1)/2. Second: fake 9, real 4.
    expected = ((2.125 + 1) / 2 + (9 + 4) / 2) / 2
    assert discriminator_loss("lsgan", FAKE, REAL).item() == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "real", "fake"), [("hinge", 1.0, -1.0), ("lsgan", 1.0, 0.0)])
def test_a_discriminator_that_is_right_has_no_loss(kind: str, real: float, fake: float) -> None:
    told_apart = discriminator_loss(kind, _maps([[fake]]), _maps([[real]]))  # type: ignore[arg-type]
    assert told_apart.item() == 0


def test_feature_matching_by_hand_without_the_logits() -> None:
    # First scale: (1 + 3)/2 and 0, added. Second: 0.5 and 2. Then the scales' mean.
    assert feature_matching(FAKE, REAL).item() == pytest.approx((2 + 2.5) / 2)
    assert feature_matching(FAKE, FAKE).item() == 0


def test_feature_loss_takes_one_map_or_several() -> None:
    a, b = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0])
    assert feature_loss(a, b).item() == 1
    assert feature_loss([a, b], [b, b]).item() == 0.5


def test_gradients_go_to_the_restored_side_alone() -> None:
    fake, real = torch.rand(1, 2, 3, 3, requires_grad=True), torch.rand(1, 2, 3, 3)
    real.requires_grad_()
    restored: Maps = [[fake, fake]]
    original: Maps = [[real, real]]
    loss = feature_matching(restored, original) + feature_loss(fake, real)
    to_fake, to_real = torch.autograd.grad(loss, (fake, real), allow_unused=True)
    assert to_fake.abs().sum() > 0
    assert to_real is None


def test_bfloat16_maps_give_float32_losses() -> None:
    half = [[tensor.bfloat16() for tensor in scale] for scale in FAKE]
    for loss in (
        generator_loss("hinge", half),
        discriminator_loss("lsgan", half, half),
        feature_matching(half, half),
        pixel_loss(half[0][0], half[0][0]),
    ):
        assert loss.dtype == torch.float32
