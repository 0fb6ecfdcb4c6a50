"""Audio in and out of files and pipes, block by block; numpy float32 `[C, T]`, full scale 1.0."""

from ncodec.audio.pcm import MAX_CHANNELS, RawFormat, Samples, check_finite, check_format
from ncodec.audio.readers import AudioReader, open_audio
from ncodec.audio.resample import Resampler, mix_channels, resampled_length
from ncodec.audio.writers import ENCODINGS, AudioWriter, format_of, open_writer

__all__ = [
    "ENCODINGS",
    "MAX_CHANNELS",
    "AudioReader",
    "AudioWriter",
    "RawFormat",
    "Resampler",
    "Samples",
    "check_finite",
    "check_format",
    "format_of",
    "mix_channels",
    "open_audio",
    "open_writer",
    "resampled_length",
]
