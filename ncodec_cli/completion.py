"""`ncodec completion`: code that teaches a shell to complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print completion code for a SHELL.

    \b
    Examples:
      eval "$(ncodec completion bash)"                          # this shell; or in ~/.bashrc
      ncodec completion fish > ~/.config/fish/completions/ncodec.fish
    """
    from ncodec_cli.commands import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "ncodec", "_NCODEC_COMPLETE").source())
