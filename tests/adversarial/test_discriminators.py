"""The discriminators: their sizes, what they hear, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F

from ncodec.adversarial import (
    CombinedDiscriminator,
    HiFiGANScaleDiscriminator,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleSTFTDiscriminator,
)
from ncodec.errors import ArgumentError

SMALL = {
    "mpd": lambda channels=1: MultiPeriodDiscriminator((2, 3, 5), channels=channels, filters=2),
    "msd": lambda channels=1: MultiScaleDiscriminator(channels=channels, filters=4),
    "hifigan_msd": lambda channels=1: HiFiGANScaleDiscriminator(channels=channels, filters=16),
    "msstftd": lambda channels=1: MultiScaleSTFTDiscriminator(
        (64, 128), channels=channels, filters=4
    ),
}


def noise(length: int, channels: int = 1) -> torch.Tensor:
    return torch.randn(2, channels, length, generator=torch.Generator().manual_seed(0))


def lengths(logits: list[torch.Tensor]) -> list[int]:
    return [x.shape[-1] for x in logits]


# HiFi-GAN's discriminators hold 41.1 M (MPD) and 70.7 M together.
# The others: weights, biases and one gain a channel, added up by hand over the papers' layers.
@pytest.mark.parametrize(
    ("family", "millions"),
    [
        (MultiPeriodDiscriminator, 41.106),
        (MultiScaleDiscriminator, 16.924),
        (HiFiGANScaleDiscriminator, 29.619),
        (MultiScaleSTFTDiscriminator, 0.283),
    ],
)
def test_full_size_nets_have_the_published_number_of_parameters(family, millions):
    with torch.device("meta"):
        net = family()
    count = sum(p.numel() for p in net.parameters())
    assert round(count / 1e6, 3) == pytest.approx(millions, abs=1e-9)


def test_audiocraft_scales_of_the_stft_discriminator():
    with torch.device("meta"):
        net = MultiScaleSTFTDiscriminator((2048, 1024, 512, 256, 128))
    assert net.num_discriminators == 5
    assert sum(p.numel() for p in net.parameters()) == 5 * 94_498


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_logits_and_maps_come_for_each_discriminator(name, channels):
    net = SMALL[name](channels)
    logits, maps = net(noise(1001, channels))
    assert len(logits) == len(maps) == net.num_discriminators == len(net.discriminators)
    for judged, layers in zip(logits, maps, strict=True):
        assert judged.shape[:2] == (2, 1)
        assert {features.shape[0] for features in layers} == {2}
        assert len(layers) == {"mpd": 5, "msd": 6, "hifigan_msd": 7, "msstftd": 5}[name]


def test_period_discriminator_folds_and_thirds():
    logits, maps = MultiPeriodDiscriminator((2, 7), filters=1)(noise(1000))
    # ceil(1000 / p) rows; four strides of 3, each ceil(n / 3); columns are the period
    assert [tuple(x.shape[2:]) for x in logits] == [(7, 2), (2, 7)]
    assert [x.shape[1] for x in maps[0]] == [1, 4, 16, 32, 32]


def test_period_discriminator_reflects_the_end():
    net = MultiPeriodDiscriminator((5,), filters=1).discriminators[0]
    folded = net.prepare(torch.arange(8.0).reshape(1, 1, 8))
    assert folded.tolist() == [[[[0, 1, 2, 3, 4], [5, 6, 7, 6, 5]]]]


def test_columns_of_the_period_discriminator_are_judged_apart():
    net, x = MultiPeriodDiscriminator((5,), filters=1), noise(1000)
    changed = x.clone()
    changed[..., 2::5] += 1
    (before,), (after,) = net(x)[0], net(changed)[0]
    differs = (before != after).any(dim=2)[0, 0]
    assert differs.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(("name", "stride"), [("msd", 256), ("hifigan_msd", 64)])
def test_each_scale_hears_half_the_rate_of_the_one_before(name, stride):
    # with the pooled signal thrown away, all three would be alike
    length = 64 * stride
    logits, _ = SMALL[name]()(noise(length))
    assert lengths(logits) == pytest.approx([64, 32, 16], abs=1)
    views = SMALL[name]().views(noise(length))
    assert lengths(views) == [length, length // 2 + 1, (length // 2 + 1) // 2 + 1]


@pytest.mark.parametrize("name", ["msd", "hifigan_msd"])
def test_coarse_scales_do_not_hear_what_pooling_removes(name):
    # an alternation at half the sample rate averages to nothing, but for the edges
    net = SMALL[name]()
    x = noise(4096)
    alternating = x.clone()
    alternating[..., 1::2] += 0.5
    alternating[..., ::2] -= 0.5
    (fine, coarse, _), (fine_alt, coarse_alt, _) = net.views(x), net.views(alternating)
    assert (fine - fine_alt).abs().mean() == pytest.approx(0.5)
    torch.testing.assert_close(coarse[..., 2:-2], coarse_alt[..., 2:-2], atol=1e-6, rtol=0)


def test_spectral_norm_only_at_the_full_rate_of_hifigan():
    first, *others = HiFiGANScaleDiscriminator(filters=16).discriminators
    for layer in first.layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.1)
    assert all("SpectralNorm" not in str(other) and "WeightNorm" in str(other) for other in others)


def test_stft_discriminator_sees_the_complex_spectrum():
    net = MultiScaleSTFTDiscriminator((64,), channels=2).discriminators[0]
    x, window = noise(640, channels=2), torch.hann_window(64)
    theirs = (
        torch.stft(
            x.flatten(0, 1), 64, 16, window=window, center=False, return_complex=True
        ).transpose(1, 2)
        / window.square().sum().sqrt()
    )
    theirs = theirs.unflatten(0, (2, 2))
    seen = net.prepare(x)
    assert seen.shape == (2, 4, (640 - 64) // 16 + 1, 33)
    torch.testing.assert_close(seen, torch.cat([theirs.real, theirs.imag], 1), atol=1e-5, rtol=1e-4)


def test_stft_discriminator_halves_frequency_thrice_and_keeps_time():
    logits, _ = SMALL["msstftd"]()(noise(1024))
    assert [tuple(x.shape[2:]) for x in logits] == [(61, 5), (29, 9)]


@pytest.mark.parametrize("family", SMALL)
def test_hidden_layers_are_leaky_and_the_logits_are_not_maps(family):
    _, maps = SMALL[family]()(noise(2048))
    for layers in maps:
        assert (layers[0] < 0).any()
        assert all(features.shape[1] > 1 for features in layers)


def test_combination_is_its_parts_in_order():
    parts = [SMALL[name]().eval() for name in SMALL]
    both = CombinedDiscriminator(parts)
    x = noise(1024)
    logits, maps = both(x)
    assert both.num_discriminators == len(logits) == len(maps) == 3 + 3 + 3 + 2
    apart = [judged for part in parts for judged in part(x)[0]]
    for ours, theirs in zip(logits, apart, strict=True):
        assert torch.equal(ours, theirs)
    assert len(list(both.parameters())) == sum(len(list(p.parameters())) for p in parts)


def test_weights_survive_a_state_dict():
    x = noise(1024)
    for make in SMALL.values():
        one, other = make().eval(), make().eval()
        assert not torch.equal(one(x)[0][0], other(x)[0][0])
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(x)[0][0], other(x)[0][0])


@pytest.mark.parametrize(
    ("net", "length", "rule"),
    [
        (MultiPeriodDiscriminator((2, 11), filters=1), 11, "10 samples: period 11"),
        (MultiScaleDiscriminator(filters=4), 32, "31 samples: 3 scales need at least 32"),
        (HiFiGANScaleDiscriminator(filters=16), 32, "31 samples: 3 scales need at least 32"),
        (MultiScaleSTFTDiscriminator((64, 256), filters=1), 256, "255 samples: n_fft 256"),
    ],
)
def test_the_shortest_signal_passes_and_a_shorter_one_is_refused(net, length, rule):
    logits, _ = net(noise(length))
    assert all(x.numel() for x in logits)
    with pytest.raises(ArgumentError, match=rule):
        net(noise(length - 1))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: CombinedDiscriminator([]), "at least one"),
        (lambda: MultiPeriodDiscriminator((0,)), "period 0: must be positive"),
        (lambda: MultiScaleDiscriminator(filters=6), "filters 6: must be a multiple of 4"),
        (lambda: HiFiGANScaleDiscriminator(filters=8), "filters 8: must be a multiple of 16"),
        (lambda: MultiScaleSTFTDiscriminator((30,)), "n_fft 30: must be a positive multiple of 4"),
    ],
)
def test_impossible_sizes_are_refused(make, rule):
    with pytest.raises(ArgumentError, match=rule):
        make()


def test_bfloat16_autocast_leaves_the_transform_in_float32():
    net = SMALL["msstftd"]()
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = net(noise(256).bfloat16())
    assert logits[0].dtype == torch.bfloat16
    assert all(torch.isfinite(F.relu(x)).all() for x in logits)
