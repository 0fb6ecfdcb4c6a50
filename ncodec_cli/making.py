"""What `ncodec generate` does for every kind of model: names, ends, and what is told."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ncodec.errors import counted
from ncodec_cli.common import file_size, name_of_output
from ncodec_cli.line import put_json, say, say_error
from ncodec_cli.parameters import SECONDS
from ncodec_cli.progress import clock, times

if TYPE_CHECKING:
    from ncodec.lm.files import Generated

T = TypeVar("T")


class Duration(click.ParamType[float]):
    """A time, or "endless"."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, infinity for "endless"."""
        if str(value).strip().lower() in ("endless", "inf"):
            return math.inf
        return SECONDS.convert(value, param, ctx)


def container_of(path: str) -> str:
    """Return the format that an output's name asks for."""
    from ncodec.audio import format_of

    return "ecdc" if path.lower().endswith(".ecdc") else format_of(path)


def numbered(output: str | None, number: int) -> str:
    """Return the name of one of several outputs."""
    stem, ending = os.path.splitext(output or "")
    return f"{stem}-{number + 1}{ending}"


def until_interrupted(parts: Iterator[T]) -> Iterator[T]:
    """Let Ctrl-C end what has no end by itself, and well."""
    while True:
        try:
            part = next(parts, None)
        except KeyboardInterrupt:
            return
        if part is None:
            return
        yield part


def tell(
    done: Generated,
    took: float,
    target: str | None,
    *,
    text: str | None,
    seed: int,
    options: dict[str, Any],
) -> None:
    """Say what was made, and how fast."""
    speed = done.seconds / took if took > 0 else 0.0
    if options["as_json"]:
        put_json(
            {
                "output": target,
                "prompt": text,
                "seed": seed,
                "seconds": done.seconds,
                "frames": done.frames,
                "sample_rate": done.sample_rate,
                "channels": done.channels,
                "bytes": None if target is None else file_size(target),
                "realtime_factor": speed,
                "clipped": done.clipped,
            }
        )
    name = "speaker" if target is None else name_of_output(target)
    said = f"{name}: {clock(done.seconds, digits=3)}, seed {seed}, {times(speed)} real time"
    say(said, quiet=options["quiet"] or options["as_json"])
    if done.clipped:
        what = f"{name}: {counted(done.clipped, 'sample')} clipped"
        say_error(what, "note", quiet=options["quiet"])
