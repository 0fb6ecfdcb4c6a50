"""Servers that help ends to meet: addresses, and files as browsers have them."""

import json

import pytest

from ncodec.errors import ArgumentError, BadFileError
from ncodec.net.ice import IceServer, read_servers

TURN = {"urls": "turn:relay.example:3478?transport=udp", "username": "me", "credential": "secret"}


def test_servers_are_read_as_browsers_have_them(tmp_path):
    path = tmp_path / "ice.json"
    many = {"urls": ["turn:a", "turns:a:443?transport=tcp"], "username": "me", "credential": "pw"}
    for said in ([TURN, many, {"urls": ["stun:b:19302"]}], {"iceServers": [TURN]}, TURN):
        path.write_text(json.dumps(said))
        found = read_servers(path)
        assert found[0] == IceServer((TURN["urls"],), "me", "secret")
        assert "secret" not in repr(found)
    path.write_text(json.dumps([TURN, many, {"urls": ["stun:b:19302"]}]))
    assert [each.relays for each in read_servers(path)] == [True, True, False]


@pytest.mark.parametrize(
    "url",
    ["", "stun:", "stuns:b", "https://example.org", "example.org:3478", "turn:a:0", "turn:a:65536",
     "turn:a:b", "turn:a?transport=sctp", "turn://a", "turn:me:secret@a", "stun:a b"],
)  # fmt: skip
def test_addresses_that_are_none(url):
    with pytest.raises(ArgumentError, match="must be stun:HOST, turn:HOST or turns:HOST"):
        IceServer((url,), "me", "secret")


@pytest.mark.parametrize("url", ["stun:a?transport=udp", "turns:a?transport=udp"])
def test_transports_that_a_kind_does_not_have(url):
    with pytest.raises(ArgumentError, match="has no transport udp"):
        IceServer((url,), "me", "secret")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("[]", "must be JSON"),
        ('{"iceServers": []}', "must be JSON"),
        ('{"urls": []}', '"urls"'),
        ("[5]", '"urls"'),
        ('[{"url": "stun:a"}]', '"urls"'),
        ('[{"urls": [5]}]', '"urls"'),
        ('[{"urls": "turn:a"}]', "'turn:a': needs a username and a credential"),
        ('[{"urls": "turn:a", "username": "me"}]', "needs a username and a credential"),
        ('[{"urls": "turn:a", "username": 5, "credential": "x"}]', "its username must be text"),
        ('[{"urls": "tern:a"}]', "'tern:a': must be"),
    ],
)
def test_files_that_are_none_are_refused_in_a_line(tmp_path, said, why):
    path = tmp_path / "ice.json"
    path.write_text(said)
    with pytest.raises(BadFileError, match=why) as raised:
        read_servers(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
