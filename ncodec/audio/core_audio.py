"""The speakers of CAF and AIFF, as Core Audio's `chan` chunk names them.

Labels and numbered layouts after Apple's CoreAudioTypes (AudioChannelLayout) and the Apple Core
Audio Format Specification.
"""

from __future__ import annotations

import struct

_BY_DESCRIPTION, _BY_BITMAP, _DISCRETE = 0, 1, 147
_BITS = {**{label: label - 1 for label in range(1, 19)}, 33: 4, 34: 5, 42: 2}
"""Labels to the bits of WAVE's mask, which Core Audio's first eighteen are."""
_REAR = {33: 4, 34: 5, 5: 9, 6: 10}  # with rear speakers, those of surround are at the sides
_NAMES = {
    "L": 1, "R": 2, "C": 3, "LFE": 4, "Ls": 5, "Rs": 6, "Lc": 7, "Rc": 8, "Cs": 9, "Rls": 33,
    "Rrs": 34,
}  # fmt: skip
_LAYOUTS = {
    100: "C", 101: "L R", 108: "L R Ls Rs", 109: "L R Ls Rs C", 110: "L R Ls Rs C Cs",
    113: "L R C", 114: "C L R", 115: "L R C Cs", 116: "C L R Cs",
    117: "L R C Ls Rs", 118: "L R Ls Rs C", 119: "L C R Ls Rs", 120: "C L R Ls Rs",
    121: "L R C LFE Ls Rs", 122: "L R Ls Rs C LFE", 123: "L C R Ls Rs LFE",
    124: "C L R Ls Rs LFE", 125: "L R C LFE Ls Rs Cs", 126: "L R C LFE Ls Rs Lc Rc",
    127: "C Lc Rc L R Ls Rs LFE", 128: "L R C LFE Ls Rs Rls Rrs", 131: "L R Cs",
    132: "L R Ls Rs", 133: "L R LFE", 134: "L R LFE Cs", 135: "L R LFE Ls Rs", 136: "L R C LFE",
    137: "L R C LFE Cs", 138: "L R Ls Rs LFE", 139: "L R Ls Rs C Cs", 140: "L R Ls Rs C Rls Rrs",
    141: "C L R Ls Rs Cs", 142: "C L R Ls Rs Cs LFE", 143: "C L R Ls Rs Rls Rrs",
    144: "C L R Ls Rs Rls Rrs Cs", 149: "C LFE", 150: "L C R", 151: "L C R Cs", 152: "L C R LFE",
}  # fmt: skip


def speakers_of(body: bytes, channels: int) -> tuple[int, list[int]] | None:
    """Return the mask that a chunk names, and where each channel of WAVE's order stands.

    None is for layouts that name no or other speakers than there are channels.
    """
    if len(body) < 12:
        return None
    tag, bitmap, _ = struct.unpack_from(">III", body)
    kind = tag >> 16
    if kind == _BY_BITMAP:
        known = bitmap.bit_count() == channels and bitmap < 1 << 18
        return (bitmap, list(range(channels))) if known else None
    if kind == _DISCRETE:
        return 0, list(range(channels))
    labels = _described(body) if kind == _BY_DESCRIPTION else _numbered(kind)
    table = _BITS | (_REAR if 33 in labels else {})
    bits = [table.get(label, -1) for label in labels]
    if len(bits) != channels or min(bits) < 0 or len(set(bits)) < channels:
        return None
    mask = sum(1 << bit for bit in bits)
    return mask, sorted(range(channels), key=bits.__getitem__)


def _described(body: bytes) -> list[int]:
    """Return the label of each channel's description; none where the chunk ends before."""
    (count,) = struct.unpack_from(">I", body, 8)
    if len(body) < 12 + 20 * count:
        return []
    return [struct.unpack_from(">I", body, 12 + 20 * i)[0] for i in range(count)]


def _numbered(kind: int) -> list[int]:
    """Return the labels of a layout that has a number; none of one that is not known."""
    return [_NAMES[name] for name in _LAYOUTS.get(kind, "").split()]


def layout_chunk(mask: int, channels: int) -> bytes:
    """Return the body of the chunk that says a mask."""
    tag = _BY_BITMAP << 16 if mask else _DISCRETE << 16 | channels
    return struct.pack(">III", tag, mask, 0)
