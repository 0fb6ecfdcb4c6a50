"""What a model is: one frozen dataclass a family, of plain JSON types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, ClassVar, TypeVar

from ncodec.arguments import check_number, check_whole
from ncodec.errors import ArgumentError

C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """Shared by all: to and from the plain mapping that model files carry.

    Raises:
        ArgumentError: A field has a value that no model can be built with.
    """

    _LEAST: ClassVar[Mapping[str, int]] = {}
    """Of fields that need not be positive."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            least = self._LEAST.get(field.name, 1)
            if kind.startswith("tuple"):
                if not isinstance(value, tuple) or ("int" in kind and not value):
                    raise ArgumentError(f"{field.name} {value!r}: must be several numbers")
                for each in value:
                    _check_positive(field.name, each, "int" in kind, least)
            elif kind == "bool" and not isinstance(value, bool):
                raise ArgumentError(f"{field.name} {value!r}: must be true or false")
            elif kind in ("int", "float") or (kind == "float | None" and value is not None):
                _check_positive(field.name, value, kind == "int", least)

    def shape(self) -> Shape:
        """Return what a codec's files show of it.

        Raises:
            ArgumentError: It is no codec's.
        """
        raise ArgumentError(f"{type(self).__name__} describes no codec")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; tuples become lists, as in JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """Build from what `to_dict` gave; fields left out keep their defaults.

        Raises:
            ArgumentError: A field is unknown or a required one is missing.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ArgumentError(f"{cls.__name__}: unknown field {unknown[0]!r}")
        try:
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        except TypeError as error:
            raise ArgumentError(f"{cls.__name__}: {error}") from error


@dataclass(frozen=True)
class Shape:
    """What of a codec shows in its files.

    Attributes:
        sample_rate: Hz.
        channels: Channels of one stream.
        hop: Samples a frame.
        codebooks: Number of codebooks.
        bins: Entries of each.
        segment: Length and stride of segments in samples, or None.
    """

    sample_rate: int
    channels: int
    hop: int
    codebooks: int
    bins: int
    segment: tuple[int, int] | None = None


@dataclass(frozen=True)
class EncodecConfig(Config):
    """EnCodec (Defossez et al. 2022, arXiv:2210.13438); defaults are the 24 kHz model's.

    Attributes:
        sample_rate: Hz.
        channels: Channels of the audio.
        filters: Channels of the first encoder layer; each stride doubles them.
        ratios: Strides of the decoder, first to last; the encoder's are these reversed.
        latent_dim: Channels between encoder and decoder.
        lstm_layers: Layers of the LSTM after the encoder's strides and before the decoder's.
        codebooks: Number of codebooks.
        bins: Entries of a codebook.
        norm: "weight_norm" (folded into the weights) or "time_group_norm".
        causal: Whether a frame depends on the past only.
        pad_mode: "reflect" or "constant", at both ends of each layer's input.
        conv_shortcut: Whether residual shortcuts are 1 x 1 convolutions, or the identity.
        normalize: Whether each segment is divided by its RMS before coding.
        segment: Length of a segment in seconds; None codes the signal as one.
        overlap: Part of a segment that the next one covers too.
        bandwidths: What the model was trained for, in kbps.
    """

    sample_rate: int = 24000
    channels: int = 1
    filters: int = 32
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    latent_dim: int = 128
    lstm_layers: int = 2
    codebooks: int = 32
    bins: int = 1024
    norm: str = "weight_norm"
    causal: bool = True
    pad_mode: str = "reflect"
    conv_shortcut: bool = True
    normalize: bool = False
    segment: float | None = None
    overlap: float = 0.01
    bandwidths: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0, 24.0)
    _LEAST: ClassVar[Mapping[str, int]] = {"lstm_layers": 0, "overlap": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("norm", self.norm, "weight_norm", "time_group_norm")
        _check_choice("pad_mode", self.pad_mode, "reflect", "constant", "replicate")
        if self.overlap >= 1:
            raise ArgumentError(f"overlap {self.overlap}: must be below 1")
        if self.segment is not None and self.segment * self.sample_rate < 1:
            raise ArgumentError(f"segment {self.segment} s: must be at least one sample")

    def shape(self) -> Shape:
        """See Config."""
        segment = None
        if self.segment is not None:
            length = int(self.segment * self.sample_rate)
            segment = length, max(1, int((1 - self.overlap) * length))
        hop = prod(self.ratios)
        return Shape(self.sample_rate, self.channels, hop, self.codebooks, self.bins, segment)


@dataclass(frozen=True)
class DacConfig(Config):
    """DAC (Kumar et al. 2023, arXiv:2306.06546); defaults are the 44.1 kHz model's.

    Attributes:
        sample_rate: Hz.
        encoder_dim: Channels of the first encoder layer; each stride doubles them.
        ratios: Strides of the encoder, first to last; the decoder's are these reversed.
        decoder_dim: Channels of the first decoder layer; each stride halves them.
        latent_dim: Channels between encoder and decoder.
        codebooks: Number of codebooks.
        bins: Entries of a codebook.
        codebook_dim: Width of an entry.
    """

    sample_rate: int = 44100
    encoder_dim: int = 64
    ratios: tuple[int, ...] = (2, 4, 8, 8)
    decoder_dim: int = 1536
    latent_dim: int = 1024
    codebooks: int = 9
    bins: int = 1024
    codebook_dim: int = 8

    def shape(self) -> Shape:
        """See Config."""
        return Shape(self.sample_rate, 1, prod(self.ratios), self.codebooks, self.bins)


@dataclass(frozen=True)
class MimiConfig(Config):
    """Mimi (Defossez et al. 2024, arXiv:2410.00037); defaults are the released model's.

    Attributes:
        sample_rate: Hz.
        filters: Channels of the first encoder layer; each stride doubles them.
        ratios: Strides of the decoder, first to last; the encoder's are these reversed.
        latent_dim: Channels of the transformers and the latent.
        frame_stride: Stride of the last down-sampling, after the encoder's transformer.
        layers: Transformer layers, in the encoder and in the decoder.
        heads: Attention heads.
        feed_forward: Inner width of the transformers' feed-forward pairs.
        context: Positions that attention sees, its own included.
        rope_period: Longest period of the rotary positions.
        codebooks: Number of codebooks, the semantic ones included.
        semantic_codebooks: How many of them are in the first of the two parallel quantizers.
        bins: Entries of a codebook.
        codebook_dim: Width of an entry.
    """

    sample_rate: int = 24000
    filters: int = 64
    ratios: tuple[int, ...] = (8, 6, 5, 4)
    latent_dim: int = 512
    frame_stride: int = 2
    layers: int = 8
    heads: int = 8
    feed_forward: int = 2048
    context: int = 250
    rope_period: float = 10000.0
    codebooks: int = 32
    semantic_codebooks: int = 1
    bins: int = 2048
    codebook_dim: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_heads("latent_dim", self.latent_dim, self.heads)
        if self.latent_dim // self.heads % 2:
            raise ArgumentError(f"heads {self.heads}: must be an even number of values wide each")
        if self.semantic_codebooks >= self.codebooks:
            raise ArgumentError(
                f"semantic_codebooks {self.semantic_codebooks}: must be below codebooks "
                f"({self.codebooks})"
            )

    def shape(self) -> Shape:
        """See Config."""
        hop = prod(self.ratios) * self.frame_stride
        return Shape(self.sample_rate, 1, hop, self.codebooks, self.bins)


@dataclass(frozen=True)
class EncodecLMConfig(Config):
    """The language model over EnCodec's codes; defaults are the 24 kHz model's.

    Attributes:
        codebooks: Codebooks that it predicts.
        bins: Entries of a codebook.
        dim: Width of the transformer.
        layers: Number of transformer layers.
        heads: Attention heads.
        past_context: Frames before the present one that attention sees: 3.5 s.
    """

    codebooks: int = 32
    bins: int = 1024
    dim: int = 200
    layers: int = 5
    heads: int = 8
    past_context: int = 262

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_heads("dim", self.dim, self.heads)


@dataclass(frozen=True)
class SpectralConfig(Config):
    """SpectralCodec, the family of the embedded model; defaults are `ncodec_24khz`.

    Attributes:
        sample_rate: In Hz.
        hop: Samples a frame.
        codebooks: Residual codebooks.
        cardinality: Entries of each.
        latent: Width of the latent.
        envelope: Latent dimensions that start as the band envelope; the others start as the MDCT.
        bands: ERB bands of that envelope.
        encoder_width: Channels of the encoder's net.
        encoder_depth: Its blocks.
        decoder_width: Channels of the decoder's net.
        decoder_depth: Its blocks.
        expansion: Hidden width of a block's MLP over its channels.
        kernel: Frames that a block sees, its own included.
    """

    sample_rate: int = 24000
    hop: int = 320
    codebooks: int = 16
    cardinality: int = 1024
    latent: int = 80
    envelope: int = 20
    bands: int = 32
    encoder_width: int = 256
    encoder_depth: int = 4
    decoder_width: int = 384
    decoder_depth: int = 5
    expansion: int = 3
    kernel: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.envelope >= self.latent or self.envelope > self.bands:
            raise ArgumentError(
                f"envelope {self.envelope}: must be below latent ({self.latent}) and at most "
                f"bands ({self.bands})"
            )

    def shape(self) -> Shape:
        """See Config."""
        return Shape(self.sample_rate, 1, self.hop, self.codebooks, self.cardinality)


def _check_positive(name: str, value: object, integer: bool, least: int) -> None:
    """Check for a whole number from `least`; of others, for a positive one, or 0 if `least` is."""
    if integer:
        check_whole(name, value, least)
    elif (number := check_number(name, value)) < 0 or (least and not number):
        raise ArgumentError(f"{name} {value}: must be {'above' if least else 'at least'} 0")


def _check_choice(name: str, value: str, *choices: str) -> None:
    if value not in choices:
        raise ArgumentError(f"{name} {value!r}: must be {' or '.join(map(repr, choices))}")


def _check_heads(name: str, width: int, heads: int) -> None:
    if width % heads:
        raise ArgumentError(f"{name} {width}: must be a multiple of heads ({heads})")


@dataclass(frozen=True)
class HifiGanConfig(Config):
    """HiFi-GAN (Kong, Kim, Bae 2020, arXiv:2010.05646); defaults are V1's at 22.05 kHz.

    Attributes:
        sample_rate: Hz.
        bands: Of the mels that go in.
        channels: Of the first layer; each rate halves them.
        rates: Of the transposed convolutions; their product is the hop.
        kernels: Of the transposed convolutions.
        block_kernels: Of the branches of each residual block.
        dilations: Of the branches' convolutions, branch after branch.
        paired: Whether a convolution without dilation follows each dilated one (V1, V2).
        edges: What stands beyond the ends in convolutions: "zeros" or "reflect" (SpeechBrain).
        normalize: Whether mels are brought to mean 0 and deviation 1 by numbers of the model.
        normalised_before: Whether mels come normalised by numbers that are not the model's, so that
            it can make none of audio.
        n_fft: Of the mels' STFT, in samples.
        window: Length of its Hann window, in samples.
        fmin: Lower edge of the lowest band in Hz.
        fmax: Upper edge of the highest in Hz; None: half the rate.
        log: "ln" or "log10".
        floor: Least magnitude before the logarithm.
        power_floor: Added to powers before the root.
        least_power: What powers are raised to before the root.
        centred: Whether frame k is centred on sample k * hop, and not on the middle of its hop.
        double: Whether the STFT is in float64, as packages have it that compute it with NumPy.
    """

    _LEAST: ClassVar[Mapping[str, int]] = {"fmin": 0, "power_floor": 0, "least_power": 0}

    sample_rate: int = 22050
    bands: int = 80
    channels: int = 512
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (16, 16, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5, 1, 3, 5, 1, 3, 5)
    paired: bool = True
    edges: str = "zeros"
    normalize: bool = False
    normalised_before: bool = False
    n_fft: int = 1024
    window: int = 1024
    fmin: float = 0.0
    fmax: float | None = 8000.0
    log: str = "ln"
    floor: float = 1e-5
    power_floor: float = 1e-9
    least_power: float = 0.0
    centred: bool = False
    double: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("edges", ("zeros", "reflect")), ("log", ("ln", "log10"))):
            if getattr(self, name) not in allowed:
                raise ArgumentError(
                    f"{name} {getattr(self, name)!r}: must be one of {', '.join(allowed)}"
                )
        if len(self.rates) != len(self.kernels):
            raise ArgumentError(f"rates {self.rates}, kernels {self.kernels}: must be as many")
        if any(kernel < rate for kernel, rate in zip(self.kernels, self.rates, strict=True)):
            raise ArgumentError(f"kernels {self.kernels}: must be at least the rates {self.rates}")
        if any(kernel % 2 == 0 for kernel in self.block_kernels):
            raise ArgumentError(f"block_kernels {self.block_kernels}: must be odd")
        if len(self.dilations) % len(self.block_kernels):
            raise ArgumentError(
                f"dilations {self.dilations}: must be equally many for each of "
                f"{len(self.block_kernels)} branches"
            )
        if self.channels % 2 ** len(self.rates):
            raise ArgumentError(
                f"channels {self.channels}: must be a multiple of {2 ** len(self.rates)}"
            )
        hop = prod(self.rates)
        if not hop <= self.window <= self.n_fft or (self.n_fft - hop) % 2:
            raise ArgumentError(
                f"hop {hop}, window {self.window}, n_fft {self.n_fft}: must not fall, and n_fft "
                "must be longer than the hop by an even number"
            )

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return prod(self.rates)
