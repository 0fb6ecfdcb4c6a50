"""Codes from one kind of file to another: `.ecdc` 1 and 0, `.dac`, `.npz`, `.safetensors`."""

from ncodec.convert.content import Content, ForeignReader
from ncodec.convert.files import (
    KINDS,
    Converted,
    check,
    compress_as,
    convert,
    kind_of_name,
    open_links,
    sniff,
)

__all__ = [
    "KINDS",
    "Content",
    "Converted",
    "ForeignReader",
    "check",
    "compress_as",
    "convert",
    "kind_of_name",
    "open_links",
    "sniff",
]
