"""Streams and files: samples to packets and back, over any CompressionModel."""

from ncodec.codec.conversion import KINDS, Converted, compress_as, convert, kind_of_name
from ncodec.codec.decoder import StreamDecoder
from ncodec.codec.encoder import StreamEncoder
from ncodec.codec.file_decoder import Damage, FileDecoder
from ncodec.codec.whole_files import Compressed, Decompressed, compress, decompress

__all__ = [
    "KINDS",
    "Compressed",
    "Converted",
    "Damage",
    "Decompressed",
    "FileDecoder",
    "StreamDecoder",
    "StreamEncoder",
    "compress",
    "compress_as",
    "convert",
    "decompress",
    "kind_of_name",
]
