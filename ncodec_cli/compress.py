"""`ncodec compress`: audio to .ecdc."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.checks import check_model, refuse_coded
from ncodec_cli.common import (
    batch_options,
    bw_option,
    codebooks_option,
    coding_model,
    device_option,
    effort_options,
    file_rate_option,
    file_size,
    model_option,
    name_of,
    open_input,
    open_output,
    output_option,
    precision_option,
    raw_options,
    result_json_option,
    say_made,
    threads_option,
    use_threads,
)
from ncodec_cli.completing import AUDIO
from ncodec_cli.line import Once, say_error
from ncodec_cli.parameters import KBPS, KEY_VALUE, Between, Pair
from ncodec_cli.plan import Job, Kind
from ncodec_cli.progress import ratio, size, times

if TYPE_CHECKING:
    from ncodec.codec import Compressed
    from ncodec.models.base import CompressionModel

_DEFAULTS = {"encodec": "encodec_24khz", "dac": "dac_44khz"}
"""Models of the formats that know no other."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=AUDIO, metavar="INPUT... [OUTPUT]")
@output_option
@bw_option
@codebooks_option
@file_rate_option
@model_option
@effort_options
@click.option("--mono", is_flag=True, help="Mix the channels down to one.")
@raw_options
@click.option(
    "--packet-ms",
    type=Between(1, whole=False),
    metavar="MS",
    help="Length of a packet: short ones lose less when one is lost. [default: 1000]",
)
@click.option(
    "--entropy",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="auto: predict codes where the model has tables for it, so that the file is smaller; "
    "none: pack them as they are.",
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
@click.option(
    "--no-lift", is_flag=True, help="Code quiet recordings as quiet as they are, not louder."
)
@click.option("--verify", is_flag=True, help="Read each file again when it is written; check it.")
@click.option("--keep-going", is_flag=True, help="Code what is there of a file that ends early.")
@device_option
@precision_option
@threads_option
@batch_options
@result_json_option
def compress(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Compress audio files to .ecdc, or to the files of EnCodec's and DAC's own tools.

    INPUT is an audio file, a folder (its tree is kept), or - for a pipe of audio or (with --raw) of
    bare samples; M4A, WebM, WavPack, video and the like are read by way of ffmpeg, if that is on
    the PATH. OUTPUT is a file, a folder or -; without it, files are written beside the inputs.
    Where a.wav and a.flac meet, they become a.wav.ecdc and a.flac.ecdc. Without --bw or
    --codebooks each channel gets 6 kbps. The same input, model
    and options give the same bytes on every run of one machine, with any number of threads; other
    processors, GPUs and --precision bf16 round otherwise.

    On a pipe each packet leaves as soon as its sound is in; when the reader goes away, compress
    ends without a word and with status 141, as if by SIGPIPE.

    \b
    Examples:
      ncodec compress in.wav                # in.ecdc, 6 kbps for each channel
      ncodec compress in.wav out.ecdc --bw 3
      ncodec compress in.wav out.ecdc --rate 4  # a file of 4 kbps, all told
      ncodec compress music/ coded/ --bw 12 --jobs 4
      arecord -f S16_LE -r 24000 - | ncodec compress - talk.ecdc
      ffmpeg -i in.mkv -f f32le -ar 48000 -ac 2 - |
        ncodec compress - out.ecdc --raw f32 --rate 48000 --channels 2
    """
    settings = _settings(options)
    batch = Batch.of(paths, output, _kind(options["kind"]), options, refuse_coded)
    if batch.jobs:
        check_model(options, _DEFAULTS.get(options["kind"]))
        use_threads(options["threads"], batch.workers)
        settings["model"] = model = coding_model(options, _DEFAULTS.get(options["kind"]))
        if options["packet_ms"] is not None:
            seconds = options["packet_ms"] / 1000
            settings["packet_frames"] = max(1, round(seconds * model.sample_rate / model.hop))
    remark = Once(quiet=options["quiet"])

    def work(job: Job, progress: Progress) -> None:
        from ncodec.codec import compress, compress_as

        run = compress if options["kind"] == "ecdc" else partial(compress_as, to=options["kind"])
        timed = _Timed(progress)
        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            done = run(source, target, progress=timed, name=name_of(job.source), **settings)
        _tell(job, done, options, timed.seconds, single=batch.single)
        _remark(done, settings["model"], options["bw"], remark)

    batch.run(work)


class _Timed:
    """A callback that measures the time since its first call: loading is not counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._began = progress, time.monotonic()
        self._called = False

    def __call__(self, done: float, total: float | None) -> None:
        if not self._called:
            self._called, self._began = True, time.monotonic()
        self._progress(done, total)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


def _kind(name: str) -> Kind:
    """Return what names tell: inputs are audio, outputs of the kind that was asked for."""
    from ncodec.audio.kinds import AUDIO_SUFFIXES, FFMPEG_SUFFIXES, ffmpeg_is_here

    suffix = ".dac" if name == "dac" else ".ecdc"
    needs = frozenset[str]() if ffmpeg_is_here() else FFMPEG_SUFFIXES
    return Kind("compress", AUDIO_SUFFIXES - needs, suffix, frozenset({suffix}), (needs, "ffmpeg"))


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the command line's options into those of `ncodec.codec.compress`, but for the model."""
    if options["bw"] is not None and options["codebooks"] is not None:
        raise click.UsageError("--bw and --codebooks: only one of them can be given")
    return {
        "bandwidth": options["bw"],
        "codebooks": options["codebooks"],
        "file_rate": _file_rate(options),
        "entropy": options["entropy"],
        "effort": options["effort"],
        "mono": options["mono"],
        "raw": _raw_format(options),
        "tags": options["tags"],
        "source_tags": not options["no_tags"],
        "lift": not options["no_lift"],
        "redundancy": options["redundancy"],
        "verify": options["verify"],
        "allow_truncated": options["keep_going"],
    }


def _file_rate(options: dict[str, Any]) -> float | None:
    """Return what the file shall average; --rate says it too, where it is no sample rate."""
    rate, own = options["rate"], options["file_rate"]
    if options["raw"] is None and rate is not None:
        if own is not None:
            raise click.UsageError("--rate and --file-rate: only one of them can be given")
        own = KBPS.convert(rate, _param("rate"), click.get_current_context())
    if own is not None and own <= 0:
        raise click.UsageError(f"--file-rate {own:g}: must be above 0 kbps")
    if own is not None and options["kind"] != "ecdc":
        raise click.UsageError(f"--file-rate: files of --format {options['kind']} have one bitrate")
    return own


def _param(name: str) -> click.Parameter:
    return next(param for param in compress.params if param.name == name)


def _raw_format(options: dict[str, Any]) -> Any:
    rate, channels = options["rate"], options["channels"]
    if options["raw"] is None:
        if channels is not None:
            raise click.UsageError("--channels only describes --raw samples")
        return None
    if rate is None or channels is None:
        raise click.UsageError("--raw needs --rate and --channels")
    from ncodec.audio import RawFormat

    context = click.get_current_context()
    return RawFormat(
        options["raw"], int(Between(100).convert(rate, _param("rate"), context)), channels
    )


def _tell(
    job: Job, done: Compressed, options: dict[str, Any], took: float, *, single: bool
) -> None:
    """Say what was made of a file."""
    before, asked = file_size(job.source), options["bw"]
    sizes = size(done.bytes) if before is None else ratio(before, done.bytes)
    wanted = "" if asked in (None, done.kbps) else f" ({done.kbps:g} coded, {asked:g} asked)"
    speed = f"{times(done.seconds / max(took, 1e-9))} real time"
    texts = [sizes, f"{done.real_kbps:.2f} kbps{wanted}", speed]
    fields = {
        "model": done.model,
        "codebooks": done.codebooks,
        "kbps": done.kbps,
        "real_kbps": done.real_kbps,
        "seconds": done.seconds,
        "sample_rate": done.sample_rate,
        "channels": done.channels,
        "source_bytes": before,
        "bytes": done.bytes,
        "took": took,
        "notes": done.notes,
    }
    say_made(job.source, job.target, texts, fields, options, single=single)
    for note in done.notes:
        say_error(f"{name_of(job.source)}: {note}", "note", quiet=options["quiet"])


def _remark(done: Compressed, model: CompressionModel, asked: float | None, remark: Once) -> None:
    """Say where the model, rather than the user, sets the limit."""
    most = done.codebooks == len(model.codebook_sizes)
    if most and asked is not None and asked > done.kbps + 1e-9:
        channels = f" for {done.channels} channels" if done.channels > 1 else ""
        remark(f"{done.kbps:g} kbps is the most that {done.model} has{channels}", "warning")
    if done.sample_rate > model.sample_rate:
        rate, half = model.sample_rate / 1000, model.sample_rate / 2000
        remark(f"{done.model} works at {rate:g} kHz: nothing above {half:g} kHz is kept")
