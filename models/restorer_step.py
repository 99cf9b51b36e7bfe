"""The gradients of one step of the restorer's training, of both sides at once."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from models.restoration_losses import (
    Maps,
    discriminator_loss,
    feature_loss,
    feature_matching,
    generator_loss,
    pixel_loss,
)
from models.restoration_pairs import Crops
from models.restorer_training_config import RestorerTrainingConfig
from models.training_config import TrainingDiverged

TOTAL = "total"
"""Name of the generator's loss among its terms."""


def bare(network: nn.Module) -> nn.Module:
    """The network itself, whether DDP wraps it or not."""
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    assert isinstance(inner, nn.Module)
    return inner


def memory_format(config: RestorerTrainingConfig) -> torch.memory_format:
    """Of the networks and of their input."""
    return torch.channels_last if config.channels_last else torch.contiguous_format


@dataclass(frozen=True)
class RestorerStep:
    """The networks, and how they judge each other.

    Attributes:
        generator: decoded frames (N, 3, H, W) and positions (N,) → restored frames (N, 3, H, W).
        discriminator: None for none; may be wrapped in DDP.
        features: frozen network of the semantic loss; None for none.
        config: weights and kinds of the losses.
        device: that all networks are on.
    """

    generator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    discriminator: nn.Module | None
    features: nn.Module | None
    config: RestorerTrainingConfig
    device: torch.device

    def backward(self, crops: Crops, warm: bool) -> dict[str, torch.Tensor]:
        """Adds the step's gradients to those that generator and discriminator hold.

        Args:
            crops: as ``PatchSampler.crops`` gives them.
            warm: the warm-up is over: all terms count, not the pixels' alone.

        Returns:
            By name, the terms of the generator's loss before they are weighted, their weighted sum
            (``TOTAL``) and the discriminator's loss: float32 scalars on the device.
        """
        config = self.config
        decoded_N3HW, original_N3HW = self._planes(crops[0]), self._planes(crops[1])
        positions_N = torch.from_numpy(crops[2]).to(self.device)
        with self._autocast():
            restored_N3HW = self.generator(decoded_N3HW, positions_N).float()
        # The losses' graph begins here, not in the generator. Their gradient is taken with respect to
        # the restored frames alone: none is computed for the weights of the networks that judge them,
        # and a single pass of the discriminator over them serves both sides.
        judged_N3HW = restored_N3HW.detach().requires_grad_()
        losses = {"pixel": pixel_loss(judged_N3HW, original_N3HW)}
        total = config.pixel_weight * losses["pixel"]
        against = None
        if warm and self.discriminator is not None:
            fake, real = self._opinions(
                self.discriminator, judged_N3HW, original_N3HW, decoded_N3HW
            )
            against = discriminator_loss(config.adversary, fake, real)
            losses["adversarial"] = generator_loss(config.adversary, fake)
            losses["feature_matching"] = feature_matching(fake, real)
            total = total + config.adversarial_weight * losses["adversarial"]
            total = total + config.feature_matching_weight * losses["feature_matching"]
        if warm and self.features is not None:
            with torch.no_grad(), self._autocast():
                wanted = self.features(original_N3HW)
            with self._autocast():
                seen = self.features(judged_N3HW)
            losses["semantic"] = feature_loss(seen, wanted)
            total = total + config.semantic_weight * losses["semantic"]
        (slope_N3HW,) = torch.autograd.grad(total, judged_N3HW, retain_graph=against is not None)
        restored_N3HW.backward(slope_N3HW)  # type: ignore[no-untyped-call]
        if against is not None:
            against.backward()  # type: ignore[no-untyped-call]
            losses["discriminator"] = against
        losses[TOTAL] = total
        return {name: loss.detach() for name, loss in losses.items()}

    def _opinions(
        self,
        discriminator: nn.Module,
        judged_N3HW: torch.Tensor,
        original_N3HW: torch.Tensor,
        decoded_N3HW: torch.Tensor,
    ) -> tuple[Maps, Maps]:
        """What the discriminator says of the restored frames and of the originals."""
        shown_N3HW = decoded_N3HW if self.config.discriminator.conditional else None
        with self._autocast():
            fake = discriminator(judged_N3HW, shown_N3HW)
            # Past DDP: at a second pass it would write into the buffers (it broadcasts them) while the
            # first one's graph may hold them. Gradients of both passes meet in one backward pass, which
            # DDP averages as ever.
            real = bare(discriminator)(original_N3HW, shown_N3HW)
        return fake, real

    def _planes(self, frames_NHW3: NDArray[np.uint8]) -> torch.Tensor:
        """(N, 3, H, W) floating 0–1 on the device."""
        frames_N3HW = torch.from_numpy(frames_NHW3).to(self.device).permute(0, 3, 1, 2)
        return (frames_N3HW.float() / 255).contiguous(memory_format=memory_format(self.config))

    def _autocast(self) -> torch.autocast:
        bf16 = self.config.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)


def finite(
    losses: Mapping[str, torch.Tensor], networks: Mapping[str, nn.Module], where: str
) -> dict[str, float]:
    """The losses as numbers, once they and the networks' gradients are known to be such.

    Args:
        losses: scalars, by name.
        networks: whose gradients to look at, by name; those without any are passed over.
        where: the step, for the error.

    Raises:
        TrainingDiverged: something is infinite or not a number; one line that names it.
    """
    found = {f"the {name} loss": loss for name, loss in losses.items()}
    for name, network in networks.items():
        slopes = [p.grad for p in network.parameters() if p.grad is not None]
        if slopes:
            found[f"the norm of the {name}'s gradient"] = get_total_norm(slopes)
    # One wait for the device, not one for each.
    values: list[float] = torch.stack(list(found.values())).tolist()
    for what, value in zip(found, values, strict=True):
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"training diverged: {what} is {value} at {where}; a smaller learning_rate may help"
            )
    return dict(zip(losses, values, strict=False))
