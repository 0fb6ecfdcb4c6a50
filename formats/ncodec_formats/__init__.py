"""Readers and writers of ncodec's file formats: bytes only, never torch."""

from .ending import End, Index
from .errors import NcodecError
from .follow import Losses
from .header import Header
from .packets import Loss, Packet, encode_packet
from .reader import EcdcReader, open_links
from .writer import EcdcWriter

__all__ = [
    "EcdcReader",
    "EcdcWriter",
    "End",
    "Header",
    "Index",
    "Loss",
    "Losses",
    "NcodecError",
    "Packet",
    "encode_packet",
    "open_links",
]
