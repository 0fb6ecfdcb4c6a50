"""`ncodec play`: files to the speakers."""

from __future__ import annotations

from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from ncodec.errors import BadFileError, NcodecError
from ncodec_cli import common
from ncodec_cli.batch import report_failure
from ncodec_cli.checks import check_device
from ncodec_cli.completing import SOUND
from ncodec_cli.keys import Keys, told
from ncodec_cli.parameters import SECONDS, Between
from ncodec_cli.progress import clock
from ncodec_cli.sound import Console, open_console, running_options, speaker_option

if TYPE_CHECKING:
    from ncodec.live.player import Player
    from ncodec.live.playlist import Sound

STEP_SECONDS, LEAP_SECONDS = 5.0, 30.0
VOLUME_STEP_DB = 2.0
SEEKS = {"left": -STEP_SECONDS, "right": STEP_SECONDS, ",": -LEAP_SECONDS, ".": LEAP_SECONDS}
HELP_KEYS = "keys: left/right 5 s, ,/. 30 s, up/down volume, space pause, n/p file, q quit"


@click.command()
@click.argument("paths", nargs=-1, required=True, type=SOUND, metavar="FILE...")
@common.kept_bw_option
@common.kept_codebooks_option
@common.file_model_option
@speaker_option
@click.option("--start", type=SECONDS, default=0.0, metavar="TIME",
              help="Where to begin in the first file: 90, 1:30.")  # fmt: skip
@click.option("--volume", type=Between(-60, 20, whole=False), default=0.0, metavar="DB",
              help="Gain in dB, -60 to 20. [default: 0]")  # fmt: skip
@click.option("--max-delay", type=Between(0.3, whole=False), metavar="SECONDS",
              help="Skip what waits longer in a pipe. [default: 1 if its packets are shorter than "
              "250 ms, as those of `record -`; else, and with inf, never]")  # fmt: skip
@common.keep_going_option
@running_options
def play(paths: tuple[str, ...], **options: Any) -> None:
    """Play FILEs on the speakers, one after the other without gaps; - is a pipe.

    FILE is anything that decompress reads (.ecdc of either version, .dac) or that compress reads
    (WAV, FLAC, MP3, ...), to compare. Where one is damaged or cut, what comes before that is
    played, and then the next.

    Keys, where standard input is a terminal: left and right seek by 5 s, comma and full stop by
    30 s, up and down change the volume, space pauses, n and p go to the next and the previous file,
    q or Ctrl-C quits.

    A live stream is kept live: if play starts late or is held up, it skips to what is being said
    now. A file that comes through a pipe faster than it plays is played whole.

    \b
    Examples:
      ncodec play talk.ecdc --start 1:30
      ncodec play album/*.ecdc
      ncodec play talk.wav talk.ecdc
      ssh host ncodec record - | ncodec play -
    """
    check_device(options["device"])
    paths, failed = _playable(paths)
    from ncodec.live.devices import ready_device

    with open_console(quiet=options["quiet"]) as console:
        device = ready_device(options["sink"], "output")
        from ncodec.live.player import Player
        from ncodec.runtime import pick_device

        common.use_threads(options["threads"])
        options["device"] = pick_device(options["device"])
        player = Player(
            paths,
            partial(_open, options=options),
            device,
            start=options["start"],
            volume=10 ** (options["volume"] / 20),
            max_delay=options["max_delay"],
        )
        _run(console, player, paths)
    if player.failures and len(paths) == 1 and not failed:
        with common.naming(paths[0]):
            raise player.failures[0][1]
    if player.failures or failed:
        count = len(paths) + failed
        raise NcodecError(f"{len(player.failures) + failed} of {count} files failed")


def _playable(paths: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """Look at the files before anything is opened or loaded; return the good ones.

    The number of the others is returned too; each is told, unless it is the only one.
    """
    good: list[str] = []
    for path in paths:
        try:
            _check(path)
        except (NcodecError, OSError) as error:
            if len(paths) == 1:
                raise
            report_failure(path, error)
        else:
            good.append(path)
    failed = len(paths) - len(good)
    if not good:
        raise NcodecError(f"{failed} of {failed} files failed")
    return tuple(good), failed


def _check(path: str) -> None:
    """Raise what can be known of a file before it is played."""
    if path == "-":
        return
    with Path(path).open("rb") as file:
        head = file.peek(16)
        if head.startswith(b"ECDC\x01"):
            from ncodec_formats import EcdcReader

            with common.naming(path):
                EcdcReader(file, keep_going=True)
        elif not _is_codes(head):
            from ncodec.audio import open_audio

            open_audio(path).close()


def _is_codes(head: bytes) -> bool:
    """Tell codes from audio by a file's first bytes."""
    from ncodec_formats import sniff

    try:
        sniff(head)
    except BadFileError:
        return False
    return True


def _run(console: Console, player: Player, paths: tuple[str, ...]) -> None:
    reported = 0

    def each() -> bool:
        nonlocal reported
        for path, error in player.failures[reported:] if len(paths) > 1 else ():
            report_failure(path, error)
            reported += 1
        console.line.show(_describe(player, paths))
        if player.done:
            player.drain()
            return False
        return _react(player, console.keys, len(paths))

    console.run(player, f"playing on {player.device.name}{told(console.keys, HELP_KEYS)}", each)
    here = player.position()
    if here.underruns or here.skipped:
        console.line.say(f"{here.underruns} underruns, {here.skipped:.1f} s skipped")


def _open(file: BinaryIO, start: float, *, options: dict[str, Any]) -> Sound:
    from ncodec.codec import FileDecoder
    from ncodec.live.playlist import AudioFile

    if not _is_codes(cast(BufferedReader, file).peek(16)):
        return AudioFile(file, start, keep_going=options["keep_going"])
    return FileDecoder(
        file,
        model=options["model"],
        bandwidth=options["bw"],
        codebooks=options["codebooks"],
        start=start,
        keep_going=options["keep_going"],
        device=options["device"],
        precision=options["precision"],
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
    total = "" if here.length is None else f" / {clock(here.length)}"
    number = f"[{here.track + 1}/{len(paths)}] " if len(paths) > 1 else ""
    flags = "  PAUSED" if player.paused else ""
    lost = f"  underruns {here.underruns}" if here.underruns else ""
    lost += f"  skipped {here.skipped:.1f} s" if here.skipped else ""
    return f"{number}{paths[here.track]}  {clock(here.seconds)}{total}{flags}{lost}"
