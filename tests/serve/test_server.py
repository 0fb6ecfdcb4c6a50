"""Files over HTTP, and what a hostile client may try."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import ncodec
from tests.live.virtual_card import ENVIRONMENT, ROOT
from tests.serve.running import TOKEN, Running, collect, running

pytest.importorskip("fastapi", reason="needs FastAPI, uvicorn and websockets, the extra `serve`")
pytest.importorskip("httpx", reason="needs httpx")

SPEECH = (ROOT / "tests/data/speech.flac").read_bytes()
FAULTY = ROOT / "formats/vectors/faulty"
LIMITS = {"body_bytes": 1 << 20, "audio_seconds": 60.0, "piece_seconds": 2.0, "load": 1.1}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(TOKEN, ("https://good.example",), **LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[Any]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("coded") / "speech.ecdc"
    ncodec.compress(io.BytesIO(SPEECH), path, bandwidth=3)
    return path.read_bytes()


def test_an_upload_gives_the_bytes_of_the_command_line(client: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "quiet.wav", tmp_path / "quiet.ecdc"
    sound, rate = soundfile.read(io.BytesIO(SPEECH))
    soundfile.write(source, 0.01 * sound, rate)  # it is read twice, to be lifted
    command = [sys.executable, "-m", "ncodec_cli", "compress", source, target, "--bw", "3"]
    subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True)
    answer = client.post("/v1/audio/compress", params={"bandwidth": 3}, content=source.read_bytes())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/x-ecdc"
    assert answer.content == target.read_bytes()


def test_sound_comes_back(client: Any, coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ecdc").write_bytes(coded)
    ncodec.decompress(tmp_path / "a.ecdc", tmp_path / "a.wav", end=2)
    answer = client.post("/v1/audio/decompress", params={"end": 2}, content=coded)
    assert answer.content == (tmp_path / "a.wav").read_bytes()
    assert answer.headers["content-type"] == "audio/wav"
    flac = client.post("/v1/audio/decompress", params={"container": "flac"}, content=coded)
    assert soundfile.info(io.BytesIO(flac.content)).frames == 132744


def test_codes_come_as_json_and_arrays_of_codes_and_of_audio(client: Any, coded: bytes) -> None:
    said = client.post("/v1/codes", content=coded).json()
    assert said["model"] == "ncodec_24khz"
    codes = np.array(said["codes"])
    assert codes.shape == (1, 4, 415)
    for body, params in ((coded, {}), (SPEECH, {"bandwidth": 3})):
        answer = client.post("/v1/codes", params={"to": "npz", **params}, content=body)
        with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
            assert np.array_equal(arrays["codes"], codes)
    info = client.post("/v1/info", content=coded).json()
    assert (info["format"], info["links"][0]["samples"]) == ("ecdc", 132744)


@pytest.mark.slow
def test_every_faulty_file_is_refused_in_a_line(client: Any) -> None:
    answers = {
        path.name: client.post("/v1/audio/decompress", content=path.read_bytes())
        for path in FAULTY.glob("*.ecdc")
    }
    assert len(answers) > 70
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert {name: s for name, s in statuses.items() if not 400 <= s < 500} == {}
    for answer in answers.values():
        line = answer.json()["error"]
        assert line
        assert "\n" not in line
        assert "/tmp" not in line


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"bandwidth": "loud"}, 422, "bandwidth"),
        ({"bandwidth": 3, "codebooks": 4}, 400, "only one of them"),
        ({"codebooks": 17}, 400, "codebooks"),
        ({"bw": 3}, 400, "'bw': no such parameter; known here: bandwidth, codebooks, model, mono"),
        ({"model": "../../etc/passwd"}, 400, "this server has ncodec_24khz"),
    ],
)
def test_wrong_values_are_refused_in_a_line(
    client: Any, params: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/v1/audio/compress", params=params, content=SPEECH)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_what_is_no_audio_is_refused_in_a_line(client: Any, coded: bytes) -> None:
    for body in (b"", b"garbage", coded, SPEECH[:5000]):
        answer = client.post("/v1/audio/compress", content=body)
        assert answer.status_code == 422, body[:20]
        assert "/tmp" not in answer.json()["error"]
    assert client.post("/v1/nothing").json() == {"error": "Not Found"}
    assert client.get("/v1/info").status_code == 405
    assert client.post("/v1/audio/vocode", params={"model": "hifigan"}).status_code == 400


def test_a_file_of_a_model_that_is_not_on_the_list_is_refused(client: Any) -> None:
    found = list((ROOT / "formats/vectors/uncommon").glob("*.ecdc"))
    said = []
    for path in found:
        answer = client.post("/v1/audio/decompress", content=path.read_bytes())
        assert 400 <= answer.status_code < 500
        said.append(answer.json()["error"])
    assert any("this server has ncodec_24khz" in line for line in said)


def test_no_token_and_wrong_ones(server: Running) -> None:
    import httpx
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url = f"ws{server.url[4:]}/v1/stream"
    wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", b"Bearer \xff\xfe\x00"[:9]]
    for header in (None, *wrong):
        headers = {} if header is None else {"authorization": header}
        for path in ("/v1/models", "/metrics", "/openapi.json", "/docs", "/v1/nothing"):
            answer = httpx.get(server.url + path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "token" in answer.json()["error"]
    with pytest.raises(InvalidStatus, match="403"), connect(url):
        pass
    assert httpx.get(server.url + "/health").json() == {"status": "ready"}
    secret = TOKEN.replace(" ", "")
    with pytest.raises(InvalidStatus), connect(url, subprotocols=[f"ncodec-token.{secret}"]):
        pass


def test_pages_of_other_origins(server: Running, client: Any) -> None:
    from websockets.exceptions import InvalidStatus

    own = f"http://127.0.0.1:{server.port}"
    for origin, status in (
        (own, 200),
        ("https://good.example", 200),
        ("https://bad.example", 403),
        ("null", 403),
        (f"http://rebound.example:{server.port}", 403),
    ):
        headers = {"origin": origin}
        if "rebound" in origin:  # a name that now stands for this machine
            headers["host"] = f"rebound.example:{server.port}"
        assert client.get("/v1/models", headers=headers).status_code == status
    with pytest.raises(InvalidStatus, match="403"), server.socket(origin="https://bad.example"):
        pass
    with server.socket(origin="https://good.example") as good:
        good.send("{}")
        collect(good)
        assert good.close_code == 1008


def raw(server: Running, *parts: bytes, wait: float = 30) -> bytes:
    """Send bytes as they are, and return what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and answer.endswith(b"}"):
                    break
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
    return answer


HEAD = (
    b"POST /v1/info HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    + TOKEN.encode()
    + b"\r\n"
)


def test_bodies_that_are_huge_slow_or_lie(server: Running, client: Any) -> None:
    huge = raw(server, HEAD + b"Content-Length: 99999999999\r\n\r\n")
    assert huge.startswith(b"HTTP/1.1 413")
    assert b"longer than 1048576 bytes" in huge
    said = client.post("/v1/info", content=bytes(2 << 20))
    assert said.status_code == 413
    chunks = client.post("/v1/info", content=(bytes(65536) for _ in range(40)))  # no length
    assert chunks.status_code == 413
    began = time.monotonic()
    slow = raw(server, HEAD + b"Content-Length: 1000\r\n\r\n", b"ECDC")
    assert slow.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began >= 2
    lies = raw(
        server, HEAD + b"Content-Length: 4\r\n\r\n" + b"ECDC" + b"more than was said\r\n\r\n"
    )
    assert b"HTTP/1.1 422" in lies or b"HTTP/1.1 400" in lies
    for line in (b"Content-Length: -4\r\n", b"Content-Length: 4\r\nContent-Length: 5\r\n"):
        assert raw(server, HEAD + line + b"\r\nECDC").startswith(b"HTTP/1.1 400")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nECDC")  # and it goes away
    assert client.get("/health").status_code == 200


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Ten hours of silence as FLAC, whose header says so."""
    path = tmp_path_factory.mktemp("hours") / "hours.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        for _ in range(600):
            file.write(np.zeros(8000 * 60, np.int16))
    return path.read_bytes()


@pytest.mark.slow
def test_ten_hours_in_a_small_file(hours: bytes) -> None:
    unsaid = bytearray(hours)  # STREAMINFO's count of samples: 36 bits, the last of 18 bytes
    unsaid[21] &= 0xF0
    unsaid[22:26] = bytes(4)
    assert len(hours) < 8 << 20
    with running(body_bytes=8 << 20, audio_seconds=30.0) as server, server.client() as client:
        before = server.resident()
        for body in (hours, bytes(unsaid)):
            answer = client.post("/v1/audio/compress", content=body)
            assert answer.status_code == 413
            assert "more than 30 s of sound" in answer.json()["error"]
        assert server.resident() < before + (64 << 20)


@pytest.mark.slow
def test_work_that_takes_too_long_is_ended(hours: bytes) -> None:
    with (
        running(body_bytes=8 << 20, audio_seconds=1e6, job_seconds=4.0, queue=1) as server,
        server.client() as client,
    ):
        answer = client.post("/v1/audio/compress", content=hours)
        assert answer.status_code == 413
        assert "takes more" in answer.json()["error"]
        assert client.post("/v1/info", content=b"").status_code == 422


def test_counts_of_requests_are_told(client: Any) -> None:
    client.get("/v1/a name of a client's making")
    text = client.get("/metrics").text
    assert 'ncodec_requests_total{path="other",status="404"}' in text
    assert "making" not in text
    assert "ncodec_engine_up 1" in text
    models = client.get("/v1/models").json()
    assert models == {"models": [{"name": "ncodec_24khz", "streams": True}]}


@pytest.mark.slow
def test_connections_leave_nothing_behind(server: Running, client: Any) -> None:
    def connect_all(count: int) -> None:
        for number in range(count):
            with server.socket() as one:
                one.send('{"direction": "encode", "sample_rate": 24000, "channels": 1}')
                one.send(bytes(9600))
                if number % 2:
                    one.send('{"end": true}')
                    collect(one)
            assert client.get("/v1/models").status_code == 200

    connect_all(15)
    before = server.resident()
    connect_all(25)
    assert server.resident() - before < 4 << 20


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: Running) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis")
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{server.url}/openapi.json",
        "-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "6", "--seed", "1",
        "--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing",
    ]  # fmt: skip
    # positive_data_acceptance: no schema says which bytes are a FLAC file
    done = subprocess.run(command, capture_output=True, text=True, cwd="/tmp")
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_schema_has_examples(client: Any) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"}
    }
    posts = [path for path, way in schema["paths"].items() if "post" in way]
    assert sorted(posts) == [
        "/v1/audio/compress", "/v1/audio/decompress", "/v1/audio/generate", "/v1/audio/vocode",
        "/v1/codes", "/v1/info",
    ]  # fmt: skip
    for path in posts:
        body = schema["paths"][path]["post"]["requestBody"]
        assert bool(body["content"]["application/octet-stream"]["example"]) == body["required"]
    assert "/v1/stream" in json.dumps(schema)
