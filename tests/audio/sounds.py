"""Sounds that tests make, and the ways in which they are read."""

import io

import numpy as np
import soundfile

from ncodec.audio import open_audio, open_writer


class Pipe(io.RawIOBase):
    """Bytes that come in odd pieces and cannot seek."""

    def __init__(self, data=b"", piece=997):
        self.data, self.piece, self.at, self.out = data, piece, 0, bytearray()

    def readable(self):
        return True

    def writable(self):
        return True

    def read(self, size=-1):
        size = self.piece if size < 0 else min(size, self.piece)
        got = self.data[self.at : self.at + size]
        self.at += len(got)
        return got

    def write(self, data):
        self.out += data
        return len(data)


def noise(channels, samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, samples)).astype(np.float32)


def tone(samples, step=0.05, channels=1):
    x = 0.3 * np.sin(np.arange(samples) * step) + 0.01 * noise(1, samples)[0]
    return np.tile(x.astype(np.float32), (channels, 1))


def read_all(source, block=1000, **options):
    reader = open_audio(source, **options)
    try:
        blocks = []
        while (x := reader.read(block)).shape[1]:
            assert x.shape[1] <= block
            blocks.append(x)
    finally:
        reader.close()
    return np.concatenate([*blocks, x], axis=1), reader


def sound_bytes(x, rate=16000, subtype="PCM_16", container="WAV"):
    file = io.BytesIO()
    soundfile.write(file, x.T, rate, subtype, format=container)
    return file.getvalue()


def written(x, container, rate=24000, **options):
    """Return the bytes that a writer makes of `x`."""
    file = io.BytesIO()
    writer = open_writer(
        file, container=container, sample_rate=rate, channels=x.shape[0], **options
    )
    writer.write(x)
    writer.finish()
    return file.getvalue(), writer
