"""`ncodec record`: microphone to .ecdc."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ncodec_cli import common
from ncodec_cli.checks import check_model
from ncodec_cli.line import meter, put_json
from ncodec_cli.parameters import Between
from ncodec_cli.progress import clock
from ncodec_cli.sound import (
    check_recording,
    coding_options,
    duration_option,
    open_console,
    open_recording,
    running_options,
)

if TYPE_CHECKING:
    from ncodec.live.recorder import Recorder, RecorderStats

FILE_PACKET_MS, PIPE_PACKET_MS = 1000.0, 80.0


@click.command()
@click.argument("path", metavar="OUT.ecdc")
@coding_options
@click.option(
    "--channels", type=Between(1, 8), metavar="N", help="Channels. [default: the model's]"
)
@click.option("--packet-ms", type=Between(1, 10000, whole=False), metavar="MS",
              help="Length of a packet. [default: 1000, and 80 to a pipe]")  # fmt: skip
@common.result_json_option
@duration_option
@common.force_option
@running_options
def record(path: str, **options: Any) -> None:
    """Record the microphone to OUT.ecdc, or to a pipe (-), until q, Ctrl-C or --duration.

    The file is readable up to its last packet if the machine dies meanwhile. With --force an old
    one is kept until the new one, OUT.ecdc.part, is whole. When the reader of a pipe goes away,
    recording ends without a word and with status 141, as if by SIGPIPE.

    \b
    Examples:
      ncodec record talk.ecdc
      ncodec record --duration 1:00 --bw 3 minute.ecdc
      ncodec record - | ssh host ncodec play -
    """
    common.refuse_json_to_pipe(options, path)
    check_recording(path, options["force"])
    check_model(options)
    with ExitStack() as stack:
        console = stack.enter_context(open_console(quiet=options["quiet"]))
        recorder = _recorder(path, options)
        recorder.record_to(stack.enter_context(open_recording(path, options["force"])))
        duration = options["duration"]

        def each() -> bool:
            stats = recorder.stats()
            console.line.show(_describe(stats))
            over = duration is not None and stats.seconds >= duration
            return not over and console.keys.read() != "q"

        console.run(recorder, f"recording from {recorder.device.name}; q or Ctrl-C ends it", each)
        stats = recorder.stats()
        if options["as_json"]:
            put_json({"output": path, "seconds": stats.seconds, "overruns": stats.overruns})
            return
        name = common.name_of_output(path)
        console.line.say(f"{name}: {stats.seconds:.2f} s, {stats.overruns} overruns")


def _recorder(path: str, options: dict[str, Any]) -> Recorder:
    """Open the device first, since a model takes longer to load."""
    from ncodec.live.devices import ready_device

    device = ready_device(options["source"], "input")
    from ncodec.live.recorder import Recorder

    common.use_threads(options["threads"])
    packet_ms = options["packet_ms"] or (PIPE_PACKET_MS if path == "-" else FILE_PACKET_MS)
    return Recorder(
        common.coding_model(options),
        device,
        channels=options["channels"],
        bandwidth=options["bw"],
        codebooks=options["codebooks"],
        packet_seconds=packet_ms / 1000,
    )


def _describe(stats: RecorderStats) -> str:
    lost = f"  overruns {stats.overruns}" if stats.overruns else ""
    return f"{clock(stats.seconds)}  {meter(stats.input_db)} {stats.input_db:3.0f} dB{lost}"
