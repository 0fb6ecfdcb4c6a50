"""Models over latents: Musika's idea (Pasini and Schlueter 2022), as streams."""

from ncodec.latents.endless import Directions, EndlessModel, EndlessState
from ncodec.latents.pieces import Endless

__all__ = ["Directions", "Endless", "EndlessModel", "EndlessState"]
