"""The header of an ECDC version 1 link: what was coded, by which model, from which source."""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from . import limits
from .bitrate import check_codebooks, codebooks_within, kbps
from .bounds import check_header, check_packet, is_count, plain
from .errors import ArgumentError, BadFileError, LimitError, UnsupportedVersionError
from .wire import HEADER_TAIL, MAGIC, SYNC, VERSION

if TYPE_CHECKING:
    from .packets import Loss, Packet

READER_VERSION = 1
"""Headers may ask for a reader of at least some version; this one is that."""
PREFIX = struct.Struct("!4sBI")
DAMAGED = "the header is damaged: its CRC does not match"

# In the order of WAVE's channel mask, lowest bit first.
SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"),
    *("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
USUAL_MASKS = (0, 0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x13F, 0x63F)
"""The mask that a header without one means, by the number of channels."""

# Key in the file -> field; one letter each, since a short file is mostly header.
_KEYS = {
    "m": "model",
    "h": "model_hash",
    "r": "sample_rate",
    "p": "hop",
    "s": "streams",
    "c": "codebook_sizes",
    "f": "packet_frames",
    "q": "preroll_frames",
    "Q": "postroll_frames",
    "b": "block_frames",
    "R": "source_rate",
    "C": "source_channels",
    "M": "channel_mask",
    "N": "source_samples",
    "S": "start",
    "E": "end",
    "i": "first_frame",
    "g": "segment",
    "G": "gain_db",
    "k": "kinds",
    "e": "tables",
    "F": "peeled",
    "t": "tags",
}
_VERSION_KEY, _MUST_KEY, _TABLES_KEY = "v", "u", "e"
_RUNS = ("codebook_sizes", "kinds")


@dataclass(frozen=True, repr=False)
class Header:
    """What a reader must know before the first packet.

    Rates are in Hz, lengths in samples at the rate named, frames are frames of codes. A cut file
    keeps the timeline of the whole one: it plays from source sample `start` to its end packet's,
    and its first packet stands at `first_frame`.

    >>> from ncodec_formats import Header
    >>> header = Header(
    ...     model="toy", model_hash=bytes(32), sample_rate=24000, hop=320, streams=1,
    ...     codebook_sizes=(1024,) * 8, packet_frames=75, preroll_frames=0, block_frames=75,
    ...     source_rate=48000, source_channels=1, source_samples=None,
    ... )
    >>> header.bandwidth, header.codebooks_within(3)
    (6.0, 4)
    >>> Header.parse(header.to_bytes()) == header
    True

    Raises:
        ArgumentError: a field has an impossible value.
        LimitError: a field is beyond the limits of the format.
    """

    model: str
    model_hash: bytes
    sample_rate: int
    hop: int
    streams: int
    codebook_sizes: tuple[int, ...]
    packet_frames: int
    preroll_frames: int
    block_frames: int
    source_rate: int
    source_channels: int
    source_samples: int | None
    """Length of the whole source, where it was known before coding began; the end packet rules."""
    start: int = 0
    segment: tuple[int, int] | None = None
    gain_db: float = 0.0
    tags: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict[str, object])
    first_frame: int = 0
    postroll_frames: int = 0
    """Frames that a model with look-ahead needs after the last one that is wanted."""
    kinds: tuple[int, ...] = ()
    """Payload kind of each layer; empty means all 0, packed bits. 1 is predicted."""
    tables: bytes | None = None
    """Hash of the tables that predict layers of kind 1. A reader must understand it."""
    end: int | None = None
    """Source sample at which playback of a cut file ends; a pipe's reader has no other way to know
    in time. The end packet rules."""
    peeled: bool = False
    """Layers have been dropped from this file. Always written, so that it is one byte's change."""
    channel_mask: int | None = None
    """Speakers of the source's channels, as in WAVE: bit by bit front left, front right, front
    centre, low frequency, back left, back right and so on; the channels stand in this order. 0: no
    speakers. None: the usual ones for so many channels."""

    def __post_init__(self) -> None:
        for name in _KEYS.values():
            object.__setattr__(self, name, plain(getattr(self, name)))
        if type(self.gain_db) is int:
            object.__setattr__(self, "gain_db", float(self.gain_db))
        check_header(self)
        if clash := {*_KEYS} & {*self.extra}:
            raise ArgumentError(f"extra has the key {min(clash)!r}, which has a field of its own")

    def __repr__(self) -> str:
        """Returns the fields that are not as usual, on one line."""
        said = {
            "model": repr(self.model),
            "model_hash": f"{self.model_hash.hex()[:12]}...",
            "sample_rate": self.sample_rate,
            "hop": self.hop,
            "streams": self.streams,
            "codebooks": len(self.codebook_sizes),
            "packet_frames": self.packet_frames,
            "source_rate": self.source_rate,
            "source_channels": self.source_channels,
        }
        unusual = {name: getattr(self, name) for name in _OPTIONAL if name != "tags"}
        said |= {name: value for name, value in unusual.items() if value != _OPTIONAL[name]}
        if self.kinds:
            runs = (f"{kind} x {len([*run])}" for kind, run in groupby(self.kinds))
            said["kinds"] = f"({', '.join(runs)})"
        if self.tables is not None:
            said["tables"] = f"{self.tables.hex()[:12]}..."
        if self.tags:
            said["tags"] = len(self.tags)
        return f"Header({', '.join(f'{name}={value}' for name, value in said.items())})"

    def to_bytes(self) -> bytes:
        """Returns the header as it stands in a file, prefix and CRC included."""
        packed = self.to_map()
        data = PREFIX.pack(MAGIC, VERSION, len(packed)) + packed
        return data + struct.pack("!I", zlib.crc32(data)) + HEADER_TAIL

    def to_map(self) -> bytes:
        """Returns the header's map alone, as msgpack."""
        import msgpack

        values: dict[str, object] = {}
        for key, name in _KEYS.items():
            value = getattr(self, name)
            if value is None or (name in _OPTIONAL and value == _OPTIONAL[name]):
                continue
            if name in _RUNS:
                value = [n for v, run in groupby(value) for n in (len(list(run)), v)]
            elif name == "tags":
                value = [text for tag in value for text in tag]
            values[key] = value
        values.update(self.extra)
        if self.tables is not None:
            values[_MUST_KEY] = [_TABLES_KEY, *values.get(_MUST_KEY, ())]  # type: ignore[misc]
        try:
            packed = bytes(msgpack.packb(values) or b"")
        except (OverflowError, TypeError, ValueError) as error:
            raise ArgumentError(f"extra can't be written: {error}") from error
        if len(packed) > limits.MAX_HEADER:
            raise LimitError(f"a header of {len(packed)} bytes; at most {limits.MAX_HEADER}")
        return packed

    @property
    def bandwidth(self) -> float:
        """Bitrate of the codes in kbps, without overhead or the overlap of segments."""
        return self.kbps(len(self.codebook_sizes))

    def kbps(self, codebooks: int) -> float:
        """Returns the bitrate of the first `codebooks` codebooks, as `bandwidth` is that of all."""
        return kbps(self.codebook_sizes[:codebooks], self.streams, self.sample_rate / self.hop)

    def codebooks_within(self, bandwidth: float) -> int:
        """Returns the most codebooks whose bitrate is at most `bandwidth`, in kbps.

        Raises:
            ArgumentError: one codebook is already more.
        """
        frame_rate = self.sample_rate / self.hop
        return codebooks_within(bandwidth, self.codebook_sizes, self.streams, frame_rate)

    def peel(self, codebooks: int) -> "Header":
        """Returns the header of the same file with only its first `codebooks` layers.

        Raises:
            ArgumentError: the file has no such number of layers.
        """
        codebooks = check_codebooks(codebooks, len(self.codebook_sizes))
        if codebooks == len(self.codebook_sizes):
            return self
        kinds = self.kinds[:codebooks] if any(self.kinds[:codebooks]) else ()
        # predicted layers are the lowest, so the tables stay
        sizes = self.codebook_sizes[:codebooks]
        return replace(self, codebook_sizes=sizes, kinds=kinds, peeled=True)

    @property
    def speakers(self) -> tuple[str, ...]:
        """WAVE's names of the speakers that the channels belong to, as FL; empty if to none."""
        mask = self.channel_mask
        if mask is None:
            mask = USUAL_MASKS[self.source_channels]
        return tuple(name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1)

    def check_packet(self, packet: "Packet | Loss") -> None:
        """Checks that a packet, or a loss, fits this header: numbers, shapes, codes and scale.

        Readers give only such as do; this is for packets that come another way.

        Raises:
            ArgumentError: it does not fit.
        """
        check_packet(self, packet)

    @classmethod
    def parse(cls, data: bytes) -> "Header":
        """Reads the header that data begin with.

        Raises:
            BadFileError: it is damaged or says something impossible.
            UnsupportedVersionError: it asks for a newer reader or for something unknown.
            LimitError: a field is beyond the limits of the format.
        """
        size = header_size(data[: PREFIX.size])
        body, tail = data[: size - 6], data[size - 6 : size]
        if tail != struct.pack("!I", zlib.crc32(body)) + HEADER_TAIL:
            if tail[4:] == b"\n" + SYNC[:1] or b"\r" + HEADER_TAIL in data[size - 2 :]:
                raise BadFileError("line endings were changed, as by a copy in text mode")
            raise BadFileError(DAMAGED)
        return cls.from_map(body[PREFIX.size :])

    @classmethod
    def from_map(cls, packed: bytes) -> "Header":
        """Reads a header's map; raises as `parse` does."""
        values = unpack_map(packed, "the header")
        _must_understand(values)
        extra = {key: value for key, value in values.items() if key not in _KEYS}
        if _TABLES_KEY in values:
            extra |= _others_that_must_be(extra.pop(_MUST_KEY, []))
        fields: dict[str, Any] = {"source_samples": None, "extra": extra}
        for key, name in _KEYS.items():
            if key in values:
                fields[name] = _decode(name, values[key])
        missing = [key for key, name in _KEYS.items() if name in _REQUIRED and name not in fields]
        if missing:
            raise BadFileError(f"the header lacks the key {missing[0]!r}")
        try:
            return cls(**fields)
        except ArgumentError as error:
            raise BadFileError(f"the header is wrong: {error}") from error


_OPTIONAL: dict[str, object] = {
    "start": 0,
    "first_frame": 0,
    "postroll_frames": 0,
    "end": None,
    "segment": None,
    "channel_mask": None,
    "gain_db": 0.0,
    "kinds": (),
    "tables": None,
    "tags": (),
}
_REQUIRED = set(_KEYS.values()) - set(_OPTIONAL) - {"source_samples", "peeled"}


Tags = Mapping[str, str] | Iterable[tuple[str, str]]
"""Tags as a caller gives them: a mapping, or pairs of key and value if a key has several values."""


def tag_pairs(tags: Tags) -> tuple[tuple[str, str], ...]:
    """Returns tags as a header has them.

    Raises:
        ArgumentError: they are neither a mapping nor pairs.
    """
    given: Any = tags.items() if isinstance(tags, Mapping) else tags
    try:
        return tuple((key, value) for key, value in given)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"tags {tags!r}: must be a mapping, or pairs of key and value"
        ) from error


def header_size(prefix: bytes) -> int:
    """Returns the size in bytes of a whole header from its first nine bytes.

    Raises:
        BadFileError: these are not the first bytes of an ECDC file.
        UnsupportedVersionError: the file is of another version.
        LimitError: the header claims to be too large.
    """
    if not prefix:
        raise BadFileError("the file is empty")
    if not prefix.startswith(MAGIC):
        raise BadFileError(
            f"not an ECDC file: it begins with {prefix[: len(MAGIC)]!r}, not with {MAGIC!r}"
        )
    if len(prefix) < PREFIX.size:
        raise BadFileError("the file ends inside its header")
    _, version, length = PREFIX.unpack(prefix)
    if version != VERSION:
        raise UnsupportedVersionError(f"ECDC version {version}; this reader knows {VERSION}")
    if length > limits.MAX_HEADER:
        raise LimitError(f"the header claims {length} bytes; at most {limits.MAX_HEADER}")
    return PREFIX.size + length + 4 + len(HEADER_TAIL)


def unpack_map(packed: bytes, what: str) -> dict[str, Any]:
    """Returns a msgpack map of text keys, each there once.

    Raises:
        BadFileError: the bytes are anything else; `what` names them in the message.
    """
    import msgpack

    def unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        values = msgpack.unpackb(packed, object_pairs_hook=unique, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise BadFileError(f"{what} is not a msgpack map: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise BadFileError(f"{what} is not a map of text keys")
    return values


def _must_understand(values: dict[str, Any]) -> None:
    version = values.get(_VERSION_KEY, 1)
    if not isinstance(version, int) or version > READER_VERSION:
        raise UnsupportedVersionError(
            f"the file asks for a reader of version {version}; this one is {READER_VERSION}"
        )
    must = values.get(_MUST_KEY, [])
    if not isinstance(must, list) or not all(isinstance(key, str) for key in must):
        raise BadFileError("the header's list of keys that must be understood is not a list")
    known = {*_KEYS, _VERSION_KEY, _MUST_KEY}
    for key in must:
        if key not in known:
            raise UnsupportedVersionError(f"the file needs {key!r}, which this reader lacks")


def _others_that_must_be(must: list[str]) -> dict[str, object]:
    """Takes out of the list of keys that must be understood the one that writes itself."""
    if must[:1] != [_TABLES_KEY]:
        raise BadFileError(f"the header's key {_TABLES_KEY!r} must be the first to be understood")
    return {_MUST_KEY: must[1:]} if must[1:] else {}


def _decode(name: str, value: Any) -> Any:
    if name in _RUNS:
        return _expand(name, value)
    if name == "tags":
        if not isinstance(value, list) or len(value) % 2:
            raise BadFileError("the header's tags are not pairs of key and value")
        return tuple(zip(value[::2], value[1::2], strict=True))
    return value


def _expand(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) % 2 or not all(map(is_count, value)):
        raise BadFileError(f"the header's {name} are not pairs of count and value")
    if sum(value[::2]) > limits.MAX_CODEBOOKS:
        raise LimitError(f"{sum(value[::2])} codebooks; at most {limits.MAX_CODEBOOKS}")
    return tuple(v for n, v in zip(value[::2], value[1::2], strict=True) for _ in range(n))
