"""The smallest parts of ECDC version 1: sync words, variable-length integers, checks."""

import binascii
from functools import lru_cache

MAGIC = b"ECDC"
VERSION = 1
LINK_START = MAGIC + bytes([VERSION])
DAC_MAGIC = b"\x93NUMPY"
HEADER_TAIL = b"\r\n"
"""Ends a header, so that a transfer in text mode is seen at once."""
SYNC = b"\xec\xdc"
"""Opens each packet."""
FOOTER_MAGIC = b"CDCE"
# A layer's check byte is a remainder: of the number that its bytes are, most significant first,
# with one byte in front that is such a remainder of the layer below. Two is a primitive root of the
# first modulus, the largest such prime below 256: one flipped bit, or two closer than 113 bits,
# never go unseen. Damage that does slip past one check still changes what the next one begins with.
CHECK_MODULUS = 227
BELOW_MODULUS = 251


def put_varint(value: int) -> bytes:
    """Writes an unsigned integer, seven bits a byte, least significant first (LEB128)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def get_varint(data: bytes, pos: int, most: int) -> tuple[int, int]:
    """Reads an unsigned integer of at most `most`; returns it and the position after it.

    Raises:
        IndexError: the data end too soon.
        ValueError: it is larger than `most` or not in its shortest form.
    """
    byte = data[pos]
    if byte < 0x80:
        value, pos = byte, pos + 1
    else:
        value, shift = 0, 0
        while True:
            byte = data[pos]
            value |= (byte & 0x7F) << shift
            pos += 1
            shift += 7
            if byte < 0x80:
                break
            if shift > 56:
                raise ValueError("a variable-length integer is longer than 8 bytes")
        if byte == 0:
            raise ValueError("a variable-length integer is not in its shortest form")
    if value > most:
        raise ValueError(f"a variable-length integer is {value}, more than {most}")
    return value, pos


def crc16(data: bytes | memoryview, before: int = 0xFFFF) -> int:
    """Returns CRC-16/IBM-3740 (polynomial 0x1021, start 0xFFFF), the check of packet heads.

    `before` is that of the bytes before these, if there are any.
    """
    return binascii.crc_hqx(data, before)


_MODULUS = CHECK_MODULUS * BELOW_MODULUS


@lru_cache(maxsize=1024)
def _place(length: int) -> int:
    """Returns what a byte in front of `length` others counts, as a remainder."""
    return pow(256, length, _MODULUS)


def put_layers(layers: list[bytes]) -> bytes:
    """Joins layers, each followed by its check byte."""
    out = bytearray()
    below = 1
    for layer in layers:
        value = int.from_bytes(layer, "big") % _MODULUS + below * _place(len(layer))
        out += layer
        out.append(value % CHECK_MODULUS)
        below = value % BELOW_MODULUS
    return bytes(out)


def count_good_layers(body: bytes, lengths: tuple[int, ...]) -> int:
    """Returns how many layers of a packet's body, from the first one on, agree with their checks.

    The body may be cut short: a layer that is not whole is not good.
    """
    pos, below = 0, 1
    for count, length in enumerate(lengths):
        end = pos + length
        if end >= len(body):
            return count
        value = int.from_bytes(body[pos:end], "big") % _MODULUS + below * _place(length)
        if body[end] != value % CHECK_MODULUS:
            return count
        below = value % BELOW_MODULUS
        pos = end + 1
    return len(lengths)
