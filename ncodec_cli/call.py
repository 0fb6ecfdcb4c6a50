"""`ncodec call`: talk to somebody over a network."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import ArgumentError, NcodecError
from ncodec.files import same_file
from ncodec_cli import common
from ncodec_cli.checks import check_model, check_source, refuse_coded
from ncodec_cli.keys import told
from ncodec_cli.line import Line, put_json
from ncodec_cli.parameters import Between, Pair
from ncodec_cli.progress import clock
from ncodec_cli.sound import (
    Console,
    check_new_file,
    check_recording,
    duration_option,
    open_console,
    open_recording,
    running_options,
)

if TYPE_CHECKING:
    from ncodec.audio import AudioWriter
    from ncodec.models.base import CompressionModel
    from ncodec.net.bad_line import Conditions
    from ncodec.net.call import CallStats
    from ncodec.net.ice import IceServer
    from ncodec.net.session import CallSession
    from ncodec.net.transport import Transport

HELP_KEYS = "keys: m mute, q quit"


@click.command()
@click.argument("address", metavar="[HOST:PORT]", required=False)
@click.option("--listen", metavar="PORT", help="Wait for a call: PORT, or HOST:PORT of this end.")
@click.option("--offer", is_flag=True,
              help="Call over WebRTC: write an offer, then read the answer.")  # fmt: skip
@click.option("--answer", is_flag=True,
              help="Read an offer from standard input, and write the answer to it.")  # fmt: skip
@click.option("--stun", metavar="stun:HOST:PORT", multiple=True,
              help="Server that says how this machine is called outside, for WebRTC.")  # fmt: skip
@click.option("--ice", type=common.PATH, metavar="FILE.json",
              help="Servers of both kinds with passwords, STUN and relays (TURN), as browsers "
              "have them.")  # fmt: skip
@click.option("--input", "source_file", type=common.PATH, metavar="FILE",
              help="Say what is in an audio file, instead of the microphone.")  # fmt: skip
@click.option("-o", "--output", "sink_file", type=common.PATH, metavar="FILE",
              help="Write what is heard to an audio file, instead of the speaker.")  # fmt: skip
@click.option("--microphone", "source", metavar="DEV",
              help="Number or part of the name, as `ncodec devices` lists them.")  # fmt: skip
@click.option("--speaker", "sink", metavar="DEV",
              help="Number or part of the name, as `ncodec devices` lists them.")  # fmt: skip
@common.bw_option
@common.codebooks_option
@common.model_option
@common.live_effort_options
@click.option("--packet-ms", type=Between(1, 200, whole=False), default=40.0, show_default=True,
              metavar="MS",
              help="Length of a packet: short ones are quicker and cost more.")  # fmt: skip
@click.option("--redundancy", type=Pair(), metavar="K,N",
              help="Send the first K codebooks of the last N packets again with each packet. "
              "[default: as the loss asks for]")  # fmt: skip
@click.option("--latency", default="medium", show_default=True, metavar="low|medium|high|SECONDS",
              help="Buffering of the devices.")  # fmt: skip
@click.option("--record", metavar="OUT.ecdc", help="Keep both sides, as two channels.")
@click.option("--loss", type=Between(0, 100, whole=False), default=0.0, metavar="PERCENT",
              help="Simulate a line, both ways, that loses so much.")  # fmt: skip
@click.option("--burst", type=Between(1, 100), default=1, metavar="N",
              help="Let --loss lose N packets in a row.")  # fmt: skip
@click.option("--jitter", type=Between(0, 1000, whole=False), default=0.0, metavar="MS",
              help="Simulate delays of this mean.")  # fmt: skip
@click.option("--seed", type=Between(0), default=0, show_default=True, metavar="N",
              help="Of --loss and --jitter: the same packets are lost each time.")  # fmt: skip
@common.json_option
@duration_option
@common.force_option
@running_options
def call(address: str | None, **options: Any) -> None:
    """Talk to another machine over a network.

    HOST:PORT is called over UDP; --listen waits there for a call. Both sides need the same model.
    Sound comes from the microphone and goes to the speaker (use headphones), or from and to files,
    so that it can be tried without a sound card. A call with a file for input ends when both sides
    have said all; any call by q, Ctrl-C or --duration. UDP is not encrypted: whom it passes can
    hear it. --offer and --answer call over a WebRTC data channel, which is; it needs the package
    aiortc (pip install aiortc, Python 3.11). Bring each line that they write to the other.

    The line that is shown: time, packets lost, too late, recovered from copies and concealed (in
    percent), milliseconds held against jitter, kbps of codes and with headers, copies, and delay
    from mouth to ear without devices.

    \b
    Examples:
      ncodec call --listen 4000
      ncodec call example.org:4000 --packet-ms 14 --record both.ecdc
      ncodec call --offer
      ncodec call localhost:4000 --input a.wav -o heard.wav --loss 10 --jitter 20
    """
    _check(address, options)
    with ExitStack() as stack:
        console = stack.enter_context(open_console(quiet=options["quiet"]))
        transport = _transport(address, options)
        stack.callback(transport.close)
        session = _session(transport, options, stack)
        if options["record"] is not None:
            recording = open_recording(options["record"], options["force"])
            session.record_to(stack.enter_context(recording))
        failed = _run(session, transport, console, options)
    if failed is not None:  # what was heard until then is kept
        raise failed


def _check(address: str | None, options: dict[str, Any]) -> None:
    """Look at options and files before anything is opened or loaded."""
    ways = address, options["listen"], options["offer"] or None, options["answer"] or None
    if sum(way is not None for way in ways) != 1:
        raise click.UsageError(
            "give HOST:PORT to call, or --listen PORT to wait, or --offer, or --answer: one of them"
        )
    by_hand = options["offer"] or options["answer"]
    _check_together(options, by_hand=by_hand)
    from ncodec.net.udp import parse_address

    _servers(options)
    if address is not None:
        parse_address(address)
    elif options["listen"] is not None:
        parse_address(options["listen"], host="")
    _check_files(options)
    check_model(options)


def _check_together(options: dict[str, Any], *, by_hand: bool) -> None:
    """Refuse options that say nothing or something impossible beside each other."""
    for name in ("stun", "ice"):
        if options[name] and not by_hand:
            raise click.UsageError(f"--{name} goes with --offer and --answer")
    if by_hand and "-" in (options["source_file"], options["sink_file"], options["record"]):
        raise click.UsageError("with --offer and --answer, pipes carry these: name a file")
    for device, own, file, other in (
        ("--microphone", "source", "--input", "source_file"),
        ("--speaker", "sink", "--output", "sink_file"),
    ):
        if options[own] is not None and options[other] is not None:
            raise click.UsageError(f"{device} and {file}: only one of them can be given")
    if options["burst"] > 1 and not options["loss"]:
        raise click.UsageError("--burst goes with --loss")
    from ncodec_formats.rtp import MAX_COPIES, MAX_LAYERS

    layers, copies = options["redundancy"] or (1, 0)
    if not (1 <= layers <= MAX_LAYERS and copies <= MAX_COPIES):
        raise click.UsageError(
            f"--redundancy {layers},{copies}: must be 1 to {MAX_LAYERS} codebooks "
            f"of 0 to {MAX_COPIES} packets"
        )


def _check_files(options: dict[str, Any]) -> None:
    """Refuse what cannot be read or written, and one file or pipe in two places."""
    source, sink, recording = (options[name] for name in ("source_file", "sink_file", "record"))
    if source is not None:
        check_source(source, refuse_coded)
    if sink not in (None, "-"):
        from ncodec.audio import format_of

        format_of(sink)
    if sink is not None:
        common.refuse_json_to_pipe(options, sink)
        check_new_file(sink, options["force"])
    if recording is not None:
        common.refuse_json_to_pipe(options, recording)
        check_recording(recording, options["force"])
    for one, other in combinations([path for path in (source, sink, recording) if path], 2):
        if os.path.abspath(one) == os.path.abspath(other) or same_file(one, other):
            raise ArgumentError(f"{other}: is given twice; each must be a file of its own")


def _transport(address: str | None, options: dict[str, Any]) -> Transport:
    if options["offer"] or options["answer"]:
        from ncodec.net.channel import Channel

        return Channel(_servers(options), conditions=_conditions(options))
    from ncodec.net.udp import Udp, parse_address

    if address is not None:
        return Udp(parse_address(address), conditions=_conditions(options))
    place = parse_address(options["listen"], host="")
    return Udp(place, listen=True, conditions=_conditions(options))


def _servers(options: dict[str, Any]) -> list[IceServer]:
    from ncodec.net.ice import IceServer, read_servers

    said = [IceServer((url,)) for url in options["stun"]]
    return said if options["ice"] is None else [*said, *read_servers(options["ice"])]


def _conditions(options: dict[str, Any]) -> Conditions | None:
    from ncodec.net.bad_line import Conditions

    if not options["loss"] and not options["jitter"]:
        return None
    return Conditions(
        loss=options["loss"] / 100,
        jitter=options["jitter"] / 1000,
        burst=options["burst"],
        seed=options["seed"],
    )


def _session(transport: Transport, options: dict[str, Any], stack: ExitStack) -> CallSession:
    """Ask devices and open files first, since a model takes longer to load."""
    from ncodec.live.devices import parse_latency, ready_device

    latency = parse_latency(options["latency"])
    of_files = options["source_file"], options["sink_file"]
    source = None if of_files[0] else ready_device(options["source"], "input")
    sink = None if of_files[1] else ready_device(options["sink"], "output")
    from ncodec.audio import format_of, open_audio, open_writer

    if source is None:
        source = open_audio(of_files[0])
        stack.callback(source.close)
    from ncodec.net.call import Call
    from ncodec.net.session import CallSession, Ends

    common.use_threads(options["threads"])
    model = common.coding_model(options)
    talking = Call(
        model,
        transport.send,
        codebooks=options["codebooks"],
        bandwidth=options["bw"],
        packet_frames=_packet_frames(options["packet_ms"], model),
        redundancy=options["redundancy"],
        headers=transport.headers,
    )
    if sink is None:
        file = stack.enter_context(common.open_output(of_files[1], force=options["force"]))
        name = of_files[1]
        container = format_of(name) if name != "-" else "wav"
        sink = open_writer(
            file, container=container, sample_rate=model.sample_rate, channels=model.channels
        )
        stack.enter_context(_finishing(sink))
    return CallSession(talking, transport, Ends(source, sink), latency)


def _packet_frames(milliseconds: float, model: CompressionModel) -> int:
    """Return how many frames come nearest to a packet's length."""
    from ncodec_formats.rtp import MAX_FRAMES

    frame = 1000 * model.hop / model.sample_rate
    count = max(1, round(milliseconds / frame))
    if count > MAX_FRAMES:
        most = f"{MAX_FRAMES * frame:.0f} ms of {model.name}"
        raise ArgumentError(f"packets of {milliseconds:g} ms: must be at most {most}")
    return count


@contextmanager
def _finishing(writer: AudioWriter) -> Generator[None]:
    """Complete a file of sound, unless something fails."""
    try:
        yield
    except BaseException:
        writer.abort()
        raise
    writer.finish()


def _run(
    session: CallSession,
    transport: Transport,
    console: Console,
    options: dict[str, Any],
) -> NcodecError | None:
    """Talk until it is over; return what broke a call that had begun."""
    greeted, duration = False, options["duration"]

    def each() -> bool:
        nonlocal greeted
        if not session.call.connected:
            console.line.show("waiting" if transport.hint is None else transport.hello)
            session.check_answer()
            return console.keys.read() != "q"
        if not greeted:
            greeted = True
            console.line.say(f"connected to {transport.peer}{told(console.keys, HELP_KEYS)}")
        stats = session.stats()
        console.line.show(_describe(stats))
        over = session.over or (duration is not None and stats.seconds >= duration)
        return not over and _react(session, console)

    transport.start()
    try:
        if options["offer"] or options["answer"]:
            _describe_each_other(transport, console, offers=options["offer"])
        console.run(session, transport.hello, each)
    except NcodecError as error:
        if not session.call.connected:
            raise
        return error
    finally:
        if session.call.connected:
            _summarize(session.stats(), as_json=options["as_json"], line=console.line)
    return None


def _describe_each_other(transport: Transport, console: Console, *, offers: bool) -> None:
    """Write this side's description, and read the other's: lines of JSON that people carry."""
    from ncodec.net.channel import Channel

    assert isinstance(transport, Channel)
    if offers:
        click.echo(transport.offer())
        transport.accept(_line_of("answer", console))
    else:
        click.echo(transport.answer(_line_of("offer", console)))


def _line_of(kind: str, console: Console) -> str:
    """Read a description from standard input.

    Raises:
        ArgumentError: it ends before.
    """
    console.line.say(f"waiting for the {kind}: one line on standard input")
    text = sys.stdin.readline()
    if not text:
        raise ArgumentError(f"standard input ended before the {kind} of the other side")
    return text


def _react(session: CallSession, console: Console) -> bool:
    """Do what the keys say; return False to quit."""
    while (key := console.keys.read()) is not None:
        if key == "q":
            return False
        if key == "m":
            session.engine.muted = not session.engine.muted
    return True


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _describe(stats: CallStats) -> str:
    """Return the live line, as short as it can be."""
    ear = "..." if stats.mouth_to_ear is None else f"{1000 * stats.mouth_to_ear:.0f} ms"
    codes, _, whole = stats.kbps
    return (
        f"{clock(stats.seconds)} lost {_percent(stats.lost)} late {_percent(stats.late)}"
        f" rec {_percent(stats.recovered)} conc {_percent(stats.concealed)}"
        f" buf {1000 * stats.buffer:.0f} {codes:.1f}/{whole:.1f} kbps +{stats.copies} ear {ear}"
    )


def _summarize(stats: CallStats, *, as_json: bool, line: Line) -> None:
    """Say what the call was like."""
    if as_json:
        put_json(asdict(stats))
        return
    ear = "unknown" if stats.usual_delay is None else f"{1000 * stats.usual_delay:.0f} ms"
    codes, copied, whole = stats.kbps
    line.say(
        f"heard {clock(stats.seconds, digits=1)}: {_percent(stats.lost)} % lost,"
        f" {_percent(stats.late)} % too late, {_percent(stats.recovered)} % recovered from copies,"
        f" {_percent(stats.concealed)} % concealed at first; buffer {1000 * stats.buffer:.0f} ms,"
        f" mouth to ear usually {ear} without devices;"
        f" sent {codes:.1f} kbps, {copied:.1f} with copies, {whole:.1f} with headers"
    )
