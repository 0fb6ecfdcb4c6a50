"""The routes: HTTP for files, a WebSocket for streams. Described by OpenAPI at `/openapi.json`."""

# FastAPI reads annotations when a route is made, also those of names in a function.
import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from ncodec import __version__
from ncodec.errors import ArgumentError, NcodecError
from ncodec.serve.bodies import pieces_of, receive
from ncodec.serve.calls import take_call
from ncodec.serve.gate import Gate
from ncodec.serve.settings import Settings
from ncodec.serve.state import RETRY_SECONDS, Server, status_of
from ncodec.serve.work import Job

CODED = "audio/x-ecdc"
MEDIA = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
    "json": "application/json",
    "npz": "application/octet-stream",
}


def make_app(settings: Settings) -> Any:
    """Return the application, which starts its engine when it is started."""
    from fastapi import FastAPI
    from starlette.routing import WebSocketRoute

    server = Server(settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        server.engine.start()
        warming = asyncio.create_task(server.jobs.warm())
        yield
        await warming
        server.engine.close()

    app = FastAPI(
        title="ncodec",
        version=__version__,
        summary="A neural audio codec: files over HTTP, streams over a WebSocket.",
        description=_ABOUT,
        lifespan=life,
        responses={code: _refusal(text) for code, text in _REFUSALS.items()},
    )
    app.state.server = server
    _answer_errors(app)
    for add in (
        _add_compress, _add_decompress, _add_codes, _add_info, _add_vocode, _add_generate,
        _add_reports,
    ):  # fmt: skip
        add(app, server)
    app.router.routes.append(WebSocketRoute("/v1/stream", partial(take_call, server)))
    paths = frozenset({*app.openapi()["paths"], "/openapi.json", "/docs"})
    app.add_middleware(Gate, settings=settings, books=server.books, paths=paths)
    return app


_ABOUT = """Bodies are the files themselves, not forms. Errors are `{"error": "one line"}`.

`/v1/stream` is a WebSocket. The first message is text: `{"direction": "encode", "sample_rate":
24000, "channels": 1, "encoding": "s16", "bandwidth": 6, "packet_frames": 1}`; the server says
`{"ready": true}`, then sends the header and each packet as a binary message, while the client sends
samples. `{"direction": "decode", "encoding": "s16"}` is followed by the header and the packets;
samples come back. `{"end": true}` ends a stream: the rest comes, then `{"end": true,
"samples": N}`.
A page, which cannot set headers, offers two subprotocols: `ncodec`, and its token as
`ncodec-token.TOKEN`. The server takes the first; browsers end a socket where it takes none."""
_REFUSALS = {
    400: "A value breaks a rule.",
    401: "No token, or none of ours.",
    403: "A page of another origin.",
    408: "The body does not come in time.",
    413: "A limit: bytes, seconds of sound, time or memory.",
    422: "The file is damaged, or is no such file.",
    429: "This token has its share of files or bytes; see Retry-After.",
    503: "Too much to do; see Retry-After.",
}


def _refusal(text: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
        "example": {"error": "model 'other': this server has ncodec_24khz"},
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _body(what: str, example: str, *, required: bool = True) -> dict[str, Any]:
    """Describe a body that is a file."""
    schema = {"type": "string", "format": "binary", "minLength": int(required)}
    content = {"application/octet-stream": {"schema": schema, "example": example}}
    return {
        "requestBody": {"required": required, "description": what, "content": content},
        "security": [{"bearer": []}],
    }


def _file(media: str, what: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": what, "content": {media: {"schema": schema}}}}


def _answer_errors(app: Any) -> None:
    """Say every error in one line, whoever found it."""
    from fastapi import Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, Response
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    async def gone(*_: object) -> Response:
        return Response(status_code=400)  # for the books: nobody hears it

    async def library(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, NcodecError)
        status = status_of(error)
        headers = {"retry-after": str(RETRY_SECONDS)} if status in (429, 503) else None
        return JSONResponse({"error": str(error)}, status, headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        said = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(said)}, 422)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(NcodecError, library)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _refuse_unknown(request: Any) -> None:
    """A wish that nobody reads, such as `bw` for `bandwidth`, is not passed over in silence."""
    known = sorted(field.alias for field in request.scope["route"].dependant.query_params)
    for name in request.query_params:
        if name not in known:
            words = f"known here: {', '.join(known)}" if known else "none is known here"
            raise ArgumentError(f"{name[:40]!r}: no such parameter; {words}")


async def _work(
    server: Server,
    request: Any,
    kind: str,
    options: dict[str, Any],
    *,
    media: str,
    model: str | None = None,
) -> Any:
    """Take a body, have a job done with it, and answer with what that wrote."""
    from fastapi.responses import StreamingResponse

    server.check_open()
    _refuse_unknown(request)
    name = server.settings.model(model)
    given = {key: value for key, value in options.items() if value is not None}
    folder = tempfile.TemporaryDirectory(prefix="ncodec-")
    source, target = Path(folder.name, "upload"), Path(folder.name, "answer")
    try:
        with request.state.account.taking("jobs"):
            with source.open("wb") as file:
                await receive(request, file, server.settings.limits)
            await server.jobs.do(
                Job(kind, str(source), str(target), name, server.settings.models, given)
            )
        size = target.stat().st_size
    except BaseException:
        folder.cleanup()
        raise

    async def answer() -> AsyncIterator[bytes]:
        with folder:
            async for piece in pieces_of(target):
                yield piece

    return StreamingResponse(answer(), media_type=media, headers={"content-length": str(size)})


def _add_compress(app: Any, server: Server) -> None:
    from fastapi import Query, Request
    from fastapi.responses import StreamingResponse

    names = {"enum": list(server.settings.models)}

    @app.post(
        "/v1/audio/compress",
        response_class=StreamingResponse,
        responses=_file(CODED, "The file, byte for byte as `ncodec compress` writes it."),
        openapi_extra=_body("Audio of any kind.", "RIFF...WAVE"),
        summary="Compress audio",
    )
    async def compress(
        request: Request,
        *,
        model: Annotated[str | None, Query(json_schema_extra=names)] = None,
        bandwidth: Annotated[
            float | None, Query(gt=0, le=1000, description="kbps of the codes.", examples=[6])
        ] = None,
        codebooks: Annotated[int | None, Query(ge=1, le=64)] = None,
        mono: Annotated[bool, Query(description="Mix the channels.")] = False,
    ) -> Any:
        options = {"bandwidth": bandwidth, "codebooks": codebooks, "mono": mono}
        return await _work(server, request, "compress", options, media=CODED, model=model)


def _add_decompress(app: Any, server: Server) -> None:
    from fastapi import Query, Request
    from fastapi.responses import StreamingResponse

    @app.post(
        "/v1/audio/decompress",
        response_class=StreamingResponse,
        responses=_file("audio/*", "The sound."),
        openapi_extra=_body("A file of codes.", "ECDC..."),
        summary="Decompress a file of codes",
    )
    async def decompress(
        request: Request,
        *,
        container: Annotated[
            Literal["wav", "flac", "ogg", "opus", "mp3"], Query(description="Kind of audio file.")
        ] = "wav",
        bandwidth: Annotated[float | None, Query(gt=0, le=1000)] = None,
        codebooks: Annotated[int | None, Query(ge=1, le=64)] = None,
        start: Annotated[float | None, Query(ge=0, le=360000, description="Seconds.")] = None,
        end: Annotated[float | None, Query(ge=0, le=360000)] = None,
        sample_rate: Annotated[int | None, Query(ge=100, le=1000000)] = None,
        mono: bool = False,
        keep_going: Annotated[bool, Query(description="Bridge damage.")] = False,
    ) -> Any:
        options = {
            "container": container,
            "bandwidth": bandwidth,
            "codebooks": codebooks,
            "start": start,
            "end": end,
            "sample_rate": sample_rate,
            "mono": mono,
            "keep_going": keep_going,
        }
        return await _work(server, request, "decompress", options, media=MEDIA[container])


def _add_codes(app: Any, server: Server) -> None:
    from fastapi import Query, Request
    from fastapi.responses import StreamingResponse

    names = {"enum": list(server.settings.models)}

    @app.post(
        "/v1/codes",
        response_class=StreamingResponse,
        responses=_CODES,
        openapi_extra=_body("Audio, or a file of codes.", "RIFF...WAVE"),
        summary="Codes as arrays",
    )
    async def codes(
        request: Request,
        *,
        to: Literal["json", "npz"] = "json",
        model: Annotated[str | None, Query(json_schema_extra=names)] = None,
        bandwidth: Annotated[float | None, Query(gt=0, le=1000)] = None,
        codebooks: Annotated[int | None, Query(ge=1, le=64)] = None,
    ) -> Any:
        options = {"to": to, "bandwidth": bandwidth, "codebooks": codebooks}
        return await _work(server, request, "codes", options, media=MEDIA[to], model=model)


def _add_info(app: Any, server: Server) -> None:
    from fastapi import Request
    from fastapi.responses import StreamingResponse

    @app.post(
        "/v1/info",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/json": {"example": {"format": "ecdc"}}}}},
        openapi_extra=_body("A file of codes.", "ECDC..."),
        summary="What a file says of itself",
    )
    async def info(request: Request) -> Any:
        return await _work(server, request, "info", {}, media=MEDIA["json"])


def _add_vocode(app: Any, server: Server) -> None:
    from fastapi import Query, Request
    from fastapi.responses import StreamingResponse

    names = {"enum": list(server.settings.models)}

    @app.post(
        "/v1/audio/vocode",
        response_class=StreamingResponse,
        responses=_file("audio/*", "The sound."),
        openapi_extra=_body("Log mels [bands, frames]: .npy, .npz or .safetensors.", "NUMPY..."),
        summary="Sound of mels, by a vocoder of the list",
    )
    async def vocode(
        request: Request,
        *,
        model: Annotated[str, Query(json_schema_extra=names)],
        container: Literal["wav", "flac"] = "wav",
        frames_first: bool = False,
    ) -> Any:
        options = {"container": container, "frames_first": frames_first}
        return await _work(server, request, "vocode", options, media=MEDIA[container], model=model)


def _add_generate(app: Any, server: Server) -> None:
    from fastapi import Query, Request
    from fastapi.responses import StreamingResponse

    names = {"enum": list(server.settings.models)}

    @app.post(
        "/v1/audio/generate",
        response_class=StreamingResponse,
        responses=_file("audio/*", "The sound, or a file of its codes."),
        openapi_extra=_body("Nothing, or sound or codes to go on from.", "", required=False),
        summary="Sound of words, by a language model of the list",
    )
    async def generate(
        request: Request,
        *,
        model: Annotated[str, Query(json_schema_extra=names)],
        text: Annotated[
            str | None, Query(max_length=1000, description="What to hear.", examples=["rain"])
        ] = None,
        duration: Annotated[float, Query(gt=0, le=3600, description="Seconds.")] = 10,
        seed: Annotated[int | None, Query(ge=0, lt=1 << 53)] = None,
        temperature: Annotated[float | None, Query(ge=0, le=100)] = None,
        top_k: Annotated[int, Query(ge=0, le=1 << 20, description="0: of all codes.")] = 250,
        top_p: Annotated[float, Query(ge=0, le=1)] = 0,
        guidance: Annotated[float | None, Query(ge=0, le=100)] = None,
        container: Literal["wav", "flac", "ogg", "opus", "mp3", "ecdc"] = "wav",
    ) -> Any:
        options = {
            "text": text, "duration": duration, "seed": seed, "temperature": temperature,
            "top_k": top_k, "top_p": top_p, "cfg_coef": guidance, "container": container,
        }  # fmt: skip
        media = MEDIA.get(container, CODED)
        return await _work(server, request, "generate", options, media=media, model=model)


_CODES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Codes [streams, codebooks, frames].",
        "content": {
            "application/json": {"example": {"model": "ncodec_24khz", "codes": [[[17, 900]]]}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def _add_reports(app: Any, server: Server) -> None:
    from fastapi.responses import JSONResponse, PlainTextResponse

    guarded = {"security": [{"bearer": []}]}

    @app.get("/v1/models", openapi_extra=guarded, summary="Models that requests may name")
    async def models() -> dict[str, list[dict[str, Any]]]:
        streams = server.engine.models
        names = server.settings.models
        return {"models": [{"name": name, "streams": name in streams} for name in names]}

    @app.get("/health", responses={503: {"description": "Starting, or stopping."}})
    async def health() -> JSONResponse:
        ready = server.engine.alive and server.engine.ready.is_set()
        word = "stopping" if server.draining.is_set() else "ready" if ready else "starting"
        return JSONResponse({"status": word}, 200 if word == "ready" else 503)

    @app.get("/metrics", response_class=PlainTextResponse, openapi_extra=guarded)
    async def metrics() -> str:
        return server.books.text(server.gauges())

    _ = models, health, metrics
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        parts = schema.setdefault("components", {})
        parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        return schema

    app.openapi = openapi  # pyright: ignore[reportAttributeAccessIssue]


def check_extra() -> None:
    """Raise ArgumentError where the packages of the extra `serve` are missing."""
    import importlib.util
    import sys

    if sys.version_info < (3, 11):
        raise ArgumentError("serve needs Python 3.11 or later; this is 3.10")
    missing = [n for n in ("fastapi", "uvicorn", "websockets") if not importlib.util.find_spec(n)]
    if missing:
        raise ArgumentError(f"not installed, and needed here: pip install {' '.join(missing)}")
