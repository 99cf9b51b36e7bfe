"""The restorer: a residual network that takes a codec's artefacts out of a decoded frame.

After Katakol et al., "Distributed Learning and Inference with Compressed Images" (IEEE TIP 2021), who
restore decoded BPG images adversarially before they train a segmenter on them. Unlike theirs, one network
serves all qualities: each block's channels are scaled and shifted by an embedding of the bitstream's
quality (FiLM, Perez et al. 2018).

Fully convolutional, without normalisation and without anything that looks at the whole picture: a pixel
depends on nothing farther than ``Restorer.radius``, so a frame can be restored in tiles that have no seams
(`models/restoring.py`). No normalisation also keeps the frame's own contrast (EDSR, Lim et al. 2017).
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

EMBEDDING = 64
"""Width of the quality's embedding."""

SLOPE = 0.2
"""Of the leaky ReLUs: without normalisation, plain ones can die in adversarial training."""

TOLERANCE = 1e-6
"""How far a position may lie outside of the range: what rounding through float32 can add."""


class PositionOutside(ValueError):
    """A quality that the restorer was not trained for. One line with the position and the range."""


class RestorerConfig(BaseModel):
    """Which network takes the codec's artefacts out of decoded frames."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    channels: int = Field(
        default=32, ge=8, le=512, description="Width of the body; the cost grows with its square."
    )
    blocks: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Residual blocks, two 3×3 convolutions each; cost and reach grow with them.",
    )
    shuffle: Literal[1, 2, 4] = Field(
        default=2,
        description="The body works at 1/shuffle of the resolution, on shuffle² times the "
        "channels of the picture: the cost falls with its square, fine detail suffers at 4.",
    )


class ModulatedBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; the channels between them are scaled and shifted."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(
        self, x_NCHW: torch.Tensor, scale_NC11: torch.Tensor, shift_NC11: torch.Tensor
    ) -> torch.Tensor:
        """(N, C, H, W) → (N, C, H, W); a scale of 0 and a shift of 0 change nothing."""
        inner_NCHW = torch.addcmul(shift_NC11, self.first(x_NCHW), 1 + scale_NC11)
        out: torch.Tensor = x_NCHW + self.second(F.leaky_relu(inner_NCHW, SLOPE, inplace=True))
        return out


class Restorer(nn.Module):
    """Adds a correction to each frame; as built, the correction is 0.

    Args:
        config: the network.
        positions: lowest and highest place on the codec's quality scale that it is trained for,
            0 ≤ lowest ≤ highest ≤ 1. Kept with the weights, as the buffer ``range``.

    Raises:
        ValueError: no such range.
    """

    def __init__(self, config: RestorerConfig, positions: tuple[float, float]) -> None:
        super().__init__()
        low, high = positions
        if not 0 <= low <= high <= 1:
            raise ValueError(f"positions: {low:g}–{high:g} is no range within 0–1")
        self.config = config
        width, planes = config.channels, 3 * config.shuffle**2
        self.embedding = nn.Sequential(
            nn.Linear(1, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU()
        )
        self.modulation = nn.Linear(EMBEDDING, config.blocks * 2 * width)
        self.head = nn.Conv2d(planes, width, 3, 1, 1)
        self.body = nn.ModuleList(ModulatedBlock(width) for _ in range(config.blocks))
        self.tail = nn.Conv2d(width, planes, 3, 1, 1)
        self.register_buffer("range", torch.tensor([low, high], dtype=torch.float64))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            for block in self.body:
                assert isinstance(block, ModulatedBlock)
                # So that the sum over all blocks is no larger than one of them, whatever their number.
                block.second.weight.mul_(self.config.blocks**-0.5)
            self.tail.weight.zero_()

    @property
    def shuffle(self) -> int:
        """Side of the cells of pixels that the body works on; tiles begin at multiples of it."""
        return self.config.shuffle

    @property
    def radius(self) -> int:
        """Pixels (in height or width) beyond which nothing has an influence on a restored pixel."""
        convolutions = 2 + 2 * self.config.blocks
        # Each reaches one cell farther; within its cell, a pixel sees up to shuffle − 1 others.
        return self.shuffle * convolutions + self.shuffle - 1

    def check_positions(self, positions: Sequence[float]) -> None:
        """Refuses qualities that the restorer was not trained for.

        Raises:
            PositionOutside: names the first such position and the range.
        """
        low, high = self.get_buffer("range").tolist()
        for position in positions:
            if not low - TOLERANCE <= position <= high + TOLERANCE:
                raise PositionOutside(
                    f"position {position:g} on the codec's quality scale is outside of "
                    f"{low:g}–{high:g}, what this restorer was trained for"
                )

    def forward(self, frames_N3HW: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
        """Restored frames.

        Args:
            frames_N3HW: RGB, uint8 0–255 or floating 0–1, any H and W from 1.
            positions_N: floating; place of each bitstream's quality on the codec's scale, 0
                coarsest, 1 finest. Not compared with ``range``: see ``check_positions``.

        Returns:
            (N, 3, H, W) floating RGB around 0–1, not clamped.

        Raises:
            ValueError: not one position per frame.
        """
        if positions_N.shape != frames_N3HW.shape[:1]:
            raise ValueError(
                f"{tuple(positions_N.shape)} positions for {frames_N3HW.shape[0]} frames"
            )
        dtype = self.tail.weight.dtype
        if frames_N3HW.dtype == torch.uint8:
            frames_N3HW = frames_N3HW.to(dtype) / 255
        height, width = frames_N3HW.shape[-2:]
        below, right = -height % self.shuffle, -width % self.shuffle
        x_N3HW = frames_N3HW
        if below or right:
            # The edge repeated: black pixels within a cell would be an artefact of their own.
            x_N3HW = F.pad(x_N3HW, (0, right, 0, below), mode="replicate")
        x_NCHW: torch.Tensor = self.head(F.pixel_unshuffle(x_N3HW, self.shuffle))
        centred_N1 = 2 * positions_N.to(dtype)[:, None] - 1
        factors = self.modulation(self.embedding(centred_N1))[..., None, None]
        pairs = factors.split(self.config.channels, dim=1)
        for block, scale_NC11, shift_NC11 in zip(self.body, pairs[::2], pairs[1::2], strict=True):
            x_NCHW = block(x_NCHW, scale_NC11, shift_NC11)
        correction_N3HW = F.pixel_shuffle(self.tail(x_NCHW), self.shuffle)
        return frames_N3HW + correction_N3HW[..., :height, :width]


def build_restorer(
    config: RestorerConfig, positions: tuple[float, float], *, seed: int = 0
) -> Restorer:
    """The network that ``config`` describes, on the CPU; it restores nothing before it is trained.

    Args:
        config: the network.
        positions: lowest and highest place on the codec's quality scale that it is to be trained
            for. (Weights that are loaded bring their own.)
        seed: of the random weights; the global random state is left as it was.

    Raises:
        ValueError: not 0 ≤ lowest ≤ highest ≤ 1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Restorer(config, positions)
