"""Language models over codes: AudioGen, MusicGen, and models of our own."""

from ncodec.lm.generators import AudioGen, GenModel, MusicGen, load_generator
from ncodec.lm.model import Conditions, LMModel, LMOutput, LMState
from ncodec.lm.patterns import Pattern
from ncodec.lm.sampling import Sampling

__all__ = [
    "AudioGen",
    "Conditions",
    "GenModel",
    "LMModel",
    "LMOutput",
    "LMState",
    "MusicGen",
    "Pattern",
    "Sampling",
    "load_generator",
]
