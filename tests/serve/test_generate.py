"""`POST /v1/audio/generate`: what the command gives, prompts, and what is refused."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from ncodec import checkpoints
from ncodec_formats import EcdcReader
from tests.lm.small import TAGS, generator, kept
from tests.serve.running import running

pytest.importorskip("fastapi", reason="needs FastAPI, uvicorn and websockets, the extra `serve`")
pytest.importorskip("httpx", reason="needs httpx")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCODEC_CACHE", str(folder / "cache"))
        place = kept(folder, TAGS)
        checkpoints.import_model(folder / "small-codec.safetensors", "small-codec")
        checkpoints.import_model(place)
    served = running(models=("ncodec_24khz", "small"), cache=folder / "cache", audio_seconds=20.0)
    with served as server, server.client() as client:
        yield client


def ask(client: Any, body: bytes = b"", **params: Any) -> Any:
    params = {"model": "small", "seed": 7, "duration": 1.5, **params}
    return client.post("/v1/audio/generate", params=params, content=body)


def test_sound_and_codes_are_those_of_the_library(client: Any) -> None:
    made = generator(TAGS)
    made.set_generation_params(duration=1.5, seed=7)
    expected = made.generate(["rain"])[0].numpy()
    answer = ask(client, text="rain")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    sound, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert rate == 16000
    assert np.abs(sound - expected[0]).max() < 1e-4
    coded = ask(client, text="rain", container="ecdc")
    assert coded.headers["content-type"] == "audio/x-ecdc"
    tags = dict(EcdcReader(io.BytesIO(coded.content)).header.tags)
    assert tags == {"prompt": "rain", "model": "small", "seed": "7", "licence": "MIT"}
    longer = ask(client, coded.content, text="rain", container="ecdc", duration=1)
    assert client.post("/v1/info", content=longer.content).json()["seconds"] == 2.5


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"text": "dragons"}, 400, "dragons"),
        ({"model": "ncodec_24khz"}, 422, "ncodec_24khz"),
        ({"model": "other"}, 400, "this server has"),
        ({"duration": 21}, 413, "more than 20 s"),
        ({"duration": 0}, 422, "duration"),
        ({"temperature": "nan"}, 422, "temperature"),
        ({"words": "rain"}, 400, "no such parameter"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_line(
    client: Any, params: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(client, **params)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_prompt_that_is_no_sound_is_refused(client: Any) -> None:
    assert ask(client, b"not sound at all").status_code == 422
