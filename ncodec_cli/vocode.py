"""`ncodec mel` and `ncodec vocode`: sound to mel spectrograms, and back by a vocoder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import counted
from ncodec.progress import Progress
from ncodec_cli.batch import Batch
from ncodec_cli.checks import check_model
from ncodec_cli.common import (
    batch_options,
    device_option,
    file_size,
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
from ncodec_cli.completing import complete_models
from ncodec_cli.line import say_error, show
from ncodec_cli.plan import Job, Kind, is_special
from ncodec_cli.progress import clock

if TYPE_CHECKING:
    from ncodec.vocoder import Vocoder
    from ncodec.vocoder.files import Vocoded

_ARRAYS = frozenset({".npy", ".npz", ".safetensors"})

vocoder_option = click.option(
    "--model",
    metavar="NAME",
    required=True,
    help="The vocoder: an imported one (`ncodec models import`), or its file.",
    shell_complete=complete_models,
)
frames_first_option = click.option(
    "--frames-first", is_flag=True, help="Arrays are [frames, bands], not [bands, frames]."
)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@output_option
@vocoder_option
@frames_first_option
@device_option
@threads_option
@batch_options
@result_json_option
def mel(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Compute the log mel spectrograms of audio files, just as a vocoder takes them.

    INPUT is an audio file, a folder or -; OUTPUT a .npy file of float32 [bands, frames], a folder
    or -. Rate, window, bands, range and
    logarithm are those of the vocoder; audio of another rate is resampled, channels are mixed.

    \b
    Examples:
      ncodec mel talk.wav talk.npy --model hifigan_v1
      ncodec mel recordings/ mels/ --model hifigan_v1
    """
    from ncodec.audio.kinds import AUDIO_SUFFIXES

    kind = Kind("mel", AUDIO_SUFFIXES, ".npy", frozenset({".npy"}))
    batch = Batch.of(paths, output, kind, options)
    model = _load(batch, options)

    def work(job: Job, progress: Progress) -> None:
        from ncodec.vocoder.files import write_mel

        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            frames = write_mel(
                source,
                target,
                model,
                name=name_of(job.source),
                frames_first=options["frames_first"],
                progress=progress,
            )
        fields = {"frames": frames, "bands": model.bands, "bytes": file_size(job.target)}
        texts = [f"{counted(frames, 'frame')} of {model.bands} bands"]
        say_made(job.source, job.target, texts, fields, options, single=batch.single)

    batch.run(work)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@output_option
@vocoder_option
@frames_first_option
@click.option(
    "--encoding",
    type=click.Choice(["s16", "s24", "f32"]),
    help="Samples of WAV and the like. [default: s16]",
)
@device_option
@precision_option
@threads_option
@batch_options
@result_json_option
def vocode(paths: tuple[str, ...], output: str | None, **options: Any) -> None:
    """Make sound of mel spectrograms with a HiFi-GAN vocoder, in constant memory and without seams.

    INPUT is a .npy file of floats [bands, frames], a .npz or .safetensors file with one array (or
    one called mel), a folder of these, or audio: then its own mels become sound again, to hear what
    the vocoder does. "-" is a pipe of .npy. OUTPUT is audio of any format, a folder or -.

    \b
    Examples:
      ncodec vocode talk.npy talk.wav --model hifigan_v1
      ncodec vocode mels/ sounds/ --model hifigan_v1
      ncodec vocode talk.wav again.wav --model hifigan_v1
      synthesiser | ncodec vocode - - --model hifigan_v1 | aplay
    """
    from ncodec.audio.kinds import AUDIO_SUFFIXES

    writes = AUDIO_SUFFIXES - _ARRAYS
    batch = Batch.of(paths, output, Kind("vocode", _ARRAYS, ".wav", writes), options)
    model = _load(batch, options)

    def work(job: Job, progress: Progress) -> None:
        from ncodec.vocoder.files import mels_of_audio, read_mels, vocode

        suffix = os.path.splitext(job.source)[1].lower()
        with (
            open_input(job.source) as source,
            open_output(job.target, force=options["force"], inputs=(job.source,)) as target,
        ):
            if job.source == "-" or suffix in _ARRAYS:
                kind = suffix if suffix in _ARRAYS else ".npy"
                mels, frames = read_mels(source, kind, model, frames_first=options["frames_first"])
            else:
                mels, frames = mels_of_audio(source, model, name_of(job.source)), None
            done = vocode(
                mels,
                target,
                model,
                container=_container(job.target),
                encoding=options["encoding"],
                frames=frames,
                progress=progress,
            )
        _tell(job, done, options, single=batch.single)

    batch.run(work)


def _tell(job: Job, done: Vocoded, options: dict[str, Any], *, single: bool) -> None:
    """Say what was made of a file."""
    seconds = done.samples / done.sample_rate
    fields = {
        "frames": done.frames,
        "seconds": seconds,
        "samples": done.samples,
        "sample_rate": done.sample_rate,
        "bytes": file_size(job.target),
        "clipped": done.clipped,
    }
    texts = [clock(seconds, digits=3), counted(done.frames, "frame"), f"{done.sample_rate} Hz"]
    say_made(job.source, job.target, texts, fields, options, single=single)
    if done.clipped:
        what = f"{name_of_output(job.target)}: {counted(done.clipped, 'sample')} clipped"
        say_error(f"{what} (--encoding f32 keeps them)", "note", quiet=options["quiet"])


def _container(target: str) -> str:
    from ncodec.audio import format_of

    named = target != "-" and not is_special(target) and os.path.splitext(target)[1]
    return format_of(target) if named else "wav"


def _load(batch: Batch, options: dict[str, Any]) -> Vocoder:
    """Load the vocoder, if there is anything to do for it."""
    if batch.jobs:
        check_model({"model": options["model"], "device": options["device"]})
        if not options["quiet"]:
            show(f"loading {options['model']}")
        use_threads(options["threads"], batch.workers)
    from ncodec.runtime import pick_device
    from ncodec.vocoder import Vocoder

    model = Vocoder.get_pretrained(options["model"], pick_device(options["device"]))
    model.set_precision(options.get("precision", "float32"))
    return model
