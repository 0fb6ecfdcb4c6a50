"""What the worker does with sound: encode, hand the packets out, decode; mute and bypass."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ncodec.audio import Resampler, Samples
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.live.meters import Durations
from ncodec.models.base import CompressionModel
from ncodec_formats import Packet

FADE_SECONDS = 0.005
KEYED_CODEBOOKS = 8
"""Codebooks that are always coded, so that any number up to it can be chosen while it runs."""


class Loopback:
    """Take samples `[C, T]` of the input's rate, give `[C, T]` of the output's, through the codec.

    `codebooks`, `muted` and `bypass` may be set from another thread at any time. Dropping a
    packet's upper layers is all it takes to change the bitrate, so nothing restarts. Bypassed
    sound is as late as coded sound: switching compares the same moment, and fades over 5 ms.
    """

    def __init__(
        self,
        model: CompressionModel,
        *,
        sample_rate: int,
        channels: int,
        output_rate: int,
        bandwidth: float | str | None = None,
        codebooks: int | None = None,
        packet_frames: int = 1,
    ) -> None:
        """Prepare encoder and decoder, and run both once, so that the first frame is not late.

        Raises:
            ArgumentError: a value out of range.
        """
        frames = packet_frames if model.segment is None else None  # segments are packets
        asked = StreamEncoder(
            model,
            sample_rate=sample_rate,
            channels=channels,
            bandwidth=bandwidth,
            codebooks=codebooks,
            packet_frames=frames,
        )
        self.codebooks = len(asked.header.codebook_sizes)
        self.muted = self.bypass = False
        self.durations = Durations()
        self.on_packet: Callable[[Packet], None] | None = None
        self._model, self.output_rate = model, output_rate
        self._encoder = StreamEncoder(
            model,
            sample_rate=sample_rate,
            channels=channels,
            codebooks=max(self.codebooks, min(KEYED_CODEBOOKS, model.total_codebooks)),
            packet_frames=frames,
        )
        self.header = self._encoder.header
        self._decoder = self._new_decoder()
        self._straight = Resampler(sample_rate, output_rate, channels)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._coded_share = 1.0
        self._warm_up()

    @property
    def block(self) -> int:
        """Input samples that make a packet."""
        header = self.header
        return -(-header.packet_frames * header.hop * header.source_rate // header.sample_rate)

    @property
    def samples(self) -> int:
        """Input samples taken so far."""
        return self._encoder.samples

    @property
    def algorithmic_latency(self) -> float:
        """Seconds that the codec needs of the future: a packet and the model's look-ahead."""
        frames = self.header.packet_frames * self.header.hop
        return (frames + self._model.latency_samples) / self.header.sample_rate

    def kbps(self, codebooks: int) -> float:
        """Return the bitrate of the codes, in kbps."""
        return self.header.kbps(codebooks)

    def push(self, x: Samples) -> Samples:
        """Take the next samples; return what is ready."""
        begin = time.perf_counter()
        if self.muted:
            x = np.zeros_like(x)
        packets = self._encoder.push(x)
        coded = [self._pass_on(packet) for packet in packets]
        self._waiting = np.concatenate([self._waiting, self._straight.push(x)], axis=1)
        y = np.concatenate([self._waiting[:, :0], *coded], axis=1)
        if x.shape[1]:
            self.durations.add(time.perf_counter() - begin, x.shape[1] / self.header.source_rate)
        return self._mix(y)

    def finish(self) -> list[Packet]:
        """End the input: return the last packets, for a recording; nothing more is decoded."""
        return [self._peeled(packet) for packet in self._encoder.finish()]

    def _pass_on(self, packet: Packet) -> Samples:
        packet = self._peeled(packet)
        if self.on_packet is not None:
            self.on_packet(packet)
        return self._decoder.push(packet)

    def _peeled(self, packet: Packet) -> Packet:
        return replace(packet, codes=packet.codes[: self.codebooks])

    def _mix(self, coded: Samples) -> Samples:
        """Fade towards coded or straight sound; wholly one of them, it is untouched."""
        count = min(coded.shape[1], self._waiting.shape[1])
        straight, self._waiting = self._waiting[:, :count], self._waiting[:, count:]
        target = 0.0 if self.bypass else 1.0
        if self._coded_share == target:
            return straight if self.bypass else coded
        step = np.arange(1, count + 1) / (FADE_SECONDS * self.output_rate)
        sign = 1.0 if target > self._coded_share else -1.0
        share = np.clip(self._coded_share + sign * step, 0.0, 1.0).astype(np.float32)
        if count:
            self._coded_share = float(share[-1])
        return share * coded[:, :count] + (1 - share) * straight

    def _new_decoder(self) -> StreamDecoder:
        return StreamDecoder(self._model, self.header, sample_rate=self.output_rate, gapless=False)

    def _warm_up(self) -> None:
        """Run what the first frames will need: libraries choose and load their kernels."""
        encoder = StreamEncoder.of_header(self._model, self.header)
        decoder = self._new_decoder()
        silence = np.zeros((self.header.source_channels, self.block), np.float32)
        for _ in range(10):
            for packet in encoder.push(silence):
                decoder.push(packet)
