"""What is to be written, and where to: what all writers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from ncodec.audio.tags import Tags


@dataclass(frozen=True)
class Output:
    """One output.

    Attributes:
        file: to write to; a pipe is fine.
        container: ending of its format.
        sample_rate: in Hz.
        channels: their number.
        encoding: "s16", "s24" or "f32".
        mask: the speakers, None the usual ones.
        tags: to be written.
        notes: what a person should know is added here.
        quality: 0 to 10, None the encoder's own.
    """

    file: BinaryIO
    container: str
    sample_rate: int
    channels: int
    encoding: str
    mask: int | None
    tags: Tags
    notes: list[str]
    quality: float | None = None
