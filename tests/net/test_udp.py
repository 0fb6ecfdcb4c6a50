"""Real sockets on this machine: addresses, who is listened to, a whole call between files."""

import io
import socket
import time
from contextlib import closing

import numpy as np
import pytest
import soundfile

from ncodec.audio import open_audio, open_writer
from ncodec.errors import ArgumentError, NcodecError
from ncodec.net.bad_line import Conditions
from ncodec.net.call import Call
from ncodec.net.control import Hello, put_message
from ncodec.net.session import CallSession, Ends
from ncodec.net.talker import Talker
from ncodec.net.udp import Udp, parse_address
from tests.net.files import talk


@pytest.mark.parametrize(
    ("text", "found"),
    [("a.b:40", ("a.b", 40)), ("[::1]:9", ("::1", 9)), ("127.0.0.1:65535", ("127.0.0.1", 65535))],
)
def test_addresses(text, found):
    assert parse_address(text) == found
    assert parse_address("4000", host="") == ("", 4000)


@pytest.mark.parametrize(
    "text", ["4000", "a", "a:", ":4", "a:0", "a:65536", "::1:4", "a:4x", "a:٣"]
)
def test_addresses_that_are_none(text):
    with pytest.raises(ArgumentError, match="must be"):
        parse_address(text)


def until(what, patience=60):
    """Wait for something that must come; how long it takes is not the test's business."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def listening():
    transport = Udp(("127.0.0.1", free_port()), listen=True)
    transport.start()
    yield transport
    transport.close()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def test_who_listens_takes_the_first_that_says_hello(listening, model):
    came = []
    listening.receive = lambda data, at: came.append((data, at))
    hello = put_message(1, Hello.of(Talker(model).header))
    place = ("127.0.0.1", listening.port)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        one.sendto(b"nobody", place)
        one.sendto(hello, place)
        until(lambda: came)
        other.sendto(hello, place)
        one.sendto(b"later", place)
        until(lambda: len(came) > 1)
        assert [data for data, _ in came] == [hello, b"later"]
        assert 0 <= time.monotonic() - came[0][1] < 60
        listening.send(b"back")
        one.settimeout(60)
        assert one.recv(100) == b"back"


def test_a_port_that_is_taken_and_a_host_that_is_none_are_told(listening):
    with pytest.raises(ArgumentError, match=f"port {listening.port}"):
        Udp(("127.0.0.1", listening.port), listen=True)
    with pytest.raises(ArgumentError, match=r"no\.such\.host\.invalid"):
        Udp(("no.such.host.invalid", 4000))


def test_that_nobody_listens_is_told_soon(tmp_path, model, monkeypatch):
    monkeypatch.setattr("ncodec.net.session.REFUSED_SECONDS", 0.0)
    soundfile.write(tmp_path / "a.wav", np.zeros(2400), 24000)
    transport = Udp(("127.0.0.1", free_port()))
    with closing(transport), closing(open_audio(tmp_path / "a.wav")) as source:
        transport.start()
        call = Call(model, transport.send)
        sink = open_writer(io.BytesIO(), container="wav", sample_rate=24000, channels=1)
        session = CallSession(call, transport, Ends(source, sink))
        session.check_answer()
        assert not transport.refused
        call.work(0.0)
        until(lambda: transport.refused)
        with pytest.raises(NcodecError, match="nobody listens there"):
            session.check_answer()


def test_two_ends_talk_from_files_to_files(tmp_path, model):
    """Both directions, a simulated line, to the end: each hears as long as the other speaks."""
    place = "127.0.0.1", free_port()
    conditions = Conditions(loss=0.05, jitter=0.01, seed=1)
    ends = Udp(place, listen=True), Udp(place, conditions=conditions)
    for each in ends:
        each.start()
    talk(tmp_path, model, *ends)
