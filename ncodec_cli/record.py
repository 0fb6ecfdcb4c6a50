"""`ncodec record`: microphone to .ecdc."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ncodec_cli import common
from ncodec_cli.keys import keys
from ncodec_cli.line import Line, meter
from ncodec_cli.sound import input_option, open_recording, quiet_libraries

if TYPE_CHECKING:
    from ncodec.live.recorder import RecorderStats

FILE_PACKET_MS, PIPE_PACKET_MS = 1000.0, 80.0


@click.command()
@click.argument("path", metavar="OUT.ecdc")
@common.bw_option
@common.codebooks_option
@common.model_option
@common.beam_option
@common.device_option
@common.threads_option
@input_option
@click.option("--channels", type=click.IntRange(1, 8), help="Channels. [default: the model's]")
@click.option("--packet-ms", type=click.FloatRange(1, 10000), metavar="MS",
              help="Length of a packet. [default: 1000, and 80 to a pipe]")  # fmt: skip
@click.option("--duration", type=common.SECONDS, help="Stop by itself after this time.")
@common.force_option
@common.quiet_option
def record(path: str, **options: Any) -> None:
    """Record the microphone to OUT.ecdc, or to a pipe (-), until q, Ctrl-C or --duration.

    The file is readable up to its last packet if the machine dies meanwhile.

    \b
    Examples:
      ncodec record talk.ecdc
      ncodec record --duration 1:00 --bw 3 minute.ecdc
      ncodec record - | ssh host ncodec play -
    """
    from ncodec.live.devices import hurry
    from ncodec.live.recorder import Recorder
    from ncodec.live.session import wait

    pipe = path == "-"
    common.use_threads(options["threads"] or 1)
    hurry()
    with ExitStack() as stack:
        stack.enter_context(quiet_libraries())
        recorder = Recorder(
            common.coding_model(options),
            input_device=options["source"],
            channels=options["channels"],
            bandwidth=options["bw"],
            codebooks=options["codebooks"],
            packet_seconds=(options["packet_ms"] or (PIPE_PACKET_MS if pipe else FILE_PACKET_MS))
            / 1000,
        )
        recorder.record_to(stack.enter_context(open_recording(path, options["force"])))
        line = stack.enter_context(Line(quiet=options["quiet"]))
        pressed = stack.enter_context(keys())
        duration = options["duration"]

        def each() -> bool:
            stats = recorder.stats()
            line.show(_describe(stats))
            over = duration is not None and stats.seconds >= duration
            return not over and pressed.read() != "q"

        try:
            with recorder:
                line.say(f"recording from {recorder.device.name}; q or Ctrl-C ends it")
                wait(recorder, each)
        except KeyboardInterrupt:
            pass  # as good a way to end it as q
        stats = recorder.stats()
        line.say(f"{path}: {stats.seconds:.2f} s, {stats.overruns} overruns")
        if pipe:
            sys.stdout.buffer.flush()


def _describe(stats: RecorderStats) -> str:
    lost = f"  overruns {stats.overruns}" if stats.overruns else ""
    return f"{common.clock(stats.seconds)}  {meter(stats.input_db)} {stats.input_db:3.0f} dB{lost}"
