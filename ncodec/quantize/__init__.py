"""Quantizers: latents `[B, D, F]` to codes `[B, K, F]` and back."""

from ncodec.quantize.codebook import Codebook
from ncodec.quantize.factorized import FactorizedVQ
from ncodec.quantize.quantized import Quantized, draw_count
from ncodec.quantize.residual import ResidualVQ

__all__ = ["Codebook", "FactorizedVQ", "Quantized", "ResidualVQ", "draw_count"]
