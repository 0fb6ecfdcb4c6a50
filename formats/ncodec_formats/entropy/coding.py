"""The coding of layers of packets, by payload kind."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from .packed import PACKED
from .predicted import Predicted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..header import Header

    Codes = NDArray[np.uint16]


class LayerCoding(Protocol):
    """Turns the codes of layers of packets into bytes and back.

    A layer sees the lower layers of the same packet and nothing else: so packets can be sought,
    lost and shortened, and layer k never hangs on those above it. Packets come several at a time,
    all with as many frames, since arithmetic pays side by side; none knows of the others.
    """

    @property
    def kind(self) -> int:
        """The payload kind, as headers have it."""
        ...

    def of(self, header: "Header") -> "LayerCoding":
        """Returns the coding of one file's layers."""
        ...

    def size(self, frames: int, streams: int, codebook_size: int) -> int | None:
        """Returns how many bytes a layer takes, if that follows from these numbers.

        None says that each packet's head has the length. Only kind 0, which all readers know, may
        give a size: others must be able to pass over a layer of a kind that they don't know.
        """
        ...

    def is_sound(self, data: bytes, frames: int, streams: int, codebook_size: int) -> bool:
        """Says whether bytes can be a layer; what it calls sound, `decode` takes."""
        ...

    def encode(self, codes: "Codes", layers: range, sizes: Sequence[int]) -> list[list[bytes]]:
        """Returns the bytes of some layers of packets `[N, K, S, F]`, packet by packet."""
        ...

    def decode(
        self, data: Sequence[Sequence[bytes]], codes: "Codes", layers: range, sizes: Sequence[int]
    ) -> None:
        """Decodes some layers into codes `[N, K, S, F]`, in which those below are already.

        Args:
            data: of each packet, the bytes of each of the layers.
            codes: where they go.
            layers: which.
            sizes: of all codebooks.
        """
        ...


Codings = Mapping[int, LayerCoding]
"""Codings by kind."""
CODINGS: Codings = {PACKED.kind: PACKED, Predicted.kind: Predicted()}
"""What every reader and writer has."""
