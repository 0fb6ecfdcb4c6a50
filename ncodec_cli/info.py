"""`ncodec info`: what a file holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from ncodec.errors import counted
from ncodec_cli.batch import each_file
from ncodec_cli.common import json_option, name_of, naming, open_seekable
from ncodec_cli.completing import CODED
from ncodec_cli.line import put, put_json
from ncodec_cli.progress import clock, size


@click.command()
@click.argument("files", nargs=-1, required=True, type=CODED, metavar="FILE...")
@json_option
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Show what files hold: length, model, bitrate, packets, tags.

    FILE is an .ecdc file of version 1 or 0, a .dac file, codes in .npz or .safetensors, a folder of
    .ecdc files, or - for a pipe. Only headers and indices are read, so it is quick; verify reads
    everything. The first bitrate that is shown is the whole file's. With --json each file is one
    line with one object; one that cannot be read has its name and the error in it.

    \b
    Examples:
      ncodec info talk.ecdc
      ncodec info coded/
      ncodec info talk.ecdc --json
    """

    def show(path: str) -> None:
        from ncodec_formats import info

        with open_seekable(path) as file, naming(path):
            found = info(file)
        if as_json:
            put_json({"file": name_of(path), **found})
        else:
            put("\n".join(_lines(path, found)))

    each_file(files, show, as_json=as_json)


_KINDS = {
    "ecdc": "ECDC",
    "ecdc0": "EnCodec's ECDC",
    "dac": "DAC",
    "npz": "codes as NumPy arrays",
    "safetensors": "codes as tensors",
}


def _lines(path: str, found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines on a file; the bitrate in the first is the whole file's."""
    version = f" version {found['version']}" if "version" in found else ""
    kind = _KINDS[found["format"]] + version
    rate = f", {found['kbps']:.2f} kbps" if found["kbps"] is not None else ""
    known = found["seconds"] is not None
    length = clock(found["seconds"], digits=3) if known else "of unknown length"
    count = found["bytes"]
    exact = f" ({count} bytes)" if count >= 1000 else ""
    yield f"{name_of(path)}: {kind}, {length}, {size(count)}{exact}{rate}"
    if path != "-":
        yield f"  {'Changed':<10} {_date(path)}"
    links = found.get("links", [found])
    for number, link in enumerate(links, 1):
        if len(links) > 1:
            yield f"  Link {number} of {len(links)}"
        for label, text in _rows(link):
            yield f"  {label:<10} {text}"


def _date(path: str) -> str:
    """Return when a file was changed last, in this place's time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(Path(path).stat().st_mtime))


def _model(link: dict[str, Any]) -> str:
    """Return the model's name, the beginning of its weights' digest, and what its rate means."""
    digest = link.get("model_hash", "")
    known = f" ({digest[:12]})" if digest.strip("0") else ""
    model_rate, rate = link.get("sample_rate"), link.get("source_rate")
    if model_rate is None or rate is None:
        return link["model"] + known
    above = f": nothing above {model_rate / 2000:g} kHz" if model_rate < rate else ""
    return f"{link['model']}{known}, {model_rate / 1000:g} kHz{above}"


def _rows(link: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and text of what is known of a link, or of a file of another format."""
    channels = link.get("source_channels", link.get("channels"))
    shape = counted(channels or 0, "channel")
    rate = link.get("source_rate", link.get("sample_rate"))
    start = f", from sample {link['start']}" if link.get("start") else ""
    if "samples" in link:
        yield "Audio", f"{link['samples']} samples, {rate} Hz, {shape}{start}"
    if link.get("channel_mask") is not None:
        yield "Speakers", " ".join(link["speakers"]) or "none"
    if "model" in link:
        yield "Model", _model(link)
    yield "Codes", _codes(link)
    if "bandwidth_kbps" in link:
        before = " and before prediction" if link.get("predicted") else ""
        yield "Bitrate", f"{link['bandwidth_kbps']:g} kbps without the container{before}"
    if link.get("predicted"):
        yield "Predicted", f"{counted(link['predicted'], 'codebook')}, by tables {link['tables']}"
    if "packets" in link:
        index = "indexed" if link["indexed"] else "no index"
        yield "Packets", f"{link['packets']} of up to {link['packet_frames']} frames, {index}"
    if link.get("digest"):
        yield "Digest", link["digest"]
    if link.get("gain_db"):
        yield "Gain", f"{link['gain_db']:g} dB"
    for key, value in link.get("tags", []):
        yield "Tag", f"{key}={value}"
    for problem in link.get("problems", []):
        yield "Damage", problem


def _codes(link: dict[str, Any]) -> str:
    from ncodec_formats.bitrate import bits_of

    text = counted(link["codebooks"], "codebook")
    if "codebook_sizes" in link:
        bits = map(bits_of, link["codebook_sizes"])
        text += f" of {' + '.join(str(width) for width, _ in groupby(bits))} bits"
    if link.get("streams", 1) > 1:
        text += f", {link['streams']} streams"
    if "hop" in link:
        text += f", {link['sample_rate'] / link['hop']:g} frames/s"
    if link.get("language_model"):
        text += ", entropy coded with a language model"
    return text + (", peeled" if link.get("peeled") else "")
