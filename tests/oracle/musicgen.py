"""MusicGen of transformers with random weights, small enough for tests."""

from pathlib import Path

import torch

from tests.oracle.reference import randomise

from transformers import (  # isort: skip
    EncodecConfig,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

WORDS = ("a", "dog", "in", "of", "on", "piano", "rain", "slow", "the", "wind", "window", "with")


def spread(model: torch.nn.Module) -> None:
    """Give weights the spread of trained ones; transformers' own make all logits alike."""
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and "relative" not in name:
            weight.data.normal_(std=(1 / weight[0].numel()) ** 0.5)
        elif name.endswith(("norm.weight", "norm.bias")):
            weight.data.add_(0.1 * torch.randn_like(weight))


def musicgen(
    *,
    dim: int = 64,
    heads: int = 4,
    codebooks: int = 4,
    bins: int = 64,
    channels: int = 1,
    text_width: int = 48,
    layers: int = 3,
) -> MusicgenForConditionalGeneration:
    """Return the composite model, with an EnCodec of 50 frames a second."""
    text = T5Config(
        d_model=text_width, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=len(WORDS) + 3
    )
    codec = EncodecConfig(
        sampling_rate=16000,
        target_bandwidths=[codebooks // channels * (bins.bit_length() - 1) * 50 / 1000],
        num_filters=4,
        upsampling_ratios=[8, 5, 4, 2],
        codebook_size=bins,
        codebook_dim=8,
        hidden_size=8,
        num_lstm_layers=1,
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=bins,
        hidden_size=dim,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        ffn_dim=4 * dim,
        num_codebooks=codebooks,
        audio_channels=channels,
        pad_token_id=bins,
        bos_token_id=bins,
    )
    config = MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict()
    )
    model = MusicgenForConditionalGeneration(config).eval()
    spread(model.decoder)
    spread(model.text_encoder)
    if hasattr(model, "enc_to_dec_proj"):
        spread(model.enc_to_dec_proj)
        model.enc_to_dec_proj.bias.data.normal_()
    randomise(model.audio_encoder)
    model.generation_config.pad_token_id = bins
    model.generation_config.bos_token_id = bins
    model.generation_config.decoder_start_token_id = bins
    return model


def save(model: MusicgenForConditionalGeneration, folder: Path) -> Path:
    """Save it with a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(folder)
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    vocabulary |= {word: number for number, word in enumerate(WORDS, len(vocabulary))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return folder


__all__ = ["EncodecModel", "T5EncoderModel", "musicgen", "save", "spread"]
