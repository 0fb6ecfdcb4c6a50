"""The worked example of SPEC.md is what the code writes and reads."""

import io
import re
from pathlib import Path

import numpy as np

from ncodec_formats import EcdcReader
from ncodec_formats.entropy import LayerTables, Predicted, Tables
from ncodec_formats.entropy.toy import octave_weights
from tests.formats import plain_predictor
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


def predicted_example() -> tuple[Tables, list[list[int]], list[str]]:
    """The tables, codes and lines of the example of predicted layers."""
    lines = SPEC.read_text().split("### 11.6")[1].split("```")[1].strip().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("k t"))
    found: dict[str, list[list[np.ndarray]]] = {}
    name = ""
    for line in lines[1:begin]:
        name = line[:12].strip() or name
        for value in re.split(r"(?:^|\s+)\d: ", line[12:])[1:]:
            parts = [
                np.array([list(map(int, row.split())) for row in part.split("|")])
                for part in value.split(";")
            ]
            found.setdefault(name, []).append(parts)

    def of(name: str, k: int) -> list[np.ndarray]:
        matrix, *bias = found[name][k]
        return [matrix.astype(np.int8), *(row[0].astype(np.int32) for row in bias)]

    layers = tuple(
        LayerTables(found["places"][k][0][0], *of("inputs", k), *of("blocks", k), *of("entries", k))
        for k in range(2)
    )
    embeddings = tuple(of("embeddings", k)[0] for k in range(2))
    tables = Tables(1, 1, 1, octave_weights(), embeddings, layers)
    assert f"name         {tables.hash.hex()}" in lines
    codes = [found["codes"][k][0][0].tolist() for k in range(2)]
    return tables, codes, lines[begin:]


def test_the_example_of_predicted_layers():
    tables, codes, lines = predicted_example()
    assert plain_predictor.example(tables, codes) == [line.rstrip() for line in lines]
    packet = np.array(codes, np.uint16)[None, :, None]
    ((first, second),) = Predicted(tables).encode(packet, range(2), (4, 4))
    for layer in (first, second):
        assert f"  ends as {layer.hex(' ')}" in lines
    found = np.zeros_like(packet)
    Predicted(tables).decode([[first, second]], found, range(2), (4, 4))
    assert np.array_equal(found, packet)


def test_the_weights():
    weights = octave_weights()
    assert weights[:4].tolist() == [65536, 62757, 60097, 57549]
    assert int(weights.sum()) == 1545754
    assert weights[-3:].tolist() == [1, 1, 1]
