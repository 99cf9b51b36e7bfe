"""Work on many items on all of the cluster's CPUs, with crashes kept to the item that causes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray

from fleet.errors import BitstreamError, InputError
from server.cluster import resources

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 8
"""Items a task works on."""


class WorkerCrash(Exception):
    """The process that worked on an item died of it, twice."""


def map_items(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    on_done: Callable[[int], None] = lambda done: None,
    *,
    gpus: float = 0,
    on_result: Callable[[Item, Result], None] = lambda item, result: None,
) -> list[Result | WorkerCrash]:
    """Runs `work` on every item, in Ray tasks of one CPU each; results are in the items' order.

    A process that dies (not a Python error: those come out as they are) costs only the item that
    killed it: the items of its task are tried again one by one, and the one that fails again gives a
    WorkerCrash in place of its result.

    Args:
        work: a function that can be sent to another process.
        items: what to work on.
        on_done: called with the number of items done.
        gpus: GPUs, or the share of one, of each task.
        on_result: called with each item and what came of it, as they come, before `on_done`.

    Raises:
        InputError, BitstreamError: as `work` raised it.
    """
    results: dict[int, Result | WorkerCrash] = {}
    waiting = deque(
        list(range(start, min(start + _CHUNK, len(items))))
        for start in range(0, len(items), _CHUNK)
    )
    task = ray.remote(_run_chunk).options(num_cpus=1, num_gpus=gpus, max_retries=0)
    width = max(1, int(resources().get("CPU", 1)))
    running: dict[Any, list[int]] = {}
    retried: set[int] = set()
    done = 0
    while waiting or running:
        while waiting and len(running) < 2 * width:
            chunk = waiting.popleft()
            running[task.remote(work, [items[index] for index in chunk])] = chunk
        (ready,), _ = ray.wait(list(running), num_returns=1)
        chunk = running.pop(ready)
        try:
            for index, result in zip(chunk, ray.get(ready), strict=True):
                results[index] = result
                on_result(items[index], result)
        except ray.exceptions.RayTaskError as error:
            for other in running:
                ray.cancel(other)
            if isinstance(error.cause, InputError | BitstreamError):
                raise error.cause from None
            raise
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
            if len(chunk) == 1 and chunk[0] in retried:
                results[chunk[0]] = WorkerCrash(str(error).splitlines()[0])
            else:
                retried.update(chunk)
                waiting.extend([index] for index in chunk)
                continue
        done += len(chunk)
        on_done(done)
    return [results[index] for index in range(len(items))]


def _run_chunk(work: Callable[[Any], Any], chunk: list[Any]) -> list[Any]:
    return [work(item) for item in chunk]
