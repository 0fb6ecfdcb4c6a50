"""Readers and writers of ncodec's file formats: bytes only, never torch."""

from .check import repair, verify
from .copying import Report
from .ending import End, Index
from .errors import NcodecError
from .follow import Losses
from .header import Header, Tags, tag_pairs
from .info import info, sniff
from .operations import peel, set_tags
from .packets import Loss, Packet, encode_packet
from .reader import EcdcReader, open_links
from .splice import cat, cut
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
    "Report",
    "Tags",
    "cat",
    "cut",
    "encode_packet",
    "info",
    "open_links",
    "peel",
    "repair",
    "set_tags",
    "sniff",
    "tag_pairs",
    "verify",
]
