"""Drawing codes: against a sampler in plain Python, ties and all."""

import math

import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.lm.sampling import Sampling, generators_of, guided, seeds_of


def plainly(logits: list[float], noise: list[float], sampling: Sampling, temperature: float) -> int:
    """Draw one code: the largest ratio of probability and exponential noise."""
    weights = [math.exp(value / temperature) for value in logits]
    total = sum(weights)
    probabilities = [w / total for w in weights]
    ordered = sorted(range(len(logits)), key=lambda i: (-probabilities[i], i))
    if sampling.top_p > 0:
        before, kept = 0.0, set[int]()
        for i in ordered:
            if before <= sampling.top_p:
                kept.add(i)
            before += probabilities[i]
    elif sampling.top_k:
        least = logits[ordered[min(sampling.top_k, len(logits)) - 1]]
        kept = {i for i, value in enumerate(logits) if value >= least}
    else:
        kept = set(range(len(logits)))
    return max(kept, key=lambda i: probabilities[i] / noise[i])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_k=0),
        Sampling(top_k=3),
        Sampling(top_k=500),
        Sampling(top_k=5, temperature=0.7),
        Sampling(top_p=0.6),
        Sampling(top_p=0.3, top_k=2, temperature=1.3),
        Sampling(top_k=4, temperature=(1.0, 0.5)),
    ],
)
def test_draws(sampling: Sampling) -> None:
    torch.manual_seed(0)
    several = sampling.temperature if isinstance(sampling.temperature, tuple) else None
    for seed in range(40):
        logits = torch.randint(-4, 4, (1, 2, 20)).float()  # with many ties
        got = sampling.draw(logits, generators_of([seed]))
        noise = torch.empty(2, 20).exponential_(generator=torch.Generator().manual_seed(seed))
        for k in range(2):
            temperature = several[k] if several else sampling.temperature
            want = plainly(logits[0, k].tolist(), noise[k].tolist(), sampling, temperature)
            assert got[0, k] == want


def test_one_item_draws_as_multinomial_does() -> None:
    torch.manual_seed(3)
    logits = torch.randn(1, 4, 50)
    torch.manual_seed(9)
    want = torch.multinomial(logits[0].softmax(-1), 1)[:, 0]
    assert torch.equal(Sampling(top_k=0).draw(logits, generators_of([9]))[0], want)


def test_an_item_draws_the_same_whatever_its_neighbours() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 50)
    sampling, generators = Sampling(top_k=20), generators_of([5, 6, 7])
    together = [sampling.draw(logits, generators) for _ in range(5)]
    for item, seed in enumerate((5, 6, 7)):
        own = generators_of([seed])
        alone = [sampling.draw(logits[item : item + 1], own)[0] for _ in range(5)]
        assert torch.equal(torch.stack([codes[item] for codes in together]), torch.stack(alone))
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("sampling", [Sampling(use_sampling=False), Sampling(temperature=0)])
def test_greedy(sampling: Sampling) -> None:
    logits = torch.randn(2, 4, 50)
    assert torch.equal(sampling.draw(logits, []), logits.argmax(-1))


def test_frequencies_are_the_probabilities() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(1, 3000, 3)
    drawn = Sampling(top_k=0).draw(logits, generators_of([1]))
    assert ((drawn == 0).float().mean() - 0.5).abs() < 0.03
    halved = Sampling(top_k=0, temperature=0.5).draw(logits, generators_of([1]))
    assert ((halved == 0).float().mean() - 0.25 / 0.38).abs() < 0.03


def test_guidance() -> None:
    own, null = torch.randn(2, 5), torch.randn(2, 5)
    assert torch.allclose(guided(own, null, 1.0), own, atol=1e-6)
    assert torch.allclose(guided(own, null, 0.0), null)
    assert torch.allclose(guided(own, null, 3.0), 3 * own - 2 * null, atol=1e-5)


def test_seeds() -> None:
    assert seeds_of(7, 3) == [7, 8, 9]
    assert seeds_of(None, 1) != seeds_of(None, 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sampling(top_k=-1), "top_k -1"),
        (lambda: Sampling(top_p=1.5), "0 to 1"),
        (lambda: Sampling(temperature=-1), "not be negative"),
        (lambda: Sampling(temperature=math.nan), "finite"),
        (lambda: Sampling(temperature=(1.0, 0.0)), "of all codebooks or of none"),
        (lambda: Sampling(temperature=(1.0, 0.9)).check(4), "2 temperatures"),
        (lambda: seeds_of(-1, 1), "seed -1"),
        (lambda: seeds_of(1.5, 1), "whole number"),
    ],
)
def test_what_is_refused(make, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make()
