"""The conformance kit, the Kaitai description and the file(1) entry."""

import hashlib
import importlib.util
import io
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from ncodec_formats import EcdcReader, Packet, repair, verify
from ncodec_formats.entropy import PACKED, range_coder
from ncodec_formats.entropy.packed import unpack
from ncodec_formats.entropy.predictor import Predictor
from ncodec_formats.errors import BadFileError, NcodecError
from ncodec_formats.packets import PacketLayout
from ncodec_formats.selftest import check_vector, kit_codings, selftest
from tests.formats.files import apply, make, read
from tests.formats.kaitai.ecdc import Ecdc
from tests.machine import needs

FORMATS = Path(__file__).resolve().parents[2] / "formats"
VECTORS = FORMATS / "vectors"
KIT = kit_codings()


@pytest.mark.parametrize("result", list(selftest()), ids=lambda result: result.name)
def test_each_file_is_read_as_it_must_be(result):
    assert result.ok, result.text


def test_the_kit_is_what_its_program_makes(monkeypatch):
    monkeypatch.syspath_prepend(str(VECTORS))
    spec = importlib.util.spec_from_file_location("make_vectors", VECTORS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {f"{group}/{name}" for group, files in module.kit().items() for name in files}
    there = {str(path.relative_to(VECTORS)) for path in VECTORS.glob("*/*.ecdc")}
    assert made == there
    for group, files in module.kit().items():
        for name, (data, _) in files.items():
            assert (VECTORS / group / name).read_bytes() == data, name
    assert (VECTORS / "subset" / "toy.tables").read_bytes() == module.TOY.data


def test_the_kit_has_every_turn_of_the_range_coder(monkeypatch):
    """What the codes of the kit are coded from; other implementations have nothing else."""
    seen = Counter()
    carry, frequencies = range_coder._carry, Predictor._frequencies
    units = Predictor.units

    def counted_carry(out, filled, rows):
        seen["carry"] += len(rows)
        seen["carry through FF"] += int((out[rows, filled[rows] - 1] == 255).sum())
        carry(out, filled, rows)

    def counted_frequencies(self, logits):
        steps = np.floor((logits.max(axis=1, keepdims=True) - logits + 64) / 128)
        seen["step beyond 255"] += int((steps > 255).sum())
        found = frequencies(self, logits)
        seen["frequency raised to 1"] += int((found == 1).sum())
        return found

    def counted_units(self, layer, context):
        found = units(self, layer, context)
        seen["context at a bound"] += int((abs(context) == 127).sum())
        seen["unit at 0"] += int((found == 0).sum())
        seen["unit at 127"] += int((found == 127).sum())
        return found

    monkeypatch.setattr(range_coder, "_FEW", 0)
    monkeypatch.setattr(range_coder, "_carry", counted_carry)
    monkeypatch.setattr(Predictor, "_frequencies", counted_frequencies)
    monkeypatch.setattr(Predictor, "units", counted_units)
    for path in VECTORS.glob("*/predicted*.ecdc"):
        if path.parent.name == "faulty" or path.stem == "predicted-elsewhere":
            continue
        reader = EcdcReader(io.BytesIO(path.read_bytes()), codings=KIT)
        layout = PacketLayout(reader.header, KIT)
        for packet in reader:
            head = layout.get_head(layout.put_packet(packet), 0)
            kinds = layout.kinds[: len(head.lengths)]
            for kind, length, size in zip(kinds, head.lengths, (64, 60, 64, 64), strict=False):
                seen["no bytes"] += kind == 1 and length == 0
                seen["packed"] += kind == 1 and length == PACKED.size(
                    packet.frames, reader.header.streams, size
                )
                seen["two bytes of length"] += kind == 1 and length > 127
    assert all(seen.values()), seen
    assert len(seen) == 10, seen


def test_a_wrong_reader_would_be_found_out():
    data = make(2)
    assert "error None where LimitError" in check_vector(data, {"error": "LimitError"})
    assert "not []" in check_vector(data, {"links": []})
    assert "not []" in check_vector(data[:-100], {"error": "DamageError", "damaged": []})


def test_a_kit_that_is_not_there(tmp_path):
    with pytest.raises(BadFileError, match="conformance kit"):
        list(selftest(tmp_path))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*/*.ecdc")), ids=lambda path: path.stem)
def test_verify_agrees_and_repair_mends(path):
    data = path.read_bytes()
    try:
        report = verify(io.BytesIO(data))
    except NcodecError as error:
        with pytest.raises(type(error)):
            apply(repair, data)
        return
    assert report.ok == (path.parent.name != "faulty")
    mended = apply(repair, data)
    assert verify(io.BytesIO(mended)).ok
    assert apply(repair, mended) == mended


def test_the_generated_parser_is_of_this_description():
    source = (FORMATS / "ecdc.ksy").read_text()
    parser = Path(sys.modules[Ecdc.__module__].__file__).read_text()
    assert hashlib.sha256(source.encode()).hexdigest() in parser, "run formats/compile_ksy.js"


KAITAI = [
    *("plain", "one-layer", "two-streams", "segments", "live", "empty", "one-frame", "tags"),
    *("gain", "length-known", "peeled", "redundancy", "64-layers", "8-streams", "1-bit"),
    *("16-bit", "odd-sizes", "fewer-layers", "off-the-grid", "begins-midway", "unknown-packets"),
    *("gap", "many-tags", "fastest", "side-speakers", "no-speakers"),
    *("predicted", "predicted-stereo", "predicted-live", "predicted-wild", "predicted-peeled"),
    *("predicted-below", "predicted-fewer", "predicted-long", "predicted-zeros"),
]


@pytest.mark.parametrize("name", KAITAI)
def test_kaitai_finds_the_same_codes(name):
    [path] = VECTORS.glob(f"*/{name}.ecdc")
    data = path.read_bytes()
    parsed = Ecdc.from_bytes(data)
    found = [packet.body for packet in parsed.packets if packet.type == Ecdc.PacketType.codes]
    packets = [item for item in read(data, codings=KIT) if isinstance(item, Packet)]
    assert len(found) == len(packets)
    for body, packet in zip(found, packets, strict=True):
        streams, frames = parsed.streams, body.frames
        layers = list(chain.from_iterable(run.layers for run in body.runs))
        codes = np.zeros((len(layers), streams, frames), np.uint16)
        predicted = range(min(parsed.predicted, len(layers)))
        coded = [[layers[k].codes for k in predicted]]
        sizes = parsed.runs[1].as_int, 60, 64, 64  # of predicted layers, those of the tables
        if predicted:
            KIT[1].decode(coded, codes[None], predicted, sizes)
        for k in range(len(predicted), len(layers)):
            found_codes = unpack(layers[k].codes, layers[k].bits, streams * frames)
            codes[k] = found_codes.reshape(streams, frames)
        assert body.first_frame == packet.first_frame
        assert np.array_equal(codes, packet.codes)
    assert parsed.tail.len_tail == len(data) - data.rindex(b"\xec\xdc\x01")


@needs("file")
def test_file_knows_it():
    def told(*options: str, name: str = "plain") -> str:
        path = str(VECTORS / "subset" / f"{name}.ecdc")
        command = ["file", "-b", "-m", str(FORMATS / "ecdc.magic"), *options, path]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert told() == "ECDC neural audio codec stream, version 1, model conformance"
    assert told(name="predicted").endswith("model conformance, predicted codes")
    assert told("--mime-type") == "audio/x-ecdc"
