"""`ncodec live`: microphone to speaker through the codec."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import counted
from ncodec_cli import common
from ncodec_cli.checks import check_model
from ncodec_cli.keys import Keys, told
from ncodec_cli.line import Line, meter, put_json
from ncodec_cli.parameters import Between
from ncodec_cli.progress import clock
from ncodec_cli.sound import (
    check_recording,
    coding_options,
    duration_option,
    open_console,
    open_recording,
    running_options,
    speaker_option,
)

if TYPE_CHECKING:
    from ncodec.live.engine import LiveStats
    from ncodec.live.session import LiveSession

HELP_KEYS = "keys: 1-8 codebooks, m mute, b bypass, q quit"


@click.command()
@coding_options
@speaker_option
@click.option("--block", type=Between(1), default=1, metavar="FRAMES", show_default=True,
              help="Frames of codes that go through the model together.")  # fmt: skip
@click.option("--latency", default="medium", show_default=True, metavar="low|medium|high|SECONDS",
              help="Buffering: less is quicker, more forgives a busy machine.")  # fmt: skip
@click.option("--record", metavar="OUT.ecdc", help="Keep what was coded.")
@click.option("--bypass", is_flag=True, help="Begin without the codec (key b switches).")
@common.json_option
@duration_option
@common.force_option
@running_options
def live(**options: Any) -> None:
    """Hear yourself through the codec: microphone, encoder, packets, decoder, speaker.

    Use headphones, or the speaker will feed the microphone. Keys, where standard input is a
    terminal: 1 to 8 choose the number of codebooks, m mutes the microphone, b bypasses the codec
    (at the same delay, to compare), q or Ctrl-C quits. A summary ends the session; --json prints it
    for programs.

    The line that is shown: time, input and output level, bitrate (codebooks), share of real time
    that the codec takes (x1.00 is too slow), milliseconds waiting for the speaker, latency from
    microphone to speaker as the devices tell it, underruns/overruns.

    \b
    Examples:
      ncodec live --bw 3
      ncodec live --latency low --duration 0:10 --json
    """
    if options["record"] is not None:
        check_recording(options["record"], options["force"])
    check_model(options)
    with ExitStack() as stack:
        console = stack.enter_context(open_console(quiet=options["quiet"]))
        session = _session(options)
        if options["record"] is not None:
            file = open_recording(options["record"], options["force"])
            session.record_to(stack.enter_context(file))
        duration = options["duration"]

        def each() -> bool:
            stats = session.stats()
            console.line.show(_describe(stats))
            over = duration is not None and stats.seconds >= duration
            return not over and _react(session, console.keys)

        try:
            names = " -> ".join(device.name for device in session.devices)
            keys = told(console.keys, HELP_KEYS)
            console.run(session, f"{names}; use headphones{keys}", each)
        finally:
            _summarize(session.stats(), as_json=options["as_json"], line=console.line)


def _session(options: dict[str, Any]) -> LiveSession:
    """Ask the devices first, since a model takes longer to load."""
    from ncodec.live.devices import parse_latency, ready_device

    latency = parse_latency(options["latency"])
    source = ready_device(options["source"], "input")
    sink = ready_device(options["sink"], "output")
    from ncodec.live.session import LiveSession

    common.use_threads(options["threads"])
    session = LiveSession(
        common.coding_model(options),
        source,
        sink,
        bandwidth=options["bw"],
        codebooks=options["codebooks"],
        packet_frames=options["block"],
        latency=latency,
    )
    session.loopback.bypass = options["bypass"]
    return session


def _react(session: LiveSession, pressed: Keys) -> bool:
    """Do what the keys say; return False to quit."""
    while (key := pressed.read()) is not None:
        if key == "q":
            return False
        if key in "12345678":
            session.choose_codebooks(int(key))
        elif key == "m":
            session.loopback.muted = not session.loopback.muted
        elif key == "b":
            session.loopback.bypass = not session.loopback.bypass
    return True


def _describe(stats: LiveStats) -> str:
    """Return the live line."""
    late = "..." if stats.latency is None else f"{1000 * stats.latency:.0f} ms"
    heard = "MUTED " if stats.muted else meter(stats.input_db)
    codec = "BYPASS" if stats.bypass else f"{stats.kbps:g} kbps"
    # As short as it can be: the whole line should fit 80 columns.
    return (
        f"{clock(stats.seconds)} in {heard} out {meter(stats.output_db)}"
        f" {codec} ({stats.codebooks}) x{stats.realtime_factor:.2f}"
        f" fill {1000 * stats.fill:.0f} late {late} xrun {stats.underruns}/{stats.overruns}"
    )


def _summarize(stats: LiveStats, *, as_json: bool, line: Line) -> None:
    """Say what the session was like."""
    if as_json:
        put_json(asdict(stats))
        return
    late = "unknown" if stats.latency is None else f"{1000 * stats.latency:.0f} ms"
    line.say(
        f"{stats.seconds:.1f} s at {stats.kbps:g} kbps, {counted(stats.codebooks, 'codebook')};"
        f" latency {late} end to end, {1000 * stats.algorithmic_latency:.1f} ms of it algorithmic;"
        f" real-time factor {stats.realtime_factor:.3f} (99 %: {stats.realtime_factor_p99:.3f});"
        f" underruns {stats.underruns}, overruns {stats.overruns}"
    )
