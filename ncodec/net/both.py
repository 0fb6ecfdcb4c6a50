"""Record both sides of a call: what is sent in the first channels, what is heard in the others."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ncodec.codec import StreamEncoder
from ncodec.codec.layout import make_header
from ncodec.codec.options import EncodeOptions
from ncodec.live.recording import PacketFile
from ncodec.models.base import CompressionModel
from ncodec_formats import Packet

Codes = NDArray[np.uint16]

GROUP_SECONDS = 0.04
"""Length of the file's packets. Each has as many layers as the frame of it that has the fewest, and
frames that came as copies have few: so it is short."""
APART_SECONDS = 0.5
"""By so much one side may be ahead; then the other is silent for as long."""


class BothSides:
    """Join codes `[K, S, F]` of two sides, as they come, to packets of one file.

    Silence and losses become the codes of silence: a packet has as many layers for both sides.
    """

    def __init__(self, file: BinaryIO, model: CompressionModel, codebooks: int) -> None:
        """Write the header; `file` stays the caller's to close."""
        options = EncodeOptions(codebooks=codebooks, packet_frames=1)
        self._header = make_header(model, model.sample_rate, 2 * model.channels, options)
        self._file = PacketFile(file, self._header, GROUP_SECONDS)
        self._silence = _codes_of_silence(model, codebooks)
        self._sides: tuple[list[Codes], list[Codes]] = ([], [])
        self._apart = round(APART_SECONDS * model.sample_rate / model.hop)
        self._frames = 0

    def ours(self, codes: Codes) -> None:
        """Take what was sent."""
        self._take(0, codes)

    def theirs(self, codes: Codes) -> None:
        """Take what was heard."""
        self._take(1, codes)

    def finish(self) -> None:
        """Write what waits, and the end."""
        self._level(0)
        self._file.finish([], self._frames * self._header.hop)

    def _take(self, side: int, codes: Codes) -> None:
        self._sides[side].extend(codes[:, :, [i]] for i in range(codes.shape[2]))
        self._level(self._apart)

    def _level(self, apart: int) -> None:
        """Write frames that both sides have, or one of them is too far ahead with."""
        one, other = self._sides
        while (one and other) or abs(len(one) - len(other)) > apart:
            pair = [side.pop(0) if side else self._silence[:0] for side in (one, other)]
            layers = min((len(codes) for codes in pair if len(codes)), default=len(self._silence))
            layers = min(layers, len(self._silence))
            filled = [codes if len(codes) else self._silence for codes in pair]
            joined = np.concatenate([codes[:layers] for codes in filled], axis=1)
            self._file.write(Packet(self._frames, self._frames, joined))
            self._frames += 1


def _codes_of_silence(model: CompressionModel, codebooks: int) -> Codes:
    """Return `[K, 1, 1]`: the last frame of coded zeros."""
    encoder = StreamEncoder(
        model,
        sample_rate=model.sample_rate,
        channels=model.channels,
        codebooks=codebooks,
        packet_frames=1,
    )
    zeros = np.zeros((model.channels, (model.preroll_frames + 16) * model.hop), np.float32)
    return [*encoder.push(zeros), *encoder.finish()][-1].codes
