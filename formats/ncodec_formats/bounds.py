"""What the fields of a header and of its packets may be: types, ranges, the format's limits."""

import operator
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

from . import limits
from .bitrate import bits_of
from .errors import ArgumentError, LimitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .header import Header
    from .packets import Loss, Packet

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
# Likewise, but None is allowed.
_OPTIONAL_RANGES = {
    "source_samples": (0, limits.MAX_COUNT),
    "end": (0, limits.MAX_COUNT),
    "channel_mask": (0, limits.MAX_CHANNEL_MASK),
}


_PREDICTED = 1


def _is_segment(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and all(map(is_count, value))  # type: ignore[reportUnknownArgumentType]
    return value is None or (pair and 0 < value[1] <= value[0])  # type: ignore[reportIndexIssue]


# field -> (what it must be, in words; whether it is). Headers come from files too: their types are
# not what the annotations promise.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model": (
        "text of 1 to 255 characters",
        lambda value: isinstance(value, str) and 1 <= len(value) <= 255,
    ),
    "model_hash": ("32 bytes", lambda value: isinstance(value, bytes) and len(value) == 32),
    "segment": ("(length, stride), 0 < stride <= length", _is_segment),
    "gain_db": (
        "a number within +-1000",
        lambda value: isinstance(value, float) and abs(value) <= 1000,
    ),
    "tables": (
        "16 bytes",
        lambda value: value is None or (isinstance(value, bytes) and len(value) == 16),
    ),
    "peeled": ("true or false", lambda value: isinstance(value, bool)),
}


def check_header(header: "Header") -> None:
    """Checks each field of a header.

    Raises:
        ArgumentError: one has an impossible value.
        LimitError: one is beyond the limits of the format.
    """
    for name, (least, most) in _RANGES.items():
        _range(name, getattr(header, name), least, most)
    for name, (least, most) in _OPTIONAL_RANGES.items():
        if getattr(header, name) is not None:
            _range(name, getattr(header, name), least, most)
    for name, (rule, fits) in _RULES.items():
        value = getattr(header, name)
        if not fits(value):
            raise ArgumentError(f"{name} is {value!r}; it must be {rule}")
    if header.segment is not None:
        _range("the segment's length", header.segment[0], 1, limits.MAX_COUNT)
    _check_speakers(header)
    _check_tags(header.tags)
    _check_layers(header)


def plain(value: object) -> object:
    """Returns NumPy's numbers as Python's own and lists as tuples; anything else as it is."""
    if isinstance(value, tuple | list):
        return tuple(plain(item) for item in value)  # type: ignore[reportUnknownVariableType]
    if isinstance(value, str | bytes | bool | int | float) or value is None:
        return value
    if not isinstance(value, Real):
        return value
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return float(value)


def is_count(value: object) -> TypeGuard[int]:
    """Says whether a value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_layers(header: "Header") -> None:
    sizes, kinds = header.codebook_sizes, header.kinds
    _range("the number of codebooks", len(sizes), 1, limits.MAX_CODEBOOKS)
    for size in sizes:
        _range("a codebook size", size, 2, limits.MAX_CODEBOOK_SIZE)
    if kinds and (len(kinds) != len(sizes) or not all(is_count(k) for k in kinds)):
        raise ArgumentError(f"kinds are {kinds}; one is needed for each of {len(sizes)} codebooks")
    predicted = sum(kind == _PREDICTED for kind in kinds)
    if (header.tables is None) != (predicted == 0) or _PREDICTED in kinds[predicted:]:
        raise ArgumentError(
            f"kinds are {kinds}, tables {header.tables!r}; predicted layers ({_PREDICTED}) must be "
            "the lowest, and have tables"
        )
    bits = sum(map(bits_of, sizes))
    packet = (bits * header.packet_frames * header.streams) // 8 + 4 * len(sizes) + 64
    if packet > limits.MAX_PACKET:
        raise LimitError(f"packets of up to {packet} bytes; at most {limits.MAX_PACKET}")


def _check_speakers(header: "Header") -> None:
    mask, channels = header.channel_mask, header.source_channels
    if mask and mask.bit_count() != channels:
        raise ArgumentError(
            f"channel_mask is {mask:#x}, which names {mask.bit_count()} speakers; "
            f"it must name {channels}, one a channel, or be 0"
        )


def _check_tags(tags: tuple[tuple[str, str], ...]) -> None:
    for tag in tags:
        if len(tag) != 2 or not all(_is(text, str) for text in tag):
            raise ArgumentError(f"tag {tag!r}; it must be a pair of texts")
        key = tag[0]
        if not key or not all(" " <= letter <= "}" and letter != "=" for letter in key):
            raise ArgumentError(f"tag key {key!r}; it must be printable ASCII without '='")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _range(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ArgumentError(
            f"{name} is {value!r}; it must be a whole number from {least} to {most}"
        )
    if value > most:
        raise LimitError(f"{name} is {value}; at most {most}")


def check_packet(header: "Header", packet: "Packet | Loss") -> None:
    """Checks that a packet, or a loss, can be of the link that a header opens.

    Raises:
        ArgumentError: it can't be.
    """
    last = limits.MAX_COUNT
    if not _between(packet.first_frame, 0, last):
        raise ArgumentError(
            f"first_frame is {packet.first_frame!r}; it must be a whole number from 0 to {last}"
        )
    if not hasattr(packet, "codes"):
        # Losses become sound: a stretch that no reader follows would be for ever in the making.
        most = int(limits.DEFAULT_MAX_SECONDS * header.sample_rate / header.hop)
        if not _between(packet.frames, 1, most):
            raise ArgumentError(f"a loss of {packet.frames!r} frames; it must be of 1 to {most}")
        return
    if not _between(packet.sequence, 0, limits.MAX_SEQUENCE):  # type: ignore[union-attr]
        raise ArgumentError(
            f"sequence is {packet.sequence!r}; "  # type: ignore[union-attr]
            f"it must be a whole number from 0 to {limits.MAX_SEQUENCE}"
        )
    _check_codes(header, packet.codes)  # type: ignore[union-attr]
    _check_scale(header, packet)  # type: ignore[arg-type]


def scale_fault(header: "Header", scale: "NDArray[np.floating] | None", layers: int) -> str:
    """Returns what is wrong with a packet's scale, nothing if it is right.

    A packet of `layers` layers needs one where the model codes segments; the values must be
    finite, not below 0, and no louder than any recording.
    """
    import numpy as np

    if scale is None:
        missing = header.segment is not None and layers > 0
        return "scale is missing; each segment has one" if missing else ""
    if not np.isfinite(scale).all() or (scale < 0).any() or (scale > limits.MAX_SCALE).any():
        return f"scale is {scale.tolist()}; it must be numbers from 0 to {limits.MAX_SCALE}"
    return ""


def _between(value: object, least: int, most: int) -> bool:
    value = plain(value)
    return is_count(value) and least <= value <= most  # type: ignore[operator]


def _check_codes(header: "Header", codes: "NDArray[np.integer]") -> None:
    import numpy as np

    sizes = header.codebook_sizes
    most = [len(sizes), header.streams, header.packet_frames]
    if not _is(codes, np.ndarray) or codes.dtype.kind not in "iu":
        kind = getattr(codes, "dtype", type(codes).__name__)
        raise ArgumentError(f"codes are of type {kind}; they must be a NumPy array of integers")
    shape = list(codes.shape)
    fits = len(shape) == 3 and shape[0] <= most[0] and shape[1] == most[1]
    if not fits or not 1 <= shape[2] <= most[2]:
        raise ArgumentError(
            f"codes of shape {shape}; [K, S, F] must be at most {most}, S exactly, F at least 1"
        )
    if not codes.size or (codes.dtype.kind == "u" and int(codes.max()) < min(sizes)):
        return  # as nearly all are
    above = np.asarray(sizes[: shape[0]]).reshape(-1, 1, 1)
    if int(codes.min()) < 0 or bool((codes >= above).any()):
        raise ArgumentError("a code lies outside its codebook")


def _check_scale(header: "Header", packet: "Packet") -> None:
    import numpy as np

    scale = packet.scale
    if scale is not None and (
        not _is(scale, np.ndarray)
        or scale.dtype.kind != "f"
        or scale.shape != (header.streams,)
        or not np.isfinite(scale).all()
    ):
        raise ArgumentError(
            f"scale is {scale!r}; it must be an array of {header.streams} finite numbers, "
            "one a stream"
        )
    fault = scale_fault(header, scale, len(packet.codes))
    if fault:
        raise ArgumentError(fault)
