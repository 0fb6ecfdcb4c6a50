"""The losses of a run by name: what `losses` in a configuration may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor, nn

from ncodec.errors import ArgumentError
from ncodec.losses.p862 import PesqLoss
from ncodec.losses.perceptual import (
    BandLoss,
    EnvelopeLoss,
    LevelLoss,
    LinesLoss,
    LoudnessLoss,
    PhaseLoss,
    SimilarityLoss,
    SpectrumLoss,
)
from ncodec.losses.spectral import (
    CompressedSTFTLoss,
    L1Loss,
    LogDistanceLoss,
    MultiResolutionSTFTLoss,
    MultiScaleMelLoss,
    SISNRLoss,
    Spectra,
)

_MEL_SIZES, _MEL_BANDS = (2048, 1024, 512), (128, 80, 40)

LOSSES: Mapping[str, Callable[[int], nn.Module]] = {
    "l1": lambda _: L1Loss(),
    "mel": lambda rate: MultiScaleMelLoss(rate, _MEL_SIZES, n_mels=_MEL_BANDS),
    "stft": lambda _: MultiResolutionSTFTLoss(),
    "log_distance": lambda _: LogDistanceLoss(),
    "complex": lambda _: CompressedSTFTLoss((1024,)),
    "si_snr": lambda _: SISNRLoss(),
    "bands": BandLoss,
    "level": LevelLoss,
    "loudness": LoudnessLoss,
    "envelope": EnvelopeLoss,
    "phase": PhaseLoss,
    "spectrum": SpectrumLoss,
    "pesq": PesqLoss,
    "lines": LinesLoss,
    "similarity": SimilarityLoss,
}
"""Name -> loss, made for a sample rate in Hz."""


class LossTable(nn.Module):
    """Several losses over one pair of signals, each STFT computed once.

    Raises:
        ArgumentError: No loss is given, or one is unknown or has no positive weight.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        sample_rate: int,
        own: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType({}),
    ) -> None:
        """`own`: losses of a task, made as those of `LOSSES` are."""
        super().__init__()
        known = {**LOSSES, **own}
        unknown = sorted(set(weights) - set(known))
        if unknown or not weights:
            raise ArgumentError(f"losses {unknown}: must be of {', '.join(known)}, at least one")
        if min(weights.values()) <= 0:
            raise ArgumentError(f"losses {dict(weights)}: weights must be positive")
        self.weights = dict(weights)
        self.losses = nn.ModuleDict({name: known[name](sample_rate) for name in weights})

    def forward(self, fake: Tensor, real: Tensor, phase_weight: Tensor) -> dict[str, Tensor]:
        """Return each loss, without its weight.

        `phase_weight` `[B]` weighs what depends on phase: 1 for items coded with all codebooks.
        """
        spectra = Spectra(fake), Spectra(real)
        return {
            name: loss(*spectra, phase_weight) if isinstance(loss, PhaseLoss) else loss(*spectra)
            for name, loss in self.losses.items()
        }
