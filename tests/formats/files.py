"""Small ECDC files for the tests, and strategies that draw them."""

import io
from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st

from ncodec_formats import EcdcReader, EcdcWriter, Header, Loss, Packet
from ncodec_formats.entropy import CODINGS
from ncodec_formats.wire import get_varint, put_varint


class Pipe:
    """Bytes that come in pieces of at most `piece` bytes and can't seek."""

    def __init__(self, data: bytes, piece: int = 7) -> None:
        self._file = io.BytesIO(data)
        self._piece = piece

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._piece))

    def seekable(self) -> bool:
        return False


class Sink:
    """A file that can only be written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    @property
    def data(self) -> bytes:
        return b"".join(self._pieces)

    def write(self, data: bytes) -> int:
        self._pieces.append(data)
        return len(data)


class Varints:
    """A toy layer coding: differences from the layer below, as variable-length integers."""

    kind = 5

    def of(self, header):
        return self

    def size(self, frames, streams, codebook_size):
        return None

    def is_sound(self, data, frames, streams, codebook_size):
        try:
            self.steps(data, frames * streams, codebook_size)
        except ValueError:
            return False
        return True

    def encode(self, codes, layers, sizes):
        return [
            [self.encode_layer(packet[k], packet[:k], sizes[k]) for k in layers] for packet in codes
        ]

    def encode_layer(self, codes, below, codebook_size):
        lower = below[-1] if len(below) else np.zeros_like(codes)
        steps = (codes.astype(int) - lower) % codebook_size
        return b"".join(map(put_varint, steps.reshape(-1).tolist()))

    def steps(self, data, count, codebook_size):
        steps, pos = [], 0
        try:
            for _ in range(count):
                step, pos = get_varint(data, pos, codebook_size - 1)
                steps.append(step)
        except IndexError as error:
            raise ValueError("cut short") from error
        if pos != len(data):
            raise ValueError("too long")
        return np.array(steps)

    def decode(self, data, codes, layers, sizes):
        _, _, streams, frames = codes.shape
        for packet, its in zip(codes, data, strict=True):
            for k, layer in zip(layers, its, strict=True):
                steps = self.steps(layer, streams * frames, sizes[k]).reshape(streams, frames)
                packet[k] = (steps + (packet[k - 1] if k else 0)) % sizes[k]


CODED = {"kinds": (0, 5, 5, 5), "codings": {5: Varints()}}
"""Options of `make` for a file with layers of the toy coding."""


def make_header(**changes) -> Header:
    values = {
        "model": "test",
        "model_hash": bytes(range(32)),
        "sample_rate": 24000,
        "hop": 320,
        "streams": 1,
        "codebook_sizes": (1024,) * 4,
        "packet_frames": 15,
        "preroll_frames": 10,
        "block_frames": 15,
        "source_rate": 48000,
        "source_channels": 1,
        "source_samples": None,
    }
    return Header(**{**values, **changes})


def random_codes(header: Header, packets: int, seed: int = 0) -> list[np.ndarray]:
    """Returns `packets` arrays of codes; layer k is the same however many layers there are."""
    shape = (header.streams, header.packet_frames)
    rows = []
    for layer, size in enumerate(header.codebook_sizes):
        rng = np.random.default_rng([seed, layer])
        rows.append(rng.integers(0, size, (packets, *shape)))
    return list(np.stack(rows, axis=1)) if packets else []


def write(header: Header, codes: Iterable[np.ndarray], samples: int | None = None, **options):
    out = Sink()
    writer = EcdcWriter(out, header, **options)
    frames = 0
    for block in codes:
        writer.write(block, np.full(header.streams, 0.5) if header.segment else None)
        frames += block.shape[2]
    if samples is None:
        samples = frames * header.hop * header.source_rate // header.sample_rate
    writer.finish(samples)
    return out.data


def make(packets: int = 6, *, redundancy=None, seed: int = 0, codings=CODINGS, **changes) -> bytes:
    header = make_header(**changes)
    codes = random_codes(header, packets, seed)
    return write(header, codes, redundancy=redundancy, codings=codings)


def read(data: bytes, **options) -> list[Packet | Loss]:
    return list(EcdcReader(io.BytesIO(data), **options))


def same(found: Packet | Loss, expected: Packet | Loss) -> bool:
    if isinstance(found, Loss) or isinstance(expected, Loss):
        return found == expected
    return (
        (found.sequence, found.first_frame) == (expected.sequence, expected.first_frame)
        and np.array_equal(found.codes, expected.codes)
        and np.array_equal(found.scale, expected.scale)
    )


def apply(operation, *arguments, **options) -> bytes:
    """Returns what an operation on bytes writes."""
    out = io.BytesIO()
    src, *rest = arguments
    operation(io.BytesIO(src), out, *rest, **options)
    return out.getvalue()


texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1)
keys = st.text(st.sampled_from("ABCxyz _09"), min_size=1, max_size=6)


@st.composite
def headers(draw) -> Header:
    size = st.integers(2, 2048) | st.just(1024) | st.just(65536)
    return make_header(
        model=draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)),
        model_hash=draw(st.binary(min_size=32, max_size=32)),
        sample_rate=draw(st.sampled_from([8000, 16000, 24000, 44100, 48000])),
        hop=draw(st.integers(1, 2048)),
        streams=draw(st.integers(1, 8)),
        codebook_sizes=tuple(draw(st.lists(size, min_size=1, max_size=6))),
        packet_frames=draw(st.integers(1, 20)),
        preroll_frames=draw(st.integers(0, 40)),
        postroll_frames=draw(st.integers(0, 4)),
        source_rate=draw(st.sampled_from([8000, 22050, 44100, 96000])),
        source_channels=(channels := draw(st.integers(1, 8))),
        channel_mask=draw(
            st.sampled_from(
                [None, 0, (1 << channels) - 1, 0x3FFFF >> 18 - channels << 18 - channels]
            )
        ),
        source_samples=draw(st.none() | st.integers(0, 2**40)),
        start=draw(st.integers(0, 2**40)),
        first_frame=draw(st.integers(0, 100)),
        end=draw(st.none() | st.integers(0, 2**40)),
        gain_db=draw(st.floats(-100, 100)),
        segment=draw(st.none() | st.just((48000, 47520))),
        tags=tuple(draw(st.lists(st.tuples(keys, texts), max_size=3))),
        extra=draw(st.dictionaries(st.sampled_from(["zz", "yy"]), numbers | texts)),
        peeled=draw(st.booleans()),
    )


@st.composite
def packets_of(draw, header: Header) -> list[Packet]:
    """Packets that fit a header: short ones, ones with few layers, some out of the grid."""
    result = []
    frame, sequence = header.first_frame, header.first_frame // header.packet_frames
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            frame = max(frame, sequence * header.packet_frames)
        layers = draw(st.integers(0, len(header.codebook_sizes)))
        frames = draw(st.integers(1, header.packet_frames))
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        sizes = np.array(header.codebook_sizes[:layers]).reshape(-1, 1, 1)
        codes = rng.integers(0, sizes, (layers, header.streams, frames)).astype(np.uint16)
        scale = None
        if (header.segment and layers) or draw(st.booleans()):
            scale = rng.random(header.streams).astype(np.float32)
        result.append(Packet(sequence, frame, codes, scale))
        frame += frames
        sequence += 1
    return result
