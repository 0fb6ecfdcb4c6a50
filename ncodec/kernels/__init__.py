"""Processor code: what layers compute, in the ways that are fastest on the machine at hand.

`plain` says in PyTorch's own terms what each operation means. `table` lists the other ways, each
tried once before it is used; everything runs without them too, inside `kernels.portable()` or with
NCODEC_PORTABLE=1 in the environment.
"""

from ncodec.kernels.argmax import argmax_rows
from ncodec.kernels.cached import Derived, lasting, parts_of
from ncodec.kernels.convolution import Convolution, convolve_groups
from ncodec.kernels.linear import PackedLinear
from ncodec.kernels.recurrent import LSTMLayers
from ncodec.kernels.spectrum import add_to_start, frames_of, inverse_spectrum, power_spectrum
from ncodec.kernels.switch import exporting, is_exporting, is_portable, portable

__all__ = [
    "Convolution",
    "Derived",
    "LSTMLayers",
    "PackedLinear",
    "add_to_start",
    "argmax_rows",
    "convolve_groups",
    "exporting",
    "frames_of",
    "inverse_spectrum",
    "is_exporting",
    "is_portable",
    "lasting",
    "parts_of",
    "portable",
    "power_spectrum",
]
