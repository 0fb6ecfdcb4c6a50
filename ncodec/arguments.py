"""Numbers that callers give: whole ones are of any integer type, and in their range."""

from __future__ import annotations

import operator
import re
import warnings
from typing import Any

from ncodec.errors import ArgumentError

_KBPS = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf)\s*([a-z/]*)", re.IGNORECASE)
_PER_KBPS = {
    **dict.fromkeys(("k", "kbps", "kbit/s", "kb/s", "kbit", "kbits/s"), 1.0),
    **dict.fromkeys(("bps", "bit/s", "b/s"), 1000.0),
}
LARGEST_KBPS = 1000.0
"""A larger number without a unit is meant in bit/s: no model has so much."""


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


def parse_kbps(what: str, value: Any) -> tuple[float, bool]:
    """Return a bitrate in kbps: 6, "6", "6k", "6kbps", "6000bps"; 6000 is taken as bit/s.

    The second value says whether it was: a number without a unit, too large for kbps.

    >>> parse_kbps("bandwidth", "1.5k"), parse_kbps("bandwidth", 6000)
    ((1.5, False), (6.0, True))

    Raises:
        ArgumentError: It is no bitrate.
    """
    unit = ""
    if isinstance(value, str):
        found = _KBPS.fullmatch(value.strip())
        unit = found[2].lower() if found else ""
        if found is None or (unit and unit not in _PER_KBPS):
            raise ArgumentError(f"{what} {value!r}: must be kbps, such as 6, 1.5 or 6k")
        value = float(found[1])
    number = check_number(what, value)
    if not unit and number >= LARGEST_KBPS:
        return number / 1000, True
    return number / _PER_KBPS.get(unit, 1.0), False


def check_kbps(what: str, value: Any) -> float:
    """Return a bitrate in kbps as `parse_kbps`, with a warning where it was taken as bit/s.

    Raises:
        ArgumentError: It is no bitrate.
    """
    number, in_bits = parse_kbps(what, value)
    if in_bits:
        warnings.warn(f"{what} {value} is taken as bit/s: {number:g} kbps", stacklevel=3)
    return number
