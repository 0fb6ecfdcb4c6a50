"""`ncodec serve`: the codec for other programs, over HTTP and WebSockets."""

from __future__ import annotations

import click

from ncodec_cli.common import quiet_option
from ncodec_cli.line import say
from ncodec_cli.parameters import Between


@click.command()
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at.",
)
@click.option(
    "--port",
    type=Between(0, 65535),
    metavar="PORT",
    default=8000,
    show_default=True,
    help="Its port; 0: any.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Tokens that open the server, a line each. Without it only this machine is served.",
)
@click.option(
    "--models",
    default="ncodec_24khz",
    metavar="NAME,...",
    show_default=True,
    help="Models that requests may name, and no others.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="A web site whose pages may use the server. Repeatable.",
)
@click.option(
    "--streams",
    metavar="N",
    type=Between(1),
    default=64,
    show_default=True,
    help="Streams at once.",
)
@click.option(
    "-j",
    "--jobs",
    metavar="N",
    type=Between(1),
    default=1,
    show_default=True,
    help="Files at once.",
)
@click.option(
    "--token-streams",
    metavar="N",
    type=Between(1),
    help="Streams at once of one token. [default: any]",
)
@click.option(
    "--token-jobs",
    metavar="N",
    type=Between(1),
    help="Files at once of one token, those that wait too. [default: any]",
)
@click.option(
    "--token-mb",
    metavar="MIB",
    type=Between(1),
    help="MiB an hour of one token, in and out. [default: any]",
)
@click.option(
    "--max-mb",
    metavar="MIB",
    type=Between(1),
    default=256,
    show_default=True,
    help="Of an upload, in MiB.",
)
@click.option(
    "--max-seconds",
    metavar="S",
    type=Between(1),
    default=3600,
    show_default=True,
    help="Of sound in a file.",
)
@quiet_option
def serve(
    *,
    host: str,
    port: int,
    token_file: str | None,
    models: str,
    origins: tuple[str, ...],
    streams: int,
    jobs: int,
    token_streams: int | None,
    token_jobs: int | None,
    token_mb: int | None,
    max_mb: int,
    max_seconds: int,
    quiet: bool,
) -> None:
    """Serve files and streams to other programs.

    Files are posted to /v1/audio/compress, /v1/audio/decompress, /v1/codes and /v1/info; /v1/stream
    is a WebSocket for live sound. /docs describes all of it. Needs Python 3.11 and more packages:
    pip install fastapi uvicorn websockets. Ctrl-C lets streams end whole.

    \b
    Examples:
      ncodec serve
      ncodec serve --host 0.0.0.0 --token-file tokens --origin https://example.org
      curl --data-binary @talk.wav localhost:8000/v1/audio/compress -o talk.ecdc
    """
    from ncodec.serve.server import serve as run
    from ncodec.serve.settings import MIB, Limits, Settings, read_tokens

    shares = token_streams, token_jobs, token_mb
    if token_file is None and any(share is not None for share in shares):
        raise click.UsageError("shares of a token go with --token-file")
    limits = Limits(
        streams=streams,
        jobs=jobs,
        token_streams=token_streams,
        token_jobs=token_jobs,
        token_bytes=None if token_mb is None else token_mb * MIB,
        body_bytes=max_mb * MIB,
        audio_seconds=float(max_seconds),
    )
    settings = Settings(
        models=tuple(name.strip() for name in models.split(",") if name.strip()),
        tokens=() if token_file is None else read_tokens(token_file),
        origins=origins,
        limits=limits,
    )
    run(settings, host=host, port=port, started=lambda url: say(f"{url}/docs", quiet=quiet))
