"""The moving average of a network's weights, which is what some trainings leave."""

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def decay_at(most: float, done: int) -> float:
    """The average's own share of its next value after so many steps, from 1: less at the start.

    Args:
        most: what it rises to, in [0, 1).
        done: steps done.
    """
    return min(most, (1 + done) / (10 + done))


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the parameters of one network towards another's; with a decay of 0, all the way."""
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update(list(average.parameters()), list(network.parameters()), None)
