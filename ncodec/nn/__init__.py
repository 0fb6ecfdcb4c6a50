"""Streamable layers: `forward` is `step` from the initial state, then `flush`."""

from ncodec.nn.conv import Conv1d
from ncodec.nn.lstm import LSTM
from ncodec.nn.norm import SegmentNorm
from ncodec.nn.pointwise import ELU, LeakyReLU, Pointwise, Snake, Tanh
from ncodec.nn.transposed import ConvTranspose1d

__all__ = [
    "ELU",
    "LSTM",
    "Conv1d",
    "ConvTranspose1d",
    "LeakyReLU",
    "Pointwise",
    "SegmentNorm",
    "Snake",
    "Tanh",
]
