"""`ncodec decompress`: .ecdc to audio."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import DamageError, counted
from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.checks import check_model, refuse_audio
from ncodec_cli.common import (
    batch_options,
    device_option,
    file_model_option,
    file_size,
    from_start,
    keep_going_option,
    kept_bw_option,
    kept_codebooks_option,
    name_of,
    name_of_output,
    open_input,
    open_output,
    output_option,
    precision_option,
    result_json_option,
    say_made,
    threads_option,
    use_threads,
)
from ncodec_cli.completing import CODED
from ncodec_cli.line import say_error, show
from ncodec_cli.parameters import TIME, Between
from ncodec_cli.plan import Job, Kind, is_special
from ncodec_cli.progress import clock

if TYPE_CHECKING:
    from ncodec.codec import Decompressed

FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "m4a", "aac", "webm", "wv")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=CODED, metavar="INPUT... [OUTPUT]")
@output_option
@kept_bw_option
@kept_codebooks_option
@click.option(
    "--start",
    type=TIME,
    metavar="TIME",
    help="Where to begin: 90, 1m30s, 1:30; -3 is 3 s before the end.",
)
@click.option("--end", type=TIME, metavar="TIME", help="Where to stop.")
@click.option("--rate", type=Between(100), metavar="HZ", help="Another sample rate.")
@click.option("--mono", is_flag=True, help="Mix the channels down to one.")
@click.option(
    "--format",
    "container",
    type=click.Choice(FORMATS),
    help="Output format. [default: as the output's name says, else wav]",
)
@click.option(
    "--encoding", type=click.Choice(["s16", "s24", "f32"]), help="Sample format. [default: s16]"
)
@click.option(
    "--quality",
    type=Between(0, 10, whole=False),
    metavar="Q",
    help="Of .ogg, .opus and .mp3: 0 is smallest, 10 best. [default: the encoder's own]",
)
@click.option("--no-tags", is_flag=True, help="Write no tags.")
@click.option("--raw", type=click.Choice(["s16", "f32"]), help="Bare samples, without a header.")
@file_model_option
@keep_going_option
@click.option(
    "--no-limit", is_flag=True, help="Accept over 100 hours, and over 16384 samples a byte."
)
@device_option
@precision_option
@threads_option
@batch_options
@result_json_option
def decompress(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Decompress .ecdc files to audio of the source's rate, channels and exact length.

    INPUT is a file, a folder (its tree is kept) or - for a pipe. OUTPUT is a file, a folder or -;
    without it, WAV files are written beside the inputs. A stretch of time is found without reading
    what comes before it. Decoding a file twice gives the same samples.

    On a pipe sound leaves as soon as its packet is in; when the reader goes away, decompress ends
    without a word and with status 141, as if by SIGPIPE.

    \b
    Examples:
      ncodec decompress in.ecdc                   # in.wav
      ncodec decompress in.ecdc out.flac --bw 3   # only the codebooks of 3 kbps
      ncodec decompress in.ecdc part.wav --start 1:30 --end 2:00
      ncodec decompress in.ecdc last.wav --start -3
      ncodec decompress coded/ back/ --jobs 4
      ncodec decompress in.ecdc - | aplay
    """
    settings = _settings(options)
    batch = Batch.of(paths, output, _kind(options["container"]), options, refuse_audio)
    if batch.jobs:
        check_model({"model": options["model"], "device": options["device"]})
        if not options["quiet"]:
            show("loading the model")
        use_threads(options["threads"], batch.workers)
        settings["device"] = _load(options["device"])

    def work(job: Job, progress: Progress) -> None:
        from ncodec.codec import decompress as run

        found = settings | _of_file(job, options)
        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            name = name_of(job.source)
            try:
                done = run(source, target, progress=progress, name=name, **found)
            except DamageError as error:
                raise DamageError(f"{error} (--keep-going decodes what is whole)") from error
        _tell(job, done, options, single=batch.single)

    batch.run(work)


def _load(device: str) -> str:
    """Load what decoding needs; return the device that it runs on."""
    import ncodec.codec  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from ncodec.runtime import pick_device

    return pick_device(device)


def _kind(container: str | None) -> Kind:
    return Kind("decompress", frozenset({".ecdc", ".dac"}), f".{container or 'wav'}")


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the command line's options into those of `ncodec.codec.decompress`."""
    encoding = options["encoding"]
    if options["raw"] is not None:
        if options["container"] is not None or encoding is not None:
            raise click.UsageError("--raw says the format: not together with --format, --encoding")
        options["container"], encoding = "raw", options["raw"]
    if options["bw"] is not None and options["codebooks"] is not None:
        raise click.UsageError("--bw and --codebooks: only one of them can be given")
    settings: dict[str, Any] = {
        "model": options["model"],
        "bandwidth": options["bw"],
        "codebooks": options["codebooks"],
        "sample_rate": options["rate"],
        "mono": options["mono"],
        "encoding": encoding,
        "tags": not options["no_tags"],
        "quality": options["quality"],
        "keep_going": options["keep_going"],
        "precision": options["precision"],
    }
    if options["no_limit"]:
        settings["max_seconds"] = None
    return settings


def _of_file(job: Job, options: dict[str, Any]) -> dict[str, Any]:
    """Return what depends on the file: the output's format, and times told from its end."""
    start, end, asked = options["start"], options["end"], options["bw"]
    if asked is not None or any(time is not None and time < 0 for time in (start, end)):
        found = _look(job.source)
        start, end = (from_start(time, found.get("seconds")) for time in (start, end))
        rate = max(link.get("bandwidth_kbps", 0.0) for link in found.get("links", [found]))
        if asked is not None and 0 < rate < asked and not options["quiet"]:
            say_error(f"{name_of(job.source)}: has {rate:g} kbps, fewer than asked for", "note")
    return {"container": _container(job.target, options), "start": start, "end": end}


def _container(target: str, options: dict[str, Any]) -> str:
    from ncodec.audio import format_of

    if options["container"] is not None:
        return options["container"]
    named = target != "-" and not is_special(target) and os.path.splitext(target)[1]
    return format_of(target) if named else "wav"


def _look(path: str) -> dict[str, Any]:
    """Return what a file says of itself, or nothing if it comes through a pipe."""
    from ncodec_formats import info

    if file_size(path) is None:
        return {}
    with open_input(path) as file:
        return info(file)


def _tell(job: Job, done: Decompressed, options: dict[str, Any], *, single: bool) -> None:
    """Say what was made of a file."""
    quiet, target = options["quiet"], name_of_output(job.target)
    seconds = done.samples / done.sample_rate
    samples, channels = counted(done.samples, "sample"), counted(done.channels, "channel")
    texts = [clock(seconds, digits=3), samples, f"{done.sample_rate} Hz", channels]
    fields = {
        "seconds": seconds,
        "samples": done.samples,
        "sample_rate": done.sample_rate,
        "channels": done.channels,
        "source_bytes": file_size(job.source),
        "bytes": file_size(job.target),
        "clipped": done.clipped,
        "notes": done.notes,
        "damage": [str(damage) for damage in done.damage],
    }
    say_made(job.source, job.target, texts, fields, options, single=single)
    for note in done.notes:
        say_error(f"{target}: {note}", "note", quiet=quiet)
    if done.clipped:
        rule = "louder than whole numbers hold (--encoding f32 keeps them)"
        say_error(
            f"{target}: {counted(done.clipped, 'sample')} clipped: {rule}", "note", quiet=quiet
        )
    for damage in done.damage:
        say_error(f"{name_of(job.source)}: damaged: {damage}", "warning")
