"""Restoring frames in tiles: bounded memory for any frame, and no seams.

Each tile is computed with as much of the frame around it as can have an influence on it, and only the tile
is kept. Tiles begin on the restorer's cells, and only a tile at the frame's own border ends there: what is
padded, and with what, is the same as for the whole frame.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.restorer import Restorer
from models.segmenter_training import cpu_threads

U8 = NDArray[np.uint8]


def restore(
    model: Restorer,
    frames: U8,
    positions: Sequence[float],
    device: torch.device,
    *,
    tile: int = 512,
    threads: int = 2,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> U8:
    """Restored frames, as bytes.

    Independent of ``tile`` but for the order in which kernels sum: a level here and there, where a value
    lies at the middle between two. A GPU takes all frames at once, a CPU one after the other.

    Args:
        model: it is put on ``device``, into the memory format NHWC and into evaluation mode.
        frames: (N, H, W, 3) RGB, decoded.
        positions: place of each frame's bitstream on the codec's quality scale, 0 coarsest, 1 finest.
        device: where to compute.
        tile: largest side of a tile, pixels; at least ``model.shuffle``. Memory grows with
            (tile + 2 · model.radius)².
        threads: torch's CPU threads.
        precision: bf16: autocast; for GPUs and CPUs with AMX.

    Returns:
        (N, H, W, 3), rounded to the nearest level.

    Raises:
        PositionOutside: a quality that the model was not trained for.
        ValueError: frames that are none, not one position per frame, or a tile below a cell.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"want uint8 (N, H, W, 3): {frames.dtype} {frames.shape}")
    if len(positions) != len(frames):
        raise ValueError(f"{len(positions)} positions for {len(frames)} frames")
    if tile < model.shuffle:
        raise ValueError(f"tile: {tile} pixels are less than a cell of {model.shuffle}")
    model.check_positions(positions)
    model.to(device).to(memory_format=torch.channels_last)
    model.eval()
    step = tile - tile % model.shuffle
    halo = model.radius + -model.radius % model.shuffle
    together = 1 if device.type == "cpu" else max(len(frames), 1)
    restored = np.empty(frames.shape, np.uint8)
    bf16 = precision == "bf16"
    with (
        cpu_threads(threads),
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        for first in range(0, len(frames), together):
            batch = slice(first, first + together)
            positions_N = torch.tensor(positions[batch], dtype=torch.float32, device=device)
            for rows, kept_rows, inner_rows in _spans(frames.shape[1], step, halo):
                for columns, kept_columns, inner_columns in _spans(frames.shape[2], step, halo):
                    # A copy: torch wants its own, writable memory, and the frames may be a map.
                    tile_NHW3 = torch.from_numpy(frames[batch, rows, columns].copy()).to(device)
                    out_N3HW = model(tile_NHW3.permute(0, 3, 1, 2), positions_N)
                    kept_N3HW = out_N3HW[..., inner_rows, inner_columns].float()
                    levels_N3HW = kept_N3HW.clamp(0, 1).mul(255).round().to(torch.uint8)
                    restored[batch, kept_rows, kept_columns] = (
                        levels_N3HW.permute(0, 2, 3, 1).cpu().numpy()
                    )
    return restored


def _spans(length: int, step: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cuts a side of a frame into tiles.

    Yields:
        What is computed, what is kept of it (both in the frame), and the latter within the former.
    """
    for start in range(0, length, step):
        stop = min(start + step, length)
        low, high = max(start - halo, 0), min(stop + halo, length)
        yield slice(low, high), slice(start, stop), slice(start - low, stop - low)
