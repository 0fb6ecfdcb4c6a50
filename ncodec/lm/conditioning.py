"""Descriptions to conditions: texts by T5, or tags of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from ncodec.errors import ArgumentError
from ncodec.lm.generation import Guided
from ncodec.lm.model import LMModel
from ncodec.lm.text import TextEncoder, check_text, words_of
from ncodec.models.lm_config import LMConfig


class Conditioner:
    """Makes conditions of descriptions; the text encoder is loaded when it is first needed."""

    def __init__(self, lm: LMModel, text_encoder: TextEncoder | None = None) -> None:
        self._lm, self._text = lm, text_encoder

    def __call__(
        self, descriptions: Sequence[str | None], guidance: float, *, two_step: bool = False
    ) -> Guided:
        """Return the conditions of items, those with a description first, and how they lead."""
        said = [text for text in descriptions if text is not None]
        if any(text is None for text in descriptions[: len(said)]):
            raise ArgumentError("items with a description must come first")
        if not said:
            none = self._lm.tag_conditions([()] * len(descriptions)) if self._lm.tags else None
            return Guided(none)
        for text in said:
            check_description(text, self._lm.config, self._lm.name)
        if self._lm.config.condition == "tags":
            tags = [() if text is None else _told(text, self._lm.config) for text in descriptions]
            conditions = self._lm.tag_conditions(tags)
        else:
            conditions = self._lm.text_conditions(*self._encoder()(said))
        return Guided(conditions, len(said), guidance, two_step)

    def _encoder(self) -> TextEncoder:
        if self._text is None:
            config = self._lm.config
            self._text = TextEncoder(config.text_encoder, self._lm.told_by, config.text_width)
        return self._text


def _told(text: str, config: LMConfig) -> tuple[str, ...]:
    """Return the tags that a description names, each once, with their companions."""
    words = words_of(text)
    along = (other for word in words for other in config.told_along.get(word, ()))
    return tuple(dict.fromkeys([*words, *along]))


def check_description(text: str, config: LMConfig, name: str) -> None:
    """Check that a model can be told this.

    Raises:
        ArgumentError: The text is empty or too long, a tag is unknown, or the model takes none.
    """
    check_text(text)
    if config.condition == "none":
        raise ArgumentError(f"{name} takes no description")
    if config.condition == "tags":
        unknown = [tag for tag in words_of(text) if tag not in config.tags]
        if unknown:
            raise ArgumentError(f"tag {unknown[0]!r}: {name} knows {', '.join(config.tags)}")
