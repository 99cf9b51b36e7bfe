"""Weights of the classes in the loss, from how often they occur."""

import numpy as np
from numpy.typing import NDArray

from models.frame_pairs import FramePairs


def root_weights(pairs: FramePairs, classes: int) -> NDArray[np.float32]:
    """One over the square root of each class's share of the labelled pixels.

    Args:
        pairs: at least one; of many, 512 spread evenly are looked at, every fourth pixel each way.
        classes: number of classes.

    Returns:
        (classes,) weights, scaled so that the mean labelled pixel weighs 1.
    """
    # A few hundred maps, thinned, say what the shares are; all of a large set would take minutes.
    chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), 512)).astype(int)
    counts = np.zeros(256)
    for index in chosen:
        _, labels = pairs[int(index)]
        counts += np.bincount(np.asarray(labels[::4, ::4]).ravel(), minlength=256)
    share = counts[:classes] / max(counts[:classes].sum(), 1)
    # A class that is absent, or nearly, does not get a weight without bound.
    weights = 1 / np.sqrt(np.maximum(share, 1e-3))
    scaled: NDArray[np.float32] = (weights / max(float((share * weights).sum()), 1e-9)).astype(
        np.float32
    )
    return scaled
