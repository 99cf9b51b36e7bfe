"""The losses of a restorer and of the adversary that judges it.

All are float32 scalars, averaged over crops, over pixels or patches, and over the discriminator's scales,
so that a weight means the same for any crop and any number of scales. (Wang et al. 2018 add the scales up.)
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F

Maps = Sequence[Sequence[torch.Tensor]]
"""What a discriminator answers: per scale its feature maps (N, C, h, w), the logits of patches last."""

Adversary = Literal["hinge", "lsgan"]


def pixel_loss(restored_N3HW: torch.Tensor, original_N3HW: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, in the pixels' unit (here: 0–1)."""
    return F.l1_loss(restored_N3HW.float(), original_N3HW.float())


def generator_loss(kind: Adversary, restored: Maps) -> torch.Tensor:
    """How far the restored crops are from being taken for originals.

    Args:
        kind: `hinge`: minus the mean logit (Lim & Ye, "Geometric GAN", 2017); any sign.
            `lsgan`: mean squared distance from 1 (Mao et al., "Least Squares Generative Adversarial
            Networks", 2017), at least 0.
        restored: the discriminator's answer to the restored crops.
    """
    logits = _logits(restored)
    if kind == "hinge":
        return _mean([-logits_N1hw.mean() for logits_N1hw in logits])
    return _mean([(logits_N1hw - 1).square().mean() for logits_N1hw in logits])


def discriminator_loss(kind: Adversary, restored: Maps, original: Maps) -> torch.Tensor:
    """How badly restored crops and originals are told apart; at least 0.

    Args:
        kind: `hinge`: originals want logits of at least 1, restored ones of at most −1; the sum of
            what is missing (Lim & Ye 2017). `lsgan`: originals want 1 and restored ones 0; half the sum of
            the squared distances (Mao et al. 2017).
        restored: the discriminator's answer to the restored crops, through which no gradient should
            reach the restorer.
        original: its answer to the originals.
    """
    pairs = list(zip(_logits(restored), _logits(original), strict=True))
    if kind == "hinge":
        return _mean([F.relu(1 + fake).mean() + F.relu(1 - real).mean() for fake, real in pairs])
    return _mean([(fake.square().mean() + (real - 1).square().mean()) / 2 for fake, real in pairs])


def feature_matching(restored: Maps, original: Maps) -> torch.Tensor:
    """Distance of restored crops and originals in the discriminator's own features.

    The mean absolute differences of the feature maps before the logits, added up over a judge's maps (Wang
    et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", 2018:
    pix2pixHD). No gradient goes into the originals' side.
    """
    return _mean(
        [
            torch.stack([_distance(a, b) for a, b in zip(fake[:-1], real[:-1], strict=True)]).sum()
            for fake, real in zip(restored, original, strict=True)
        ]
    )


def feature_loss(
    restored: torch.Tensor | Sequence[torch.Tensor], original: torch.Tensor | Sequence[torch.Tensor]
) -> torch.Tensor:
    """Distance of restored crops and originals in another network's features or logits.

    The mean absolute difference (after Johnson et al., "Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution", 2016), averaged over the maps where there are several. No gradient goes into
    the originals' side.
    """
    if isinstance(restored, torch.Tensor):
        restored = [restored]
    if isinstance(original, torch.Tensor):
        original = [original]
    return _mean([_distance(a, b) for a, b in zip(restored, original, strict=True)])


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.l1_loss(a.float(), b.detach().float())


def _logits(maps: Maps) -> list[torch.Tensor]:
    return [scale[-1].float() for scale in maps]


def _mean(losses: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(losses).mean()
