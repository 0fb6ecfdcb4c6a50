"""What benchmarks and training report, on numpy signals `[T]` or `[C, T]`: one idea a file."""

from ncodec.metrics.perceptual import (
    MissingExtraError,
    pesq_wb,
    stoi,
    visqol_audio,
    visqol_speech,
)

__all__ = ["MissingExtraError", "pesq_wb", "stoi", "visqol_audio", "visqol_speech"]
