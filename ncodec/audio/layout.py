"""Which channel plays on which speaker: WAVE's masks, and the other order of Vorbis and Opus.

Inside, channels always stand in WAVE's order: by the bits of the mask, lowest first (Microsoft's
WAVEFORMATEXTENSIBLE). A mask of 0 says that the channels belong to no speakers.
"""

from __future__ import annotations

import numpy as np

from ncodec.audio.pcm import Samples
from ncodec_formats.header import SPEAKERS, USUAL_MASKS

FLAC_MASKS = (0, 0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F)
"""By the number of channels, in FLAC (RFC 9639, 9.1.3), Vorbis and Opus: 6.1 has side speakers."""

# Where each channel of WAVE's order stands in Vorbis's (Vorbis I, 4.3.9; RFC 7845, 5.1.1.2).
VORBIS_ORDER: dict[int, list[int]] = {
    3: [0, 2, 1],
    5: [0, 2, 1, 3, 4],
    6: [0, 2, 1, 5, 3, 4],
    7: [0, 2, 1, 6, 5, 3, 4],
    8: [0, 2, 1, 7, 5, 6, 3, 4],
}


def usual_mask(mask: int | None, channels: int) -> int | None:
    """Return a mask as files hold it: None where it is the default, or names other channels."""
    if mask is None or mask == USUAL_MASKS[channels]:
        return None
    if mask and (mask.bit_count() != channels or mask >= 1 << len(SPEAKERS)):
        return None
    return mask


def mask_of(mask: int | None, channels: int) -> int:
    """Return the speakers of so many channels, those that are usual where `mask` is None."""
    return USUAL_MASKS[channels] if mask is None else mask


def speakers(mask: int) -> str:
    """Name the speakers of a mask, by WAVE's short names."""
    names = [name for bit, name in enumerate(SPEAKERS) if mask >> bit & 1]
    return " ".join(names) or "no speakers"


def to_vorbis(x: Samples) -> Samples:
    """Bring channels `[C, T]` from WAVE's order to Vorbis's."""
    order = VORBIS_ORDER.get(x.shape[0])
    return x if order is None else np.ascontiguousarray(x[np.argsort(order)])
