"""The models that are known by name: what they are, where they can be had, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ncodec.checkpoints.front_ends import FRONT_ENDS
from ncodec.config import (
    Config,
    DacConfig,
    EncodecConfig,
    EncodecLMConfig,
    HifiGanConfig,
    MimiConfig,
)
from ncodec.models.families import find_family

DEFAULT_MODEL = "ncodec_24khz"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint can be had.

    Attributes:
        url: Address of the file.
        sha256: The whole digest in hex, or its first digits where only those are published; empty
            if none is.
        repository: On the Hugging Face hub, which publishes the digest of each of its files; the
            address is then that of the file there.
        file: Its name in the repository.
    """

    url: str
    sha256: str = ""
    repository: str = ""
    file: str = "model.safetensors"


@dataclass(frozen=True)
class Entry:
    """A model known by name.

    Attributes:
        name: As `--model` takes it and as files carry it.
        family: Name of a `ncodec.models.families.Family`.
        config: The family's configuration as plain JSON types; empty for the embedded model. Of
            language models only their sizes.
        sources: Where its weights can be had, best first; empty for the embedded model.
        licence: Licence of the weights.
        summary: One line on what it is for.
        needs: Names of other models that it does nothing without.
    """

    name: str
    family: str
    summary: str
    licence: str
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[Source, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether the weights come with the package."""
        return not self.sources

    @property
    def is_codec(self) -> bool:
        """Whether it codes audio; the language models of version 0 files do not."""
        return find_family(self.family).kind == "codec"

    def publishes(self, sha256: str) -> bool:
        """Say whether a file's whole digest is one that is known to be the published file's."""
        return any(s.sha256 and sha256.startswith(s.sha256) for s in self.sources)


# The first eight digits of the SHA-256 stand in the name of each file, where PyTorch's hub looks
# for them; the 24 kHz file's whole digest is as public projects pin it.
_META = "https://dl.fbaipublicfiles.com/encodec/v0"
# Descript publishes no digests. Those below are what public projects pin the release files to, read
# in November 2026: 44 and 16 kHz in several that have nothing to do with each other, 24 kHz in one.
_DESCRIPT = "https://github.com/descriptinc/descript-audio-codec/releases/download"
# The repository's licence; the first release of the package said CC-BY-NC 4.0, and the hub's page
# of the 24 kHz weights says nothing.
_ENCODEC_LICENCE = "MIT (the repository's; at first CC-BY-NC 4.0)"


def _hub(repository: str, file: str = "model.safetensors") -> Source:
    url = f"https://huggingface.co/{repository}/resolve/main/{file}"
    return Source(url, repository=repository, file=file)


def _entry(
    name: str, summary: str, family: str, licence: str, config: Config, *sources: Source
) -> Entry:
    return Entry(name, family, summary, licence, config.to_dict(), sources)


def _generator(name: str, summary: str, dim: int, layers: int, channels: int = 1) -> Entry:
    """Return the entry of one of AudioCraft's language models (its model cards have the sizes)."""
    codec = "encodec_16khz" if name.startswith("audiogen") else "encodec_32khz"
    config = {
        "dim": dim,
        "layers": layers,
        "codebooks": 4 * channels,
        "bins": 2048,
        "channels": channels,
        "codec": codec,
    }
    source = _hub(f"facebook/{name}", "state_dict.bin")
    return Entry(name, "lm", summary, "CC-BY-NC 4.0", config, (source,), needs=(codec,))


_LIST = (
    Entry(DEFAULT_MODEL, "spectral", "24 kHz mono, 0.75-12 kbps: the default", "MIT"),
    _entry(
        "encodec_24khz",
        "24 kHz mono, 1.5-24 kbps: all sound",
        "encodec",
        _ENCODEC_LICENCE,
        EncodecConfig(),
        Source(
            f"{_META}/encodec_24khz-d7cc33bc.th",
            "d7cc33bcf1aad7f2dad9836f36431530744abeace3ca033005e3290ed4fa47bf",
        ),
        _hub("facebook/encodec_24khz"),
    ),
    _entry(
        "encodec_48khz",
        "48 kHz stereo, 3-24 kbps: music",
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
        "32 kHz mono, 2.2 kbps: MusicGen's music",
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
    Entry(
        "encodec_16khz",
        "encodec",
        "16 kHz mono, 2.2 kbps: AudioGen's sounds",
        "CC-BY-NC 4.0",
        {
            "sample_rate": 16000,
            "channels": 1,
            "filters": 64,
            "ratios": [8, 5, 4, 2],
            "codebooks": 4,
            "bins": 2048,
            "norm": "weight_norm",
            "causal": False,
            "conv_shortcut": False,
            "bandwidths": [2.2],
        },
        (_hub("facebook/audiogen-medium", "compression_state_dict.bin"),),
    ),
    _entry(
        "encodec_lm_24khz",
        "no codec: for .ecdc 0 files at 24 kHz",
        "encodec_lm",
        _ENCODEC_LICENCE,
        EncodecLMConfig(),
        Source(f"{_META}/encodec_lm_24khz-1608e3c0.th", "1608e3c0"),
    ),
    _entry(
        "encodec_lm_48khz",
        "no codec: for .ecdc 0 files at 48 kHz",
        "encodec_lm",
        _ENCODEC_LICENCE,
        EncodecLMConfig(codebooks=16, past_context=525),
        Source(f"{_META}/encodec_lm_48khz-7add9fc3.th", "7add9fc3"),
    ),
    _entry(
        "dac_44khz",
        "44.1 kHz mono, 0.86-7.75 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(),
        Source(
            f"{_DESCRIPT}/0.0.1/weights.pth",
            "a88eed82a7024ccc1facdb1e605c4c2f99281c8118c22c9895ffa846d8fb61aa",
        ),
        _hub("descript/dac_44khz"),
    ),
    _entry(
        "dac_44khz_16kbps",
        "44.1 kHz mono, 0.86-15.5 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(latent_dim=128, codebooks=18),
        Source(f"{_DESCRIPT}/1.0.0/weights_44khz_16kbps.pth"),
    ),
    _entry(
        "dac_24khz",
        "24 kHz mono, 0.75-24 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(sample_rate=24000, ratios=(2, 4, 5, 8), codebooks=32),
        Source(
            f"{_DESCRIPT}/0.0.4/weights_24khz.pth",
            "44bad592fc393e03eb0be7a5120b7d487fe9612fa41269dc03fca3d4b87e20ad",
        ),
        _hub("descript/dac_24khz"),
    ),
    _entry(
        "dac_16khz",
        "16 kHz mono, 0.5-6 kbps: all sound",
        "dac",
        "MIT",
        DacConfig(sample_rate=16000, ratios=(2, 4, 5, 8), codebooks=12),
        Source(
            f"{_DESCRIPT}/0.0.5/weights_16khz.pth",
            "95ab7176b67137d4d4c6c54b8d6ef3cea797faec228cb03ad084badcad570b4d",
        ),
        _hub("descript/dac_16khz"),
    ),
    _entry(
        "mimi",
        "24 kHz mono, 0.14-4.4 kbps: speech",
        "mimi",
        "CC-BY 4.0",
        MimiConfig(),
        _hub("kyutai/mimi"),
    ),
    _generator("audiogen-medium", "generates sounds of words: 16 kHz", 1536, 48),
    _generator("musicgen-small", "generates music of words: 32 kHz", 1024, 24),
    _generator("musicgen-medium", "generates music of words: 32 kHz", 1536, 48),
    _generator("musicgen-large", "generates music of words: 32 kHz", 2048, 48),
    _generator("musicgen-stereo-small", "generates music of words: 32 kHz stereo", 1024, 24, 2),
    _generator("musicgen-stereo-medium", "generates music of words: 32 kHz stereo", 1536, 48, 2),
    _generator("musicgen-stereo-large", "generates music of words: 32 kHz stereo", 2048, 48, 2),
    _entry(
        "hifigan_speecht5",
        "mels to speech: 16 kHz, SpeechT5's",
        "hifigan",
        "MIT",
        HifiGanConfig(
            rates=(4, 4, 4, 4), kernels=(8, 8, 8, 8), normalize=True, **FRONT_ENDS["speecht5"]
        ),
        _hub("microsoft/speecht5_hifigan", "pytorch_model.bin"),
    ),
    _entry(
        "hifigan_fastspeech2",
        "mels to speech: 22 kHz, FastSpeech2's",
        "hifigan",
        "Apache 2.0",
        HifiGanConfig(normalize=True, normalised_before=True, **FRONT_ENDS["espnet"]),
        _hub("espnet/fastspeech2_conformer_hifigan", "pytorch_model.bin"),
    ),
    _entry(
        "hifigan_ljspeech",
        "mels to speech: 22 kHz, SpeechBrain's",
        "hifigan",
        "Apache 2.0",
        HifiGanConfig(edges="reflect", **FRONT_ENDS["speechbrain"]),
        _hub("speechbrain/tts-hifigan-ljspeech", "generator.ckpt"),
    ),
)

REGISTRY: dict[str, Entry] = {entry.name: entry for entry in _LIST}


def known() -> list[Entry]:
    """Return every entry of the registry, the embedded model first."""
    return list(REGISTRY.values())


def canonical(name: str) -> str:
    """Return the registry's name for a name on the Hugging Face hub; other names as they are.

    >>> canonical("facebook/encodec_24khz"), canonical("https://huggingface.co/kyutai/mimi")
    ('encodec_24khz', 'mimi')
    """
    hub_name = name.removeprefix("https://huggingface.co/").rstrip("/").lower()
    found = [
        entry.name
        for entry in REGISTRY.values()
        if hub_name and hub_name in (source.repository.lower() for source in entry.sources)
    ]
    # AudioGen's repository has its codec too
    return found[-1] if found else name
