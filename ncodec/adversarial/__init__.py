"""Discriminators and their losses: training against critics that learn."""

from ncodec.adversarial.base import CombinedDiscriminator, MultiDiscriminator
from ncodec.adversarial.losses import (
    AdversarialLoss,
    FeatureMatchingLoss,
    get_adv_criterion,
    get_fake_criterion,
    get_real_criterion,
)
from ncodec.adversarial.mpd import MultiPeriodDiscriminator
from ncodec.adversarial.msd import HiFiGANScaleDiscriminator, MultiScaleDiscriminator
from ncodec.adversarial.msstftd import MultiScaleSTFTDiscriminator
from ncodec.adversarial.spectrum import MultiSpectrumDiscriminator

__all__ = [
    "AdversarialLoss",
    "CombinedDiscriminator",
    "FeatureMatchingLoss",
    "HiFiGANScaleDiscriminator",
    "MultiDiscriminator",
    "MultiPeriodDiscriminator",
    "MultiScaleDiscriminator",
    "MultiScaleSTFTDiscriminator",
    "MultiSpectrumDiscriminator",
    "get_adv_criterion",
    "get_fake_criterion",
    "get_real_criterion",
]
