"""Two kinds of work at the same time: one on a device, batch by batch, one on CPU threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


def overlapped(
    batches: Iterable[Sequence[Item]],
    prepare: Callable[[Sequence[Item]], Sequence[Prepared]],
    finish: Callable[[Prepared], Result],
    pool: Executor,
) -> list[Result]:
    """Finishes the items of a batch on a pool while the next batch is prepared here.

    At most two batches are held at a time: a third is prepared only when the first is finished.

    Args:
        batches: of items.
        prepare: called here, batch after batch, such as a network's transforms on a GPU.
        finish: called on the pool for each item prepared, such as its entropy coding.
        pool: threads.

    Returns:
        What ``finish`` gave, in the items' order.

    Raises:
        Exception: the first that ``prepare`` or ``finish`` raised; nothing runs on.
    """
    results: list[Result] = []
    waiting: deque[list[Future[Result]]] = deque()
    try:
        for batch in batches:
            prepared = prepare(batch)
            waiting.append([pool.submit(finish, one) for one in prepared])
            if len(waiting) == 2:
                results += [future.result() for future in waiting[0]]
                waiting.popleft()
        while waiting:
            results += [future.result() for future in waiting[0]]
            waiting.popleft()
    finally:
        left = [future for futures in waiting for future in futures]
        for future in left:
            future.cancel()
        for future in left:
            if not future.cancelled():
                future.exception()  # waits
    return results
