"""What Ray Tune is asked for: all of a grid's points, or one point after another from Optuna."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from server.sweep.config import Optuna, Range, SweepConfig

OBJECTIVES = ("miou", "cost_total")
"""What Optuna looks for the front of: the first as great, the second as small as can be."""
_JOURNAL, _STUDY = "optuna.journal", "sweep"


def optuna_search(config: SweepConfig, search: Optuna, folder: Path) -> tuple[OptunaSearch, int]:
    """Optuna as a Ray Tune searcher, with what an earlier run of the sweep told it.

    Args:
        config: the sweep.
        search: its search.
        folder: where Optuna keeps its journal of points and what came of them.

    Returns:
        The searcher, and how many of the points are still to be run.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / _JOURNAL)))
    # Points of an earlier run are drawn already: from the same seed they would be drawn again.
    seed = search.seed + len(_completed(storage))
    searcher = OptunaSearch(
        {field: _distribution(values) for field, values in config.vary.items()},
        metric=list(OBJECTIVES),
        mode=["max", "min"],
        storage=storage,
        study_name=_STUDY,
        seed=seed,
    )
    return searcher, max(0, search.points - len(_completed(storage)))


def _completed(storage: JournalStorage) -> list[optuna.trial.FrozenTrial]:
    names = [study.study_name for study in storage.get_all_studies()]
    if _STUDY not in names:
        return []
    study = optuna.load_study(study_name=_STUDY, storage=storage)
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def suggested(config: SweepConfig, suggestion: dict[str, Any]) -> dict[str, Any]:
    """The values of the varied fields that a suggestion of Optuna's stands for."""
    return {
        field: suggestion[field] if isinstance(values, Range) else json.loads(suggestion[field])
        for field, values in config.vary.items()
    }


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if not isinstance(values, Range):
        # Optuna chooses among texts and numbers; a section is neither.
        return CategoricalDistribution([json.dumps(value) for value in values])
    if values.integer:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)
