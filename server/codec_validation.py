"""Rate and distortion of the neural codec on validation frames, as its training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from models.metrics import ms_ssim, psnr
from models.msh.export import export
from models.msh.model import MshModel
from models.msh.network import VariableRateMsh
from models.msh.rate import gain_of
from server.durable import replace_table

_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("quality", pa.float64()),
        ("bpp", pa.float64()),
        ("psnr", pa.float64()),
        ("ms_ssim", pa.float64()),
    ]
)


class Validation:
    """Measures networks with the codec as a fleet would use it, and keeps the rows in a table.

    Args:
        frames: uint8 (H, W, 3).
        qualities: what they are measured at.
        path: of the table: step, quality, bpp, psnr, ms_ssim; what is there already is kept.

    Attributes:
        line: the last measurement, in short.
    """

    def __init__(
        self, frames: Sequence[NDArray[np.uint8]], qualities: Sequence[float], path: Path
    ) -> None:
        self._frames, self._qualities, self._path = frames, qualities, path
        self._rows: list[dict[str, Any]] = pq.read_table(path).to_pylist() if path.exists() else []
        self.line = ""

    def measured(self, step: int) -> bool:
        """Whether the network after so many steps was measured."""
        return any(row["step"] == step for row in self._rows)

    def __call__(self, network: VariableRateMsh, step: int) -> None:
        """Measures a network after so many steps, and keeps the rows."""
        model = MshModel(export(network, half=True), torch.device("cpu"))
        found: dict[float, list[tuple[float, float, float | None]]] = {}
        for frame in self._frames:
            (latents,) = model.analyse([frame])
            height, width = frame.shape[:2]
            for quality in self._qualities:
                gain = gain_of(quality)
                coded = model.encode(latents, gain)
                decoded = model.decode(coded, height, width, gain)
                bpp = 8 * len(coded.payload) / (height * width)
                found.setdefault(quality, []).append(
                    (bpp, psnr(frame, decoded), ms_ssim(frame, decoded))
                )
        rows = [_mean(step, quality, figures) for quality, figures in found.items()]
        self._rows = [row for row in self._rows if row["step"] < step] + rows
        replace_table(self._path, pa.Table.from_pylist(self._rows, _SCHEMA))
        middle = rows[len(rows) // 2]
        self.line = f"validation at {middle['bpp']:.3f} bpp: {middle['psnr']:.2f} dB"

    def lines(self) -> list[str]:
        """The last measurement, in words."""
        last = max((row["step"] for row in self._rows), default=None)
        return [
            f"quality {row['quality']:4.1f}  {row['bpp']:.4f} bpp  {row['psnr']:.2f} dB"
            + (f"  MS-SSIM {row['ms_ssim']:.4f}" if row["ms_ssim"] is not None else "")
            for row in self._rows
            if row["step"] == last
        ]


def _mean(
    step: int, quality: float, figures: Sequence[tuple[float, float, float | None]]
) -> dict[str, Any]:
    similar = [one[2] for one in figures if one[2] is not None]
    return {
        "step": step,
        "quality": quality,
        "bpp": float(np.mean([one[0] for one in figures])),
        "psnr": float(np.mean([one[1] for one in figures])),
        "ms_ssim": float(np.mean(similar)) if similar else None,
    }
