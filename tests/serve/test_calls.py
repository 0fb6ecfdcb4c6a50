"""Streams over WebSockets."""

from __future__ import annotations

import io
import json
import signal
import socket as sockets
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

import ncodec
from ncodec.codec import StreamDecoder, StreamEncoder
from ncodec_formats import EcdcReader, Packet
from tests.serve.running import Running, collect, running
from tests.serve.test_engine import speech_at

pytest.importorskip("fastapi", reason="needs FastAPI, uvicorn and websockets, the extra `serve`")

ENCODE = {"direction": "encode", "sample_rate": 24000, "channels": 1, "codebooks": 4}
FAST = {"ahead_seconds": 1000.0, "load": 1.1}  # as fast as it goes, whatever else runs here


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(**FAST, streams=12) as server:
        yield server


def pcm(seconds: float, shift: int = 0) -> bytes:
    sound = speech_at(shift)[: round(24000 * seconds)]
    return (sound * 32767).astype("<i2").tobytes()


def encoded(server: Running, sound: bytes, **options: object) -> tuple[bytes, int]:
    with server.socket() as socket:
        socket.send(json.dumps({**ENCODE, **options}))
        for at in range(0, len(sound), 960):
            socket.send(sound[at : at + 960])
        socket.send('{"end": true}')
        data, said = collect(socket)
    assert said[0]["ready"] is True
    assert said[-1]["end"] is True
    return b"".join(data), said[-1]["samples"]


def test_what_comes_is_a_file_of_the_packets_of_the_stream_alone(server: Running) -> None:
    sound = pcm(1.5)
    data, samples = encoded(server, sound, packet_frames=3)
    assert samples == 36000
    reader = EcdcReader(io.BytesIO(data))
    got = list(reader)
    assert reader.end is not None
    assert reader.end.source_samples == samples
    model = ncodec.load_model()
    alone = StreamEncoder(model, sample_rate=24000, channels=1, codebooks=4, packet_frames=3)
    want = alone.push_bytes(sound) + alone.finish()
    assert len(got) == len(want)
    differ = [not np.array_equal(a.codes, b.codes) for a, b in zip(got, want, strict=True)]
    assert sum(differ) <= 1  # a near tie


def test_packets_come_back_as_sound(server: Running) -> None:
    model = ncodec.load_model()
    encoder = StreamEncoder(model, sample_rate=24000, channels=1, codebooks=4, packet_frames=2)
    packets = encoder.push_bytes(pcm(1)) + encoder.finish()
    with server.socket() as socket:
        socket.send(json.dumps({"direction": "decode", "encoding": "f32"}))
        socket.send(encoder.header.to_bytes())
        for number, packet in enumerate(packets):
            if number != 7:  # one is lost and bridged
                socket.send(packet.to_bytes(encoder.header))
        socket.send(json.dumps({"end": True, "samples": 24000}))
        data, said = collect(socket)
    heard = np.frombuffer(b"".join(data), "<f4")
    kept = [packet for packet in packets if packet.sequence != 7]
    decoder = StreamDecoder(model, encoder.header, gapless=False)
    want = np.concatenate(list(decoder.blocks(kept, 24000)), axis=1)[0]
    assert said[-1]["end"] is True
    assert heard.shape == want.shape
    assert np.abs(heard - want).max() < 1e-4


def test_streams_side_by_side_disturb_nobody(server: Running) -> None:
    import threading

    sounds = [pcm(0.5 + 0.1 * i, 3000 * i) for i in range(5)]
    alone = [encoded(server, sound)[0] for sound in sounds]
    together: list[bytes] = [b""] * len(sounds)

    def call(number: int) -> None:
        together[number] = encoded(server, sounds[number])[0]

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(sounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        packets = [list(EcdcReader(io.BytesIO(data))) for data in (one, other)]
        assert len(packets[0]) == len(packets[1]) > 30
        same = [np.array_equal(a.codes, b.codes) for a, b in zip(*packets, strict=True)]
        assert sum(same) >= len(same) - 1


@pytest.mark.parametrize(
    ("messages", "code", "said"),
    [
        (["no json"], 1008, "the first message must be"),
        ([b"bytes"], 1008, "the first message must be"),
        (['{"direction": "both"}'], 1008, "the first message must be"),
        (['{"direction": "encode", "sample_rate": 24000}'], 1008, "channels"),
        (['{"direction": "encode", "sample_rate": "fast", "channels": 1}'], 1008, "must be int"),
        ([json.dumps({**ENCODE, "bandwidth": 1e9})], 1008, "only one of them"),
        ([json.dumps({**ENCODE, "codebooks": 99})], 1008, "codebooks"),
        ([json.dumps({**ENCODE, "channels": 10**9})], 1008, "channels"),
        ([json.dumps({**ENCODE, "path": "/etc"})], 1008, "path: must be one of"),
        ([json.dumps({**ENCODE, "model": "/etc/passwd"})], 1008, "this server has ncodec_24khz"),
        ([json.dumps({**ENCODE, "encoding": "mp3"})], 1008, "encoding"),
        ([json.dumps(ENCODE), "not the end"], 1008, "a text message must be"),
        ([json.dumps({**ENCODE, "encoding": "f32"}), b"\0\0\xc0\x7f" * 400], 1007, "sample"),
        (['{"direction": "decode"}', "text"], 1008, "must be the header"),
        (['{"direction": "decode"}', b"no header"], 1008, "ECDC"),
        ([json.dumps(ENCODE), b"x" * 70000], 1009, None),
    ],
)
def test_wrong_messages_end_the_stream_in_a_line(
    server: Running, messages: list[str | bytes], code: int, said: str | None
) -> None:
    with server.socket() as socket:
        for message in messages:
            socket.send(message)
        _, texts = collect(socket)
        assert socket.close_code == code
    if said is not None:
        assert said in texts[-1]["error"]


def test_bad_packets_end_the_stream_in_a_line(server: Running) -> None:
    encoder = StreamEncoder(ncodec.load_model(), sample_rate=24000, channels=1, packet_frames=1)
    (packet,) = encoder.push(np.zeros((1, 320), np.float32))
    far = Packet(10**6, 10**6, packet.codes).to_bytes(encoder.header)
    for data, said in ((b"\xec\xdc\0garbage", ""), (b"garbage", ""), (far, "after the last one")):
        with server.socket() as socket:
            socket.send('{"direction": "decode"}')
            socket.send(encoder.header.to_bytes())
            socket.send(data)
            _, texts = collect(socket)
            assert socket.close_code == 1007
        assert said in texts[-1]["error"]


def test_who_hangs_up_is_forgotten_and_too_many_are_not_let_in(server: Running) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            open_ones = [stack.enter_context(server.socket()) for _ in range(12)]
            for socket in open_ones:
                socket.send(json.dumps(ENCODE))
                assert json.loads(socket.recv())["ready"]
            with server.socket() as thirteenth:
                _, said = collect(thirteenth)
                assert thirteenth.close_code == 1013
            assert "12 streams run already" in said[0]["error"]
            for socket in open_ones:
                socket.send(pcm(0.1))
                socket.socket.shutdown(sockets.SHUT_RDWR)  # without a word
        with server.client() as client:
            while "ncodec_streams 0" not in client.get("/metrics").text:
                pass


def test_who_is_silent_and_who_never_reads_is_let_go() -> None:
    with running(**FAST, idle_seconds=6.0, behind_seconds=1.0) as server:
        with server.socket() as socket:
            _, said = collect(socket)
            assert socket.close_code == 1008
            assert said == [{"error": "no message for 6 s"}]
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        encoder = StreamEncoder(ncodec.load_model(), sample_rate=24000, channels=1, codebooks=1)
        packets = encoder.push(np.zeros((1, 24000 * 30), np.float32))
        with server.socket(sock=raw, max_queue=1, ping_interval=None) as socket:
            socket.send('{"direction": "decode", "encoding": "f32", "sample_rate": 48000}')
            socket.send(encoder.header.to_bytes())
            for packet in packets:  # 30 s: 5.8 MB of samples
                socket.send(packet.to_bytes(encoder.header))
            with server.client() as client:
                while "ncodec_streams 0" not in client.get("/metrics").text:
                    pass
            data, _ = collect(socket)
        assert 0 < sum(map(len, data)) < 2_000_000
        assert encoded(server, pcm(0.2))[1] == 4800


def test_a_server_that_stops_lets_streams_end_whole() -> None:
    with running(**FAST, token_streams=1) as server, server.socket() as socket:
        socket.send(json.dumps(ENCODE))
        socket.send(pcm(0.3))
        with server.socket() as second:
            _, said = collect(second)
            assert second.close_code == 1013
        assert said == [{"error": "1 streams of this token run already"}]
        first = [socket.recv() for _ in range(6)]
        server.process.send_signal(signal.SIGTERM)
        data, said = collect(socket)
        assert socket.close_code == 1001
        assert server.process.wait(60) == 0
    assert {"end": True, "samples": 7200} in said
    file = b"".join([part for part in first if isinstance(part, bytes)] + data)
    reader = EcdcReader(io.BytesIO(file))
    assert sum(packet.frames for packet in reader) == 23
    assert reader.end is not None
