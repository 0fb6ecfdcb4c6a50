"""`ncodec devices`: what sound can come from and go to."""

from __future__ import annotations

from dataclasses import asdict

import click

from ncodec.errors import DeviceError
from ncodec.live.devices import list_devices
from ncodec_cli.common import json_option
from ncodec_cli.line import cells, put, put_json, room, say, shorten

_BESIDE = 46
"""Columns beside the name, with a usual name of a host."""


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List sound devices: number, name, host interface, channels, rate; * marks the defaults.

    \b
    Examples:
      ncodec devices
      ncodec devices --json
    """
    try:
        found = list_devices()
    except DeviceError as error:
        if as_json:
            put_json({"error": str(error)})
        raise
    if as_json:
        put_json([asdict(device) for device in found])
        return
    if not found:
        say("no sound devices: plug one in, or start the sound server")
        return
    columns = room() or 200
    width = min(max(cells(device.name) for device in found), max(columns - _BESIDE, 20))
    put(f"{'no':>3}  {'name':<{width}}  {'inputs':>7}  {'outputs':>7}  {'Hz':>6}  host")
    for device in found:
        ins = f"{device.input_channels}{'*' if device.default_input else ' '}"
        outs = f"{device.output_channels}{'*' if device.default_output else ' '}"
        name = shorten(device.name, width)
        name += " " * (width - cells(name))
        put(
            f"{device.index:>3}  {name}  {ins:>7}  {outs:>7}  "
            f"{device.default_rate:>6}  {device.host}"
        )
