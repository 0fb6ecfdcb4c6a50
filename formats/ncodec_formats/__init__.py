"""Readers and writers of ncodec's file formats: bytes only, never torch."""

from .cut_cat import cat, cut
from .ending import End, Index
from .errors import NcodecError
from .follower import Losses
from .header import Header, Tags, tag_pairs
from .info import info, sniff
from .packets import Loss, Packet, encode_packet
from .peel_tag import peel, set_tags
from .raw_links import Report
from .reader import EcdcReader, open_links
from .repacking import repack
from .verify_repair import repair, verify
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
    "repack",
    "repair",
    "set_tags",
    "sniff",
    "tag_pairs",
    "verify",
]
