"""Codebook patterns against golden rows of AudioCraft's, made with K = 4 and 5 frames."""

import re

import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.lm.patterns import Code, Pattern

LAYOUTS = {
    Pattern(): (
        "[] [0a] [1a 0b] [2a 1b 0c] [3a 2b 1c 0d] [4a 3b 2c 1d] [5a 4b 3c 2d] [6a 5b 4c 3d] "
        "[7a 6b 5c 4d]",
        6,
    ),
    Pattern(flatten_first=2): (
        "[] [0a] [0b] [0c] [0d] [1a] [1b] [1c] [1d] [2a] [3a 2b] [4a 3b 2c] [5a 4b 3c 2d] "
        "[6a 5b 4c 3d] [7a 6b 5c 4d]",
        12,
    ),
    Pattern(empty_initial=1): (
        "[] [] [0a] [1a 0b] [2a 1b 0c] [3a 2b 1c 0d] [4a 3b 2c 1d] [5a 4b 3c 2d] [6a 5b 4c 3d] "
        "[7a 6b 5c 4d]",
        7,
    ),
    Pattern("parallel"): (
        "[] [0a 0b 0c 0d] [1a 1b 1c 1d] [2a 2b 2c 2d] [3a 3b 3c 3d] [4a 4b 4c 4d]",
        6,
    ),
    Pattern("unroll"): (
        "[] [0a] [0b] [0c] [0d] [1a] [1b] [1c] [1d] [2a] [2b] [2c] [2d] [3a] [3b] [3c] [3d] "
        "[4a] [4b] [4c] [4d]",
        21,
    ),
    Pattern("unroll", flattening=(0, 1, 1, 1)): (
        "[] [0a] [0b 0c 0d] [1a] [1b 1c 1d] [2a] [2b 2c 2d] [3a] [3b 3c 3d] [4a] [4b 4c 4d]",
        11,
    ),
    Pattern("unroll", flattening=(0, 1, 1, 1), delays=(0, 3, 3, 3)): (
        "[] [0a] [1a] [2a] [0b 0c 0d] [3a] [1b 1c 1d] [4a] [2b 2c 2d] [5a] [3b 3c 3d] [6a] "
        "[4b 4c 4d] [7a]",
        11,
    ),
    Pattern("coarse_first"): (
        "[] [0a] [1a] [2a] [3a] [4a] [0b 0c 0d] [1b 1c 1d] [2b 2c 2d] [3b 3c 3d] [4b 4c 4d]",
        11,
    ),
    Pattern("coarse_first", delays=(0, 1, 2)): (
        "[] [0a] [1a] [2a] [3a] [4a] [0b] [1b 0c] [2b 1c 0d] [3b 2c 1d] [4b 3c 2d] [5b 4c 3d] "
        "[6b 5c 4d]",
        11,
    ),
    Pattern("musiclm", group=2): (
        "[] [0a] [0b] [1a] [1b] [2a] [2b] [3a] [3b] [4a] [4b] "
        "[0c] [0d] [1c] [1d] [2c] [2d] [3c] [3d] [4c] [4d]",
        21,
    ),
}


def parsed(text: str) -> list[tuple[Code, ...]]:
    return [
        tuple(Code(int(word[:-1]), ord(word[-1]) - ord("a")) for word in step.split())
        for step in re.findall(r"\[(.*?)\]", text)
    ]


def rows(sequence: torch.Tensor) -> list[str]:
    return [" ".join("." if v == 9 else str(int(v)) for v in row) for row in sequence]


FRAMES = torch.arange(5).expand(1, 4, 5)


@pytest.mark.parametrize("pattern", LAYOUTS)
def test_layouts(pattern: Pattern) -> None:
    text, valid = LAYOUTS[pattern]
    wanted = parsed(text)
    assert [set(step) for step in pattern.steps(5)] == [set(step) for step in wanted]
    layout = pattern.layout(5)
    assert (layout.length, layout.valid) == (len(wanted), valid)
    codes = torch.randint(8, (2, 4, 5))
    assert torch.equal(layout.codes(layout.sequence(codes, 9)), codes)


def test_stereo() -> None:
    pattern = Pattern(codebooks=8, delays=(0, 0, 1, 1, 2, 2, 3, 3))
    first = (
        "[] [0a 0b] [1a 1b 0c 0d] [2a 2b 1c 1d 0e 0f] [3a 3b 2c 2d 1e 1f 0g 0h] "
        "[4a 4b 3c 3d 2e 2f 1g 1h]"
    )
    assert list(map(set, pattern.steps(5)))[:6] == list(map(set, parsed(first)))
    assert pattern.layout(5).length == 9


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (
            Pattern(),
            [". 0 1 2 3 4 . . .", ". . 0 1 2 3 4 . .", ". . . 0 1 2 3 4 .", ". . . . 0 1 2 3 4"],
        ),
        (
            Pattern("unroll", flattening=(0, 1, 1, 1), delays=(0, 3, 3, 3)),
            [". 0 1 2 . 3 . 4 . . . . . ."] + [". . . . 0 . 1 . 2 . 3 . 4 ."] * 3,
        ),
    ],
)
def test_sequences(pattern: Pattern, wanted: list[str]) -> None:
    assert rows(pattern.layout(5).sequence(FRAMES, 9)[0]) == wanted


def test_training_keeps_the_steps_in_which_no_codebook_has_ended() -> None:
    layout = Pattern().layout(5)
    assert layout.sequence(FRAMES, 9, valid_only=True).shape == (1, 4, 6)
    mask = layout.mask(6)
    assert ["".join(str(int(v)) for v in row) for row in mask] == [
        "11111",
        "11110",
        "11100",
        "11000",
    ]
    short = Pattern().layout(2)
    assert rows(short.sequence(FRAMES[..., :2], 9)[0]) == [
        ". 0 1 . . .", ". . 0 1 . .", ". . . 0 1 .", ". . . . 0 1",
    ]  # fmt: skip
    assert short.valid == 3
    assert short.mask(3).any(1).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        (Pattern(), [[0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4], [3, 4]]),
        (
            Pattern("unroll", flattening=(0, 1, 1, 1)),
            [[0, 2, 4, 6, 8], *[[1, 3, 5, 7, 9]] * 3],
        ),
    ],
)
def test_logits_are_aligned_with_the_codes_that_they_predict(pattern, steps) -> None:
    layout = pattern.layout(5)
    numbers = torch.arange(layout.valid).view(1, 1, -1, 1).expand(1, 4, -1, 3).float()
    logits, mask = layout.logits(numbers)
    assert logits.shape == (1, 4, 5, 3)
    for k, wanted in enumerate(steps):
        assert logits[0, k, mask[k], 0].tolist() == wanted


def test_endless_layouts_begin_as_finite_ones() -> None:
    for pattern in LAYOUTS:
        if pattern.streams:
            for finite, endless in zip(list(pattern.steps(40))[:30], pattern.steps(), strict=False):
                assert finite == endless
        else:
            with pytest.raises(ArgumentError, match="number of frames"):
                next(pattern.steps())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "spiral"}, "must be one of"),
        ({"delays": (0, 1)}, "one for each codebook"),
        ({"delays": (0, 2, 1, 3)}, "must not fall"),
        ({"name": "unroll", "flattening": (0, 1)}, "one for each codebook"),
        ({"name": "musiclm", "group": 3}, "must divide"),
    ],
)
def test_what_is_no_pattern(values, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Pattern(**values)
