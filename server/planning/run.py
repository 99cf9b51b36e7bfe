"""`bitfleet plan`: names the operating point to choose, from a sweep's results or a given law."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fleet.errors import InputError
from server.config_file import load_config
from server.durable import write_json
from server.planning.choice import (
    Choice,
    Fitted,
    fit_options,
    for_accuracy,
    within_budget,
)
from server.planning.config import GivenLaw
from server.planning.fixed_bytes import best_split, fewest_bytes
from server.planning.measured import Measured, read_measured
from server.planning.show import show_fits, show_plan, show_split

PLAN = "plan.json"


@dataclass(frozen=True)
class Asked:
    """What a plan is to meet: one of the three.

    Attributes:
        budget: total cost at most, in the sweep's currency.
        accuracy: mIoU at least, in (0, 1).
        bytes: frames × bytes of each; for a given law.
    """

    budget: float | None = None
    accuracy: float | None = None
    bytes: float | None = None

    def check(self) -> None:
        """Raises InputError unless one thing is asked for, within its range."""
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            raise InputError("plan: give one of --budget, --accuracy and --bytes")
        if self.accuracy is not None and not 0 < self.accuracy < 1:
            raise InputError(
                f"--accuracy {self.accuracy:g}: must be between 0 and 1, e.g. 0.7 for a mIoU of 70 %"
            )
        for name in ("budget", "bytes"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < 1e18 and not (name == "budget" and value > 0):
                raise InputError(f"--{name} {value:g}: must be a number greater than 0")


def plan(where: Path, asked: Asked, console: Console) -> None:
    """Plans by a sweep's folder, or by a law's file, and shows it.

    A sweep's folder is given `plan.json`: the laws with their intervals, what was measured beside
    what they tell, and the choice.

    Args:
        where: a sweep's folder, or a YAML file with a law.
        asked: what to meet.
        console: where to show it.

    Raises:
        InputError: nothing there to plan by, or nothing meets what is asked.
    """
    asked.check()
    if where.is_dir():
        _plan_sweep(where, asked, console)
    else:
        _plan_law(load_config(GivenLaw, where), asked, console)


def _plan_law(given: GivenLaw, asked: Asked, console: Console) -> None:
    law = given.law.law
    if asked.budget is not None:
        raise InputError("--budget: a given law has no prices; give --bytes or --accuracy")
    if asked.bytes is not None:
        split = best_split(law, asked.bytes)
    else:
        assert asked.accuracy is not None
        try:
            split = fewest_bytes(law, 1 - asked.accuracy)
        except ValueError as error:
            raise InputError(f"--accuracy {asked.accuracy:g}: {error}") from None
    show_split(given, split, console)


def _plan_sweep(folder: Path, asked: Asked, console: Console) -> None:
    if asked.bytes is not None:
        raise InputError("--bytes: is for a given law; with a sweep give --budget or --accuracy")
    measured = read_measured(folder)
    fitted, skipped = fit_options(measured)
    if not fitted:
        raise InputError(f"{folder}: no law can be fitted: {'; '.join(skipped)}")
    surer: Choice | None
    if asked.budget is not None:
        chosen = within_budget(fitted, asked.budget, measured)
        surer = for_accuracy(fitted, chosen.accuracy, measured, sure=True)
    else:
        assert asked.accuracy is not None
        found = for_accuracy(fitted, asked.accuracy, measured)
        if found is None:
            most = max(float(1 - one.surface.error.min()) for one in fitted)
            raise InputError(
                f"--accuracy {asked.accuracy:g}: no choice within what was measured is expected to "
                f"reach it; the most is {most:.4f}"
            )
        chosen, surer = found, for_accuracy(fitted, asked.accuracy, measured, sure=True)
    show_fits(fitted, skipped, console)
    show_plan(chosen, surer, fitted, measured, console)
    write_json(
        folder / PLAN,
        {
            "asked": {name: value for name, value in vars(asked).items() if value is not None},
            "currency": measured.currency,
            "choice": _as_json(chosen),
            "surer": None if surer is None else _as_json(surer),
            "laws": [_law_as_json(one) for one in fitted],
            "not_fitted": skipped,
        },
    )


def _as_json(choice: Choice) -> dict[str, Any]:
    option = choice.option
    return {
        "configuration": option.configuration,
        "codec": option.codec,
        "restorer": option.restorer,
        "others": option.others,
        **{name: value for name, value in vars(choice).items() if name != "option"},
    }


def _law_as_json(one: Fitted) -> dict[str, Any]:
    law, option = one.surface.law, one.option
    laws = [each.values() for each in one.laws]
    return {
        "configuration": option.configuration,
        "codec": option.codec,
        "restorer": option.restorer,
        "others": option.others,
        "constants": dict(zip(law.names(), law.values(), strict=True)),
        "bootstrap": {
            name: [each[index] for each in laws] for index, name in enumerate(law.names())
        },
        "measured": [
            {
                "values": setting.values,
                "frames": setting.mean("frames_trained"),
                "bytes": setting.mean("bytes_mean"),
                "errors": [1 - float(miou) for miou in setting.each("miou")],
                "law": float(law.error(setting.mean("frames_trained"), setting.mean("bytes_mean"))),
            }
            for setting in option.settings
        ],
    }


__all__ = ["Asked", "Measured", "plan"]
