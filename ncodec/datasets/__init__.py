"""Sets of recordings: which there are, reading any part of one, and endless random items."""

from ncodec.datasets.catalogue import Clip, Entry, describe, entries, find_clips
from ncodec.datasets.items import Augment, Draw, Item, Items
from ncodec.datasets.reading import read

__all__ = [
    "Augment",
    "Clip",
    "Draw",
    "Entry",
    "Item",
    "Items",
    "describe",
    "entries",
    "find_clips",
    "read",
]
