"""How layers of codes become bytes: one object for each payload kind, and the coders under them."""

from .coding import CODINGS, Codings, LayerCoding
from .packed import PACKED, PackedBits

__all__ = ["CODINGS", "PACKED", "Codings", "LayerCoding", "PackedBits"]
