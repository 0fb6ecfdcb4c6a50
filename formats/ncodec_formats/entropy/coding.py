"""The coding of one layer of a packet, by payload kind."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from .packed import PACKED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LayerCoding(Protocol):
    """Turns the codes of one layer of one packet into bytes and back.

    It sees the lower layers of the same packet and nothing else: so packets can be sought, lost and
    shortened, and layer k never hangs on those above it. One object serves all layers and streams
    of files; it keeps nothing from packet to packet.
    """

    @property
    def kind(self) -> int:
        """The payload kind, as headers have it."""
        ...

    def size(self, frames: int, streams: int, codebook_size: int) -> int | None:
        """Returns how many bytes a layer takes, if that follows from these numbers.

        None says that each packet's head has the length. Only kind 0, which all readers know, may
        give a size: others must be able to pass over a layer of a kind that they don't know.
        """
        ...

    def encode(
        self, codes: "NDArray[np.integer]", below: "NDArray[np.integer]", codebook_size: int
    ) -> bytes:
        """Returns codes `[S, F]` of layer k, above the layers `below` `[k, S, F]`, as bytes."""
        ...

    def decode(
        self, data: bytes, below: "NDArray[np.uint16]", frames: int, codebook_size: int
    ) -> "NDArray[np.uint16]":
        """Returns the codes `[S, F]` of layer k; `below` is `[k, S, F]`, also where k is 0.

        Raises:
            ValueError: the bytes are damaged. Codes beyond the codebook need not be looked for.
        """
        ...


Codings = Mapping[int, LayerCoding]
"""Codings by kind."""
CODINGS: Codings = {PACKED.kind: PACKED}
"""What every reader and writer has."""
