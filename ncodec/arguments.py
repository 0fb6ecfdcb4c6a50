"""Numbers that callers give: whole ones are of any integer type, and in their range."""

from __future__ import annotations

import operator
from typing import Any

from ncodec.errors import ArgumentError


def whole(what: str, value: Any) -> int:
    """Return a whole number, NumPy's too, as an int.

    Raises:
        ArgumentError: It is something else: a float, a bool, text.
    """
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise ArgumentError(f"{what} {value!r}: must be a whole number")


def check_whole(what: str, value: Any, least: int, most: int | None = None) -> int:
    """Return a whole number from `least` to `most`, as an int.

    Raises:
        ArgumentError: It is none, or outside.
    """
    number = whole(what, value)
    if number < least or (most is not None and number > most):
        rule = f"at least {least}" if most is None else f"{least} to {most}"
        raise ArgumentError(f"{what} {number}: must be {rule}")
    return number


def check_number(what: str, value: Any) -> float:
    """Return a finite real number as a float.

    Raises:
        ArgumentError: It is none.
    """
    try:
        if not isinstance(value, (bool, str, bytes)):
            number = float(value)
            if abs(number) < float("inf"):
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ArgumentError(f"{what} {value!r}: must be a finite number")


def check_type(what: str, value: Any, kind: type) -> None:
    """Check that a value is of a type, whatever the annotations promise.

    Raises:
        ArgumentError: It is not.
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{what} of type {type(value).__name__}: must be a {kind.__name__}")
