"""A small neural codec for tests: random weights whose latents spread over many tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.msh.export import export
from models.msh.model import MshModel
from models.msh.network import VariableRateMsh, build_msh
from models.msh.training_config import MshNetworkConfig
from models.msh.weights import MshWeights

NETWORK = MshNetworkConfig(channels=8, latents=12)


def network(seed: int = 0) -> VariableRateMsh:
    made = build_msh(NETWORK, seed=seed).eval()
    with torch.no_grad():
        # Untrained, all latents would be 0 and all scales the least.
        made.net.g_a[6].weight.mul_(12)
        made.net.h_a[4].weight.mul_(20)
        made.net.h_s[4].weight.mul_(2)
        made.net.h_s[4].bias.uniform_(0.3, 4, generator=torch.Generator().manual_seed(seed))
    return made


@pytest.fixture(scope="session")
def trainable() -> VariableRateMsh:
    return network()


@pytest.fixture(scope="session")
def weights(trainable: VariableRateMsh) -> MshWeights:
    return export(trainable, "for tests")


@pytest.fixture(scope="session")
def model(weights: MshWeights) -> MshModel:
    return MshModel(weights, torch.device("cpu"))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    frame = np.kron(coarse, np.ones((8, 8, 1), int))[:height, :width]
    return np.clip(frame + rng.integers(-20, 21, frame.shape), 0, 255).astype(np.uint8)
