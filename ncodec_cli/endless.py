"""The part of `ncodec generate` that is for models of endless sound."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import ArgumentError
from ncodec_cli.common import F, open_output, use_threads
from ncodec_cli.line import clear, show
from ncodec_cli.making import container_of, numbered, tell, until_interrupted
from ncodec_cli.parameters import SECONDS, Between
from ncodec_cli.progress import Progress
from ncodec_cli.sound import play_while

if TYPE_CHECKING:
    from ncodec.audio import Samples
    from ncodec.latents import Directions, Endless
    from ncodec.lm.files import Generated

_DURATION = 30.0
_WORDS = ("prompt", "guidance")
_ONLY = {
    "variation": "--style-variation",
    "density": "--density",
    "tempo": "--tempo",
    "noise": "--noise",
    "loop": "--loop",
    "start": "--start",
}
"""Options that only these models have."""


def endless_options(command: F) -> F:
    """Add the options of models of endless sound."""
    for option in reversed(
        (
            click.option("--style-variation", "variation", type=Between(0.01, 100, whole=False),
                         metavar="V",
                         help="Endless models: how far they go from what is most usual. "
                         "[default: 2]"),
            click.option("--density", type=Between(0.01, 100, whole=False), metavar="N",
                         help="Endless models that learnt it: onsets a second."),
            click.option("--tempo", type=Between(1, 1000, whole=False), metavar="BPM",
                         help="Endless models that learnt it: beats a minute."),
            click.option("--noise", type=Between(0, 10, whole=False), metavar="X",
                         help="Musika: so much of the noise of its layers. [default: 0]"),
            click.option("--loop", is_flag=True, default=None,
                         help="Endless models: the end joins the beginning; --duration is rounded "
                         "to whole blocks."),
            click.option("--start", type=SECONDS, metavar="TIME",
                         help="Endless models: go on from here in the piece of --seed."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def refuse_endless(options: dict[str, Any]) -> None:
    """Refuse options that other models do not have.

    Raises:
        ArgumentError: One was given.
    """
    for name, option in _ONLY.items():
        if options[name] is not None:
            raise ArgumentError(f"{option}: is for models of endless sound, not {options['model']}")


def check_endless(text: str | None, options: dict[str, Any]) -> None:
    """Refuse what these models cannot be told.

    Raises:
        ArgumentError: It was given.
    """
    if text is not None or any(options[name] is not None for name in _WORDS):
        raise ArgumentError(f"{options['model']}: takes no words, --continue or --guidance")
    if options["loop"] and (options["duration"] == math.inf or options["start"]):
        raise ArgumentError("--loop: has a --duration that ends, and no --start")


def make_endless(output: str | None, options: dict[str, Any]) -> None:
    """Make one file or several, or only sound."""
    from ncodec.lm.sampling import seeds_of

    endless = _loaded(options)
    for number, seed in enumerate(seeds_of(options["seed"], options["number"])):
        target = numbered(output, number) if options["number"] > 1 else output
        duration = _DURATION if options["duration"] is None else options["duration"]
        directions = endless.directions(
            seed,
            variation=options["variation"] or 2.0,
            density=options["density"],
            tempo=options["tempo"],
            noise=options["noise"] or 0.0,
            loop=duration if options["loop"] else None,
        )
        total = endless.length(directions, duration)
        done, took = _one(endless, directions, total, target, options)
        tell(done, took, target, text=None, seed=seed, options=options)


def _loaded(options: dict[str, Any]) -> Endless:
    if not options["quiet"]:
        show(f"loading {options['model']}")
    try:
        from ncodec.latents import Endless
        from ncodec.runtime import pick_device

        use_threads(options["threads"])
        return Endless.get_pretrained(options["model"], pick_device(options["device"]))
    finally:
        clear()


def _one(
    endless: Endless,
    directions: Directions,
    total: int | None,
    target: str | None,
    options: dict[str, Any],
) -> tuple[Generated, float]:
    """Make one; return it, and how many seconds that took."""
    container = container_of(target) if target not in (None, "-") else "wav"
    rate, first = endless.model.sample_rate, options["start"] or 0.0
    tags = _tags(endless, directions, first)
    with ExitStack() as stack:
        progress = Progress("", quiet=options["quiet"])

        def write(heard: Callable[[Samples], None] | None = None) -> Generated:
            from ncodec.latents.pieces import write_codes, write_samples

            file = stack.enter_context(open_output(target or os.devnull, force=options["force"]))
            if container == "ecdc" and endless.speech is not None:
                hop = endless.speech.hop
                count = None if total is None else endless.frames_of(total)
                frames = _ended(endless.codes(directions, round(first * rate / hop), count), total)
                return write_codes(endless, frames, file, tags=tags, total=total, progress=progress)
            samples = _ended(endless.samples(directions, round(first * rate), total), total)
            return write_samples(
                endless, samples, file, container=container, tags=tags, total=total,
                progress=progress, heard=heard,
            )  # fmt: skip

        stack.enter_context(progress)
        done = play_while(rate, endless.model.channels, write) if options["play"] else write()
    return done, progress.seconds


def _ended(parts: Iterator[Any], total: int | None) -> Iterator[Any]:
    return until_interrupted(parts) if total is None else parts


def _tags(endless: Endless, directions: Directions, start: float) -> tuple[tuple[str, str], ...]:
    """Say how the sound was made, all that is needed to make it again."""
    told = {
        "model": endless.model.name,
        "licence": endless.licence,
        **directions.to_dict(),
        "start": start or None,
    }
    return tuple((name, str(value)) for name, value in told.items() if value)
