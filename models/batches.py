"""What the training loops share: batches that are cut ahead, and seeds made of numbers."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

T = TypeVar("T")

AHEAD = 3
"""Batches that are being cut or wait for the network."""


def cut_ahead(cut: Callable[[int], T], start: int, steps: int) -> Iterator[tuple[int, T]]:
    """Steps with their batches; a thread cuts the next ones while the network computes.

    Args:
        cut: gives the batch of a step; called in the thread, in the order of the steps.
        start: first step.
        steps: one past the last.

    Raises:
        Exception: whatever ``cut`` raises, at the step that it is for.
    """
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="crops")
    try:
        for step in range(start, steps):
            while len(waiting) < AHEAD and step + len(waiting) < steps:
                waiting.append(pool.submit(cut, step + len(waiting)))
            yield step, waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def mix(*numbers: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
