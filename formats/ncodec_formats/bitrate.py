"""What codes cost: bits a code, kbps of a number of codebooks, and how many fit in a bitrate."""

import operator
from collections.abc import Sequence

from .errors import ArgumentError

_ROUNDING = 1e-9


def bits_of(size: int) -> int:
    """Returns the bits of a code of a codebook with `size` entries."""
    return (size - 1).bit_length()


def kbps(sizes: Sequence[int], streams: int, frame_rate: float) -> float:
    """Returns the bitrate of codes alone, without overhead: `streams` times one code a codebook.

    >>> kbps([1024] * 8, streams=1, frame_rate=75)
    6.0
    """
    return sum(map(bits_of, sizes)) * streams * frame_rate / 1000


def kbps_steps(sizes: Sequence[int], streams: int, frame_rate: float) -> tuple[float, ...]:
    """Returns the bitrates of the first codebook alone, of the first two, and so on."""
    return tuple(kbps(sizes[:count], streams, frame_rate) for count in range(1, len(sizes) + 1))


def codebooks_within(
    bandwidth: float, sizes: Sequence[int], streams: int, frame_rate: float, *, of: str = ""
) -> int:
    """Returns the most codebooks whose bitrate is at most `bandwidth`, in kbps.

    >>> codebooks_within(4, [1024] * 8, streams=1, frame_rate=75)
    5

    Raises:
        ArgumentError: one codebook is already more; `of` says in the message whose it is.
    """
    steps = kbps_steps(sizes, streams, frame_rate)
    if not bandwidth >= steps[0] - _ROUNDING:
        raise ArgumentError(f"bandwidth {bandwidth:g} kbps: must be at least {steps[0]:g}{of}")
    return sum(step <= bandwidth + _ROUNDING for step in steps)


def check_codebooks(count: int, total: int, owner: str = "the file") -> int:
    """Returns a number of codebooks if it is one that `owner` has.

    Raises:
        ArgumentError: it is no whole number, or not in 1..`total`.
    """
    try:
        count = operator.index(count)
    except TypeError:
        raise ArgumentError(f"codebooks {count!r}: must be a whole number") from None
    if not 1 <= count <= total:
        raise ArgumentError(f"{count} codebooks: {owner} has 1 to {total}")
    return count
