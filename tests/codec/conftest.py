"""Tiny models with random weights: causal, with look-ahead, stereo, segmented, recurrent."""

import hashlib

import numpy as np
import pytest
import torch

from ncodec.models.base import Chunk, CompressionModel

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
        self.bandwidths = ()
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

    def encode(self, audio):
        chunks, state = self.encode_step(audio, self.encoder_state(audio.shape[0]))
        chunks = [*chunks, *self.encode_flush(state)]
        return torch.cat([c.codes for c in chunks], dim=2), chunks[0].scale

    def decode(self, codes, scale=None):
        audio, state = self.decode_step(Chunk(codes, scale), self.decoder_state(codes.shape[0]))
        return torch.cat([audio, self.decode_flush(state)], dim=2)

    def quantize(self, latent, codebooks):
        rest, codes = latent, []
        for book in self.books[:codebooks]:
            code = (rest[:, None] - book[None, :, :, None]).square().sum(2).argmin(1)
            codes.append(code)
            rest = rest - book[code].movedim(-1, 1)
        return torch.stack(codes, dim=1)

    def decode_latent(self, codes):
        total = torch.zeros(codes.shape[0], DEPTH, codes.shape[2])
        for k in range(codes.shape[1]):
            total = total + self.books[k][codes[:, k]].movedim(-1, 1)
        return total

    def encoder_state(self, batch, device=None, codebooks=None):
        empty = torch.zeros(batch, self.channels, 0)
        return empty, codebooks or self.total_codebooks

    def frames(self, audio):
        batch, channels, samples = audio.shape
        return (
            audio.reshape(batch, channels, samples // self.hop, self.hop)
            .movedim(2, 3)
            .flatten(1, 2)
        )

    def encode_step(self, audio, state):
        rest, codebooks = state
        audio = torch.cat([rest, audio], dim=2)
        whole = audio.shape[2] // self.hop * self.hop
        state = (audio[:, :, whole:], codebooks)
        if whole == 0:
            return [], state
        latent = 3 * self.analysis @ self.frames(audio[:, :, :whole])
        return [Chunk(self.quantize(latent, codebooks), None)], state

    def encode_flush(self, state):
        rest, codebooks = state
        if rest.shape[2] == 0:
            return []
        padded = torch.nn.functional.pad(rest, (0, self.hop - rest.shape[2]))
        return self.encode_step(padded, (rest[:, :, :0], codebooks))[0]

    def decoder_state(self, batch, device=None):
        return torch.zeros(batch, DEPTH, self.reach)

    def decode_latent_step(self, latent, scale, state):
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

    def decode_flush(self, state):
        zeros = torch.zeros(state.shape[0], DEPTH, self.ahead)
        return self.decode_latent_step(zeros, None, state)[0]


class SegmentModel(ToyModel):
    """Segments of `length` samples every `stride`, each with its scale, overlapped linearly."""

    name = "toy_segments"

    def __init__(self, *, length=800, stride=760, **options):
        super().__init__(reach=0, **options)
        self.segment = (length, stride)
        self.latency_samples = length

    def encode_step(self, audio, state):
        rest, codebooks = state
        audio = torch.cat([rest, audio], dim=2)
        length, stride = self.segment
        chunks = []
        while audio.shape[2] >= length:
            chunks.append(self.code(audio[:, :, :length], codebooks))
            audio = audio[:, :, stride:]
        return chunks, (audio, codebooks)

    def code(self, part, codebooks):
        scale = part.mean(1).square().mean(1).sqrt() + 1e-8
        part = torch.nn.functional.pad(part / scale[:, None, None], (0, -part.shape[2] % self.hop))
        return Chunk(self.quantize(self.analysis @ self.frames(part), codebooks), scale)

    def encode_flush(self, state):
        rest, codebooks = state
        chunks = []
        while rest.shape[2] > 0:
            chunks.append(self.code(rest[:, :, : self.segment[0]], codebooks))
            rest = rest[:, :, self.segment[1] :]
        return chunks

    def decoder_state(self, batch, device=None):
        return torch.zeros(batch, self.channels, 0), torch.zeros(0)

    def decode_latent_step(self, latent, scale, state):
        sums, weights = state
        empty = torch.zeros(latent.shape[0], DEPTH, 0)
        audio = super().decode_latent_step(latent, None, empty)[0] * scale[:, None, None]
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

    def decode_flush(self, state):
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
