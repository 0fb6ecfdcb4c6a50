"""CompressionModel: the one interface that the codec, live audio and training see.

Its public methods check what they are given, once, and call the family's, whose names begin with an
underscore and which trust them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from ncodec.arguments import check_whole
from ncodec.errors import ArgumentError
from ncodec.models import checks
from ncodec.models.core import ModelCore
from ncodec.models.families import known
from ncodec.models.fixed import FixedStep, FixedSteps, decoding, encoding
from ncodec.models.records import (
    Chunk,
    DecoderState,
    EncoderState,
    Latents,
    Streams,
    Trainable,
)
from ncodec.quantize.bits import Search
from ncodec.quantize.quantized import check_range
from ncodec.streaming import join_all, stack_rows, take_rows

S = TypeVar("S", EncoderState, DecoderState)


class CompressionModel(ModelCore):
    """A neural audio codec: audio `[B, C, T]` to codes `[B, K, F]` and back.

    Models that code overlapping segments (EnCodec 48 kHz) set `segment = (length, stride)` in
    samples: then each chunk is one segment with its scale. All others emit chunks of any number of
    frames.

    Audio may be any floats, or integers, which are divided by their type's full scale; codes may be
    any integers; NumPy arrays do for both. Steps and states are pure: a state stays good after it
    was used, and belongs to models of one class, name, configuration and precision.

    Raises:
        ArgumentError: By every method, before it computes anything: a value of a wrong type,
            shape, range or device, or the state of another model.
    """

    def trainable(self) -> Trainable:
        """Return the parts that training drives.

        Raises:
            ArgumentError: Models of this kind can be run but not trained.
        """
        able = ", ".join(family.name for family in known() if family.task == "codec")
        raise ArgumentError(f"{self.name} cannot be trained; the families {able} can, unsegmented")

    @staticmethod
    def get_pretrained(name: str, device: torch.device | str = "cpu") -> CompressionModel:
        """Load a model by name or path, as `ncodec.load_model` does."""
        from ncodec.checkpoints import load

        return load(name, device)

    # Whole signals

    def forward(self, audio: Tensor) -> Tensor:
        """Code and decode whole signals: `[B, C, T]` to `[B, C, T]`.

        Where gradients are wanted they pass the quantizer as if it were not there (straight
        through). Codebooks do not learn from this; `ncodec.train` makes them.
        """
        audio = self._audio(audio)
        checks.check_finite("samples", audio)
        length = audio.shape[-1]
        if not self._wants_gradients(audio):
            return self.decode(*self.encode(audio))[..., :length]
        into = self.encoder_state(len(audio))
        latents, net = self._encode_step(audio, into.net)
        parts: list[Tensor] = []
        state = self._decoder_state(len(audio), audio.device)
        for latent, scale in [*latents, *self._encode_flush(net, len(audio))]:
            with torch.no_grad():
                chosen = self._decode_latent(self._quantize(latent, into.streams))
            y, state = self._decode_step(latent + (chosen - latent).detach(), scale, state)
            parts.append(y)
        return join_all([*parts, self._decode_flush(state, len(audio))])[..., :length]

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """Code whole signals `[B, C, T]`, with `num_codebooks` codebooks.

        Returns:
            Codes int64 `[B, num_codebooks, ceil(T / hop)]` and None; for a model of segments their
            codes one after another, and where they are scaled, their scales `[B, segments]`.
        """
        with self._without_gradients(codes=True):
            audio = self._audio(audio)
            checks.check_finite("samples", audio)
            state = self.encoder_state(len(audio))
            latents, net = self._encode_step(audio, state.net)
            latents = [*latents, *self._encode_flush(net, len(audio))]
            chunks = [self._coded(x, state.streams) for x in latents]
            if not chunks:
                shape = (len(audio), state.streams.codebooks, 0)
                return torch.zeros(shape, dtype=torch.int64, device=audio.device), None
            scales = [chunk.scale for chunk in chunks if chunk.scale is not None]
            codes = torch.cat([chunk.codes for chunk in chunks], dim=2)
            return codes, torch.stack(scales, dim=1) if scales else None

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Decode what `encode` gave, with any number of its codebooks, to audio `[B, C, T]`.

        T is F * hop; segments overlap, so that theirs is less by the overlaps.
        """
        with self._without_gradients():
            codes = checks.check_codes(codes, self.name, self.total_codebooks, self.device)
            check_range(codes, self.codebook_sizes)
            size = self.segment_frames or max(1, codes.shape[2])
            parts = codes.split(size, dim=2) if codes.shape[2] else ()
            shape = (len(codes), len(parts)) if self.scaled else None
            scale = checks.check_scale(scale, self.name, shape)
            scale = None if scale is None else scale.to(codes.device)
            state, audio = self._decoder_state(len(codes), codes.device), list[Tensor]()
            for i, part in enumerate(parts):
                own = None if scale is None else scale[:, i]
                y, state = self._decode_step(self._decode_latent(part), own, state)
                audio.append(y)
            return join_all([*audio, self._decode_flush(state, len(codes))])

    def decode_latent(self, codes: Tensor) -> Tensor:
        """Sum the entries, frame by frame: `[B, K, F]` to the latent `[B, D, F]`; F may be 0."""
        return self._look_up(
            checks.check_codes(codes, self.name, self.total_codebooks, self.device)
        )

    def encode_latent(
        self, latent: Tensor, codebooks: int | None = None, search: Search | None = None
    ) -> Tensor:
        """Code latents `[B, D, F]` frame by frame, by that search or the present beam.

        Returns:
            int64 `[B, codebooks, F]`; `num_codebooks` of them if None.

        Raises:
            ArgumentError: A value out of range, or a search that the family does not have.
        """
        latent = checks.check_latent(latent, self.name, self.latent_dim, self.device)
        streams = self.encoder_state(max(1, len(latent)), None, codebooks, search).streams
        with torch.no_grad():
            return self._quantize(latent, streams)

    # Streams in

    def encoder_state(
        self,
        batch: int,
        device: torch.device | None = None,
        codebooks: int | None = None,
        search: Search | None = None,
    ) -> EncoderState:
        """Return the encoder's state before the first sample of `batch` streams.

        `codebooks` is how many these streams use, `num_codebooks` if None: it belongs to the
        streams, since one model serves many at once, and so does how codes are searched for, by the
        present beam if `search` is None. `device` can only be the model's.

        Raises:
            ArgumentError: A value out of range, or a search that the family does not have.
        """
        own = self.device
        count = checks.check_streams(batch, device, own, self.name)
        books = self.num_codebooks if codebooks is None else self._count(codebooks)
        search = search or Search(self._beam)
        self._check_search(search)
        streams = Streams(self._identity(), count, own, books, search)
        with checks.fitting(count):
            return EncoderState(streams, self._encoder_state(count, own))

    def encode_step(self, audio: Tensor, state: EncoderState) -> tuple[list[Chunk], EncoderState]:
        """Take the next samples; return the chunks that are ready (if any) and the new state."""
        latents, state = self.latent_step(audio, state)
        return [self._coded(x, state.streams) for x in latents], state

    def latent_step(self, audio: Tensor, state: EncoderState) -> tuple[list[Latents], EncoderState]:
        """As `encode_step`, but return latents, for whoever chooses their codes."""
        streams = self._streams(state, EncoderState)
        audio = self._samples(audio, streams)
        checks.check_finite("samples", audio)
        latents, net = self._encode_step(audio, state.net)
        return latents, EncoderState(streams, net)

    def latent_flush(self, state: EncoderState) -> list[Latents]:
        """As `encode_flush`, but return latents."""
        streams = self._streams(state, EncoderState)
        return self._encode_flush(state.net, streams.batch)

    def encode_later(
        self, audio: Tensor, state: EncoderState
    ) -> tuple[Callable[[], list[Chunk]], EncoderState]:
        """As `encode_step`, but return the work, to be done once in any thread, and the new state.

        Works of a stream must begin in the order in which they were made; families whose blocks
        can follow each other through the net let them overlap. Samples are taken to be finite.
        """
        streams = self._streams(state, EncoderState)
        work, net = self._encode_later(self._samples(audio, streams), state.net)
        return lambda: [self._coded(x, streams) for x in work()], EncoderState(streams, net)

    def encode_flush(self, state: EncoderState) -> list[Chunk]:
        """End the streams: return the last chunks; ceil(T / hop) frames have come out in all."""
        streams = self._streams(state, EncoderState)
        return [self._coded(x, streams) for x in self._encode_flush(state.net, streams.batch)]

    # Streams out

    def decoder_state(self, batch: int, device: torch.device | None = None) -> DecoderState:
        """Return the decoder's state before the first frame of `batch` streams."""
        own = self.device
        count = checks.check_streams(batch, device, own, self.name)
        with checks.fitting(count):
            net = self._decoder_state(count, own)
        return DecoderState(Streams(self._identity(), count, own), net)

    def decode_step(self, chunk: Chunk, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Take the next chunk; return the audio that is final `[B, C, T]` and the new state."""
        streams = self._streams(state, DecoderState)
        codes, scale = checks.check_pair(chunk)
        codes = checks.check_codes(codes, self.name, self.total_codebooks, streams.device)
        scale = self._check_frames(codes, scale, streams)
        y, net = self._decode_step(self._look_up(codes), scale, state.net)
        return y, DecoderState(streams, net)

    def decode_latent_step(
        self, latent: Tensor, scale: Tensor | None, state: DecoderState
    ) -> tuple[Tensor, DecoderState]:
        """Take the next latents `[B, D, F]` (concealment makes its own); else as decode_step."""
        streams = self._streams(state, DecoderState)
        latent = checks.check_latent(latent, self.name, self.latent_dim, streams.device)
        scale = self._check_frames(latent, scale, streams)
        checks.check_finite("latents", latent)
        y, net = self._decode_step(latent, scale, state.net)
        return y, DecoderState(streams, net)

    def decode_latent_later(
        self, latent: Tensor, scale: Tensor | None, state: DecoderState
    ) -> tuple[Callable[[], Tensor], DecoderState]:
        """As `decode_latent_step`, but return the work and the new state, as `encode_later`."""
        streams = self._streams(state, DecoderState)
        latent = checks.check_latent(latent, self.name, self.latent_dim, streams.device)
        scale = self._check_frames(latent, scale, streams)
        work, net = self._decode_later(latent, scale, state.net)
        return work, DecoderState(streams, net)

    def decode_flush(self, state: DecoderState) -> Tensor:
        """End the streams: return the rest of the audio."""
        streams = self._streams(state, DecoderState)
        return self._decode_flush(state.net, streams.batch)

    # Streams together

    def take_rows(self, state: S, rows: Sequence[int]) -> S:
        """Return the state of some of a batch's streams, in the order in which they are named."""
        streams = self._streams(state, type(state))
        for row in rows:
            checks.check_row(row, streams.batch)
        return type(state)(replace(streams, batch=len(rows)), take_rows(state.net, rows))

    def stack_rows(self, states: Sequence[S]) -> S:
        """Return one state of the streams of several, which may have begun at different times.

        Each stream then gives what it would give alone. Streams can be stacked once they are past
        what their beginning needs; until then they run alone: `SpectralCodec` 3 frames, EnCodec
        about 7, Mimi the context of its attention. The encoder's must have had whole frames.

        Raises:
            ArgumentError: There are none, or they are in different phases, or use different
                numbers of codebooks, or search for codes in other ways.
        """
        if not states:
            raise ArgumentError("no states: at least one is needed")
        kind = type(states[0])
        known = [self._streams(state, kind) for state in states]
        for what in ("codebooks", "search"):
            found = sorted({str(getattr(streams, what)) for streams in known})
            if len(found) > 1:
                raise ArgumentError(f"streams of {what} {', '.join(found)}: must be of one")
        batch = sum(streams.batch for streams in known)
        return kind(replace(known[0], batch=batch), stack_rows([state.net for state in states]))

    def fixed_step(self, frames: int, *, batch: int = 1) -> FixedSteps:
        """Return steps of `frames` frames as functions of tensors of fixed sizes, for export.

        They use `num_codebooks` and compute in plain PyTorch; so they export with gradients off:
        `torch.export.export(steps.decoder, steps.decoder.example())`.

        Raises:
            ArgumentError: A number is below 1, or the model codes segments, each of them whole.
        """
        frames, batch = check_whole("frames", frames, 1), check_whole("batch", batch, 1)
        if self.segment is not None:
            raise ArgumentError(f"{self.name} codes segments: it has no steps of frames")
        into, out = self.encoder_state(batch), self.decoder_state(batch)
        audio = torch.zeros(batch, self.channels, frames * self.hop, device=self.device)
        shape = (batch, into.streams.codebooks, frames)
        codes = torch.zeros(shape, dtype=torch.int64, device=self.device)
        return FixedSteps(
            FixedStep(self, encoding(self, into.streams), into, audio),
            FixedStep(self, decoding(self), out, codes),
        )

    # What the checks need

    def _streams(self, state: Any, kind: type[EncoderState | DecoderState]) -> Streams:
        """Return what a state's streams are, if it is one of this model's."""
        if type(state) is not kind or kind not in (EncoderState, DecoderState):
            way = "encoder_state" if kind is EncoderState else "decoder_state"
            raise ArgumentError(f"state of type {type(state).__name__}: must come from {way}")
        streams: Streams = state.streams
        if streams.model != self._identity():
            _, name, _, precision = streams.model
            raise ArgumentError(
                f"state of {name} in {precision}: this is {self.name} in {self._precision}, "
                "or has another configuration"
            )
        return streams

    def _audio(self, audio: Any) -> Tensor:
        return checks.check_audio(audio, self.name, self.channels, self.device)

    def _samples(self, audio: Any, streams: Streams) -> Tensor:
        audio = checks.check_audio(audio, self.name, self.channels, streams.device)
        checks.check_batch("audio", audio.shape[0], streams.batch)
        return audio

    def _check_frames(self, frames: Tensor, scale: Any, streams: Streams) -> Tensor | None:
        """Check codes or latents of a step against its state; return the scale."""
        checks.check_batch("frames", frames.shape[0], streams.batch)
        if self.segment is None:
            return None if scale is None else checks.check_scale(scale, self.name, None)
        most = self.segment_frames
        if most is not None and frames.shape[2] > most:
            raise ArgumentError(f"{frames.shape[2]} frames: a segment of {self.name} has {most}")
        shape = (streams.batch,) if self.scaled else None
        values = checks.check_scale(scale, self.name, shape)
        return None if values is None else values.to(streams.device)

    def _look_up(self, codes: Tensor) -> Tensor:
        """Decode codes whose shape is checked; on CPUs the look-up itself checks their range."""
        if torch.compiler.is_compiling():
            return self._decode_latent(codes)
        if not codes.is_cpu:
            check_range(codes, self.codebook_sizes)
        try:
            return self._decode_latent(codes)
        except (IndexError, ArgumentError):
            check_range(codes, self.codebook_sizes)
            raise

    def _coded(self, latents: Latents, streams: Streams) -> Chunk:
        return Chunk(self._quantize(latents.values, streams), latents.scale)

    def _wants_gradients(self, x: Tensor | None = None) -> bool:
        if not torch.is_grad_enabled():
            return False
        return (x is not None and x.requires_grad) or any(
            p.requires_grad for p in self.parameters()
        )

    def _without_gradients(self, *, codes: bool = False) -> AbstractContextManager[Any]:
        """Compute as streams do where no gradient can flow: to codes, or past frozen weights."""
        if torch.compiler.is_compiling() or not (codes or not self._wants_gradients()):
            return nullcontext()
        return torch.no_grad()
