"""The losses of a training, kept as a table that is whole whenever the training is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from models.training_config import StepReport
from server.durable import replace_table


class LossTable:
    """The losses of a training's steps, written as Parquet when it is through.

    Columns: `step`, `loss`, and the loss's parts by name if it has any.

    Args:
        path: of the table.
        on_step: told of each step, too.
        checkpoint_every: of a training that goes on from its checkpoint without telling the steps
            before it again: the table is then written at each of these steps as well, which must be
            reported before the checkpoint is saved, and goes on from the table that is there.
    """

    def __init__(
        self, path: Path, on_step: Callable[[StepReport], None], checkpoint_every: int | None = None
    ) -> None:
        self._path, self._on_step, self._every = path, on_step, checkpoint_every
        self._rows: dict[int, dict[str, float | None]] = {}

    def __enter__(self) -> Self:
        if self._every is not None and self._path.exists():
            for row in pq.read_table(self._path).to_pylist():
                self._rows[row.pop("step")] = row
        return self

    def add(self, report: StepReport) -> None:
        """Keeps a step; one that is run anew takes its own place, and those after it go."""
        if self._rows and report.step <= next(reversed(self._rows)):
            self._rows = {step: row for step, row in self._rows.items() if step < report.step}
        self._rows[report.step] = {"loss": report.loss, **report.parts}
        last = report.step == report.steps
        if self._every is not None and (last or report.step % self._every == 0):
            self._write()
        self._on_step(report)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._write()

    def _write(self) -> None:
        names = dict.fromkeys(name for row in self._rows.values() for name in row)
        columns = {name: [row.get(name) for row in self._rows.values()] for name in names}
        replace_table(self._path, pa.table({"step": list(self._rows), **columns}))
