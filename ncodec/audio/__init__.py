"""Audio in and out of files and pipes, block by block; numpy float32 `[C, T]`, full scale 1.0."""

from ncodec.audio.arrays import ArrayReader
from ncodec.audio.kinds import AUDIO_SUFFIXES, ffmpeg_is_here, is_audio_name, needs_ffmpeg
from ncodec.audio.pcm import MAX_CHANNELS, RawFormat, Samples, check_finite, check_format
from ncodec.audio.readers import (
    AudioInfo,
    AudioReader,
    measure_audio,
    open_audio,
    read_audio,
    read_frames,
)
from ncodec.audio.resample import Resampler, mix_channels, resampled_length
from ncodec.audio.tags import Tags, merge_tags
from ncodec.audio.writers import ENCODINGS, AudioWriter, format_of, open_writer

__all__ = [
    "AUDIO_SUFFIXES",
    "ENCODINGS",
    "MAX_CHANNELS",
    "ArrayReader",
    "AudioInfo",
    "AudioReader",
    "AudioWriter",
    "RawFormat",
    "Resampler",
    "Samples",
    "Tags",
    "check_finite",
    "check_format",
    "ffmpeg_is_here",
    "format_of",
    "is_audio_name",
    "measure_audio",
    "merge_tags",
    "mix_channels",
    "needs_ffmpeg",
    "open_audio",
    "open_writer",
    "read_audio",
    "read_frames",
    "resampled_length",
]
