"""What can be asked of coding and of decoding, each as one value that is checked when it is made.

Users give these as keywords of `compress`, `StreamEncoder`, `decompress`, `FileDecoder` and their
kin; inside, they travel together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from ncodec.arguments import check_kbps, check_number, parse_kbps, whole
from ncodec.checkpoints.loading import ModelLike
from ncodec.errors import ArgumentError
from ncodec_formats import Tags
from ncodec_formats.limits import DEFAULT_MAX_SECONDS

ENTROPY = ("none", "auto")


class Effort(NamedTuple):
    """How codes are searched for.

    Attributes:
        width: Of the search (`Search`).
        price: Of bits.
        passes: How often latents are moved by how their codes sound; such a level needs seconds of
            what comes after, so streams that are heard at once do not have it.
    """

    width: int
    price: float
    passes: int = 0


EFFORTS: Mapping[str, Effort] = {
    "fast": Effort(1, 0.0),
    "good": Effort(1, 0.01),
    "better": Effort(4, 0.01),
    "best": Effort(8, 0.01),
    "extreme": Effort(8, 0.01, passes=20),
}
PREDICTED_FROM = 8
"""Frames a packet from which on predicted layers are shorter than packed ones, at every bitrate."""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How a source is coded.

    Attributes:
        bandwidth: Of the whole file in kbps, 6 or "6k"; the most codebooks that fit are used.
        codebooks: Their number, instead of `bandwidth`.
        file_rate: What the file shall average, all of its bytes counted, in kbps: each packet then
            has as many layers as serve that best, of those that `bandwidth` or `codebooks` allow.
        packet_frames: Frames a packet; about a second by default.
        entropy: "auto" predicts codes, which makes files smaller, where the model has tables for it
            and packets are of `PREDICTED_FROM` frames or more; "none" packs them as they are.
        effort: How well to search for codes, a level of `EFFORTS`: slower ones sound better at the
            same bitrate. By the model's beam if None, which is "fast" unless set.
        block_frames: Frames that go through the model together; a packet's by default.
        tags: A mapping, or pairs of key and value.
        gain_db: To be applied by whoever decodes.
        channel_mask: The speakers of the channels as in WAVE, None for the usual ones.

    Raises:
        ArgumentError: A value that fits no model.
    """

    bandwidth: float | str | None = None
    codebooks: int | None = None
    file_rate: float | str | None = None
    packet_frames: int | None = None
    entropy: str = "auto"
    effort: str | None = None
    block_frames: int | None = None
    tags: Tags = ()
    gain_db: float = 0.0
    channel_mask: int | None = None

    def __post_init__(self) -> None:
        _check_rate(self.bandwidth, self.codebooks)
        if self.file_rate is not None and check_kbps("file_rate", self.file_rate) <= 0:
            raise ArgumentError(f"file_rate {self.file_rate!r}: must be above 0 kbps")
        check_number("gain_db", self.gain_db)
        if self.entropy not in ENTROPY:
            raise ArgumentError(f"entropy {self.entropy!r}: must be one of {', '.join(ENTROPY)}")
        if self.effort not in (None, *EFFORTS):
            raise ArgumentError(f"effort {self.effort!r}: must be one of {', '.join(EFFORTS)}")
        for name in ("packet_frames", "block_frames"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))

    @property
    def kbps(self) -> float | None:
        """The bandwidth as a number."""
        return None if self.bandwidth is None else parse_kbps("bandwidth", self.bandwidth)[0]

    @property
    def file_kbps(self) -> float | None:
        """The file's rate as a number."""
        return None if self.file_rate is None else parse_kbps("file_rate", self.file_rate)[0]


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How a file is decoded.

    Attributes:
        model: Instead of the one that the file names.
        bandwidth: Use only the codebooks that fit, in kbps.
        codebooks: Use only the first ones.
        start: Seconds to skip; None is 0.
        end: Seconds at which to stop.
        sample_rate: Of the output in Hz, instead of the source's.
        keep_going: Bridge what is damaged instead of raising.
        max_seconds: Longest timeline accepted; None lifts this limit and that on samples a byte.
        device: Where a model that is loaded runs.
        precision: What it computes in, "float32" or "bf16".

    Raises:
        ArgumentError: Two rates, or an end before the start.
    """

    model: ModelLike = None
    bandwidth: float | str | None = None
    codebooks: int | None = None
    start: float | None = None
    end: float | None = None
    sample_rate: int | None = None
    keep_going: bool = False
    max_seconds: float | None = DEFAULT_MAX_SECONDS
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        _check_rate(self.bandwidth, self.codebooks)
        begin = _seconds("start", self.start or 0.0)
        end = None if self.end is None else _seconds("end", self.end)
        if not 0 <= begin < inf or (end is not None and not begin <= end < inf):
            raise ArgumentError(f"start {self.start} s, end {end} s: must be 0 <= start <= end")

    @property
    def kbps(self) -> float | None:
        """The bandwidth as a number."""
        return None if self.bandwidth is None else parse_kbps("bandwidth", self.bandwidth)[0]


def _seconds(what: str, value: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{what} {value!r}: must be a number of seconds") from None


def _check_rate(bandwidth: float | str | None, codebooks: int | None) -> None:
    if bandwidth is not None and codebooks is not None:
        raise ArgumentError("bandwidth and codebooks: only one of them can be asked for")
    if bandwidth is not None:
        check_kbps("bandwidth", bandwidth)
    if codebooks is not None:
        whole("codebooks", codebooks)
