"""Sets of recordings, as sound and as codes.

Recordings: which there are (`find_clips`), any part of one (`read`), endless random items
(`Items`). Codes: a set of recordings to shards (`tokenize`, `Tokenizer`) and back to rows for
training (`CodesDataset`, `Loader`).
"""

from ncodec.datasets.catalogue import Clip, Entry, describe, entries, find_clips
from ncodec.datasets.formats import Coded
from ncodec.datasets.items import Augment, Draw, Item, Items
from ncodec.datasets.reading import read
from ncodec.datasets.recordings import Recording, list_recordings
from ncodec.datasets.run import Run
from ncodec.datasets.tokenizer import Tokenizer
from ncodec.datasets.tokenizing import Tokenized, tokenize
from ncodec.datasets.training import AudioDataset, CodesDataset, Decoded, Loader, pad

__all__ = [
    "AudioDataset",
    "Augment",
    "Clip",
    "Coded",
    "CodesDataset",
    "Decoded",
    "Draw",
    "Entry",
    "Item",
    "Items",
    "Loader",
    "Recording",
    "Run",
    "Tokenized",
    "Tokenizer",
    "describe",
    "entries",
    "find_clips",
    "list_recordings",
    "pad",
    "read",
    "tokenize",
]
