"""Other tools' checkpoint layouts, recognised by their keys, and the way back to them."""

from ncodec.checkpoints.layouts.common import Found, Layout
from ncodec.models.families import known, resolve

LAYOUTS: tuple[Layout, ...] = tuple(
    resolve(place) for family in known() for place in family.layouts
)
"""Of all families, in the order in which they are tried."""

__all__ = ["LAYOUTS", "Found", "Layout"]
