"""Tiny models with random weights: causal, with look-ahead, stereo, segmented, recurrent."""

import hashlib

import numpy as np
import pytest
import torch

from ncodec.models.base import CompressionModel
from ncodec.models.records import Latents

DEPTH = 6


class ToyModel(CompressionModel):
    """Frames through a random matrix and residual codebooks; the decoder sees `reach` frames back.

    With `ahead` it also waits for that many frames after each one.
    """

    name = "toy"

    def __init__(self, *, rate=8000, hop=40, channels=1, codebooks=4, reach=2, ahead=0, size=32):
        super().__init__()
        generator = torch.Generator().manual_seed(hop + channels)
        self.sample_rate, self.hop, self.channels = rate, hop, channels
        self.total_codebooks = codebooks
        self.codebook_sizes = (size,) * codebooks
        self.bandwidths, self.latent_dim = (), DEPTH
        self.latency_samples = ahead * hop
        self.receptive_field = (reach + ahead + 1) * hop
        self.preroll_frames, self.postroll_frames = reach, ahead
        self.reach, self.ahead = reach, ahead
        width = channels * hop

        def weights(*shape):
            return torch.nn.Parameter(torch.randn(*shape, generator=generator), requires_grad=False)

        self.analysis = weights(DEPTH, width)
        self.books = weights(codebooks, size, DEPTH)
        self.synthesis = weights(width, DEPTH * (reach + 1 + ahead))
        self.eval()

    @property
    def num_codebooks(self):
        return self.total_codebooks

    @property
    def fingerprint(self):
        tensors = b"".join(v.numpy().tobytes() for v in self.state_dict().values())
        return hashlib.sha256(f"{self.hop} {self.channels}".encode() + tensors).digest()

    def _quantize(self, latent, streams):
        rest, codes = latent, []
        for book in self.books[: streams.codebooks]:
            code = (rest[:, None] - book[None, :, :, None]).square().sum(2).argmin(1)
            codes.append(code)
            rest = rest - book[code].movedim(-1, 1)
        return torch.stack(codes, dim=1)

    def _decode_latent(self, codes):
        total = torch.zeros(codes.shape[0], DEPTH, codes.shape[2])
        for k in range(codes.shape[1]):
            total = total + self.books[k][codes[:, k]].movedim(-1, 1)
        return total

    def _encoder_state(self, batch, device):
        return torch.zeros(batch, self.channels, 0)

    def frames(self, audio):
        batch, channels, samples = audio.shape
        return (
            audio.reshape(batch, channels, samples // self.hop, self.hop)
            .movedim(2, 3)
            .flatten(1, 2)
        )

    def _encode_step(self, audio, rest):
        audio = torch.cat([rest, audio], dim=2)
        whole = audio.shape[2] // self.hop * self.hop
        rest = audio[:, :, whole:]
        if whole == 0:
            return [], rest
        return [Latents(3 * self.analysis @ self.frames(audio[:, :, :whole]), None)], rest

    def _encode_flush(self, rest, batch):
        if rest.shape[2] == 0:
            return []
        padded = torch.nn.functional.pad(rest, (0, self.hop - rest.shape[2]))
        return self._encode_step(padded, rest[:, :, :0])[0]

    def _decoder_state(self, batch, device):
        return torch.zeros(batch, DEPTH, self.reach)

    def _decode_step(self, latent, scale, state):
        joined = torch.cat([state, latent], dim=2)
        span = self.reach + 1 + self.ahead
        count = joined.shape[2] - span + 1
        keep = joined[:, :, max(count, 0) :]
        if count <= 0:
            return torch.zeros(latent.shape[0], self.channels, 0), keep
        windows = joined.unfold(2, span, 1).transpose(2, 3).flatten(1, 2)
        audio = torch.tanh(0.1 * self.synthesis @ windows)
        audio = audio.reshape(-1, self.channels, self.hop, count).movedim(2, 3).flatten(2, 3)
        return audio, keep

    def _decode_flush(self, state, batch):
        return self._decode_step(torch.zeros(batch, DEPTH, self.ahead), None, state)[0]


class SegmentModel(ToyModel):
    """Segments of `length` samples every `stride`, each with its scale, overlapped linearly."""

    name = "toy_segments"
    scaled = True

    def __init__(self, *, length=800, stride=760, **options):
        super().__init__(reach=0, **options)
        self.segment = (length, stride)
        self.latency_samples = length

    def _encode_step(self, audio, rest):
        audio = torch.cat([rest, audio], dim=2)
        length, stride = self.segment
        segments = []
        while audio.shape[2] >= length:
            segments.append(self.analyse(audio[:, :, :length]))
            audio = audio[:, :, stride:]
        return segments, audio

    def analyse(self, part):
        scale = part.mean(1).square().mean(1).sqrt() + 1e-8
        part = torch.nn.functional.pad(part / scale[:, None, None], (0, -part.shape[2] % self.hop))
        return Latents(self.analysis @ self.frames(part), scale)

    def _encode_flush(self, rest, batch):
        segments = []
        while rest.shape[2] > 0:
            segments.append(self.analyse(rest[:, :, : self.segment[0]]))
            rest = rest[:, :, self.segment[1] :]
        return segments

    def _decoder_state(self, batch, device):
        return torch.zeros(batch, self.channels, 0), torch.zeros(0)

    def _decode_step(self, latent, scale, state):
        sums, weights = state
        empty = torch.zeros(latent.shape[0], DEPTH, 0)
        audio = super()._decode_step(latent, None, empty)[0] * scale[:, None, None]
        count = audio.shape[2]
        t = torch.linspace(0, 1, count + 2)[1:-1]
        weight = 0.5 - (t - 0.5).abs()
        size = max(count, sums.shape[2])
        sums = torch.nn.functional.pad(sums, (0, size - sums.shape[2]))
        weights = torch.nn.functional.pad(weights, (0, size - weights.shape[0]))
        sums = sums + torch.nn.functional.pad(audio * weight, (0, size - count))
        weights = weights + torch.nn.functional.pad(weight, (0, size - count))
        stride = self.segment[1]
        return sums[:, :, :stride] / weights[:stride], (sums[:, :, stride:], weights[stride:])

    def _decode_flush(self, state, batch):
        return state[0] / state[1]


@pytest.fixture(scope="session")
def toys():
    return {
        "causal": ToyModel(),
        "ahead": ToyModel(ahead=2),
        "stereo": ToyModel(channels=2),
        "segments": SegmentModel(),
        "stereo segments": SegmentModel(channels=2),
    }


@pytest.fixture(params=["causal", "ahead", "stereo", "segments", "stereo segments"])
def toy(request, toys):
    return toys[request.param]


@pytest.fixture
def make_toy():
    return ToyModel


@pytest.fixture
def sound():
    def make(channels, samples, seed=0):
        generator = np.random.default_rng(seed)
        t = np.arange(samples) / 8000
        tone = np.sin(2 * np.pi * 3 * t * generator.uniform(20, 90, (channels, 1)))
        return (0.3 * tone + generator.normal(0, 0.1, (channels, samples))).astype(np.float32)

    return make
