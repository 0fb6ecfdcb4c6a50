"""`ncodec generate`: sound of words, or of nothing; `ncodec_cli.endless` has what never ends."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from ncodec.errors import ArgumentError
from ncodec_cli.checks import check_device
from ncodec_cli.common import (
    PATH,
    check_stream,
    device_option,
    force_option,
    name_of,
    open_output,
    open_seekable,
    precision_option,
    quiet_option,
    refuse_json_to_pipe,
    result_json_option,
    threads_option,
    use_threads,
)
from ncodec_cli.completing import complete_models
from ncodec_cli.endless import check_endless, endless_options, make_endless, refuse_endless
from ncodec_cli.line import clear, show
from ncodec_cli.making import Duration, container_of, numbered, tell, until_interrupted
from ncodec_cli.parameters import Between
from ncodec_cli.progress import Progress
from ncodec_cli.sound import check_new_file, play_while

if TYPE_CHECKING:
    from torch import Tensor

    from ncodec.audio import Samples
    from ncodec.lm import GenModel
    from ncodec.lm.files import Generated


class _Temperatures(click.ParamType[float | tuple[float, ...]]):
    """A temperature, or one for each codebook."""

    name = "t"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | tuple[float, ...]:
        """Return a number, or several."""
        if isinstance(value, (float, tuple)):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: must be a number, or several as in 1,0.9,0.8,0.8")
        return numbers[0] if len(numbers) == 1 else numbers


@click.command()
@click.argument("text", required=False, metavar="[WORDS]")
@click.option("-o", "--output", type=PATH, metavar="PATH",
              help="A sound file of any format, .ecdc, or - for WAV to a pipe.")  # fmt: skip
@click.option("--model", metavar="NAME", required=True, shell_complete=complete_models,
              help="A language model or one of endless sound: an imported one (`ncodec models "
              "import`), or its file.")  # fmt: skip
@click.option("--duration", type=Duration(), metavar="TIME",
              help="How much: 10, 1:30, endless (until Ctrl-C). [default: 10 s of sounds, 30 s of "
              "music and of endless models]")  # fmt: skip
@click.option("--seed", type=Between(0), metavar="N",
              help="The same seed gives the same sound. [default: a new one, which is "
              "told]")  # fmt: skip
@click.option("--number", type=Between(1, 1000), default=1, show_default=True, metavar="N",
              help="How many: PATH-1, PATH-2 and so on; seeds follow each other.")  # fmt: skip
@click.option("--continue", "prompt", type=PATH, metavar="FILE",
              help="Go on from this sound or .ecdc; it comes first in the output, as "
              "coded.")  # fmt: skip
@click.option("--temperature", type=_Temperatures(), metavar="T",
              help="Below 1 more certain, above more varied; 0: the likeliest. Several, as in "
              "1,.9,.8,.8, are for the codebooks. [default: the model's, 1 of AudioGen and "
              "MusicGen]")  # fmt: skip
@click.option("--top-k", type=Between(0), default=250, show_default=True, metavar="K",
              help="Draw from the K likeliest codes; 0: from all.")  # fmt: skip
@click.option("--top-p", type=Between(0, 1, whole=False), default=0.0, metavar="P",
              help="Instead: from the likeliest that have this probability together.")  # fmt: skip
@click.option("--guidance", type=Between(0, whole=False), metavar="G",
              help="How strongly WORDS lead; 1 is no more than it was learnt. [default: the "
              "model's, 3 of AudioGen and MusicGen]")  # fmt: skip
@endless_options
@click.option("--play", is_flag=True, help="Hear it while it is made.")
@device_option
@precision_option
@threads_option
@force_option
@quiet_option
@result_json_option
def generate(text: str | None, output: str | None, **options: Any) -> None:
    """Generate sound that WORDS describe, or without WORDS what the model likes.

    AudioGen and MusicGen take sentences (pip install transformers), other models tags of their
    vocabulary. Sound is written while it is made, .ecdc from the codes themselves; seed, model and
    WORDS are kept as tags. Each of several is the same as if it were made alone.

    \b
    Examples:
      ncodec generate "rain on a window" -o rain.wav --model audiogen-medium
      ncodec generate "piano" -o a.ecdc --model musicgen-small --duration 1:30
      ncodec generate "a dog barks" -o dog.flac --model mine --seed 7 --number 4
      ncodec generate -o more.wav --continue in.wav --model musicgen-small
      ncodec generate "wind" -o - --model mine --duration endless | aplay
      ncodec generate -o loop.wav --model techno --duration 12 --loop
    """
    if output is None and not options["play"]:
        raise click.UsageError("give an output (-o), or --play")
    _check_asked(text, output, options)
    if _is_endless(options):
        make_endless(output, options)
    else:
        _make(text, output, options)


def _make(text: str | None, output: str | None, options: dict[str, Any]) -> None:
    """Make one or several with a language model."""
    model = _loaded(options)
    seed = options["seed"]
    with ExitStack() as stack:
        prompt = _prompt(stack, model, options["prompt"])
        for number in range(options["number"]):
            target = numbered(output, number) if options["number"] > 1 else output
            own = None if seed is None else seed + number
            done, took = _one(model, text, prompt, target, seed=own, options=options)
            seed = model.seeds[0] - number
            tell(done, took, target, text=text, seed=seed + number, options=options)


def _check_asked(text: str | None, output: str | None, options: dict[str, Any]) -> None:
    """Refuse what cannot be, before a model is loaded."""
    several, endless = options["number"] > 1, options["duration"] == math.inf
    if several and (output in (None, "-") or options["play"] or endless):
        raise click.UsageError("--number makes files that end: not with -, --play or endless")
    if options["as_json"] and output is not None:
        refuse_json_to_pipe(options, output)
    check_device(options["device"])
    _check_told(text, options)
    if output == "-":
        check_stream("stdout")
    elif output is not None:
        container_of(output)
        targets = [numbered(output, n) for n in range(options["number"])] if several else [output]
        for target in targets:
            check_new_file(target, options["force"])


def _check_told(text: str | None, options: dict[str, Any]) -> None:
    """Refuse what the model cannot be told, and models that generate nothing."""
    from ncodec.checkpoints import find, read_model_info
    from ncodec.models.families import find_family
    from ncodec.models.lm_config import LMConfig

    info = read_model_info(find(options["model"]))
    family, duration = find_family(info.family), options["duration"]
    if family.kind == "endless generator":
        check_endless(text, options)
        return
    if family.config is not LMConfig:
        raise ArgumentError(f"{options['model']}: is a {family.kind}, and generates nothing")
    refuse_endless(options)
    config = LMConfig.from_dict(dict(info.config))
    if duration is not None:
        config.check_duration(duration)
    if text is None:
        return
    from ncodec.lm.conditioning import check_description
    from ncodec.lm.text import check_extra

    check_description(text, config, info.name)
    if config.condition == "text":
        check_extra()


def _is_endless(options: dict[str, Any]) -> bool:
    from ncodec.checkpoints import find, read_model_info
    from ncodec.models.families import find_family

    return find_family(read_model_info(find(options["model"])).family).kind == "endless generator"


def _loaded(options: dict[str, Any]) -> GenModel:
    if not options["quiet"]:
        show(f"loading {options['model']}")
    try:
        from ncodec.lm import load_generator
        from ncodec.runtime import pick_device

        use_threads(options["threads"])
        model = load_generator(
            options["model"], pick_device(options["device"]), options["precision"]
        )
        model.set_generation_params(
            top_k=options["top_k"],
            top_p=options["top_p"],
            temperature=options["temperature"],
            cfg_coef=options["guidance"],
            duration=options["duration"],
        )
    finally:
        clear()
    return model


def _prompt(stack: ExitStack, model: GenModel, path: str | None) -> Tensor | None:
    if path is None:
        return None
    from ncodec.lm.files import read_prompt

    return read_prompt(stack.enter_context(open_seekable(path)), model, name_of(path))


def _one(
    model: GenModel,
    text: str | None,
    prompt: Tensor | None,
    target: str | None,
    *,
    seed: int | None,
    options: dict[str, Any],
) -> tuple[Generated, float]:
    """Make one; return it, and how many seconds that took."""
    from ncodec.lm.files import FILE_BLOCK, tags_of, write_generated

    frames = model.stream_codes(text, seed=seed, prompt=prompt)
    endless = math.isinf(model.duration)
    if endless:
        frames = until_interrupted(frames)
    known = 0 if prompt is None else prompt.shape[1]
    total = None if endless else known + model.lm.config.frames(model.duration)
    before = iter(()) if prompt is None else iter(prompt.T)
    tags = tags_of(model, text)
    with ExitStack() as stack:
        progress = Progress(text or "", quiet=options["quiet"])

        def write(heard: Callable[[Samples], None] | None = None) -> Generated:
            file = stack.enter_context(open_output(target or os.devnull, force=options["force"]))
            at_once = target == "-" or heard is not None
            return write_generated(
                model,
                chain(before, frames),
                file,
                container=container_of(target) if target not in (None, "-") else "wav",
                tags=tags,
                total=total,
                block=1 if at_once else FILE_BLOCK,
                progress=progress,
                heard=heard,
            )

        stack.enter_context(progress)
        if options["play"]:
            done = play_while(model.sample_rate, model.audio_channels, write)
        else:
            done = write()
    return done, progress.seconds
