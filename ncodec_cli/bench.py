"""`ncodec bench`: measure quality against bitrate, speed, and the container."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ncodec_cli.common import (
    jobs_option,
    json_option,
    precision_option,
    quiet_option,
    usable_cores,
)
from ncodec_cli.line import put, say
from ncodec_cli.parameters import KBPS, Between
from ncodec_cli.progress import COUNT, Progress


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers."""
        if not isinstance(value, str):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = (0.0,)
        if not all(0 < number < float("inf") for number in numbers):
            self.fail(f"{value!r}: must be numbers above 0, with commas between them, as in 1,2,8")
        return numbers


class Rates(Numbers):
    """Bitrates in kbps with commas between them."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return kbps."""
        if isinstance(value, str):
            value = tuple(KBPS.convert(part.strip(), param, ctx) for part in value.split(","))
            value = ",".join(map(str, value))
        return super().convert(value, param, ctx)


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names."""
        return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value


@click.group()
def bench() -> None:
    """Measure quality against bitrate, speed, and the container."""


@bench.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--bw",
    "bandwidths",
    type=Rates(),
    default="1.5,3,6,12",
    show_default=True,
    metavar="KBPS,...",
    help="Bitrates asked for; each codec takes its nearest, and the real one is told.",
)
@click.option(
    "--against",
    type=Names(),
    metavar="NAME,...",
    help="opus, mp3, aac, codec2, speex, and models by name (NAME@best: with --effort best). "
    "[default: all on this machine]",
)
@click.option(
    "--model",
    default="ncodec_24khz",
    show_default=True,
    metavar="NAME",
    help='Model under test, or a checkpoint file; "none" for none.',
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="bench-output",
    show_default=True,
    help="Folder for tables and report; an interrupted run goes on in it.",
)
@click.option(
    "--seconds",
    type=Between(0.5, whole=False),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How much of each recording is used.",
)
@click.option(
    "--level",
    type=Between(-100, 0, whole=False),
    metavar="DB",
    help="Bring each recording to this RMS first, in dB full scale: how are quiet ones coded?",
)
@click.option(
    "--generations",
    type=Between(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Code each recording N times, always what came of the time before.",
)
@click.option(
    "--clips",
    type=Between(0),
    metavar="N",
    default=1,
    show_default=True,
    help="Recordings of each kind in the report: the median one, the worst, the liveliest, more.",
)
@jobs_option
@quiet_option
def quality(
    *,
    recordings: tuple[Path, ...],
    bandwidths: tuple[float, ...],
    against: tuple[str, ...] | None,
    model: str,
    out: Path,
    seconds: float,
    level: float | None,
    generations: int,
    clips: int,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Compare codecs on RECORDINGS (files, folders, manifests) by bitrate and quality.

    Writes results.csv, results.json, results.md and report.html, one page with curves,
    spectrograms, players and blind listening tests. Recordings in folders (or with names that
    begin with) speech, music and sound are reported by kind.

    \b
    Examples:
      ncodec bench quality recordings/
      ncodec bench quality talk.flac --bw 3,6 --against opus,mp3 --out compared
    """
    from ncodec.bench.compare import compare
    from ncodec.bench.headline import headlines

    with Progress("jobs", unit=COUNT, quiet=quiet, every=60) as progress:
        results = compare(
            recordings,
            out,
            bandwidths=bandwidths,
            against=against,
            model=None if model == "none" else model,
            seconds=seconds,
            level_db=level,
            generations=generations,
            clips_per_kind=clips,
            jobs=jobs or usable_cores(),
            progress=progress,
            tell=lambda line: say(line, quiet=quiet),
        )
    for line in headlines(results.rows):
        put(line)
    say(f"{out / 'report.html'}: curves, tables, sounds, blind tests", quiet=quiet)
    say(f"{out / 'results.md'}: all figures; also as .csv and .json", quiet=quiet)


@bench.command()
@click.option(
    "--model",
    default="ncodec_24khz",
    show_default=True,
    metavar="NAME",
    help="Model name, or a checkpoint file.",
)
@click.option(
    "--bw", type=KBPS, default=6.0, show_default=True, metavar="KBPS", help="Bitrate asked for."
)
@click.option(
    "--seconds",
    type=Between(1, whole=False),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="Length of the audio.",
)
@click.option(
    "--threads",
    type=Numbers(),
    default="1",
    show_default=True,
    metavar="N,...",
    help="Numbers of CPU threads.",
)
@click.option(
    "--blocks",
    type=Numbers(),
    default="1,4,75",
    show_default=True,
    metavar="FRAMES,...",
    help="Frames a block: 1 to 4 as in live streams, 75 (a second) as in files.",
)
@click.option(
    "--runs",
    type=Between(1),
    metavar="N",
    default=3,
    show_default=True,
    help="Turns; the median counts.",
)
@precision_option
@json_option
def speed(
    *,
    model: str,
    bw: float,
    seconds: float,
    threads: tuple[float, ...],
    blocks: tuple[float, ...],
    runs: int,
    precision: str,
    as_json: bool,
) -> None:
    """Time encoding and decoding, block by block, against the `encodec` package.

    \b
    Examples:
      ncodec bench speed
      ncodec bench speed --precision bf16
      ncodec bench speed --bw 3 --threads 1,2 --blocks 1,75 --json
    """
    from ncodec.bench import machine
    from ncodec.bench.speed import Plan, measure_speeds, to_markdown

    for count in (*threads, *blocks):
        if count < 1 or count != int(count):
            raise click.BadParameter(f"{count:g}: threads and blocks must be whole numbers, 1 up")
    whole = (tuple(map(int, threads)), tuple(map(int, blocks)))
    speeds, left_out = measure_speeds(Plan(model, bw, seconds, *whole, runs, precision=precision))
    about = machine.describe()
    if as_json:
        found = [asdict(one) for one in speeds]
        put(json.dumps({"about": about, "speeds": found, "left_out": left_out}, indent=1))
        return
    put(", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    put(to_markdown(speeds).rstrip("\n"))
    for line in left_out:
        say(f"left out: {line}", quiet=False)


@bench.command()
@click.option(
    "--codebooks",
    type=Numbers(),
    default="2,8,16",
    show_default=True,
    metavar="N,...",
    help="Numbers of codebooks.",
)
@click.option(
    "--packet-frames",
    type=Numbers(),
    default="1,4,75",
    show_default=True,
    metavar="FRAMES,...",
    help="Frames a packet.",
)
@click.option(
    "--seconds",
    type=Between(0.1, whole=False),
    metavar="SECONDS",
    default=600.0,
    show_default=True,
    help="Length of the stream.",
)
@json_option
def container(
    *,
    codebooks: tuple[float, ...],
    packet_frames: tuple[float, ...],
    seconds: float,
    as_json: bool,
) -> None:
    """Measure the container: overhead, and the time to write, verify and seek.

    \b
    Examples:
      ncodec bench container
      ncodec bench container --codebooks 8 --packet-frames 4,75 --json
    """
    from ncodec.bench.container import measure_container, to_markdown

    found = [
        measure_container(int(count), int(frames), seconds)
        for count in codebooks
        for frames in packet_frames
    ]
    put(json.dumps([asdict(one) for one in found], indent=1) if as_json else to_markdown(found))


@bench.command()
@click.argument("answers", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def listen(*, answers: tuple[Path, ...], as_json: bool) -> None:
    """Join the ANSWERS that listeners saved in a report's blind tests.

    MUSHRA: medians and quartiles, listeners screened after ITU-R BS.1534-3, each codec against
    the first by a sign test. ABX: right answers, and the chance of guessing as well.

    \b
    Examples:
      ncodec bench listen answers/*.json
      ncodec bench listen mushra-ada.json mushra-bob.json --json
    """
    from ncodec.bench.listen import join, to_text

    heard = join(answers)
    put(json.dumps(asdict(heard), indent=1) if as_json else to_text(heard))


@bench.command()
@click.argument("generated", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--real",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="PATH",
    help="Real sound that it shall be like, such as what the model learned from; copies of it are "
    "looked for; may be repeated.",
)
@click.option(
    "--held-out",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Real sound that the model did not hear: a yardstick, and for bits; may be repeated.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="Language model whose bits a frame and speed are measured too.",
)
@click.option(
    "--codec",
    metavar="NAME",
    help="Codec that hears. [default: that of --model, or ncodec_24khz]",
)
@click.option("--codebooks", type=Between(1), metavar="K", help="Of the codec. [default: 4]")
@click.option(
    "--seam",
    type=Between(0.1, whole=False),
    metavar="SECONDS",
    help="Where windows move on: how far does sound move there?",
)
@click.option("--describe", metavar="WORDS", help="Description to time generation with.")
@quiet_option
@json_option
def generation(
    *,
    generated: tuple[Path, ...],
    real: tuple[Path, ...],
    held_out: tuple[Path, ...],
    model: str | None,
    codec: str | None,
    codebooks: int | None,
    seam: float | None,
    describe: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure GENERATED sound against real sound.

    They are files, folders and manifests of audio or .ecdc, or folders of ncodec tokenize. By kind:
    Frechet distances beside yardsticks, silence, loops, seams, copies; of what was held out bits a
    frame, of counts and of --model, whose speed is measured too.

    \b
    Examples:
      ncodec bench generation made/ --real recordings/
      ncodec bench generation made/ --real codes/ --held-out held.csv --model mine
    """
    import ncodec
    from ncodec.bench.generation import (
        Options,
        Sources,
        measure_generation,
        measure_speed,
        to_markdown,
    )
    from ncodec.lm import GenModel

    speaking = None if model is None else GenModel.get_pretrained(model)
    if speaking is not None and codec is None:
        hearing = speaking.compression_model
    else:
        hearing = ncodec.load_model(codec or "ncodec_24khz")
    found = measure_generation(
        Sources(generated, real, held_out),
        hearing,
        speaking,
        Options(codebooks, seam),
        lambda line: say(line, quiet=quiet),
    )
    speeds = () if speaking is None else measure_speed(speaking, describe, 10.0)
    if as_json:
        told = {"kinds": [asdict(one) for one in found], "speeds": [asdict(one) for one in speeds]}
        put(json.dumps(told, indent=1))
        return
    put(to_markdown(found, speeds).rstrip("\n"))
