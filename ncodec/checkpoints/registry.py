"""The models that are known by name: what they are, where they can be had, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ncodec.config import Config, DacConfig, EncodecConfig, EncodecLMConfig, MimiConfig
from ncodec.errors import CheckpointError

DEFAULT_MODEL = "ncodec_24khz"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint can be had.

    Attributes:
        url: Address of the file.
        sha256: The whole digest in hex, or its first digits where only those are published; empty
            if none is.
    """

    url: str
    sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """A model known by name.

    Attributes:
        name: As `--model` takes it and as files carry it.
        family: Key of `ncodec.checkpoints.files.FAMILIES`.
        config: The family's configuration as plain JSON types; empty for the embedded model.
        sources: Where its weights can be had, best first; empty for the embedded model.
        licence: Licence of the weights.
        summary: One line on what it is for.
    """

    name: str
    family: str
    summary: str
    licence: str
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[Source, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether the weights come with the package."""
        return not self.sources


_META = "https://dl.fbaipublicfiles.com/encodec/v0"
_DESCRIPT = "https://github.com/descriptinc/descript-audio-codec/releases/download"
# The repository's licence; the first release of the package said CC-BY-NC 4.0, and the hub's page
# of the 24 kHz weights says nothing.
_ENCODEC_LICENCE = "MIT (the repository's; at first CC-BY-NC 4.0)"


def _hub(repository: str) -> Source:
    return Source(f"https://huggingface.co/{repository}/resolve/main/model.safetensors")


def _entry(
    name: str, summary: str, family: str, licence: str, config: Config, *sources: Source
) -> Entry:
    return Entry(name, family, summary, licence, config.to_dict(), sources)


_LIST = (
    Entry(DEFAULT_MODEL, "spectral", "24 kHz mono, causal; comes with the package", "MIT"),
    _entry(
        "encodec_24khz",
        "24 kHz mono, 1.5 to 24 kbps, causal: speech, music, sound",
        "encodec",
        _ENCODEC_LICENCE,
        EncodecConfig(),
        Source(f"{_META}/encodec_24khz-d7cc33bc.th", "d7cc33bc"),
        _hub("facebook/encodec_24khz"),
    ),
    _entry(
        "encodec_48khz",
        "48 kHz stereo, 3 to 24 kbps, in segments of 1 s: music",
        "encodec",
        _ENCODEC_LICENCE,
        EncodecConfig(
            sample_rate=48000,
            channels=2,
            codebooks=16,
            norm="time_group_norm",
            causal=False,
            normalize=True,
            segment=1.0,
            bandwidths=(3.0, 6.0, 12.0, 24.0),
        ),
        Source(f"{_META}/encodec_48khz-7e698e3e.th", "7e698e3e"),
        _hub("facebook/encodec_48khz"),
    ),
    _entry(
        "encodec_32khz",
        "32 kHz mono, 2.2 kbps: music; MusicGen's codec",
        "encodec",
        "CC-BY-NC 4.0",
        EncodecConfig(
            sample_rate=32000,
            filters=64,
            ratios=(8, 5, 4, 4),
            codebooks=4,
            bins=2048,
            causal=False,
            conv_shortcut=False,
            bandwidths=(2.2,),
        ),
        _hub("facebook/encodec_32khz"),
    ),
    _entry(
        "encodec_lm_24khz",
        "language model of .ecdc version 0 files at 24 kHz; no codec",
        "encodec_lm",
        _ENCODEC_LICENCE,
        EncodecLMConfig(),
        Source(f"{_META}/encodec_lm_24khz-1608e3c0.th", "1608e3c0"),
    ),
    _entry(
        "encodec_lm_48khz",
        "language model of .ecdc version 0 files at 48 kHz; no codec",
        "encodec_lm",
        _ENCODEC_LICENCE,
        EncodecLMConfig(codebooks=16, past_context=525),
        Source(f"{_META}/encodec_lm_48khz-7add9fc3.th", "7add9fc3"),
    ),
    _entry(
        "dac_44khz",
        "44.1 kHz mono, 0.86 to 7.75 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(),
        Source(f"{_DESCRIPT}/0.0.1/weights.pth"),
        _hub("descript/dac_44khz"),
    ),
    _entry(
        "dac_44khz_16kbps",
        "44.1 kHz mono, 0.86 to 15.5 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(latent_dim=128, codebooks=18),
        Source(f"{_DESCRIPT}/1.0.0/weights_44khz_16kbps.pth"),
    ),
    _entry(
        "dac_24khz",
        "24 kHz mono, 0.75 to 24 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(sample_rate=24000, ratios=(2, 4, 5, 8), codebooks=32),
        Source(f"{_DESCRIPT}/0.0.4/weights_24khz.pth"),
        _hub("descript/dac_24khz"),
    ),
    _entry(
        "dac_16khz",
        "16 kHz mono, 0.5 to 6 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(sample_rate=16000, ratios=(2, 4, 5, 8), codebooks=12),
        Source(f"{_DESCRIPT}/0.0.5/weights_16khz.pth"),
        _hub("descript/dac_16khz"),
    ),
    _entry(
        "mimi",
        "24 kHz mono, 0.1375 to 4.4 kbps at 12.5 frames/s: speech",
        "mimi",
        "CC-BY 4.0",
        MimiConfig(),
        _hub("kyutai/mimi"),
    ),
)

REGISTRY: dict[str, Entry] = {entry.name: entry for entry in _LIST}


def known() -> list[Entry]:
    """Return every entry of the registry, the embedded model first."""
    return list(REGISTRY.values())


def lookup(name: str) -> Entry:
    """Return the entry called `name`.

    Raises:
        CheckpointError: There is none.
    """
    if name not in REGISTRY:
        raise CheckpointError(f"unknown model {name!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[name]
