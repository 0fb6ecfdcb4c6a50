"""The worked example of SPEC.md is what the code writes and reads."""

import io
import re
from pathlib import Path

import numpy as np

from ncodec_formats import EcdcReader
from tests.formats.files import make_header, write

SPEC = Path(__file__).resolve().parents[2] / "formats" / "SPEC.md"


def example() -> bytes:
    block = SPEC.read_text().split("## 8.")[1].split("```")[1]
    lines = (re.match(r"(?:[0-9a-f]{2} ?)*", line) for line in block.splitlines())
    return bytes.fromhex("".join(line[0] for line in lines if line))


def test_the_example_is_what_is_written():
    header = make_header(
        model="toy",
        sample_rate=8000,
        hop=100,
        codebook_sizes=(16, 16),
        packet_frames=4,
        preroll_frames=2,
        block_frames=4,
        source_rate=8000,
        tags=(("TITLE", "Hi"),),
    )
    codes = [np.array([[[1, 2, 3, 4]], [[15, 0, 0, 9]]]), np.array([[[5, 6]]])]
    assert write(header, codes, 567) == example()
    assert [p.codes.tolist() for p in EcdcReader(io.BytesIO(example()))] == [
        c.tolist() for c in codes
    ]
