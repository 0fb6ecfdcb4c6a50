"""StreamDecoder: push packets, get samples; gaps are bridged and the timeline is kept."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ncodec.audio import Samples, check_format
from ncodec.codec.concealment import Concealer
from ncodec.codec.outlet import RESAMPLER_REACH, Outlet
from ncodec.codec.plan import Timeline, check_model
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec_formats import Header, Loss, Packet


class StreamDecoder:
    """Decode packets to samples `[C, T]` of the source's channels.

    Frames go through the model in blocks that end at multiples of `header.block_frames`, wherever
    decoding begins: from a seek point, after `header.preroll_frames`, a model of finite receptive
    field gives bit for bit what it gives from the start. Packets may have fewer layers than the
    header promises; those that are missing, or come as `Loss`, are bridged; late ones are dropped.
    """

    def __init__(
        self,
        model: CompressionModel,
        header: Header,
        *,
        codebooks: int | None = None,
        sample_rate: int | None = None,
        start: int | None = None,
        end: int | None = None,
        gapless: bool = True,
    ) -> None:
        """Prepare to decode.

        Args:
            model: the one that the header names.
            header: of the file or stream.
            codebooks: use only the first ones.
            sample_rate: of the output in Hz; the source's by default.
            start: first source sample to give; `header.start` by default.
            end: source sample to stop before.
            gapless: wait where that makes the output better: hold back the last frame, which may
                reach beyond the end of the source, and bridge a gap when its far side is known. A
                live listener does without these delays.

        Raises:
            ModelMismatchError: `model` is another one.
            ArgumentError: a value out of range.
        """
        check_model(model, header)
        if codebooks is not None and not 1 <= codebooks <= len(header.codebook_sizes):
            have = len(header.codebook_sizes)
            raise ArgumentError(f"{codebooks} codebooks: the file has 1 to {have}")
        out_rate = sample_rate or header.source_rate
        check_format(out_rate, header.source_channels)
        self.header, self.sample_rate = header, out_rate
        self.timeline = Timeline(header, out_rate)
        self._start = header.start if start is None else max(start, header.start)
        self._end = end
        self._model, self._codebooks = model, codebooks
        held = header.hop - 1 if gapless else 0
        self._outlet = Outlet(header, self.timeline, begin=self._start, end=end, held=held)
        self._device = next(model.parameters()).device
        self._state = model.decoder_state(header.streams, self._device)
        self._concealer = Concealer(model, header, self._device)
        self._latents: list[Tensor] = []
        self._frame: int | None = None
        self._block_begin = self._lost_to = 0
        self._gapless = gapless

    @property
    def latency_samples(self) -> int:
        """Output samples that wait inside, at most, when a whole block has been pushed."""
        held = self._model.latency_samples + self._outlet.held
        return -(-held * self.sample_rate // self.header.sample_rate)

    @property
    def first_frame(self) -> int:
        """The frame from which to feed packets, so that the start is exact (or well run in)."""
        reach = RESAMPLER_REACH if self._outlet.resamples else 0
        sample = self.timeline.source_to_model(self._start) - reach - self.timeline.alignment
        sample = max(sample, 0)
        frame = max(self.timeline.frame_of(sample) - self.header.preroll_frames, 0)
        return frame // self.header.block_frames * self.header.block_frames

    @property
    def stop_frame(self) -> int | None:
        """The frame up to which packets are needed for an exact end; None without an `end`."""
        if self._end is None:
            return None
        reach = RESAMPLER_REACH if self._outlet.resamples else 0
        sample = self.timeline.source_to_model(self._end) + reach
        step = 1 if self.header.segment is None else self.header.packet_frames
        frame = self.timeline.frame_of(sample) + step + self.header.postroll_frames
        return -(-frame // self.header.block_frames) * self.header.block_frames

    @property
    def decoded_samples(self) -> int:
        """Where on the source's timeline the packets pushed so far end."""
        return self.timeline.model_to_source(self.timeline.reach_of(self._frame or 0))

    def push(self, item: Packet | Loss) -> Samples:
        """Take the next packet or loss; return the samples that are ready, possibly none."""
        return self._join(list(self.pieces(item)))

    def pieces(self, item: Packet | Loss) -> Iterator[Samples]:
        """As `push`, but piece by piece: a gap of hours must not be held in memory at once."""
        if self._frame is None:
            self._frame = self._block_begin = item.first_frame
            self._outlet.open(self.timeline.sample_of(item.first_frame))
        if isinstance(item, Loss):
            self._lost_to = max(self._lost_to, item.first_frame + item.frames)
            if not self._gapless:
                yield from self._bridge(self._lost_to, None)
        elif item.first_frame >= self._frame:
            received = self._latents_of(item)
            yield from self._bridge(item.first_frame, received)
            self._concealer.heard(*received)
            yield from self._feed(*received)

    def finish(self, source_samples: int | None = None) -> Samples:
        """End the stream; return the rest.

        Args:
            source_samples: where the source ends on its timeline, if that is known (the end packet
                says it): the output then ends exactly there.
        """
        return self._join(list(self.ending(source_samples)))

    def ending(self, source_samples: int | None = None) -> Iterator[Samples]:
        """As `finish`, but piece by piece."""
        if self._frame is None:
            self._outlet.open(self.timeline.sample_of(self.first_frame))
        else:
            yield from self._bridge(self._lost_to, None)
            if self._latents:
                yield self._step(torch.cat(self._latents, dim=2), None)
            with torch.inference_mode():
                tail = self._model.decode_flush(self._state)
                yield self._outlet.push(tail.float().cpu().numpy())
        yield self._outlet.finish(source_samples)

    def snapshot(self) -> StreamDecoder:
        """Return a decoder that goes on from here, independent of this one.

        Raises:
            ArgumentError: the output's rate is not the model's; a resampler cannot be copied.
        """
        twin = copy.copy(self)
        twin._outlet = self._outlet.snapshot()
        twin._concealer = copy.copy(self._concealer)
        twin._latents = list(self._latents)
        return twin

    def _latents_of(self, packet: Packet) -> tuple[Tensor, Tensor | None]:
        codes = packet.codes[: self._codebooks]
        if codes.shape[0] == 0:
            return self._concealer.silence(packet.frames)
        with torch.inference_mode():
            tensor = torch.from_numpy(codes.astype(np.int64)).to(self._device)
            latent = self._model.decode_latent(tensor.transpose(0, 1))
        return latent, None if packet.scale is None else torch.from_numpy(packet.scale)

    def _bridge(self, stop: int, behind: tuple[Tensor, Tensor | None] | None) -> Iterator[Samples]:
        """Fill what is missing up to a frame, a packet's length at a time."""
        assert self._frame is not None
        begin = self._frame
        while self._frame < stop:
            count = min(stop - self._frame, self.header.packet_frames)
            place = (self._frame - begin, count, stop - begin)
            yield from self._feed(*self._concealer.bridge(*place, behind))

    def _feed(self, latent: Tensor, scale: Tensor | None) -> Iterator[Samples]:
        """Queue latents `[S, D, F]`; run the blocks that are full."""
        assert self._frame is not None
        self._frame += latent.shape[2]
        if self.header.segment is not None:
            yield self._step(latent, scale)
            return
        self._latents.append(latent)
        size = self.header.block_frames
        while self._frame >= (stop := (self._block_begin // size + 1) * size):
            queue = torch.cat(self._latents, dim=2)
            count = stop - self._block_begin
            self._latents = [queue[:, :, count:]] if queue.shape[2] > count else []
            self._block_begin = stop
            yield self._step(queue[:, :, :count], None)

    def _step(self, latent: Tensor, scale: Tensor | None) -> Samples:
        with torch.inference_mode():
            latent = latent.contiguous()
            audio, self._state = self._model.decode_latent_step(latent, scale, self._state)
            return self._outlet.push(audio.float().cpu().numpy())

    def _join(self, parts: list[Samples]) -> Samples:
        if len(parts) == 1:
            return parts[0]
        empty = np.zeros((self.header.source_channels, 0), np.float32)
        return np.concatenate([empty, *parts], axis=1)
