"""Streams: the protocol of layers, chains of them, rows of states, and how files overlap."""

from ncodec.streaming.layers import Mean, Residual, Sequential
from ncodec.streaming.overlap import Relay, TiledSequential
from ncodec.streaming.protocol import State, Streamable, join_all, join_time
from ncodec.streaming.rows import phase_of, stack_rows, take_rows
from ncodec.streaming.tree import Leaf, leaves_of, shape_of, tensors_like, tensors_of, with_tensors

__all__ = [
    "Leaf",
    "Mean",
    "Relay",
    "Residual",
    "Sequential",
    "State",
    "Streamable",
    "TiledSequential",
    "join_all",
    "join_time",
    "leaves_of",
    "phase_of",
    "shape_of",
    "stack_rows",
    "take_rows",
    "tensors_like",
    "tensors_of",
    "with_tensors",
]
