"""AudioGen and MusicGen: sound from descriptions, in AudioCraft's terms, and as streams."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from ncodec.arguments import check_number, check_whole
from ncodec.audio import Samples
from ncodec.checkpoints.cache import find
from ncodec.checkpoints.loading import find_model, load_any
from ncodec.checkpoints.model_info import read_model_info
from ncodec.errors import ArgumentError, CheckpointError
from ncodec.lm.audio import check_codec, decode_frames, encode_prompt
from ncodec.lm.conditioning import Conditioner
from ncodec.lm.generation import Plan, generate_frames
from ncodec.lm.model import LMModel
from ncodec.lm.sampling import Sampling, seeds_of
from ncodec.lm.text import TextEncoder
from ncodec.models.base import CompressionModel
from ncodec.runtime import pick_device

ProgressCallback = Callable[[int, int], None]
G = TypeVar("G", bound="GenModel")


@dataclass(frozen=True)
class Parameters:
    """What `set_generation_params` sets."""

    sampling: Sampling
    duration: float
    guidance: float
    two_step: bool
    stride: int
    seed: int | None
    batch_size: int


class GenModel:
    """A language model over codes with its codec: descriptions to sound.

    Attributes:
        name: Of the language model.
        lm: The language model.
        compression_model: The codec.
        sample_rate: Of the sound, in Hz.
        frame_rate: Frames a second.
        audio_channels: Of the sound.
        max_duration: Seconds that the model hears at most before its window moves on.
        seeds: Those of the last call, item by item.
        licence: Of the weights of the language model.
    """

    DURATION: ClassVar[float] = 10.0
    STRIDE: ClassVar[float | None] = None

    def __init__(
        self,
        lm: LMModel,
        compression_model: CompressionModel,
        text_encoder: TextEncoder | None = None,
        licence: str = "unknown",
    ) -> None:
        config = lm.config
        self.licence = licence
        check_codec(compression_model, config, lm.name)
        self.lm, self.compression_model, self.name = lm, compression_model, lm.name
        self.sample_rate, self.audio_channels = config.sample_rate, config.channels
        self.frame_rate = float(config.frame_rate)
        self.max_duration = math.inf if config.window_frames is None else config.window
        self.seeds: list[int] = []
        self._conditioner = Conditioner(lm, text_encoder)
        self._progress_callback: ProgressCallback | None = None
        self.set_generation_params()

    @classmethod
    def get_pretrained(
        cls: type[G],
        name: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> G:
        """Load a language model by its name or file, with the codec whose codes it speaks.

        Args:
            name: As `ncodec.load_model` takes it.
            device: Where both go.
            precision: Of the language model, "float32" or "bf16".

        Raises:
            CheckpointError: There is no such model or codec, or it is something else.
        """
        place, there = find(name), pick_device(device)
        info = read_model_info(place)
        lm = load_any(place, there)
        if not isinstance(lm, LMModel):
            raise CheckpointError(f"{name}: is no language model that generates")
        lm.told_by = str(info.notes.get("told_by", lm.name))
        lm.set_precision(precision)
        made_with = bytes.fromhex(str(info.notes.get("codec_fingerprint", "")))
        codec = find_model(None, lm.config.codec, there, "float32", made_with or None)
        return cls(lm, codec, licence=info.licence)

    @property
    def duration(self) -> float:
        """Seconds that are made."""
        return self._parameters.duration

    def set_generation_params(  # noqa: PLR0917 - in AudioCraft's order
        self,
        use_sampling: bool = True,
        top_k: int = 250,
        top_p: float = 0.0,
        temperature: float | Sequence[float] | None = None,
        duration: float | None = None,
        cfg_coef: float | None = None,
        two_step_cfg: bool = False,
        extend_stride: float | None = None,
        *,
        seed: int | None = None,
        batch_size: int = 1,
    ) -> None:
        """Set how sound is made.

        Args:
            use_sampling: Draw codes; or else take the likeliest.
            top_k: Draw from so many of the likeliest codes; 0: from all.
            top_p: Draw from the likeliest that have this probability together; if not 0, `top_k` is
                not used.
            temperature: Above 1 more varied, below 1 more certain; several numbers: codebook by
                codebook. The model's own by default, 1 of AudioGen and MusicGen.
            duration: Seconds, the prompt of a continuation included.
            cfg_coef: How strongly the description leads (guidance); 1 is the plain condition. The
                model's own by default.
            two_step_cfg: Make the pass without the description by itself.
            extend_stride: Seconds that the window moves on by, where sound is longer than it.
            seed: Of the first item; the next have the numbers after it. A new one for each call if
                None; `seeds` says which.
            batch_size: Items that go through the model together. With more than 1, sums may round
                in another way, and a code may differ.

        Raises:
            ArgumentError: A value out of range.
        """
        config = self.lm.config
        duration = self.DURATION if duration is None else duration
        stride = extend_stride
        if stride is None:
            stride = config.stride if self.STRIDE is None else min(self.STRIDE, config.stride)
        sampling = Sampling(use_sampling, top_k, top_p, config.drawn_at(temperature))
        sampling.check(config.codebooks)
        if config.window_frames is not None and not 0 < stride < config.window:
            raise ArgumentError(
                f"extend_stride {stride} s: must be above 0 and below the window, {config.window} s"
            )
        guidance = config.guidance if cfg_coef is None else check_number("cfg_coef", cfg_coef)
        if guidance < 0:
            raise ArgumentError(f"cfg_coef {guidance}: must not be negative")
        if seed is not None:
            seeds_of(seed, 1)
        config.check_duration(duration)
        self._parameters = Parameters(
            sampling,
            duration,
            guidance,
            two_step_cfg,
            max(1, config.frames(stride)),
            seed,
            check_whole("batch_size", batch_size, 1),
        )

    def set_custom_progress_callback(self, progress_callback: ProgressCallback | None) -> None:
        """Call this with the frames made and those to be made in all, now and then."""
        self._progress_callback = progress_callback

    def generate(
        self,
        descriptions: str | Sequence[str | None],
        progress: bool = False,
        return_tokens: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Make sound of descriptions: audio `[B, C, T]`, and with `return_tokens` its codes too.

        Args:
            descriptions: One for each item, or a text by itself; None makes what it likes.
            progress: Say on standard error how far it is.
            return_tokens: Return `(audio, codes [B, K, F])`.

        Raises:
            ArgumentError: A description is empty or too long.
            NcodecError: Descriptions cannot be read here; the message says why.
        """
        listed = [descriptions] if isinstance(descriptions, str) else descriptions
        return self._result(self._codes(listed, None, progress=progress), return_tokens)

    def generate_unconditional(
        self, num_samples: int, progress: bool = False, return_tokens: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Make so many items without a description."""
        count = check_whole("num_samples", num_samples, 1)
        return self.generate([None] * count, progress, return_tokens)

    def generate_continuation(
        self,
        prompt: Tensor,
        prompt_sample_rate: int,
        descriptions: Sequence[str | None] | None = None,
        progress: bool = False,
        return_tokens: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Go on from sound `[B, C, T]` or `[C, T]`; the result begins with the prompt, as coded.

        Raises:
            ArgumentError: The prompt is no sound, or as long as what is to be made.
        """
        codes = self.encode_prompt(prompt, prompt_sample_rate)
        listed = [None] * len(codes) if descriptions is None else descriptions
        if len(listed) != len(codes):
            raise ArgumentError(f"{len(listed)} descriptions for {len(codes)} prompts")
        return self._result(self._codes(listed, codes, progress=progress), return_tokens)

    def generate_audio(self, gen_tokens: Tensor) -> Tensor:
        """Return the audio `[B, C, T]` of codes `[B, K, F]`."""
        config, codec = self.lm.config, self.compression_model
        items = [
            list(decode_frames(iter(codes.T), codec, config))
            for codes in gen_tokens.to(codec.device)
        ]
        return torch.stack([torch.from_numpy(np.concatenate(parts, axis=1)) for parts in items])

    def stream(
        self,
        description: str | None = None,
        *,
        duration: float | None = None,
        seed: int | None = None,
        prompt: Tensor | None = None,
        block: int = 1,
    ) -> Iterator[Samples]:
        """Yield sound `[C, T]` while it is made; joined it is that of `generate`.

        It can be stopped at any frame: whoever stops asking ends it.

        Args:
            description: What is to be heard, or None.
            duration: Seconds of new sound, `set_generation_params`' by default; `math.inf`: no end.
            seed: That of `set_generation_params` if None.
            prompt: Codes `[K, F]` to go on from; their sound comes first.
            block: Frames that are decoded together.

        Raises:
            ArgumentError: As `generate`.
        """
        frames = self.stream_codes(description, duration=duration, seed=seed, prompt=prompt)
        before = iter(()) if prompt is None else iter(prompt.T)
        return decode_frames(chain(before, frames), self.compression_model, self.lm.config, block)

    def stream_codes(
        self,
        description: str | None = None,
        *,
        duration: float | None = None,
        seed: int | None = None,
        prompt: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Yield the codes `[K]` of new frames while they are made; as `stream` otherwise."""
        duration = self.duration if duration is None else duration
        self.lm.config.check_duration(duration)
        own = self._parameters.seed if seed is None else seed
        self.seeds = seeds_of(own, 1)
        count = None if math.isinf(duration) else self.lm.config.frames(duration)
        before = None if prompt is None else prompt[None]
        frames = self._frames([description], before, self.seeds, count)
        return (frame[0] for frame in frames)

    def encode_prompt(self, prompt: Tensor | Samples, sample_rate: int) -> Tensor:
        """Return the codes `[B, K, F]` of sound `[B, C, T]` or `[C, T]`; see `encode_prompt`."""
        return encode_prompt(prompt, sample_rate, self.compression_model, self.lm.config)

    def _result(self, codes: Tensor, with_codes: bool) -> Tensor | tuple[Tensor, Tensor]:
        audio = self.generate_audio(codes)
        return (audio, codes) if with_codes else audio

    def _codes(
        self, descriptions: Sequence[str | None], prompt: Tensor | None, *, progress: bool
    ) -> Tensor:
        """Return the codes `[B, K, F]` of items, made in groups."""
        parameters = self._parameters
        if not descriptions:
            raise ArgumentError("no descriptions: at least one is needed")
        if math.isinf(parameters.duration):
            raise ArgumentError("duration inf: only `stream` has no end")
        self.seeds = seeds_of(parameters.seed, len(descriptions))
        known = 0 if prompt is None else prompt.shape[2]
        total = self.lm.config.frames(parameters.duration)
        if known >= total:
            raise ArgumentError(
                f"prompt of {known} frames: duration {parameters.duration:g} s has {total}, the "
                "prompt included"
            )
        # those with a description first, so that they are the first rows
        order = sorted(range(len(descriptions)), key=lambda i: descriptions[i] is None)
        size, made = parameters.batch_size, dict[int, Tensor]()
        done = _Counter(
            self._progress_callback or (_print_progress if progress else None),
            (total - known) * -(-len(order) // size),
        )
        for first in range(0, len(order), size):
            group = order[first : first + size]
            before = None if prompt is None else prompt[group]
            frames = self._frames(
                [descriptions[i] for i in group], before, [self.seeds[i] for i in group],
                total - known,
            )  # fmt: skip
            new = torch.stack([done(frame) for frame in frames], dim=2)
            whole = new if before is None else torch.cat([before.to(new), new], dim=2)
            made |= dict(zip(group, whole, strict=True))
        return torch.stack([made[i] for i in range(len(descriptions))])

    def _frames(
        self,
        descriptions: Sequence[str | None],
        prompt: Tensor | None,
        seeds: list[int],
        count: int | None,
    ) -> Iterator[Tensor]:
        """Yield new frames `[B, K]`; arguments are checked at once."""
        parameters, config = self._parameters, self.lm.config
        window = config.window_frames
        if window is not None and prompt is not None and prompt.shape[2] >= window:
            raise ArgumentError(
                f"prompt of {prompt.shape[2] / self.frame_rate:g} s: {self.name} hears "
                f"{config.window:g} s, which must have room for new sound"
            )
        with torch.inference_mode():
            led = self._conditioner(descriptions, parameters.guidance, two_step=parameters.two_step)
        plan = Plan(count, window, parameters.stride)
        return _without_gradients(
            generate_frames(self.lm, led, plan, seeds, parameters.sampling, prompt=prompt)
        )


class AudioGen(GenModel):
    """Sounds of descriptions (Kreuk et al. 2022, arXiv:2209.15352); AudioCraft's defaults."""

    DURATION = 10.0
    STRIDE = 2.0


class MusicGen(GenModel):
    """Music of descriptions (Copet et al. 2023, arXiv:2306.05284); AudioCraft's defaults."""

    DURATION = 30.0
    STRIDE = 18.0


def load_generator(
    name: str | os.PathLike[str], device: str = "cpu", precision: str = "float32"
) -> GenModel:
    """Load a language model with the defaults of its kind: `AudioGen`, `MusicGen` or plain ones."""
    model = GenModel.get_pretrained(name, device, precision)
    kind = {"music": MusicGen, "sound": AudioGen}.get(model.lm.config.style, GenModel)
    return kind(model.lm, model.compression_model, licence=model.licence)


class _Counter:
    """Tells a callback of each frame."""

    def __init__(self, callback: ProgressCallback | None, total: int) -> None:
        self._callback, self._total, self._done = callback, total, 0

    def __call__(self, frame: Tensor) -> Tensor:
        self._done += 1
        if self._callback is not None:
            self._callback(self._done, self._total)
        return frame


def _print_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done:6d} / {total:6d}" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _without_gradients(frames: Iterator[Tensor]) -> Iterator[Tensor]:
    """Make each frame in inference mode, which whoever asks for it need not be in."""
    while True:
        with torch.inference_mode():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame.clone()
