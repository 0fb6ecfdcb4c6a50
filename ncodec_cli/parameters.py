"""Types of parameters: times, bitrates, numbers, tags. A bad value is told with the rule."""

from __future__ import annotations

import re
from typing import Any

import click

from ncodec.arguments import parse_kbps
from ncodec.errors import ArgumentError
from ncodec_cli.line import say_error

_CLOCK = re.compile(r"(?:(?:(\d+):(?=[0-5]?\d:))?(\d+):(?=[0-5]?\d(?:\.|$)))?(\d+(?:\.\d*)?)")
_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d*)?)s)?")


class Seconds(click.ParamType[float]):
    """A time: 90, 1.5, 90s, 1m30s, 1:30, 1:02:03.5; with `from_end`, -3 is 3 s before the end."""

    name = "time"

    def __init__(self, *, from_end: bool = False) -> None:
        """Say whether times may be told from the end."""
        self._from_end = from_end

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, negative ones from the end."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        negative = self._from_end and text.startswith("-")
        text = text[1:] if negative else text
        found = _CLOCK.fullmatch(text) or (_UNITS.fullmatch(text) if text else None)
        if found is None:
            forms = "seconds (90.5), 1m30s or a clock time (1:30, 1:02:03)"
            also = ", or -3 for 3 s before the end" if self._from_end else ""
            self.fail(f"{value!r}: must be {forms}{also}")
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        total = 3600 * hours + 60 * minutes + seconds
        return -total if negative else total


class Kbps(click.ParamType[float]):
    """A bitrate in kbps: 6, 6k, 6kbps; 6000 and 6000bps are taken as bit/s."""

    name = "kbps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return kbps."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            number, in_bits = parse_kbps("", str(value))
        except ArgumentError as error:
            self.fail(str(error).strip())
        if in_bits:
            say_error(f"{value} is taken as bit/s: {number:g} kbps", "note")
        return number


class Rate(click.ParamType[str]):
    """A bitrate or a sample rate: which of them it is, other options say."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the words, which are checked later."""
        return str(value)


class Between(click.ParamType[float]):
    """A number within limits, whole or not."""

    name = "number"

    def __init__(
        self, low: float | None = None, high: float | None = None, *, whole: bool = True
    ) -> None:
        """Take the least and the greatest number."""
        self._low, self._high, self._whole = low, high, whole

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        kind = "a whole number" if self._whole else "a number"
        if self._high is None:
            return kind if self._low is None else f"{kind}, {self._low:g} or more"
        return f"{kind} from {self._low:g} to {self._high:g}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return an int where it is whole, a float otherwise."""
        try:
            number = int(value) if self._whole else float(value)
        except ValueError:
            self.fail(f"{value!r}: must be {self.rule}")
        low = self._low is None or number >= self._low
        if not (low and (self._high is None or number <= self._high)):
            self.fail(f"{value}: must be {self.rule}")
        return number


class Pair(click.ParamType[tuple[int, int]]):
    """Two whole numbers, "k,n"."""

    name = "k,n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return them."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            self.fail(f"{value!r}: must be two whole numbers, as in 2,3")
        return int(parts[0]), int(parts[1])


class KeyValue(click.ParamType[tuple[str, str]]):
    """A tag, "key=value"."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r}: must be KEY=VALUE")
        return key, text


SECONDS = Seconds()
TIME = Seconds(from_end=True)
KBPS = Kbps()
KEY_VALUE = KeyValue()
