"""EnCodec's own `.ecdc` files, version 0, as the `encodec` package 0.1.1 reads and writes them.

A header with a JSON object, then segments without length or sync: one for the whole file with the
24 kHz model, overlapping ones of a second with the 48 kHz model, each opened by a scale. Codes are
packed bits, or an arithmetic code under a language model's probabilities.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import limits
from ..bitrate import check_codebooks
from ..entropy.arithmetic import ArithmeticDecoder, ArithmeticEncoder
from ..entropy.packed import Packer, unpack
from ..errors import ArgumentError, BadFileError, LimitError, UnsupportedVersionError
from ..header import PREFIX
from ..wire import MAGIC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BITS = 10
BLOCK = 4096
"""Frames read at once; a multiple of 8, so that blocks of any number of codebooks end on a byte."""


@dataclass(frozen=True)
class Model0:
    """What the format takes from the model's name: it is not in the file."""

    sample_rate: int
    channels: int
    frame_rate: int
    codebooks: int
    segment: tuple[int, int] | None
    """Length and stride in samples; None: one segment for the whole file. Segments have a scale."""


MODELS = {
    "encodec_24khz": Model0(24000, 1, 75, 32, None),
    "encodec_48khz": Model0(48000, 2, 150, 16, (48000, 47520)),
}


@dataclass(frozen=True)
class Header0:
    """The header: model's name, samples per channel at the model's rate, codebooks, LM or not.

    Raises:
        ArgumentError: a value is impossible with the model named.
        UnsupportedVersionError: a model of an unknown name.
    """

    model: str
    audio_length: int
    codebooks: int
    use_lm: bool

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            known = ", ".join(MODELS)
            raise UnsupportedVersionError(f"model {self.model!r}; version 0 knows only {known}")
        if not 0 <= self.audio_length <= limits.MAX_COUNT:
            raise ArgumentError(f"an audio length of {self.audio_length} samples")
        check_codebooks(self.codebooks, self.layout.codebooks, self.model)

    @property
    def layout(self) -> Model0:
        """The model's part of the format."""
        return MODELS[self.model]

    @property
    def sizes(self) -> list[int]:
        """Entries of each codebook."""
        return [1 << BITS] * self.codebooks

    def segments(self) -> Iterator["Segment0"]:
        """Yields the segments that the file has."""
        layout = self.layout
        length, stride = layout.segment or (self.audio_length, max(self.audio_length, 1))
        for number, first in enumerate(range(0, self.audio_length, stride)):
            samples = min(length, self.audio_length - first)
            # In this order: dividing first, as 0.1.1 does when it reads, is off for some lengths.
            frames = -(-samples * layout.frame_rate // layout.sample_rate)
            yield Segment0(number, first, samples, frames)

    def to_bytes(self) -> bytes:
        """Returns the header as the reference writes it."""
        values = {
            "m": self.model,
            "al": self.audio_length,
            "nc": self.codebooks,
            "lm": self.use_lm,
        }
        packed = json.dumps(values).encode()
        return PREFIX.pack(MAGIC, 0, len(packed)) + packed


@dataclass(frozen=True)
class Segment0:
    """A segment's place: first sample and samples at the model's rate, frames of codes."""

    number: int
    first_sample: int
    samples: int
    frames: int


def read_header0(file: BinaryIO) -> Header0:
    """Reads a version 0 header.

    Raises:
        BadFileError: it is none, or is malformed.
        UnsupportedVersionError: another version or an unknown model.
        LimitError: it claims to be too large.
    """
    prefix = read_exactly(file, PREFIX.size)
    magic, version, length = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise BadFileError(f"not an ECDC file: it begins with {magic!r}, not with {MAGIC!r}")
    if version != 0:
        raise UnsupportedVersionError(f"ECDC version {version} where 0 was expected")
    if length > limits.MAX_HEADER:
        raise LimitError(f"the header claims {length} bytes; at most {limits.MAX_HEADER}")
    try:
        values: Any = json.loads(read_exactly(file, length))
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"the header is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadFileError("the header is not a JSON object")
    found = [values.get(key) for key in ("m", "al", "nc", "lm")]
    if [type(value) for value in found] != [str, int, int, bool]:
        raise BadFileError(f"the header has m, al, nc, lm = {found}")
    try:
        return Header0(*found)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise BadFileError(f"the header is wrong: {error}") from error


class Ecdc0Reader:
    """Reads a version 0 file from front to back.

    For each segment of `header.segments()`: `read_scale()` where the model has segments, then the
    codes by `read_codes(frames)`, or by `decoder()` where `header.use_lm`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.header = read_header0(file)

    def read_scale(self) -> float | None:
        """Returns the scale that opens a segment; None for a model without segments.

        Raises:
            BadFileError: the file ends, or the scale is not above 0 or louder than any recording.
        """
        if self.header.layout.segment is None:
            return None
        (scale,) = struct.unpack("!f", read_exactly(self._file, 4))
        if not 0 < scale <= limits.MAX_SCALE:
            raise BadFileError(f"a segment's scale is {scale}")
        return scale

    def read_codes(self, frames: int) -> Iterator["NDArray[np.uint16]"]:
        """Yields a segment's codes in blocks, uint16 `[K, F]` with at most `BLOCK` frames each.

        Raises:
            BadFileError: the file ends too soon.
        """
        codebooks = self.header.codebooks
        for first in range(0, frames, BLOCK):
            count = min(BLOCK, frames - first) * codebooks
            data = read_exactly(self._file, (count * BITS + 7) // 8)
            yield unpack(data, BITS, count).reshape(-1, codebooks).T

    def decoder(self) -> ArithmeticDecoder:
        """Returns the decoder of the next segment's codes: frame by frame, codebook by codebook."""
        return ArithmeticDecoder(self._file)

    def at_end(self) -> bool:
        """Tells whether the file ends here, as it must after the last segment."""
        return not self._file.read(1)


class Ecdc0Writer:
    """Writes a version 0 file; the calls mirror those of the reader."""

    def __init__(self, file: BinaryIO, header: Header0) -> None:
        self._file = file
        self.header = header
        self._packer = Packer(BITS)
        file.write(header.to_bytes())

    def write_scale(self, scale: float) -> None:
        """Opens a segment of a model that has segments."""
        self._file.write(struct.pack("!f", scale))

    def write_codes(self, codes: "NDArray[np.integer]") -> None:
        """Writes codes `[K, F]` of the current segment, in one piece or several.

        Raises:
            ArgumentError: K is not the header's, or a code does not fit.
        """
        if codes.ndim != 2 or codes.shape[0] != self.header.codebooks:
            shape = list(codes.shape)
            raise ArgumentError(f"codes of shape {shape}; [{self.header.codebooks}, F] is needed")
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << BITS:
            raise ArgumentError(f"a code lies outside 0 to {(1 << BITS) - 1}")
        self._file.write(self._packer.push(codes.T.reshape(-1)))

    def end_codes(self) -> None:
        """Closes a segment's codes."""
        self._file.write(self._packer.flush())

    def encoder(self) -> ArithmeticEncoder:
        """Returns the encoder of the next segment's codes; its `flush` closes them."""
        return ArithmeticEncoder(self._file)


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """Returns `count` bytes, whatever pieces the file hands out.

    Raises:
        BadFileError: the file ends before.
    """
    chunks: list[bytes] = []
    while count > 0:
        chunk = file.read(min(count, 1 << 20))
        if not chunk:
            raise BadFileError("the file ends too soon: it is cut short")
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)
