"""`ncodec completion`: code that teaches a shell to complete our commands and options."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
)

from ncodec_cli.line import put

VARIABLE = "_NCODEC_COMPLETE"


class Bash(BashComplete):
    """Bash: folders are offered beside other things, and names with spaces are quoted."""

    source_template = BashComplete.source_template.replace("dirnames", "plusdirs").replace(
        "-o nosort", "-o nosort -o filenames"
    )


class PowerShell(ShellComplete):
    """PowerShell, of which click knows nothing."""

    name = "powershell"
    source_template = r"""
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $ast, $position)
    $env:COMP_WORDS = ($ast.CommandElements | ForEach-Object { $_.Extent.Text }) -join "`n"
    $env:COMP_CWORD = $word
    $env:%(complete_var)s = "powershell_complete"
    try {
        %(prog_name)s | ForEach-Object {
            $type, $value, $help = $_ -split "`t"
            if ($type -eq "dir" -or $type -eq "file") {
                Get-ChildItem -Path "$value*" -Directory:($type -eq "dir") | ForEach-Object {
                    $path = Resolve-Path -Relative -LiteralPath $_.FullName
                    [System.Management.Automation.CompletionResult]::new(
                        $path, $_.Name, "ProviderItem", $_.Name)
                }
            } else {
                [System.Management.Automation.CompletionResult]::new(
                    $value, $value, "ParameterValue", $help)
            }
        }
    } finally {
        Remove-Item Env:COMP_WORDS, Env:COMP_CWORD, Env:%(complete_var)s
    }
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        words = [word.strip("\"'") for word in os.environ["COMP_WORDS"].split("\n")][1:]
        incomplete = os.environ.get("COMP_CWORD", "").strip("\"'")
        if incomplete and words and words[-1] == incomplete:
            words.pop()
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line: type, value, and what is said of it."""
        return f"{item.type}\t{item.value}\t{item.help or item.value}"


add_completion_class(PowerShell)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "powershell"]))
def completion(shell: str) -> None:
    """Print completion code for a SHELL.

    It completes commands and options, names of models and recipes, and files of the right endings.

    \b
    Examples:
      eval "$(ncodec completion bash)"            # this shell; or in ~/.bashrc
      ncodec completion fish > ~/.config/fish/completions/ncodec.fish
      ncodec completion powershell > ncodec.ps1   # to be run from $PROFILE
    """
    from ncodec_cli.commands import cli

    kind = Bash if shell == "bash" else get_completion_class(shell)
    assert kind is not None
    put(kind(cli, {}, "ncodec", VARIABLE).source())
