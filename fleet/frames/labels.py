"""Cityscapes labels: the official names, label ids, train ids and colours.

Source: M. Cordts et al., *The Cityscapes Dataset for Semantic Urban Scene Understanding*, CVPR 2016,
label table of the data set's documentation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""Train id of pixels that are neither trained on nor scored."""


class Label(NamedTuple):
    """One row of the official table.

    `train_id` is VOID where the label is not scored; `colour` is 8-bit RGB.
    """

    name: str
    label_id: int
    train_id: int
    colour: tuple[int, int, int]


LABELS: tuple[Label, ...] = (
    Label("unlabeled", 0, VOID, (0, 0, 0)),
    Label("ego vehicle", 1, VOID, (0, 0, 0)),
    Label("rectification border", 2, VOID, (0, 0, 0)),
    Label("out of roi", 3, VOID, (0, 0, 0)),
    Label("static", 4, VOID, (0, 0, 0)),
    Label("dynamic", 5, VOID, (111, 74, 0)),
    Label("ground", 6, VOID, (81, 0, 81)),
    Label("road", 7, 0, (128, 64, 128)),
    Label("sidewalk", 8, 1, (244, 35, 232)),
    Label("parking", 9, VOID, (250, 170, 160)),
    Label("rail track", 10, VOID, (230, 150, 140)),
    Label("building", 11, 2, (70, 70, 70)),
    Label("wall", 12, 3, (102, 102, 156)),
    Label("fence", 13, 4, (190, 153, 153)),
    Label("guard rail", 14, VOID, (180, 165, 180)),
    Label("bridge", 15, VOID, (150, 100, 100)),
    Label("tunnel", 16, VOID, (150, 120, 90)),
    Label("pole", 17, 5, (153, 153, 153)),
    Label("polegroup", 18, VOID, (153, 153, 153)),
    Label("traffic light", 19, 6, (250, 170, 30)),
    Label("traffic sign", 20, 7, (220, 220, 0)),
    Label("vegetation", 21, 8, (107, 142, 35)),
    Label("terrain", 22, 9, (152, 251, 152)),
    Label("sky", 23, 10, (70, 130, 180)),
    Label("person", 24, 11, (220, 20, 60)),
    Label("rider", 25, 12, (255, 0, 0)),
    Label("car", 26, 13, (0, 0, 142)),
    Label("truck", 27, 14, (0, 0, 70)),
    Label("bus", 28, 15, (0, 60, 100)),
    Label("caravan", 29, VOID, (0, 0, 90)),
    Label("trailer", 30, VOID, (0, 0, 110)),
    Label("train", 31, 16, (0, 80, 100)),
    Label("motorcycle", 32, 17, (0, 0, 230)),
    Label("bicycle", 33, 18, (119, 11, 32)),
    Label("license plate", -1, VOID, (0, 0, 142)),
)

LABEL_ID: dict[str, int] = {label.name: label.label_id for label in LABELS}
"""Label id by official name."""

CLASSES: tuple[str, ...] = tuple(
    label.name
    for label in sorted(LABELS, key=lambda label: label.train_id)
    if label.train_id != VOID
)
"""Names of the 19 scored classes, in train id order."""


def _train_id_table() -> NDArray[np.uint8]:
    table = np.full(256, VOID, np.uint8)
    for label in LABELS:
        if label.label_id >= 0:
            table[label.label_id] = label.train_id
    return table


_TRAIN_IDS = _train_id_table()
_KNOWN = np.zeros(256, bool)
_KNOWN[[label.label_id for label in LABELS if label.label_id >= 0] + [255]] = True

PALETTE: NDArray[np.uint8] = np.zeros((256, 3), np.uint8)
"""RGB colour by train id, uint8 (256, 3); VOID is black."""
for _label in LABELS:
    if _label.train_id != VOID:
        PALETTE[_label.train_id] = _label.colour


def train_ids(label_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Maps label ids to the 19 train ids, VOID elsewhere.

    Args:
        label_ids: uint8, any shape; official label ids 0–33. 255 (the file form of “license plate”,
            −1) counts as void.

    Returns:
        uint8 train ids of the same shape.

    Raises:
        ValueError: a label id that is not in the official table; the text names it.
    """
    known = _KNOWN[label_ids]
    if not known.all():
        bad = int(label_ids[~known].flat[0])
        raise ValueError(f"label id {bad} is not a Cityscapes label id (0–33)")
    return _TRAIN_IDS[label_ids]
