"""`ncodec decompress`: .ecdc to audio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import DamageError
from ncodec_cli.batch import Job, is_ecdc, plan_jobs, run_jobs
from ncodec_cli.common import (
    PATH,
    SECONDS,
    bw_option,
    clock,
    codebooks_option,
    device_option,
    file_model_option,
    force_option,
    jobs_option,
    keep_going_option,
    name_of,
    open_input,
    open_output,
    output_option,
    precision_option,
    quiet_option,
    say,
    threads_option,
)

if TYPE_CHECKING:
    from ncodec.codec import Decompressed

FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "m4a", "aac", "webm", "wv")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... [OUTPUT]")
@output_option
@bw_option
@codebooks_option
@click.option("--start", type=SECONDS, metavar="TIME", help="Where to begin: 90, 1:30, 1:02:03.5.")
@click.option("--end", type=SECONDS, metavar="TIME", help="Where to stop.")
@click.option("--rate", type=click.IntRange(100), metavar="HZ", help="Another sample rate.")
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
@jobs_option
@force_option
@quiet_option
def decompress(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Decompress .ecdc files to audio of the source's rate, channels and exact length.

    INPUT is a file, a folder (its tree is kept) or - for a pipe. OUTPUT is a file, a folder or -;
    without it, WAV files are written beside the inputs. A stretch of time is found without reading
    what comes before it. Decoding a file twice gives the same samples.

    On a pipe sound leaves as soon as its packet is in; when the reader goes away, decompress ends
    without a word and with status 141, as if by SIGPIPE.

    \b
    Examples:
      ncodec decompress in.ecdc                      # in.wav
      ncodec decompress in.ecdc out.flac --bw 3      # only the codebooks of 3 kbps
      ncodec decompress in.ecdc part.wav --start 1:30 --end 2:00
      ncodec decompress coded/ back/ --jobs 4
      ncodec decompress in.ecdc - | aplay
    """
    container, encoding = options["container"], options["encoding"]
    if options["raw"] is not None:
        if container is not None or encoding is not None:
            raise click.UsageError("--raw says the format: not together with --format, --encoding")
        container, encoding = "raw", options["raw"]
    if options["bw"] is not None and options["codebooks"] is not None:
        raise click.UsageError("--bw and --codebooks: only one of them can be given")
    jobs = plan_jobs(
        paths,
        output,
        is_output=lambda path: not path.lower().endswith(".ecdc"),
        is_input=is_ecdc,
        suffix=f".{container or 'wav'}",
    )
    settings: dict[str, Any] = {
        "model": options["model"],
        "bandwidth": options["bw"],
        "codebooks": options["codebooks"],
        "start": options["start"],
        "end": options["end"],
        "sample_rate": options["rate"],
        "mono": options["mono"],
        "encoding": encoding,
        "tags": not options["no_tags"],
        "keep_going": options["keep_going"],
        "precision": options["precision"],
    }
    if options["no_limit"]:
        settings["max_seconds"] = None
    quiet: bool = options["quiet"]

    def work(job: Job, progress: Any) -> None:
        from ncodec.audio import format_of
        from ncodec.codec import decompress as run
        from ncodec.runtime import pick_device

        kind = container or ("wav" if job.target == "-" else format_of(job.target))
        device = pick_device(options["device"])
        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            name = name_of(job.source)
            try:
                done = run(
                    source,
                    target,
                    container=kind,
                    device=device,
                    progress=progress,
                    name=name,
                    **settings,
                )
            except DamageError as error:
                raise DamageError(f"{error} (--keep-going decodes what is whole)") from error
        _tell(name, job, done, quiet)

    run_jobs(work, jobs, workers=options["jobs"], threads=options["threads"], quiet=quiet)


def _tell(name: str, job: Job, done: Decompressed, quiet: bool) -> None:
    target = "standard output" if job.target == "-" else job.target
    length = clock(done.samples / done.sample_rate, digits=3)
    channels = f"{done.channels} channel{'s' if done.channels > 1 else ''}"
    shape = f"{length}, {done.samples} samples, {done.sample_rate} Hz, {channels}"
    say(f"{name} -> {target}: {shape}", quiet=quiet)
    for note in done.notes:
        say(f"{target}: {note}", quiet=quiet)
    if done.clipped:
        rule = "louder than whole numbers hold (--encoding f32 keeps them)"
        count = f"{done.clipped} sample{'s' if done.clipped > 1 else ''}"
        say(f"{target}: {count} clipped: {rule}", quiet=quiet)
    for damage in done.damage:
        say(f"{name}: damaged: {damage}", quiet=False)
