"""Mimi against `transformers` and `rustymimi`: same weights, same audio, in turns, in one process.

    python benchmarks/mimi_speed.py [--seconds 4] [--rounds 3] [--codebooks 8]

Weights are random and come from what `ncodec models export` writes. `rustymimi` takes them under
the names of Kyutai's own files, and is left out, in a line, where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from speed import Work, compared, decode, encode, same_codes, title

from ncodec.checkpoints import export_model
from ncodec.checkpoints.model_file import save
from ncodec.config import MimiConfig
from ncodec.models.mimi import MimiModel

BLOCK_SECONDS = 4.0
_NAMES = (  # of transformers' file, of Kyutai's
    (r"(en|de)coder\.layers\.(\d+)\.block\.(\d+)\.conv\.", r"\1coder.model.\2.block.\3.conv.conv."),
    (r"encoder\.layers\.(\d+)\.conv\.", r"encoder.model.\1.conv.conv."),
    (r"decoder\.layers\.(0|14)\.conv\.", r"decoder.model.\1.conv.conv."),
    (r"decoder\.layers\.(\d+)\.conv\.", r"decoder.model.\1.convtr.convtr."),
    (r"downsample\.conv\.", "downsample.conv.conv.conv."),
    (r"upsample\.conv\.", "upsample.convtr.convtr.convtr."),
    (r"coder_transformer\.layers\.", "coder_transformer.transformer.layers."),
    (r"self_attn\.o_proj\.", "self_attn.out_proj."),
    ("input_layernorm", "norm1"),
    ("post_attention_layernorm", "norm2"),
    (r"mlp\.fc(\d)\.", r"linear\1."),
    ("self_attn_layer_scale", "layer_scale_1"),
    ("mlp_layer_scale", "layer_scale_2"),
    ("semantic_residual_vector_quantizer", "rvq_first"),
    ("acoustic_residual_vector_quantizer", "rvq_rest"),
    (r"(rvq_\w+)\.layers\.", r"\1.vq.layers."),
    (r"\.codebook\.embed_sum", "._codebook.embedding_sum"),
    (r"\.codebook\.cluster_usage", "._codebook.cluster_usage"),
    (r"\.codebook\.initialized", "._codebook._initialized"),
)


def kyutai(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' Mimi as Kyutai's file names them."""
    renamed = dict[str, Tensor]()
    for key, value in tensors.items():
        name = key
        for old, new in _NAMES:
            name = re.sub(old, new, name)
        renamed[name] = value
    for stem in [k.removesuffix("q_proj.weight") for k in renamed if k.endswith("q_proj.weight")]:
        parts = [renamed.pop(f"{stem}{kind}_proj.weight") for kind in "qkv"]
        renamed[f"{stem}in_proj_weight"] = torch.cat(parts)
    return {name: value.contiguous() for name, value in renamed.items()}


def exported(model: MimiModel, folder: Path) -> Path:
    """Write a model as `ncodec models export` does; return the file of weights."""
    save(model, folder / "mimi.safetensors")
    export_model(folder / "mimi.safetensors", folder / "hf")
    return folder / "hf" / "model.safetensors"


def peers(folder: Path, weights: Path, audio: Tensor, count: int) -> dict[str, tuple[Work, Work]]:
    """Return how each package encodes and decodes."""
    from transformers import MimiModel as Theirs

    theirs = Theirs.from_pretrained(folder / "hf").eval()
    codes = cast(Tensor, theirs.encode(audio, num_quantizers=count).audio_codes)
    found: dict[str, tuple[Work, Work]] = {
        "transformers": (
            lambda: theirs.encode(audio, num_quantizers=count).audio_codes,
            lambda: theirs.decode(cast(torch.LongTensor, codes)).audio_values,
        )
    }
    try:
        rustymimi: Any = importlib.import_module("rustymimi")
    except ImportError:
        print("rows left out: rustymimi is not installed", file=sys.stderr)
        return found
    save_file(kyutai(load_file(weights)), folder / "kyutai.safetensors")
    rust = rustymimi.Tokenizer(str(folder / "kyutai.safetensors"), num_codebooks=count)
    samples, given = audio.numpy(), codes.numpy().astype("uint32")

    def there() -> Tensor:
        rust.reset()
        return torch.from_numpy(rust.encode(samples).astype("int64"))

    def back() -> Tensor:
        rust.reset()
        return torch.from_numpy(rust.decode(given))

    return found | {"rustymimi": (there, back)}


def rows(seconds: float, rounds: int, count: int) -> Iterator[tuple[str, str]]:
    model = MimiModel(MimiConfig()).eval()
    for name, tensor in model.named_buffers():
        if name.endswith("embed"):
            tensor.normal_()
    model.set_num_codebooks(count)
    frames = int(seconds * model.frame_rate)
    audio = 0.1 * torch.randn(1, 1, frames * model.hop)
    block = int(BLOCK_SECONDS * model.sample_rate)
    with tempfile.TemporaryDirectory() as name:
        others = peers(Path(name), exported(model, Path(name)), audio, count)
        chunks = encode(model, audio, block)
        ours: dict[str, Work] = {
            "encode": lambda: encode(model, audio, block),
            "decode": lambda: decode(model, chunks),
        }
        for work, result in compared(ours, others, rounds, audio.shape[2] / model.sample_rate):
            yield f"Mimi, {count} codebooks, {work}", result
        for package, (there, _) in others.items():
            yield (
                f"Mimi codes equal to those of {package}",
                same_codes(chunks, cast(Tensor, there())),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the audio")
    parser.add_argument("--rounds", type=int, default=3, help="alternating repetitions")
    parser.add_argument("--codebooks", type=int, default=8, help="of 32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(title())
    with torch.no_grad():  # weights made in inference mode are packed anew on each call
        for work, result in rows(args.seconds, args.rounds, args.codebooks):
            print(f"| {work} | {result} |", flush=True)


if __name__ == "__main__":
    main()
