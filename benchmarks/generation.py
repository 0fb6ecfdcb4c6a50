"""Frames a second of a language model as large as musicgen-small, beside transformers'.

    python benchmarks/generation.py --frames 20 --rounds 3

Weights are random; `--half` rounds them to half precision first, as published checkpoints have them
(the products stay float32 in both). Both run on one thread, in turns, with 12 tokens of text; time
is the processor's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from ncodec.lm import LMModel
from ncodec.lm.generation import Guided, Plan, generate_frames
from ncodec.lm.sampling import Sampling
from ncodec.models.lm_config import LMConfig
from tests.oracle import reference

from transformers import MusicgenDecoderConfig, MusicgenForCausalLM  # isort: skip

TOKENS = 12


def their_model(config: LMConfig) -> MusicgenForCausalLM:
    """Return the same net in transformers."""
    return MusicgenForCausalLM(
        MusicgenDecoderConfig(
            vocab_size=config.bins,
            hidden_size=config.dim,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            ffn_dim=config.feed_forward,
            num_codebooks=config.codebooks,
        )
    ).eval()


def copy_weights(ours: LMModel, theirs: MusicgenForCausalLM) -> None:
    """Give the net of transformers our weights."""
    from ncodec.checkpoints.layouts.lm import HF_MUSICGEN

    assert HF_MUSICGEN.write is not None
    written = HF_MUSICGEN.write(ours.config, dict(ours.state_dict())).content
    state = {
        key.removeprefix("decoder."): value
        for key, value in written.items()
        if key.startswith("decoder.")
    }
    theirs.load_state_dict(state, strict=False)


def seconds_of(run: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def main() -> None:
    """Measure in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", help="weights that half precision holds")
    parser.add_argument("--bf16", action="store_true", help="ours in bf16 besides")
    parser.add_argument("--layers", type=int, default=24)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    assert reference
    config = LMConfig(layers=asked.layers, projection=False, text_width=1024)
    ours = LMModel(config).eval().requires_grad_(False)
    if asked.half:
        for weight in ours.parameters():
            weight.copy_(weight.half())
    theirs = their_model(config).requires_grad_(False)
    copy_weights(ours, theirs)
    hidden, mask = torch.randn(1, TOKENS, 1024), torch.ones(1, TOKENS, dtype=torch.bool)

    def run_ours(model: LMModel, guidance: float) -> None:
        with torch.inference_mode():
            led = Guided(model.text_conditions(hidden, mask), 1, guidance)
            plan = Plan(asked.frames, 1500, 900)
            for _ in generate_frames(model, led, plan, [0], Sampling()):
                pass

    def run_theirs(guidance: float) -> None:
        """Step its net with its cache; drawing is as little work as it can be."""
        rows = 2 if guidance > 1 else 1
        text = torch.cat([hidden, torch.zeros_like(hidden)])[:rows]
        seen = torch.cat([mask, ~mask])[:rows].long()
        tokens, cache = torch.full((rows * config.codebooks, 1), config.bins), None
        with torch.inference_mode():
            for _ in range(asked.frames + config.codebooks - 1):
                out = theirs(
                    input_ids=tokens,
                    encoder_hidden_states=text,
                    encoder_attention_mask=seen,
                    past_key_values=cache,
                    use_cache=True,
                )
                cache = out.past_key_values
                logits = out.logits[:, -1].unflatten(0, (rows, -1))
                led = logits[-1] + guidance * (logits[0] - logits[-1])
                kept = led.masked_fill(led < led.topk(250).values[:, -1:], -torch.inf)
                drawn = torch.multinomial(kept.softmax(-1), 1)
                tokens = drawn.repeat(rows, 1)

    runs: dict[str, Callable[[float], None]] = {
        "transformers": run_theirs,
        "ncodec": lambda guidance: run_ours(ours, guidance),
    }
    if asked.bf16:
        half = LMModel(config).eval().requires_grad_(False)
        half.load_state_dict(ours.state_dict())
        half.set_precision("bf16")
        runs["ncodec bf16"] = lambda guidance: run_ours(half, guidance)
    for guidance in (3.0, 1.0):
        for run in runs.values():
            run(guidance)
        took: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(asked.rounds):
            for name, run in runs.items():
                took[name].append(seconds_of(lambda run=run, guidance=guidance: run(guidance)))
        for name, times in took.items():
            steps = asked.frames + config.codebooks - 1
            rate = steps / statistics.median(times)
            spread = f"{steps / max(times):.2f} to {steps / min(times):.2f}"
            print(f"guidance {guidance:g}  {name:14}  {rate:.2f} steps/s ({spread})", flush=True)


if __name__ == "__main__":
    main()
