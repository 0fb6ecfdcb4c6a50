"""`ncodec selftest`: the conformance kit, on this machine."""

from __future__ import annotations

import click

from ncodec.errors import NcodecError
from ncodec_cli.common import json_option
from ncodec_cli.line import put, put_json


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Tell of every file, not of failures only.")
@json_option
def selftest(verbose: bool, as_json: bool) -> None:
    """Check that this installation reads files as it must.

    Runs the conformance kit of the format: valid, unusual and faulty files, each with what a reader
    must find in it; then computes numbers, as reading predicted codes does, that are the same on
    every machine. The exit status is 0 if all is as it must be. Then it says whose code computes
    each operation of the models on this processor; NCODEC_PORTABLE=1 leaves PyTorch's own, for all
    commands. With --json each file and each operation is a line.

    \b
    Examples:
      ncodec selftest
      ncodec selftest --verbose
    """
    from ncodec_formats.selftest import exactness, selftest

    count = failed = 0
    for result in selftest():
        count, failed = count + 1, failed + (not result.ok)
        if as_json:
            put_json({"file": result.name, "ok": result.ok, "text": result.text})
        elif verbose or not result.ok:
            put(f"{'ok    ' if result.ok else 'FAILED'} {result.name}: {result.text}")
    if failed:
        raise NcodecError(f"{failed} of {count} files were not read as they must be")
    if not (exact := exactness()).ok:
        raise NcodecError(exact.text)
    if not as_json:
        put(f"{count} files read as they must be")
    from ncodec.kernels.table import describe

    for operation, kind, code in describe():
        if as_json:
            put_json({"operation": operation, "type": kind, "code": code})
        else:
            put(f"{operation:9} in {kind:8}  {code}")
