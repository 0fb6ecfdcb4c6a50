"""`ncodec play`: .ecdc to the speakers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ncodec_cli import common
from ncodec_cli.keys import Keys, keys
from ncodec_cli.line import Line
from ncodec_cli.sound import output_option, quiet_libraries

if TYPE_CHECKING:
    from ncodec.live.player import Player, Sound

STEP_SECONDS, LEAP_SECONDS = 5.0, 30.0
VOLUME_STEP_DB = 2.0
SEEKS = {"left": -STEP_SECONDS, "right": STEP_SECONDS, ",": -LEAP_SECONDS, ".": LEAP_SECONDS}
HELP_KEYS = "keys: left/right 5 s, ,/. 30 s, up/down volume, space pause, n/p file, q quit"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@common.bw_option
@common.codebooks_option
@common.file_model_option
@common.device_option
@common.threads_option
@output_option
@click.option("--start", type=common.SECONDS, default=0.0, help="Where to begin in the first file.")
@click.option("--volume", type=click.FloatRange(-60, 20), default=0.0, metavar="DB",
              help="Gain in dB.")  # fmt: skip
@common.keep_going_option
@common.quiet_option
def play(paths: tuple[str, ...], **options: Any) -> None:
    """Play FILEs on the speakers, one after the other without gaps; - is a pipe.

    Keys: left and right seek by 5 s, comma and full stop by 30 s, up and down change the volume,
    space pauses, n and p go to the next and the previous file, q quits.

    \b
    Examples:
      ncodec play talk.ecdc --start 1:30
      ncodec play album/*.ecdc
      ssh host ncodec record - | ncodec play -
    """
    from ncodec.codec.links import pick_device
    from ncodec.live.devices import hurry
    from ncodec.live.player import Player
    from ncodec.live.session import wait

    common.use_threads(options["threads"] or 1)
    hurry()
    options["device"] = pick_device(options["device"])
    with ExitStack() as stack:
        stack.enter_context(quiet_libraries())
        player = Player(
            paths,
            partial(_open, options=options),
            output_device=options["sink"],
            start=options["start"],
            volume=10 ** (options["volume"] / 20),
        )
        line = stack.enter_context(Line(quiet=options["quiet"]))
        pressed = stack.enter_context(keys())

        def each() -> bool:
            line.show(_describe(player, paths))
            return _react(player, pressed, len(paths)) and not player.done

        with player:
            line.say(f"playing on {player.device.name}; {HELP_KEYS}")
            wait(player, each)
            if player.done:
                player.drain()
            underruns = player.position().underruns
        if underruns:
            line.say(f"{underruns} underruns")


def _open(
    file: BinaryIO, start: float, sample_rate: int | None, *, options: dict[str, Any]
) -> Sound:
    from ncodec.codec import FileDecoder

    return FileDecoder(
        file,
        model=options["model"],
        bandwidth=options["bw"],
        codebooks=options["codebooks"],
        start=start,
        sample_rate=sample_rate,
        keep_going=options["keep_going"],
        device=options["device"],
    )


def _react(player: Player, pressed: Keys, count: int) -> bool:
    """Do what the keys say; return False to quit."""
    while (key := pressed.read()) is not None:
        here = player.position()
        if key == "q":
            return False
        if key in SEEKS:
            player.seek(here.seconds + SEEKS[key])
        elif key in ("up", "down"):
            change = VOLUME_STEP_DB if key == "up" else -VOLUME_STEP_DB
            player.volume = min(10.0, player.volume * 10 ** (change / 20))
        elif key == " ":
            player.paused = not player.paused
        elif key == "n" and here.track + 1 < count:
            player.seek(0.0, here.track + 1)
        elif key == "p":
            # Near its beginning, the file before; else its own beginning, as players do.
            player.seek(0.0, max(0, here.track - (here.seconds < 2)))
    return True


def _describe(player: Player, paths: tuple[str, ...]) -> str:
    here = player.position()
    total = "" if here.length is None else f" / {common.clock(here.length)}"
    number = f"[{here.track + 1}/{len(paths)}] " if len(paths) > 1 else ""
    flags = "  PAUSED" if player.paused else ""
    lost = f"  underruns {here.underruns}" if here.underruns else ""
    return f"{number}{paths[here.track]}  {common.clock(here.seconds)}{total}{flags}{lost}"
