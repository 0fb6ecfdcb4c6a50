"""`ncodec devices`: what sound can come from and go to."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ncodec.live.devices import list_devices
from ncodec_cli.common import json_option


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List sound devices: number, name, host interface, channels, rate; * marks the defaults.

    \b
    Examples:
      ncodec devices
      ncodec devices --json
    """
    found = list_devices()
    if as_json:
        click.echo(json.dumps([asdict(device) for device in found], indent=2))
        return
    if not found:
        click.echo("no sound devices: plug one in, or start the sound server", err=True)
        return
    width = max(len(device.name) for device in found)
    click.echo(f"{'no':>3}  {'name':<{width}}  {'inputs':>7}  {'outputs':>7}  {'Hz':>6}  host")
    for device in found:
        ins = f"{device.input_channels}{'*' if device.default_input else ' '}"
        outs = f"{device.output_channels}{'*' if device.default_output else ' '}"
        click.echo(
            f"{device.index:>3}  {device.name:<{width}}  {ins:>7}  {outs:>7}  "
            f"{device.default_rate:>6}  {device.host}"
        )
