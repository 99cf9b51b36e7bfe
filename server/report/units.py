"""Numbers as people read them: three significant digits, a unit, thousands separated."""

from __future__ import annotations

import math
from decimal import Decimal

from markupsafe import Markup

NONE = "–"
"""What stands where there is no figure."""

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scale(largest: float, unit: str) -> tuple[float, str]:
    """The divisor and the unit with its prefix that suit values up to `largest`."""
    for factor, prefix in _PREFIXES:
        if abs(largest) >= factor:
            return factor, prefix + unit
    return 1.0, unit


def time_scale(seconds: float) -> tuple[float, str]:
    """The divisor and the unit for times up to `seconds`."""
    if seconds >= 2 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if seconds >= 180 else (1.0, "s")


def significant(value: float, digits: int = 3) -> str:
    """A number with at least `digits` significant digits, never in exponent form."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else NONE
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _minus(f"{value:,.{decimals}f}")


def plain(value: float, digits: int = 9) -> str:
    """A number with all its digits (up to `digits` significant ones), never in exponent form."""
    return _minus(f"{Decimal(f'{value:.{digits}g}'):,f}") if math.isfinite(value) else NONE


def quantity(value: float | None, unit: str) -> str:
    """A number with a prefixed unit: 18.3 Mbit."""
    if value is None:
        return NONE
    factor, name = scale(value, unit)
    # Whole units have no decimals; 812 bit, not 812.0 bit.
    text = plain(value) if factor == 1 and value == int(value) else significant(value / factor)
    return f"{text} {name}"


def count(value: float) -> str:
    """A whole number with its thousands separated."""
    return f"{value:,.0f}"


def fixed(value: float | None, decimals: int, unit: str = "") -> str:
    """A number with a fixed number of decimals and its unit."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:,.{decimals}f}"
    text = text if any(digit in text for digit in "123456789") else text.lstrip("-")
    return _minus(text) + (f" {unit}" if unit else "")


def percent(share: float | None, decimals: int = 1) -> str:
    """A share as a percentage: 0.412 is 41.2 %."""
    return fixed(None if share is None else share * 100, decimals, "%")


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    text = f"{difference * 100:+.1f}"
    return ("±0.0" if text in ("+0.0", "-0.0") else _minus(text)) + " points"


def interval(low: float | None, high: float | None, factor: float = 100, decimals: int = 1) -> str:
    """The two ends of an interval of shares, in percentage points unless `factor` says otherwise.

    An end just below zero keeps its sign: whether an interval holds zero is what it is read for.
    """
    if low is None or high is None:
        return NONE
    return _minus(f"{factor * low:,.{decimals}f} to {factor * high:,.{decimals}f}")


def money(amount: float | None, currency: str) -> str:
    """An amount: whole from 100 on, two decimals below, more where the cents would read 0."""
    if amount is None:
        return NONE
    if 0 < amount < 0.01:
        return f"{significant(amount, 2)} {currency}"
    return fixed(amount, 0 if amount >= 100 else 2, currency)


def duration(seconds: float) -> str:
    """A duration in the largest unit that suits it."""
    factor, unit = time_scale(seconds)
    return f"{significant(seconds / factor, 3 if seconds >= 10 else 2)} {unit}"


def exact(text: str, figure: str) -> Markup:
    """Shown text whose title holds the exact figure."""
    return Markup('<span class="n" title="{}">{}</span>').format(figure, text)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
