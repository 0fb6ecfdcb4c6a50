"""What the fields of a header may be: types, ranges, and the limits of the format."""

from typing import TYPE_CHECKING

from . import limits
from .errors import ArgumentError, LimitError

if TYPE_CHECKING:
    from .header import Header

# field -> (least, most); a value above the most is a LimitError, since the limit is ours.
_RANGES = {
    "sample_rate": (1, limits.MAX_RATE),
    "hop": (1, limits.MAX_HOP),
    "streams": (1, limits.MAX_STREAMS),
    "packet_frames": (1, limits.MAX_PACKET_FRAMES),
    "preroll_frames": (0, limits.MAX_COUNT),
    "postroll_frames": (0, limits.MAX_COUNT),
    "block_frames": (1, limits.MAX_COUNT),
    "source_rate": (1, limits.MAX_RATE),
    "source_channels": (1, limits.MAX_CHANNELS),
    "start": (0, limits.MAX_COUNT),
    "first_frame": (0, limits.MAX_COUNT),
}


def check_header(header: "Header") -> None:
    """Checks each field of a header.

    Raises:
        ArgumentError: one has an impossible value.
        LimitError: one is beyond the limits of the format.
    """
    for name, (least, most) in _RANGES.items():
        _range(name, getattr(header, name), least, most)
    for name in ("source_samples", "end"):
        if getattr(header, name) is not None:
            _range(name, getattr(header, name), 0, limits.MAX_COUNT)
    if not _is(header.model, str) or not 1 <= len(header.model) <= 255:
        raise ArgumentError(f"model is {header.model!r}; it must be text of 1 to 255 characters")
    if not _is(header.model_hash, bytes) or len(header.model_hash) != 32:
        raise ArgumentError("model_hash must be 32 bytes")
    sizes, kinds = header.codebook_sizes, header.kinds
    _range("the number of codebooks", len(sizes), 1, limits.MAX_CODEBOOKS)
    for size in sizes:
        _range("a codebook size", size, 2, limits.MAX_CODEBOOK_SIZE)
    if kinds and (len(kinds) != len(sizes) or not all(is_count(k) for k in kinds)):
        raise ArgumentError(f"kinds are {kinds}; one is needed for each of {len(sizes)} codebooks")
    if header.segment is not None:
        segment = header.segment
        pair = _is(segment, tuple) and len(segment) == 2 and all(map(is_count, segment))
        if not pair or not 0 < segment[1] <= segment[0]:
            raise ArgumentError(
                f"segment is {segment}; it must be (length, stride), stride <= length"
            )
        _range("the segment's length", segment[0], 1, limits.MAX_COUNT)
    if not _is(header.gain_db, float) or not abs(header.gain_db) <= 1000:
        raise ArgumentError(f"gain_db is {header.gain_db!r}; it must be a number within +-1000")
    if not _is(header.peeled, bool):
        raise ArgumentError(f"peeled is {header.peeled!r}; it must be true or false")
    _validate_tags(header.tags)
    bits = sum((size - 1).bit_length() for size in sizes)
    packet = (bits * header.packet_frames * header.streams) // 8 + 4 * len(sizes) + 64
    if packet > limits.MAX_PACKET:
        raise LimitError(f"packets of up to {packet} bytes; at most {limits.MAX_PACKET}")


def is_count(value: object) -> bool:
    """Says whether a value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is(value: object, kind: type) -> bool:
    # Headers come from files too: their types are not what the annotations promise.
    return isinstance(value, kind)


def _validate_tags(tags: tuple[tuple[str, str], ...]) -> None:
    for tag in tags:
        if len(tag) != 2 or not all(_is(text, str) for text in tag):
            raise ArgumentError(f"tag {tag!r}; it must be a pair of texts")
        key = tag[0]
        if not key or not all(" " <= letter <= "}" and letter != "=" for letter in key):
            raise ArgumentError(f"tag key {key!r}; it must be printable ASCII without '='")


def _range(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ArgumentError(
            f"{name} is {value!r}; it must be a whole number from {least} to {most}"
        )
    if value > most:
        raise LimitError(f"{name} is {value}; at most {most}")
