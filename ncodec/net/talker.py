"""The sending side: samples in, datagrams out, with copies as asked for, and cheap silence."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ncodec.arguments import check_whole
from ncodec.audio import Samples
from ncodec.codec import StreamEncoder
from ncodec.errors import ArgumentError
from ncodec.models.base import CompressionModel
from ncodec.net.transport import HEADERS
from ncodec.regroup import Regroup
from ncodec_formats import Header, Packet
from ncodec_formats.rtp import MAX_COPIES, MAX_FRAMES, MAX_LAYERS, Payload, Rtp

PAYLOAD_TYPE = 96
SILENT_RMS = 10 ** (-60 / 20)
HANG_SECONDS = 0.25
"""How long it must have been silent: the end of a word is not cut off."""
AGAIN_SECONDS = 0.4
"""Between the packets that say that it is silent still, as Opus has it; the first comes twice."""


@dataclass
class Sent:
    """What was sent so far: packets, bytes of payloads, and those of them that are copies."""

    packets: int = 0
    payload_bytes: int = 0
    copy_bytes: int = 0
    seconds: float = 0.0

    def kbps(self, headers: int = HEADERS) -> tuple[float, float, float]:
        """Return the mean bitrates of codes, with copies, and with `headers` bytes a packet too."""
        scale = 0.008 / self.seconds if self.seconds else 0.0
        whole = self.payload_bytes + headers * self.packets
        codes = self.payload_bytes - self.copy_bytes
        return codes * scale, self.payload_bytes * scale, whole * scale


class Talker:
    """Code samples `[C, T]` of the model's rate and channels.

    `codebooks` and `redundancy` (layers of a copy, copies) may change with each packet.
    """

    def __init__(
        self,
        model: CompressionModel,
        *,
        codebooks: int | None = None,
        bandwidth: float | None = None,
        packet_frames: int = 1,
        dice: random.Random | None = None,
    ) -> None:
        """Prepare.

        Raises:
            ArgumentError: a value out of range, or a model that codes segments.
        """
        if model.segment is not None:
            raise ArgumentError(f"{model.name} codes segments with scales: not in calls")
        check_whole("packet frames", packet_frames, 1, MAX_FRAMES)
        self._encoder = StreamEncoder(
            model,
            sample_rate=model.sample_rate,
            channels=model.channels,
            codebooks=codebooks,
            bandwidth=bandwidth,
            packet_frames=packet_frames,
        )
        self.header: Header = self._encoder.header
        self.codebooks = min(len(self.header.codebook_sizes), MAX_LAYERS)
        self.redundancy: tuple[int, int] = (1, 0)
        self.sent = Sent()
        self.on_codes: Callable[[NDArray[np.uint16]], None] | None = None
        self._block = packet_frames * model.hop
        self._seconds = self._block / model.sample_rate
        self._sound = Regroup[Samples](self._block, axis=1, join=np.concatenate)
        self._levels: deque[float] = deque()
        dice = dice or random.SystemRandom()
        self.ssrc, self._sequence = dice.getrandbits(32), dice.getrandbits(16)
        self.first_timestamp = dice.getrandbits(32)
        self._history: deque[NDArray[np.uint16]] = deque(maxlen=MAX_COPIES)
        self._quiet_for = 0.0
        self._silent_packets = 0
        self._marker = True

    @property
    def missing(self) -> int:
        """Samples that complete the next packet."""
        return self._block - self._sound.held

    def push(self, samples: Samples) -> list[bytes]:
        """Take samples; return the datagrams that are ready."""
        sent = list[bytes | None]()
        for block in self._sound.push(samples):
            self._levels.append(float(np.sqrt(np.mean(np.square(block)))))
            sent += [self._say(packet) for packet in self._encoder.push(block)]
        return [data for data in sent if data is not None]

    def _say(self, packet: Packet) -> bytes | None:
        """Return what to send for a packet; nothing while it is known to be silent."""
        self.sent.seconds += self._seconds
        silent = self._levels.popleft() < SILENT_RMS
        self._quiet_for = self._quiet_for + self._seconds if silent else 0.0
        codes = packet.codes[: self.codebooks]
        if self._quiet_for > HANG_SECONDS:
            codes = codes[:0]
        if self.on_codes is not None:
            self.on_codes(codes)
        timestamp = self.first_timestamp + packet.first_frame * self.header.hop
        if len(codes):
            self._silent_packets = 0
            return self._send(Payload(codes, self._copies(len(codes))), timestamp)
        self._history.clear()
        self._marker = True
        self._silent_packets += 1
        again = round(AGAIN_SECONDS / self._seconds)
        if self._silent_packets > 2 and self._silent_packets % again:
            return None
        return self._send(Payload(codes), timestamp)

    def _copies(self, own: int) -> tuple[NDArray[np.uint16], ...]:
        """Return copies of the last packets, all of the same number of layers."""
        layers, count = self.redundancy
        past = list(self._history)[-count:] if count and layers else []
        below = min([layers, own, *map(len, past)])
        return tuple(codes[:below] for codes in past)

    def _send(self, payload: Payload, timestamp: int) -> bytes:
        marker, self._marker = self._marker and len(payload.codes) > 0, len(payload.codes) == 0
        data = payload.to_bytes(self.header)
        if len(payload.codes):
            self._history.append(payload.codes)
        self.sent.packets += 1
        self.sent.payload_bytes += len(data)
        own = len(Payload(payload.codes).to_bytes(self.header))
        self.sent.copy_bytes += len(data) - own
        sequence, self._sequence = self._sequence, self._sequence + 1
        return Rtp(PAYLOAD_TYPE, marker, sequence, timestamp, self.ssrc, data).to_bytes()
