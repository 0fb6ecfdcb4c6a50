"""What benchmarks and training report, on numpy signals `[T]` or `[C, T]`: one idea a file."""

from ncodec.metrics.alignment import align, delay
from ncodec.metrics.cost import Speed, measure_speed, peak_memory
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
    "Speed",
    "align",
    "codebook_statistics",
    "delay",
    "log_mel_distance",
    "loudness",
    "loudness_difference",
    "measure_speed",
    "multi_resolution_stft_distance",
    "peak_memory",
    "pesq_wb",
    "real_bitrate",
    "si_sdr",
    "stoi",
    "visqol_audio",
    "visqol_speech",
]
