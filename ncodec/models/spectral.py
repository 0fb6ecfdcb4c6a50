"""SpectralCodec: a causal codec that works on spectra at the frame rate (draft: training form)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class SpectralConfig:
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


def mdct_basis(hop: int) -> Tensor:
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(hop, dtype=torch.float64)
    window = torch.sin(math.pi / (2 * hop) * (n + 0.5))
    phase = math.pi / hop * torch.outer(n + 0.5 + hop / 2, k + 0.5)
    return (math.sqrt(2 / hop) * window[:, None] * torch.cos(phase)).float()


def band_matrix(bins: int, bands: int, sample_rate: int) -> Tensor:
    """Triangles `[bands, bins]`, evenly spaced in ERB rate."""
    erb = lambda f: 21.4 * torch.log10(1 + 0.00437 * f)
    f = torch.linspace(0, sample_rate / 2, bins, dtype=torch.float64)
    top = erb(torch.tensor(sample_rate / 2, dtype=torch.float64))
    centres = torch.linspace(float(erb(torch.tensor(50.0))), float(top) - 0.5, bands, dtype=torch.float64)
    step = centres[1] - centres[0]
    w = (1 - (erb(f)[None] - centres[:, None]).abs() / step).clamp(min=0)
    w[0, erb(f) < centres[0]] = 1
    w[-1, erb(f) > centres[-1]] = 1
    return w.float()


class Block(nn.Module):
    def __init__(self, width: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(kernel, width) / math.sqrt(kernel))
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.reduce = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        k = self.taps.shape[0]
        t = x.shape[1]
        padded = F.pad(x, (0, 0, k - 1, 0))
        y = padded[:, k - 1 :] * self.taps[k - 1]
        for i in range(k - 1):
            y = y + padded[:, i : i + t] * self.taps[i]
        return x + self.scale * self.reduce(F.gelu(self.expand(self.norm(y))))


class Stack(nn.Module):
    def __init__(self, inputs: int, width: int, depth: int, outputs: int, expansion: int, kernel: int):
        super().__init__()
        self.input = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([Block(width, expansion, kernel) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))


class Quantizer(nn.Module):
    def __init__(self, n: int, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codebooks", torch.randn(n, size, dim) * 0.1)
        self.register_buffer("usage", torch.ones(n, size), persistent=False)
        self.register_buffer("sums", torch.zeros(n, size, dim), persistent=False)

    @torch.no_grad()
    def encode(self, z: Tensor, n: int, update: float | None = None) -> tuple[Tensor, Tensor]:
        """z [N, D] -> codes [n, N], partial sums [n, N, D]."""
        residual = z.float()
        total = torch.zeros_like(residual)
        codes, sums = [], []
        for k in range(n):
            book = self.codebooks[k]
            index = (residual @ book.T - 0.5 * book.square().sum(1)).argmax(1)
            if update is not None:
                count = torch.bincount(index, minlength=book.shape[0]).float()
                acc = torch.zeros_like(book).index_add_(0, index, residual)
                self.usage[k].mul_(update).add_(count, alpha=1 - update)
                self.sums[k].mul_(update).add_(acc, alpha=1 - update)
                dead = self.usage[k] < 0.03 * self.usage[k].mean()
                if dead.any():
                    m = int(dead.sum())
                    pick = residual[torch.randint(len(residual), (m,))]
                    self.usage[k][dead] = self.usage[k].mean() * 0.5
                    self.sums[k][dead] = pick * self.usage[k][dead][:, None]
                q = book[index]
                self.codebooks[k] = self.sums[k] / self.usage[k][:, None]
            else:
                q = book[index]
            total = total + q
            residual = residual - q
            codes.append(index)
            sums.append(total)
        return torch.stack(codes), torch.stack(sums)


class SpectralCodec(nn.Module):
    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        c = self.config = config
        self.hop, self.window_size = c.hop, 4 * c.hop
        bins = 2 * c.hop + 1
        self.bins = bins
        self.register_buffer("mdct", mdct_basis(c.hop), persistent=False)
        self.register_buffer("window", torch.hann_window(self.window_size), persistent=False)
        bands = band_matrix(bins, c.bands, c.sample_rate)
        self.register_buffer("band_mean", (bands / bands.sum(1, keepdim=True)).T.contiguous(), persistent=False)
        self.register_buffer("band_spread", bands / bands.sum(0, keepdim=True), persistent=False)
        self.analysis = nn.Linear(c.bands + c.hop, c.latent)
        self.encoder = Stack(bins + c.hop, c.encoder_width, c.encoder_depth, c.latent, c.expansion, c.kernel)
        self.quantizer = Quantizer(c.codebooks, c.cardinality, c.latent)
        self.synthesis = nn.Linear(c.latent, bins + c.hop)
        self.decoder = Stack(c.latent, c.decoder_width, c.decoder_depth, 2 * bins + c.hop, c.expansion, c.kernel)
        nn.init.zeros_(self.encoder.output.weight)
        nn.init.zeros_(self.encoder.output.bias)
        with torch.no_grad():
            self.decoder.output.weight[: bins + c.hop] *= 0.1
            nn.init.normal_(self.decoder.output.weight[bins + c.hop :], std=2.0 / math.sqrt(c.decoder_width))

    def features(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Audio `[B, T]` (T a multiple of hop) -> log magnitudes, log bands, companded MDCT."""
        padded = F.pad(audio, (self.window_size - self.hop, 0))
        frames = padded.unfold(-1, self.window_size, self.hop)
        spectrum = torch.fft.rfft(frames * self.window)
        power = (spectrum.real.square() + spectrum.imag.square()) / (0.375 * self.window_size)
        logmag = 0.5 * torch.log(power + 1e-9)
        bands = 0.5 * torch.log(power @ self.band_mean + 1e-9)
        coefs = frames[..., -2 * self.hop :] @ self.mdct
        return logmag, bands, coefs / (coefs.abs() + 1e-4).sqrt()

    def encode_latent(self, audio: Tensor) -> Tensor:
        logmag, bands, coefs = self.features(audio)
        z = self.analysis(torch.cat([bands, coefs], -1))
        return z + self.encoder(torch.cat([(logmag + 6) * 0.5, 2 * coefs], -1)).float()

    def decode_latent(self, z: Tensor) -> Tensor:
        """Latents `[B, F, D]` -> audio `[B, F * hop]`."""
        c, bins = self.config, self.bins
        frames = z.shape[1]
        z = F.pad(z, (0, 0, 0, 3))
        out = self.decoder(z).float()
        linear = self.synthesis(z)
        coefs = F.pad(linear[:, :-2, bins:], (0, 0, 2, 0)) + out[..., bins : bins + c.hop]
        coefs = coefs * (coefs.abs() + 0.02)
        logmag = (linear[..., :bins] + out[..., :bins]).clamp(max=4)
        phase = out[..., bins + c.hop :]
        spectrum = torch.polar(torch.exp(logmag), phase)
        wave = torch.fft.irfft(spectrum, n=self.window_size) * (self.window * math.sqrt(0.375 * self.window_size) / 1.5)
        first, rest = wave.split([2 * c.hop, 2 * c.hop], -1)
        wave = torch.cat([first + coefs @ self.mdct.T, rest], -1)
        return overlap_add(wave, c.hop)[:, 3 * c.hop : (frames + 3) * c.hop]


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    b, t, n = frames.shape
    r = n // hop
    parts = frames.view(b, t, r, hop)
    y = F.pad(parts[:, :, 0], (0, 0, 0, r - 1))
    for i in range(1, r):
        y = y + F.pad(parts[:, :, i], (0, 0, i, r - 1 - i))
    return y.reshape(b, -1)
