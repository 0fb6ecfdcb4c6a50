"""SpectralCodec: a causal neural codec that works on spectra at the frame rate.

Each frame of the encoder looks at the last `4 * hop` samples: log magnitudes of an STFT, and a
companded MDCT of the newest `2 * hop`. A linear map of band envelope and MDCT, started as their
principal components, already is a codec; a causal net adds to it. The latent is quantized by
residual vector quantization. The decoder mirrors this: a linear map plus a net give MDCT
coefficients (the waveform, where codes suffice for it) and the magnitude and phase of an STFT frame
(the texture, where they do not; after Vocos, Siuzdak 2023), overlapped and added.

Nothing is recurrent and all padding is constant: what a sample depends on is finite. A frame of the
decoder ends where its newest code's samples end, so the look-ahead is its overlap, `3 * hop`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncodec.config import SpectralConfig
from ncodec.dsp.erb import erb_bands
from ncodec.dsp.mdct import mdct_basis
from ncodec.dsp.overlap_add import overlap_add
from ncodec.kernels import Derived, add_to_start, frames_of, inverse_spectrum, power_spectrum
from ncodec.models.base import CompressionModel
from ncodec.models.records import Latents, Trainable
from ncodec.models.spectral_net import FrameNet
from ncodec.models.spectral_start import start_linear_path
from ncodec.nn.linear import Linear
from ncodec.quantize import ResidualVQ
from ncodec_formats.bitrate import kbps_steps

_OVERLAP = 4  # hops in an STFT frame
_DELAY = 2  # frames by which the linear path's MDCT waits for the net's
_POWER_FLOOR = 1e-9  # -90 dB full scale
_COMPANDING_FLOOR = 1e-4
_EXPANSION_SLOPE = 0.02  # of the expander at 0, so that coefficients near 0 have a gradient
_MAX_LOG_MAGNITUDE = 2.4  # a sine 2 dB below full scale: bounds what codes never seen can do


class Incoming(NamedTuple):
    """The encoder's state.

    Attributes:
        past: `[B, 3 * hop + r]`: the past that the next frame sees, and r < hop samples waiting.
        net: The net's past frames.
    """

    past: Tensor
    net: tuple[Tensor, ...]


class Outgoing(NamedTuple):
    """The decoder's state.

    Attributes:
        net: The net's past frames.
        waveform: `[B, 2, hop]`: the linear path's last MDCT coefficients, two behind the net.
        tail: `[B, 3 * hop]`: samples not yet final.
        skip: Frames whose samples lie before the start of the stream.
    """

    net: tuple[Tensor, ...]
    waveform: Tensor
    tail: Tensor
    skip: int


class SpectralCodec(CompressionModel):
    """The codec of the embedded model `ncodec_24khz`; see the module for how it works."""

    config: SpectralConfig
    config_type: ClassVar[Any] = SpectralConfig
    fills_last_frame = ends_with_steps = True
    lifts_quiet: ClassVar[bool] = True
    heard_out: ClassVar[bool] = True
    mdct: Tensor
    inverse_mdct: Tensor
    window: Tensor
    synthesis_window: Tensor
    band_mean: Tensor
    bands: Tensor

    def __init__(self, config: SpectralConfig, name: str = "spectral") -> None:
        super().__init__()
        self.config, self.name = config, name
        self._describe(config)
        c = config
        bins = _OVERLAP * c.hop // 2 + 1
        self._bins = bins
        bands = erb_bands(bins, c.bands, c.sample_rate)
        hann = torch.hann_window(_OVERLAP * c.hop)
        scale = math.sqrt(0.375 * _OVERLAP * c.hop)  # the root of the sum of its squares
        mdct = mdct_basis(c.hop)
        self.register_buffer("mdct", mdct, persistent=False)
        self.register_buffer("inverse_mdct", mdct.T.contiguous(), persistent=False)
        self.register_buffer("window", hann / scale, persistent=False)
        # squared Hann windows a quarter apart sum to 1.5
        self.register_buffer("synthesis_window", hann * (scale / 1.5), persistent=False)
        self.register_buffer("band_mean", (bands / bands.sum(1, keepdim=True)).T, persistent=False)
        self.register_buffer("bands", bands, persistent=False)
        size = _OVERLAP * c.hop
        self._power = Derived(partial(power_spectrum, size))
        self._inverse = Derived(partial(inverse_spectrum, size))
        shape = {"expansion": c.expansion, "kernel": c.kernel}
        self.analysis = Linear(c.bands + c.hop, c.latent)
        self.encoder = FrameNet(bins + c.hop, c.encoder_width, c.encoder_depth, c.latent, **shape)
        self.quantizer = ResidualVQ(c.latent, c.codebooks, c.cardinality)
        self.synthesis = Linear(c.latent, bins + c.hop)
        self.decoder = FrameNet(
            c.latent, c.decoder_width, c.decoder_depth, 2 * bins + c.hop, **shape
        )
        self._initialise()

    def _describe(self, c: SpectralConfig) -> None:
        self.sample_rate, self.channels, self.hop = c.sample_rate, 1, c.hop
        self.total_codebooks, self.latent_dim = c.codebooks, c.latent
        self.codebook_sizes = (c.cardinality,) * c.codebooks
        self.bandwidths = kbps_steps(self.codebook_sizes, 1, self.frame_rate)
        self.postroll_frames = _OVERLAP - 1
        self.latency_samples = self.postroll_frames * c.hop
        self.preroll_frames = c.decoder_depth * (c.kernel - 1)
        frames = c.encoder_depth * (c.kernel - 1) + self.preroll_frames + 2 * _OVERLAP
        self.receptive_field = frames * c.hop

    def trainable(self) -> Trainable:
        """Return the parts; the linear path can start from data."""
        assert isinstance(self.quantizer, ResidualVQ)
        start = partial(start_linear_path, self)
        return Trainable(self.to_latent, self.quantizer, self.from_latent, start)

    def _nets(self) -> list[nn.Module]:
        nets = (*self.encoder.modules(), *self.decoder.modules())
        return [net for net in nets if isinstance(net, Linear)]

    def _initialise(self) -> None:
        """Start both nets at (almost) nothing around the linear path, with phases as of noise."""
        nn.init.zeros_(self.encoder.output.weight)
        nn.init.zeros_(self.encoder.output.bias)
        real = self._bins + self.hop
        with torch.no_grad():
            self.decoder.output.weight[:real] *= 0.1
            nn.init.normal_(
                self.decoder.output.weight[real:], std=2.0 / math.sqrt(self.config.decoder_width)
            )

    # Audio to latents

    def features(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames `[B, F, 4 * hop]` to log magnitudes, log band envelope and companded MDCT."""
        power = self._power(self.window)(frames)
        magnitude = 0.5 * torch.log(power + _POWER_FLOOR)
        bands = 0.5 * torch.log(power @ self.band_mean + _POWER_FLOOR)
        mdct = frames[..., -2 * self.hop :] @ self.mdct
        return magnitude, bands, mdct / (mdct.abs() + _COMPANDING_FLOOR).sqrt()

    def analyse(self, frames: Tensor, net: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames of samples `[B, F, 4 * hop]` to latents `[B, F, D]`, before quantization."""
        magnitude, bands, mdct = self.features(frames)
        # about zero mean and unit variance for the net
        learned, net = self.encoder.step(torch.cat([(magnitude + 6) * 0.5, 2 * mdct], -1), net)
        return self.analysis.forward(torch.cat([bands, mdct], -1)).float() + learned.float(), net

    def to_latent(self, audio: Tensor) -> Tensor:
        """Whole signals `[B, 1, F * hop]` to latents `[B, D, F]`: what training quantizes."""
        history = F.pad(audio[:, 0], (3 * self.hop, 0))
        frames = frames_of(history, _OVERLAP * self.hop, self.hop)
        latent, _ = self.analyse(frames, self.encoder.initial_state(audio.shape[0], audio.device))
        return latent.transpose(1, 2)

    def _encoder_state(self, batch: int, device: torch.device) -> Incoming:
        past = torch.zeros(batch, 3 * self.hop, device=device)
        return Incoming(past, self.encoder.initial_state(batch, device))

    def _encode_step(self, audio: Tensor, state: Incoming) -> tuple[list[Latents], Incoming]:
        joined = torch.cat([state.past, audio[:, 0]], dim=-1)
        batch, samples = joined.shape
        count = samples // self.hop - 3
        if count == 0:
            return [], Incoming(joined, state.net)
        if batch:
            frames = frames_of(joined, _OVERLAP * self.hop, self.hop)
            latent, net = self.analyse(frames, state.net)
        else:  # an FFT of no frames is an error
            latent, net = joined.new_zeros(0, count, self.latent_dim), state.net
        rest = joined[:, count * self.hop :].clone()  # not a view that keeps the whole input alive
        return [Latents(latent.transpose(1, 2), None)], Incoming(rest, net)

    def _encode_flush(self, state: Incoming, batch: int) -> list[Latents]:
        """Complete the last frame with zeros."""
        waiting = state.past.shape[-1] - 3 * self.hop
        if not waiting:
            return []
        zeros = state.past.new_zeros(batch, 1, self.hop - waiting)
        return self._encode_step(zeros, state)[0]

    # Latents to audio

    def synthesise(
        self, latent: Tensor, net: tuple[Tensor, ...], waveform: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Latents `[B, F, D]` to frames of samples `[B, F, 4 * hop]` to overlap and add."""
        bins = self._bins
        learned, net = self.decoder.step(latent, net)
        learned, linear = learned.float(), self.synthesis.forward(latent).float()
        # the MDCT frame of the code before last lies in the older half of this STFT frame
        waveform = torch.cat([waveform, linear[..., bins:]], dim=1)
        mdct = waveform[:, :-_DELAY] + learned[..., bins : bins + self.hop]
        mdct = mdct * (mdct.abs() + _EXPANSION_SLOPE)
        magnitude = (linear[..., :bins] + learned[..., :bins]).clamp(max=_MAX_LOG_MAGNITUDE)
        phase = learned[..., bins + self.hop :]
        samples = self._inverse(self.synthesis_window)(magnitude.exp(), phase)
        samples = add_to_start(samples, mdct @ self.inverse_mdct)
        return samples, net, waveform[:, -_DELAY:]

    def from_latent(self, latent: Tensor) -> Tensor:
        """Whole latents `[B, D, F]` to audio `[B, 1, F * hop]`; training calls it too."""
        batch = latent.shape[0]
        y, state = self._decode_step(latent, None, self._decoder_state(batch, latent.device))
        return torch.cat([y, self._decode_flush(state, batch)], dim=-1)

    def _decoder_state(self, batch: int, device: torch.device) -> Outgoing:
        return Outgoing(
            self.decoder.initial_state(batch, device),
            torch.zeros(batch, _DELAY, self.hop, device=device),
            torch.zeros(batch, 3 * self.hop, device=device),
            skip=self.postroll_frames,
        )

    def _decode_step(
        self, latent: Tensor, scale: Tensor | None, state: Outgoing
    ) -> tuple[Tensor, Outgoing]:
        """Take the next latents `[B, D, F]`; return the audio that is final, 3 frames behind."""
        batch, _, frames = latent.shape
        skip = min(state.skip, frames)
        if not batch * frames:  # an FFT of no frames is an error
            after = state._replace(skip=state.skip - skip)
            return latent.new_zeros(batch, 1, (frames - skip) * self.hop), after
        frames_first = latent.transpose(1, 2)
        samples, net, waveform = self.synthesise(frames_first, state.net, state.waveform)
        y, tail = overlap_add(samples, self.hop, state.tail)
        return y[:, None, skip * self.hop :], Outgoing(net, waveform, tail, state.skip - skip)

    def _decode_flush(self, state: Outgoing, batch: int) -> Tensor:
        """Let frames of zero latents push out the samples that wait."""
        if state.skip == self.postroll_frames:  # nothing has come
            return state.tail.new_zeros(batch, 1, 0)
        zeros = state.tail.new_zeros(batch, self.latent_dim, self.postroll_frames)
        return self._decode_step(zeros, None, state)[0]
