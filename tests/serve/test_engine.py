"""Streams that share steps: each gives what it would give alone, whoever comes, pauses and goes."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ncodec
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec.errors import ArgumentError, ModelMismatchError
from ncodec.models.base import CompressionModel
from ncodec.serve.engine import BatchEngine
from ncodec_formats import Loss, Packet
from tests.models.test_wrong_calls import FAMILIES

SPEECH = Path(__file__).parent.parent / "data" / "speech.flac"
TOGETHER = ("spectral", "encodec", "dac", "mimi")


def models() -> dict[str, CompressionModel]:
    torch.manual_seed(0)
    return {family: FAMILIES[family]().eval() for family in TOGETHER}


MODELS = models()


class Client:
    """One stream through an engine, both ways, and the same alone."""

    def __init__(self, engine: BatchEngine, seed: int) -> None:
        model, random = engine.model, np.random.default_rng(seed)
        self.channels = int(random.integers(1, 3)) * model.channels
        self.options = {
            "sample_rate": model.sample_rate,
            "channels": self.channels,
            "codebooks": int(random.integers(1, model.total_codebooks + 1)),
            "packet_frames": int(random.integers(1, 4)),
        }
        length = int(random.integers(1, 60 * model.hop))
        self.audio = 0.1 * random.standard_normal((self.channels, length)).astype(np.float32)
        self.at = 0
        self.encoder = engine.encoder(**self.options)
        self.decoder = engine.decoder(self.encoder.header)
        self.packets: list[Packet] = []
        self.heard: list[np.ndarray] = []

    @property
    def over(self) -> bool:
        return self.at >= self.audio.shape[1]

    def push(self, count: int) -> None:
        begin, self.at = self.at, self.at + count
        self.hear(self.encoder.push(self.audio[:, begin : self.at]))
        self.collect()

    def hear(self, packets: list[Packet]) -> None:
        self.packets += packets
        self.heard += [self.decoder.push(packet) for packet in packets]

    def collect(self) -> None:
        self.hear(self.encoder.ready())
        self.heard.append(self.decoder.ready())

    def finish(self) -> None:
        self.hear(self.encoder.finish())
        self.heard.append(self.decoder.finish(self.audio.shape[1]))

    def check(self, model: CompressionModel) -> None:
        """Compare all with this stream alone."""
        alone = StreamEncoder(model, **self.options)
        packets = alone.push(self.audio) + alone.finish()
        assert [p.sequence for p in self.packets] == list(range(len(packets)))
        for mine, other in zip(self.packets, packets, strict=True):
            assert np.array_equal(mine.codes, other.codes)
        decoder = StreamDecoder(model, alone.header, gapless=False)
        want = np.concatenate(list(decoder.blocks(packets, self.audio.shape[1])), axis=1)
        heard = np.concatenate(self.heard, axis=1)
        assert heard.shape == want.shape
        assert np.abs(heard - want).max() < 1e-5


@pytest.mark.parametrize("family", TOGETHER)
@given(seed=st.integers(0, 9999))
@settings(max_examples=5, deadline=None)
def test_who_comes_and_goes_disturbs_nobody(family: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    engine = BatchEngine(MODELS[family], most_frames=3, most_signals=5)
    clients: list[Client] = []
    left: list[Client] = []
    while len(left) < 5:
        if len(clients) + len(left) < 5 and random.integers(2):
            clients.append(Client(engine, seed + len(clients) + len(left)))
        for client in list(clients):
            client.push(int(random.integers(13)) * engine.model.hop // 2)
            if client.over:
                clients.remove(client)
                left.append(client)
                if random.integers(5):
                    client.finish()
                else:  # hangs up in the middle of a word
                    client.heard.clear()
        if random.integers(2):
            engine.step()
    for client in left:
        if client.heard:
            client.check(engine.model)


def test_a_step_takes_all_that_wait() -> None:
    model = MODELS["spectral"]
    engine = BatchEngine(model)
    streams = [
        engine.encoder(sample_rate=4000, channels=1, packet_frames=1, codebooks=1 + i % 3)
        for i in range(9)
    ]
    frame = np.full((1, model.hop), 0.1, np.float32)
    for number, stream in enumerate(streams):
        stream.push(np.repeat(frame, 1 + number % 2, axis=1))
    assert engine.waiting == 5 * 1 + 4 * 2
    assert engine.step() == 9
    assert engine.step() == engine.waiting + 4 == 4
    assert engine.step() == engine.run() == 0
    packets = [stream.ready() for stream in streams]
    assert [len(p) for p in packets] == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert [len(p[0].codes) for p in packets] == [1, 2, 3] * 3
    assert streams[0].ready() == []


def test_a_long_block_lets_others_through() -> None:
    model = MODELS["spectral"]
    engine = BatchEngine(model, most_frames=4)
    long = engine.encoder(sample_rate=4000, channels=1, packet_frames=50)
    long.push(np.zeros((1, 50 * model.hop), np.float32))
    assert engine.step() == 4
    short = engine.encoder(sample_rate=4000, channels=1, packet_frames=1)
    short.push(np.zeros((1, model.hop), np.float32))
    assert engine.step() == 2  # one frame each
    assert len(short.ready()) == 1
    assert long.ready() == []
    engine.run()
    assert len(long.ready()) == 1


def test_streams_that_are_let_go_leave_nothing() -> None:
    engine = BatchEngine(MODELS["spectral"])
    streams = [engine.encoder(sample_rate=4000, channels=1, packet_frames=1) for _ in range(8)]
    frame = np.zeros((1, engine.model.hop), np.float32)
    for stream in streams:
        stream.push(frame)
    engine.run()
    batch = weakref.ref(streams[0]._passage.cohort)
    assert batch().signals == 8
    kept = streams[0]
    del streams, stream
    gc.collect()
    kept.push(frame)
    engine.run()
    assert batch() is None
    assert kept._passage.cohort.signals == 1


def test_what_stays_behind_does_not_hold_all_others() -> None:
    engine = BatchEngine(MODELS["spectral"])
    streams = [engine.encoder(sample_rate=4000, channels=1, packet_frames=1) for _ in range(8)]
    frame = np.zeros((1, engine.model.hop), np.float32)
    for part in (streams, streams[1:]):
        for stream in part:
            stream.push(frame)
        engine.run()
    assert [stream._passage.cohort.signals for stream in streams] == [1] + [7] * 7


@pytest.mark.parametrize("gapless", [False, True])
def test_losses_are_bridged_as_alone(gapless: bool) -> None:
    model = MODELS["spectral"]
    options = {"sample_rate": 4000, "channels": 1, "packet_frames": 1}
    encoder = StreamEncoder(model, **options)
    random = np.random.default_rng(0)
    sound = 0.1 * random.standard_normal((1, 40 * model.hop)).astype(np.float32)
    items: list[Packet | Loss] = list(encoder.push(sound))
    for number in (3, 10, 11, 12, 30):
        items[number] = Loss(number, 1, "lost")
    engine = BatchEngine(model)
    alone = StreamDecoder(model, encoder.header, gapless=gapless)
    company = engine.decoder(encoder.header, gapless=gapless)
    others = [engine.decoder(encoder.header) for _ in range(3)]
    want, heard = list[np.ndarray](), list[np.ndarray]()
    for item in items:
        want.append(alone.push(item))
        for other in others:
            other.push(item)
        heard.append(company.push(item))
        engine.run()
        heard.append(company.ready())
    want.append(alone.finish(sound.shape[1]))
    heard.append(company.finish(sound.shape[1]))
    difference = np.concatenate(heard, axis=1) - np.concatenate(want, axis=1)
    assert np.abs(difference).max() < 1e-5


def test_a_snapshot_goes_on_by_itself() -> None:
    model = MODELS["encodec"]
    engine = BatchEngine(model)
    first = engine.encoder(sample_rate=model.sample_rate, channels=1, packet_frames=2)
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 60 * model.hop)).astype(np.float32)
    packets = first.push(sound[:, : 31 * model.hop])
    second = first.snapshot()
    both = [packets + s.push(sound[:, 31 * model.hop :]) + s.finish() for s in (first, second)]
    alone = StreamEncoder(model, sample_rate=model.sample_rate, channels=1, packet_frames=2)
    want = alone.push(sound) + alone.finish()
    for got in both:
        assert len(got) == len(want)
        assert all(np.array_equal(a.codes, b.codes) for a, b in zip(got, want, strict=True))


def test_layers_are_dropped_before_streams() -> None:
    model = MODELS["spectral"]
    engine = BatchEngine(model)
    options = {"sample_rate": 4000, "channels": 1, "packet_frames": 2, "codebooks": 3}
    stream, alone = engine.encoder(**options), StreamEncoder(model, **options)
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 9 * model.hop)).astype(np.float32)
    got = list[Packet]()
    for count, piece in zip((3, 1, 9), np.split(sound, [4 * 16, 8 * 16], axis=1), strict=True):
        engine.most_codebooks = count
        got += stream.push(piece)
        engine.run()
        got += stream.ready()
    got += stream.finish()
    want = alone.push(sound) + alone.finish()
    assert [len(p.codes) for p in got] == [3, 3, 1, 1, 3]
    for mine, other in zip(got, want, strict=True):
        assert np.array_equal(mine.codes, other.codes[: len(mine.codes)])
        Packet.from_bytes(mine.to_bytes(stream.header), stream.header)
    assert engine.most_codebooks == 3
    with pytest.raises(ArgumentError, match="most_codebooks 0"):
        engine.most_codebooks = 0


def test_what_cannot_share_is_refused() -> None:
    with pytest.raises(ArgumentError, match="codes segments"):
        BatchEngine(FAMILIES["encodec segments"]().eval())
    with pytest.raises(ArgumentError, match="model"):
        BatchEngine("spectral")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="most_frames 0"):
        BatchEngine(MODELS["spectral"], most_frames=0)
    searching = FAMILIES["spectral"]().eval()
    searching.set_beam(2)
    with pytest.raises(ArgumentError, match="beam 2"):
        BatchEngine(searching)
    engine = BatchEngine(MODELS["spectral"])
    with pytest.raises(ArgumentError, match="effort 'good'"):
        engine.encoder(sample_rate=4000, channels=1, effort="good")
    header = BatchEngine(MODELS["dac"]).encoder(sample_rate=4000, channels=1).header
    for begin in (engine.encoder, engine.decoder):
        with pytest.raises(ModelMismatchError, match="made with model dac"):
            begin(header)
    own = engine.encoder(sample_rate=4000, channels=1).header
    with pytest.raises(ArgumentError, match="codebooks: the header says it"):
        engine.encoder(own, codebooks=2)
    with pytest.raises(ArgumentError, match="sample rate"):
        engine.encoder(channels=1)


def speech_at(shift: int) -> np.ndarray:
    """Return 5 s of speech at 24 kHz, `[T]`, begun somewhere else."""
    speech, rate = soundfile.read(SPEECH, 5 * 24000, dtype="float32")
    assert (rate, speech.shape) == (24000, (5 * rate,))
    return np.roll(speech, -shift)


def near_tie(model: CompressionModel, latent: torch.Tensor, a: np.ndarray, b: np.ndarray) -> bool:
    """Say whether the first codes that differ in a frame are equally near to the latent."""
    layer = int(np.flatnonzero(a != b)[0])
    distances = []
    for codes in (a, b):
        chosen = torch.from_numpy(codes[: layer + 1].astype(np.int64))[None, :, None]
        distances.append(float((latent - model.decode_latent(chosen)[0, :, 0]).square().sum()))
    return abs(distances[0] - distances[1]) < 1e-5 * sum(distances)


def test_the_embedded_model_gives_each_its_own_codes() -> None:
    model = ncodec.load_model()
    rate = 24000
    engine = BatchEngine(model)
    options = {"sample_rate": rate, "channels": 1, "codebooks": 8, "packet_frames": 1}
    shifts = [0, 1000, 7777, 20000, 33333, 50000]
    sounds = [speech_at(shift)[None, : 2 * rate] for shift in shifts]
    streams = [engine.encoder(**options) for _ in sounds]
    got: list[list[Packet]] = [[] for _ in sounds]
    for tick in range(2 * rate // 480):
        for number, (stream, sound) in enumerate(zip(streams, sounds, strict=True)):
            if tick >= 5 * number:  # each begins later than the one before
                at = 480 * (tick - 5 * number)
                stream.push(sound[:, at : at + 480])
        engine.run()
        for stream, packets in zip(streams, got, strict=True):
            packets += stream.ready()
    with torch.inference_mode():
        for packets, sound in zip(got, sounds, strict=True):
            codes = np.concatenate([packet.codes[:, 0] for packet in packets], axis=1)
            audio = torch.from_numpy(sound[None, :, : codes.shape[1] * model.hop].copy())
            want = model.encode(audio)[0][0, :8].numpy()
            latents = model.to_latent(audio)[0].T
            differ = np.flatnonzero((codes != want).any(0))
            assert len(differ) <= 2
            assert all(near_tie(model, latents[f], codes[:, f], want[:, f]) for f in differ)
