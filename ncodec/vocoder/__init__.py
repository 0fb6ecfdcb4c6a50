"""Vocoders: mel spectrograms to sound, exact in streams."""

from ncodec.vocoder.graphs import OnnxVocoder, export_vocoder
from ncodec.vocoder.log_mel import LogMel
from ncodec.vocoder.model import Vocoder

__all__ = ["LogMel", "OnnxVocoder", "Vocoder", "export_vocoder"]
