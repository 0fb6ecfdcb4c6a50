"""What benchmarks and training report, on numpy signals `[T]` or `[C, T]`: one idea a file."""

from ncodec.metrics.alignment import align, delay
from ncodec.metrics.cost import peak_memory, real_time
from ncodec.metrics.frechet import frechet_distance
from ncodec.metrics.lines import line_share
from ncodec.metrics.loudness import loudness, loudness_difference
from ncodec.metrics.perceptual import (
    MissingExtraError,
    pesq_wb,
    stoi,
    visqol_audio,
    visqol_speech,
)
from ncodec.metrics.rate import CodebookStatistics, codebook_statistics, real_bitrate
from ncodec.metrics.sdr import si_sdr
from ncodec.metrics.spectral import log_mel_distance, multi_resolution_stft_distance

__all__ = [
    "CodebookStatistics",
    "MissingExtraError",
    "align",
    "codebook_statistics",
    "delay",
    "frechet_distance",
    "line_share",
    "log_mel_distance",
    "loudness",
    "loudness_difference",
    "multi_resolution_stft_distance",
    "peak_memory",
    "pesq_wb",
    "real_bitrate",
    "real_time",
    "si_sdr",
    "stoi",
    "visqol_audio",
    "visqol_speech",
]
