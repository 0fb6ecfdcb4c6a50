"""How layers of codes become bytes: one object for each payload kind, and the coders under them."""

from .coding import CODINGS, Codings, LayerCoding
from .packed import PACKED, PackedBits
from .predicted import Predicted
from .tables import LayerTables, Tables

__all__ = [
    "CODINGS",
    "PACKED",
    "Codings",
    "LayerCoding",
    "LayerTables",
    "PackedBits",
    "Predicted",
    "Tables",
]
