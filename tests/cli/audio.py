"""Audio files for these tests."""

from pathlib import Path

import numpy as np
import soundfile


def wav(path, seconds=1.0, channels=1, rate=8000, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.1, (int(seconds * rate), channels))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, rate)
