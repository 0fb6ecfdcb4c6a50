"""Two threads on one file: the same bytes, errors as themselves, no thread left behind."""

import io
import random
import threading
import time

import numpy as np
import pytest
import soundfile
import torch

from ncodec.codec import StreamDecoder, StreamEncoder, compress, decompress
from ncodec.codec.pipeline import BlockThreads, Pipeline
from ncodec.nn import ELU
from ncodec.streaming import TiledSequential
from tests.codec.test_families import FAMILIES
from tests.machine import needs_bf16


@pytest.fixture(autouse=True)
def torch_threads():
    before = torch.get_num_threads()
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("block")]
    torch.set_num_threads(before)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return FAMILIES["encodec_24"]().eval()


def there_and_back(model, threads):
    torch.set_num_threads(threads)
    length = model.sample_rate + 123
    noise = np.random.default_rng(0).normal(0, 0.1, (length, model.channels))
    wav, coded, audio = io.BytesIO(), io.BytesIO(), io.BytesIO()
    soundfile.write(wav, noise, model.sample_rate, format="WAV")
    wav.seek(0)
    packet = None if model.segment else 5
    compress(wav, coded, model=model, codebooks=3, packet_frames=packet)
    coded.seek(0)
    decompress(coded, audio, model=model, encoding="f32")
    assert torch.get_num_threads() == threads
    return coded.getvalue(), audio.getvalue()


@pytest.mark.parametrize("family", FAMILIES)
def test_two_threads_give_the_bytes_of_one(family):
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    assert there_and_back(model, 2) == there_and_back(model, 1)


@needs_bf16
@pytest.mark.parametrize("family", [name for name in FAMILIES if "mimi" not in name])
def test_whole_files_in_bf16(family):
    torch.manual_seed(0)
    model = FAMILIES[family]().eval()
    model.set_precision("bf16")
    assert there_and_back(model, 2) == there_and_back(model, 1)


@pytest.mark.parametrize("way", ["encoder", "decoder"])
def test_blocks_are_worked_on_by_both(model, way):
    names = set()
    net = getattr(model, way)
    step = net.layers[0].step

    def watched(x, state):
        names.add(threading.current_thread().name)
        time.sleep(0.002)
        return step(x, state)

    net.layers[0].step = watched
    there_and_back(model, 2)
    assert len([name for name in names if name.startswith("block")]) == 2


class Slow(ELU):
    """Takes its time, and says which samples it has seen before."""

    def initial_state(self, batch, device=None, dtype=None):
        return 0

    def step(self, x, state):
        time.sleep(random.random() * 0.004)
        return x + state, state + x.shape[2]

    def flush(self, state):
        return torch.full((1, 1, 1), float(state))


def test_a_relay_keeps_the_order_whatever_takes_how_long():
    chain = TiledSequential(*(Slow() for _ in range(6)), tiles=((slice(2), 3), (slice(2, None), 0)))
    blocks = torch.arange(160.0).view(1, 1, 160).split(8, dim=2)
    state, want = chain.initial_state(1), []
    for block in blocks:
        y, state = chain.step(block, state)
        want.append(y)
    want.append(chain.flush(state))

    torch.set_num_threads(2)
    state, got = chain.initial_state(1), []
    with BlockThreads() as threads:
        futures = []
        for block in blocks:
            work, state = chain.later(block, state)
            futures.append(threads.submit(work))
        got = [future.result() for future in futures] + [chain.flush(state)]
    assert torch.equal(torch.cat(got, dim=2), torch.cat(want, dim=2))


@pytest.mark.parametrize("way", ["encoder", "decoder"])
@pytest.mark.parametrize("layer", [0, -1])
def test_an_error_in_a_block_comes_out_as_itself(model, way, layer):
    layer = getattr(model, way).layers[layer]
    step, calls = layer.step, []

    def breaking(x, state):
        calls.append(x)
        if len(calls) == 7:
            raise MemoryError("out of memory in block 7")
        return step(x, state)

    layer.step = breaking
    with pytest.raises(MemoryError, match="in block 7"):
        there_and_back(model, 2)
    assert torch.get_num_threads() == 2


def test_an_interrupt_ends_the_threads(model, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(48000), 24000)
    torch.set_num_threads(2)

    def interrupt(done, total):
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(
            tmp_path / "in.wav",
            tmp_path / "out.ecdc",
            model=model,
            packet_frames=5,
            progress=interrupt,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_few_blocks_are_held(model):
    torch.set_num_threads(2)
    with BlockThreads() as threads:
        pipeline, returned = Pipeline(model, threads), []
        for number in range(20):
            returned += pipeline.add(lambda number=number: time.sleep(0.002) or number)
            assert number + 1 - len(returned) <= 2
        assert returned + pipeline.rest() == list(range(20))


def test_snapshots_of_threaded_streams_lose_nothing(model):
    torch.set_num_threads(2)
    x = np.random.default_rng(0).normal(0, 0.1, (1, 20 * 5 * model.hop)).astype(np.float32)
    options = {"sample_rate": model.sample_rate, "channels": 1, "packet_frames": 5}
    alone = StreamEncoder(model, **options)
    want = alone.push(x) + alone.finish()
    half = x.shape[1] // 2
    with BlockThreads() as threads:
        encoder = StreamEncoder(model, **options, threads=threads)
        before = encoder.push(x[:, :half])
        twin = encoder.snapshot()
        for one in (encoder, twin):
            packets = before + one.push(x[:, half:]) + one.finish()
            assert [p.sequence for p in packets] == [p.sequence for p in want]
            assert all(np.array_equal(p.codes, q.codes) for p, q in zip(packets, want, strict=True))
    decoder = StreamDecoder(model, alone.header)
    whole = np.concatenate([*map(decoder.push, want), decoder.finish(x.shape[1])], axis=1)
    with BlockThreads() as threads:
        decoder = StreamDecoder(model, alone.header, threads=threads)
        first = [decoder.push(packet) for packet in want[:10]]
        twin = decoder.snapshot()
        for one in (decoder, twin):
            rest = [*map(one.push, want[10:]), one.finish(x.shape[1])]
            heard = np.concatenate([*first, *rest], axis=1)
            np.testing.assert_allclose(heard, whole, atol=1e-6)


def test_other_threads_keep_their_torch_threads():
    torch.set_num_threads(4)
    seen = []
    with BlockThreads() as one, BlockThreads() as two:
        assert one.submit(torch.get_num_threads).result() == 2
        assert two.submit(lambda: 1).result() == 1
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        one.__exit__()
    assert seen == [4]
    assert torch.get_num_threads() == 4
