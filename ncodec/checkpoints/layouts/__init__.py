"""Other tools' checkpoint layouts, recognised by their keys, and the way back to them."""

from ncodec.checkpoints.layouts.common import Found, Layout
from ncodec.checkpoints.layouts.dac import DAC, HF_DAC
from ncodec.checkpoints.layouts.encodec import AUDIOCRAFT, ENCODEC, ENCODEC_LM, HF_ENCODEC
from ncodec.checkpoints.layouts.mimi import HF_MIMI

LAYOUTS: tuple[Layout, ...] = (
    ENCODEC_LM,
    AUDIOCRAFT,
    ENCODEC,
    HF_ENCODEC,
    DAC,
    HF_DAC,
    HF_MIMI,
)
"""In the order in which they are tried."""

__all__ = ["LAYOUTS", "Found", "Layout"]
