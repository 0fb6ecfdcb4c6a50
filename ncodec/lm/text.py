"""The text encoder of AudioGen and MusicGen: T5, by way of `transformers` (the extra `text`)."""

from __future__ import annotations

import importlib.util
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncodec.checkpoints.cache import text_encoder_path
from ncodec.errors import ArgumentError, CheckpointError, NcodecError
from ncodec.quiet import quiet_libraries

MAX_CHARACTERS = 2000
"""Of a description: some 500 tokens, as many as T5 was trained on; models heard a few dozen."""
_KEPT = 64


class MissingExtraError(NcodecError):
    """A package is needed that an extra of this one installs."""


def check_text(text: Any) -> str:
    """Return a description that can be used.

    Raises:
        ArgumentError: It is no text, is empty, or is too long.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"description of type {type(text).__name__}: must be text")
    if not text.strip():
        raise ArgumentError("the description is empty: say in words what is to be heard")
    if len(text) > MAX_CHARACTERS:
        raise ArgumentError(
            f"description of {len(text)} characters: must be at most {MAX_CHARACTERS}"
        )
    return text


def words_of(text: str) -> tuple[str, ...]:
    """Return the tags that a description names, between spaces and commas."""
    return tuple(re.split(r"[\s,;]+", check_text(text).strip(" ,;").lower()))


def check_extra() -> None:
    """Raise where descriptions cannot be read, before anything is loaded.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("descriptions need transformers: pip install transformers")


class TextEncoder:
    """T5's encoder; what it made of the last texts is kept.

    Args:
        name: T5's name on the hub, such as "t5-base".
        model: Name of the language model, which may have one of its own.
        width: Of its output.
        device: Where it computes.
        kept: Texts that are remembered.

    Raises:
        MissingExtraError: transformers is not installed.
        CheckpointError: It is not on this machine, or is another one.
    """

    def __init__(
        self,
        name: str,
        model: str,
        width: int,
        *,
        device: torch.device | None = None,
        kept: int = _KEPT,
    ) -> None:
        check_extra()
        folder = text_encoder_path(model)
        places = [str(folder)] if folder.is_dir() else [name, f"google-t5/{name}"]
        self._tokenizer, self._encoder = _loaded(places, name)
        found = int(self._encoder.config.d_model)
        if found != width:
            raise CheckpointError(f"text encoder {name}: {found} wide, where {model} takes {width}")
        if device is not None:
            self._encoder.to(device)
        self._known, self._kept = OrderedDict[str, Tensor](), kept

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return `[C, L, W]` of the texts and the mask `[C, L]`; each is encoded by itself."""
        each = [self._encoded(text) for text in texts]
        longest = max(len(hidden) for hidden in each)
        out = torch.zeros(len(each), longest, each[0].shape[1])
        mask = torch.zeros(len(each), longest, dtype=torch.bool)
        for row, hidden in enumerate(each):
            out[row, : len(hidden)] = hidden
            mask[row, : len(hidden)] = True
        return out, mask

    def _encoded(self, text: str) -> Tensor:
        if text not in self._known:
            tokens = self._tokenizer([check_text(text)], return_tensors="pt")
            with torch.inference_mode():
                hidden = self._encoder(
                    input_ids=tokens["input_ids"].to(self._encoder.device),
                    attention_mask=tokens["attention_mask"].to(self._encoder.device),
                ).last_hidden_state[0]
            self._known[text] = hidden.float().cpu()
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return self._known[text]


def _loaded(places: list[str], name: str) -> tuple[Any, Any]:
    """Load tokenizer and encoder from the first place that has them, safetensors only."""
    with quiet_libraries():
        try:
            from transformers import AutoTokenizer, T5EncoderModel
            from transformers.utils import logging
        except Exception as error:  # such as that of a torchaudio that does not fit its torch
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MissingExtraError(f"transformers does not load here: {line}") from error
        logging.disable_progress_bar()
        reason = ""
        for place in places:
            try:
                tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
                loaded: Any = T5EncoderModel.from_pretrained(
                    place, local_files_only=True, use_safetensors=True, output_loading_info=True
                )
            except (OSError, ValueError, ImportError) as error:
                reason = reason or (str(error).strip().splitlines() or [""])[0]
            else:
                encoder, found = loaded
                if not found["missing_keys"]:  # transformers would draw those at random
                    return tokenizer, encoder.float().eval().requires_grad_(False)
                reason = f"no T5: {min(found['missing_keys'])} is missing"
    if Path(places[0]).is_dir():
        raise CheckpointError(f"{places[0]}: cannot be loaded as a text encoder ({reason})")
    raise CheckpointError(
        f"text encoder {name} is not on this machine: `hf download google-t5/{name}` gets it"
    )
