"""`ncodec export`: a model as ONNX graphs."""

from __future__ import annotations

from typing import Any

import click

from ncodec_cli.common import force_option, quiet_option
from ncodec_cli.completing import complete_models
from ncodec_cli.line import say


@click.command()
@click.argument("model", shell_complete=complete_models)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="How weights are stored; float16 is half the bytes, and all arithmetic float32.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="Two graphs of whole signals, without states, as Transformers.js loads them: DAC, Mimi.",
)
@force_option
@quiet_option
def export(*, model: str, folder: str, dtype: Any, whole: bool, force: bool, quiet: bool) -> None:
    """Write MODEL, a codec or a vocoder, by name or file, as ONNX graphs with states into DIR.

    The graphs are run against the model first. DIR then serves as a model itself, wherever a
    command has --model; ncodec.json in it says how other programs run them. Weights that float16
    does not hold exactly are rounded, and DIR is then a model of its own, with its own fingerprint.
    Needs the packages onnx and onnxruntime: pip install onnx onnxruntime.

    \b
    Examples:
      ncodec export ncodec_24khz graphs/
      ncodec export ncodec_24khz small/ --dtype float16
      ncodec export dac_44khz web/ --whole
    """
    from ncodec.checkpoints import export_whole_graphs, find, load_any, read_model_info
    from ncodec.export import export_graphs
    from ncodec.vocoder import Vocoder, export_vocoder

    licence = read_model_info(find(model)).licence
    loaded: Any = load_any(model)
    options: dict[str, Any] = {"dtype": dtype, "force": force}
    if whole:
        written = export_whole_graphs(loaded, folder, **options)
    else:
        write: Any = export_vocoder if isinstance(loaded, Vocoder) else export_graphs
        written = write(loaded, folder, licence=licence, **options)
    for path in written:
        say(f"{path}  {path.stat().st_size / 1e6:.2f} MB", quiet=quiet)
