"""Vocoders: mel spectrograms to sound, exact in streams."""

from ncodec.vocoder.log_mel import LogMel
from ncodec.vocoder.model import Vocoder

__all__ = ["LogMel", "Vocoder"]
