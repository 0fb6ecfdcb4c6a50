"""Streams and files: samples to packets and back, over any CompressionModel."""

from ncodec.codec.decoder import StreamDecoder
from ncodec.codec.encoder import StreamEncoder
from ncodec.codec.files import Compressed, Decompressed, compress, decompress
from ncodec.codec.links import Damage, FileDecoder

__all__ = [
    "Compressed",
    "Damage",
    "Decompressed",
    "FileDecoder",
    "StreamDecoder",
    "StreamEncoder",
    "compress",
    "decompress",
]
