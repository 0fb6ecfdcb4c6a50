"""`ncodec compress`: audio to .ecdc."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ncodec_cli.batch import Job, plan_jobs, run_jobs
from ncodec_cli.common import (
    KEY_VALUE,
    PATH,
    beam_option,
    bw_option,
    codebooks_option,
    coding_model,
    device_option,
    force_option,
    jobs_option,
    model_option,
    name_of,
    open_input,
    open_output,
    output_option,
    precision_option,
    quiet_option,
    raw_options,
    say,
    threads_option,
)

if TYPE_CHECKING:
    from ncodec.codec import Compressed

_DEFAULTS = {"encodec": "encodec_24khz", "dac": "dac_44khz"}
"""Models of the formats that know no other."""


class Pair(click.ParamType[tuple[int, int]]):
    """Two whole numbers, "k,n"."""

    name = "k,n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return them."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            self.fail(f"{value!r}: must be two whole numbers, as in 2,3")
        return int(parts[0]), int(parts[1])


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="INPUT... [OUTPUT]")
@output_option
@bw_option
@codebooks_option
@model_option
@beam_option
@click.option("--mono", is_flag=True, help="Mix the channels down to one.")
@raw_options
@click.option(
    "--packet-ms",
    type=click.FloatRange(1),
    metavar="MS",
    help="Length of a packet: short ones lose less when one is lost. [default: 1000]",
)
@click.option(
    "--redundancy",
    type=Pair(),
    metavar="K,N",
    help="Repeat the first K codebooks of each packet with the N packets after it.",
)
@click.option(
    "--tag", "tags", multiple=True, type=KEY_VALUE, metavar="KEY=VALUE", help="A tag. Repeatable."
)
@click.option("--no-tags", is_flag=True, help="Leave the source's own tags behind.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["ecdc", "encodec", "dac"]),
    default="ecdc",
    show_default=True,
    help="encodec: .ecdc version 0, for the encodec package; dac: for descript-audio-codec.",
)
@click.option("--verify", is_flag=True, help="Read each file again when it is written; check it.")
@click.option("--keep-going", is_flag=True, help="Code what is there of a file that ends early.")
@device_option
@precision_option
@threads_option
@jobs_option
@force_option
@quiet_option
def compress(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Compress audio files to .ecdc, or to the files of EnCodec's and DAC's own tools.

    INPUT is an audio file, a folder (its tree is kept), or - for a pipe of audio or (with --raw) of
    bare samples; M4A, WebM, WavPack, video and the like are read by way of ffmpeg, if that is on
    the PATH. OUTPUT is a file, a folder or -; without it, files are written
    beside the inputs. Without --bw or --codebooks each channel gets 6 kbps. The same input, model
    and options give the same bytes on every run of one machine, with any number of threads; other
    processors, GPUs and --precision bf16 round otherwise.

    On a pipe each packet leaves as soon as its sound is in; when the reader goes away, compress
    ends without a word and with status 141, as if by SIGPIPE.

    \b
    Examples:
      ncodec compress in.wav                         # in.ecdc, 6 kbps for each channel
      ncodec compress in.wav out.ecdc --bw 3
      ncodec compress music/ coded/ --bw 12 --jobs 4
      arecord -f S16_LE -r 24000 - | ncodec compress - talk.ecdc
      ffmpeg -i in.mkv -f f32le -ar 48000 -ac 2 - |
        ncodec compress - out.ecdc --raw f32 --rate 48000 --channels 2
    """
    from ncodec.audio.kinds import is_audio_name

    suffix = ".dac" if options["kind"] == "dac" else ".ecdc"
    jobs = plan_jobs(
        paths,
        output,
        is_output=lambda path: path.lower().endswith(suffix),
        is_input=is_audio_name,
        suffix=suffix,
    )
    settings = _settings(options)
    quiet: bool = options["quiet"]

    def work(job: Job, progress: Any) -> None:
        from ncodec.codec import compress, compress_as

        run = compress if options["kind"] == "ecdc" else partial(compress_as, to=options["kind"])
        begin = time.monotonic()
        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            name = name_of(job.source)
            done = run(source, target, progress=progress, name=name, **settings)
        took = time.monotonic() - begin
        say(f"{name} -> {_described(job, done, options['bw'], took)}", quiet=quiet)
        for note in done.notes:
            say(f"{name}: {note}", quiet=quiet)

    run_jobs(work, jobs, workers=options["jobs"], threads=options["threads"], quiet=quiet)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the command line's options into those of `ncodec.codec.compress`."""
    raw = _raw_format(options)
    if options["bw"] is not None and options["codebooks"] is not None:
        raise click.UsageError("--bw and --codebooks: only one of them can be given")
    model = coding_model(options, _DEFAULTS.get(options["kind"]))
    frames = None
    if options["packet_ms"] is not None:
        frames = max(1, round(options["packet_ms"] / 1000 * model.sample_rate / model.hop))
    return {
        "model": model,
        "bandwidth": options["bw"],
        "codebooks": options["codebooks"],
        "packet_frames": frames,
        "mono": options["mono"],
        "raw": raw,
        "tags": options["tags"],
        "source_tags": not options["no_tags"],
        "redundancy": options["redundancy"],
        "verify": options["verify"],
        "allow_truncated": options["keep_going"],
    }


def _raw_format(options: dict[str, Any]) -> Any:
    given = [options["rate"], options["channels"]]
    if options["raw"] is None:
        if any(value is not None for value in given):
            raise click.UsageError("--rate and --channels only describe --raw samples")
        return None
    if None in given:
        raise click.UsageError("--raw needs --rate and --channels")
    from ncodec.audio import RawFormat

    return RawFormat(options["raw"], *given)


def _described(job: Job, done: Compressed, asked: float | None, took: float) -> str:
    target = "standard output" if job.target == "-" else job.target
    books = f"{done.codebooks} codebook{'s' if done.codebooks > 1 else ''}"
    wanted = "" if asked is None or abs(asked - done.kbps) < 1e-9 else f" (asked: {asked:g})"
    if done.channels > 2:
        wanted = f" for {done.channels} channels{wanted}"
    return (
        f"{target}: {done.model}, {books}, {done.kbps:g} kbps{wanted}, "
        f"{done.real_kbps:.2f} with overhead, {done.ratio:.1f}x smaller, "
        f"{done.seconds / max(took, 1e-9):.1f}x real time"
    )
