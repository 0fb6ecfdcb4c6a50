"""The table of commands."""

from __future__ import annotations

import importlib
import os

import click

from ncodec import __version__
from ncodec_cli.lazy import LazyGroup

COMMANDS = {
    "compress": ("ncodec_cli.compress:compress", "Compress audio to .ecdc."),
    "decompress": ("ncodec_cli.decompress:decompress", "Decompress .ecdc to audio."),
    "info": ("ncodec_cli.info:info", "Show what a file holds."),
    "verify": ("ncodec_cli.verify:verify", "Check a whole file, without the model."),
    "peel": ("ncodec_cli.peel:peel", "Lower the bitrate by dropping codebooks."),
    "cut": ("ncodec_cli.cut:cut", "Copy a stretch of time."),
    "cat": ("ncodec_cli.cat:cat", "Join files end to end."),
    "tag": ("ncodec_cli.tag:tag", "Show or change tags."),
    "repair": ("ncodec_cli.repair:repair", "Save what is whole in a damaged file."),
    "convert": ("ncodec_cli.convert:convert", "Change between .ecdc versions, .dac and arrays."),
    "play": ("ncodec_cli.play:play", "Play a file on the speakers."),
    "page": ("ncodec_cli.page:page", "Make a page in which files play, for any browser."),
    "record": ("ncodec_cli.record:record", "Record from the microphone."),
    "live": ("ncodec_cli.live:live", "Hear the codec on the microphone, at once."),
    "call": (
        "ncodec_cli.call:call",
        "Talk to another machine over a network.",
    ),
    "devices": ("ncodec_cli.devices:devices", "List sound devices."),
    "mel": ("ncodec_cli.vocode:mel", "Compute the mel spectrograms that a vocoder takes."),
    "vocode": ("ncodec_cli.vocode:vocode", "Make sound of mel spectrograms."),
    "generate": ("ncodec_cli.generate:generate", "Generate sound of words."),
    "serve": ("ncodec_cli.serve:serve", "Serve files and streams to other programs."),
    "models": ("ncodec_cli.models:models", "List, fetch, import and export models."),
    "tokenize": ("ncodec_cli.tokenize:tokenize", "Code data sets into shards of codes."),
    "export": ("ncodec_cli.export:export", "Write a model as ONNX graphs."),
    "train": ("ncodec_cli.train:train", "Train a model."),
    "bench": ("ncodec_cli.bench:bench", "Measure quality, bitrate and speed."),
    "selftest": ("ncodec_cli.selftest:selftest", "Check this installation."),
    "completion": ("ncodec_cli.completion:completion", "Print shell completion code."),
}
# What users of other codecs type first.
ALIASES = {"encode": "compress", "enc": "compress", "decode": "decompress", "dec": "decompress"}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ncodec", message="%(prog)s %(version)s")
def cli() -> None:
    """Compress speech and music with neural codecs, in files and streams.

    encode and decode are other names of compress and decompress.

    \b
      ncodec compress in.wav out.ecdc --bw 6
      ncodec decompress out.ecdc back.wav
      ncodec info out.ecdc
    """


if os.environ.get("_NCODEC_COMPLETE", "").startswith("powershell"):
    importlib.import_module("ncodec_cli.completion")  # has a shell that click does not know
