"""What mels other tools have by default: fields of `HifiGanConfig` that differ from its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LOG10 = {"fmin": 80.0, "fmax": 7600.0, "log": "log10", "floor": 1e-10, "power_floor": 0.0}

FRONT_ENDS: Mapping[str, Mapping[str, Any]] = {
    "official": {},
    "speecht5": {**_LOG10, "sample_rate": 16000, "centred": True, "double": True},
    "speechbrain": {"power_floor": 0.0, "centred": True},
    "coqui": {"power_floor": 0.0, "centred": True, "floor": 1e-8, "double": True},
    "pwg": {**_LOG10, "centred": True, "double": True, "normalised_before": True},
    "espnet": {**_LOG10, "least_power": 1e-10, "centred": True},
}
"""By package; "official" is jik876/hifi-gan's meldataset.py.

SpeechT5's are those of transformers' feature extractor; ESPnet's, which FastSpeech2Conformer has,
of espnet2/tts/feats_extract/log_mel_fbank.py. ESPnet and ParallelWaveGAN normalise them by numbers
in files of their own. SpeechT5's, Coqui's and ParallelWaveGAN's are computed with NumPy.
"""
