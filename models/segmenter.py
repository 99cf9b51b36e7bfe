"""The segmenter: an architecture of segmentation-models-pytorch (smp) behind one module.

The module takes frames as they are, of any size, and answers with logits of that size, so neither
training nor evaluation has to know how a network wants its input.
"""

import difflib
import warnings
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

# segmentation-models-pytorch and timm take seconds to import, and most processes of a campaign never
# build a network: they are imported where one is built.

_OWN_ENCODERS = ("compact", "compact-small")
"""Encoders that `models.compact_encoder` registers."""

CLASSES = 19
"""Cityscapes train ids."""

STRIDE = 32
"""Frames are padded to a multiple of this: the coarsest stride of every encoder."""

_MEAN_RGB = (0.485, 0.456, 0.406)
_STD_RGB = (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1], which pretrained encoders expect."""


class SegmenterConfig(BaseModel):
    """Which network is trained on what arrived."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    architecture: Literal[
        "unet", "fpn", "upernet", "deeplabv3plus", "segformer", "linknet", "unetplusplus"
    ] = Field(
        default="upernet",
        description="Decoder, by its name in segmentation-models-pytorch. `upernet` and `fpn` end "
        "at stride 4 and are cheap; `unet` ends at full size and costs twice as much.",
    )
    encoder: str = Field(
        default="compact",
        description="Encoder: `compact` or `compact-small` (this project's, learn from scratch on "
        "CPU), a name of segmentation-models-pytorch (`resnet18`, `mit_b0`) or `tu-` and a name of timm "
        "(`tu-resnet10t`).",
    )
    encoder_weights: str | None = Field(
        default=None,
        description="Pretrained weights of the encoder, such as `imagenet`; they are downloaded "
        "from the Hugging Face hub on first use. `null`: random weights, no download.",
    )
    decoder_channels: int = Field(
        default=48,
        ge=8,
        le=1024,
        description="Width of the decoder. `unet` and `unetplusplus` start with it and halve it "
        "at each level, not below 16; `fpn` needs a multiple of 32; `linknet` has no width and "
        "ignores it.",
    )

    @model_validator(mode="after")
    def _width_fits(self) -> "SegmenterConfig":
        if self.architecture == "fpn" and self.decoder_channels % 32:
            raise ValueError(
                f"decoder_channels: {self.decoder_channels} is no multiple of 32 (fpn)"
            )
        return self


class Segmenter(nn.Module):
    """Normalises, pads to the stride, runs the network and crops the logits back.

    Args:
        network: (N, 3, H, W) normalised RGB, H and W multiples of ``STRIDE`` → (N, classes, H, W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # Constants, not weights: a checkpoint does not carry them.
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD_RGB).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames_N3HW: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel.

        Args:
            frames_N3HW: RGB, uint8 0–255 or floating 0–1, any H and W.

        Returns:
            (N, classes, H, W) floating logits.
        """
        height, width = frames_N3HW.shape[-2:]
        logits_NCHW: torch.Tensor = self.network(self._prepared(frames_N3HW))
        if logits_NCHW.shape[-2:] != (height, width):
            logits_NCHW = logits_NCHW[..., :height, :width]
        return logits_NCHW

    def features(self, frames_N3HW: torch.Tensor) -> list[torch.Tensor]:
        """What the network's encoder makes of frames, for a network of smp.

        Args:
            frames_N3HW: as of ``forward``.

        Returns:
            The input, normalised and padded, then maps (N, channels, h, w) at falling size: strides
            2, 4, 8, … of the padded frame. A map without channels stands for a stride that the
            encoder leaves out; one that dilates repeats its last stride.
        """
        encoder = self.network.get_submodule("encoder")
        return list(encoder(self._prepared(frames_N3HW)))

    def _prepared(self, frames_N3HW: torch.Tensor) -> torch.Tensor:
        """Normalised, and padded below and on the right to multiples of ``STRIDE``."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        if frames_N3HW.dtype == torch.uint8:
            frames_N3HW = frames_N3HW.to(mean.dtype) / 255
        x_N3HW = (frames_N3HW - mean) / std
        height, width = x_N3HW.shape[-2:]
        below, right = -height % STRIDE, -width % STRIDE
        if below or right:
            # The edge repeated: a black border would look like an object.
            x_N3HW = F.pad(x_N3HW, (0, right, 0, below), mode="replicate")
        return x_N3HW


class SegmenterFeatures(nn.Module):
    """A segmenter's features as a module, for losses: frames (N, 3, H, W) → maps, finest first.

    Args:
        segmenter: whose encoder is asked; in evaluation mode if this is.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, frames_N3HW: torch.Tensor) -> list[torch.Tensor]:
        """The encoder's maps at strides 2, 4, …; its input, which smp gives as the first, left out."""
        return self.segmenter.features(frames_N3HW)[1:]


def build_segmenter(config: SegmenterConfig, classes: int = CLASSES, *, seed: int = 0) -> Segmenter:
    """The network that ``config`` describes, on the CPU.

    Args:
        config: the network.
        classes: number of classes, at least 2.
        seed: of the random weights; the global random state is left as it was.

    Raises:
        ValueError: unknown encoder or weights (the text names near names), or weights that cannot
            be downloaded; the text is one line and starts with the field.
    """
    check_encoder(config)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        try:
            network: nn.Module = _library().create_model(
                config.architecture,
                encoder_name=config.encoder,
                encoder_weights=config.encoder_weights,
                classes=classes,
                **_decoder_options(config),
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if config.encoder_weights is None:
                raise ValueError(
                    f"encoder: {config.encoder!r} does not go with architecture "
                    f"{config.architecture!r}: {reason}"
                ) from error
            raise ValueError(
                f"encoder_weights: {config.encoder_weights!r} for {config.encoder!r} cannot be had "
                f"(they are downloaded; null trains from scratch): {reason}"
            ) from error
    return Segmenter(network)


def _library() -> Any:
    """segmentation-models-pytorch, with this project's encoders among its own."""
    import segmentation_models_pytorch as smp

    from models import compact_encoder

    compact_encoder.register()
    return smp


def _decoder_options(config: SegmenterConfig) -> dict[str, Any]:
    width = config.decoder_channels
    match config.architecture:
        case "unet" | "unetplusplus":
            return {"decoder_channels": [max(width >> level, 16) for level in range(5)]}
        case "fpn":
            return {"decoder_pyramid_channels": width, "decoder_segmentation_channels": width}
        case "segformer":
            return {"decoder_segmentation_channels": width}
        case "linknet":
            return {}
        case _:
            return {"decoder_channels": width}


def check_encoder(config: SegmenterConfig) -> None:
    """Raises ValueError for an unknown encoder; smp's own message lists hundreds."""
    if config.encoder in _OWN_ENCODERS:
        return
    if config.encoder.startswith("tu-"):
        import timm

        known = [f"tu-{name}" for name in timm.list_models()]
        # `tu-resnet18.a1_in1k` names one of a network's weights.
        found = config.encoder.split(".")[0] in set(known)
    else:
        known = list(_library().encoders.encoders)
        found = config.encoder in known
    if found:
        return
    near = difflib.get_close_matches(config.encoder, known, n=4, cutoff=0.4) or ["compact"]
    raise ValueError(f"encoder: no encoder {config.encoder!r}; near: {', '.join(near)}")
