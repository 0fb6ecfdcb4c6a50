"""Generation: windows in whole frames, prompts, seeds, streams that equal whole results."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.lm import AudioGen, GenModel, MusicGen
from ncodec.lm.generation import Guided, Plan, generate_frames
from ncodec.lm.sampling import Sampling
from tests.lm.small import TAGS, TEXT, codec, generator, lm, text_conditions

PARALLEL = replace(TAGS, pattern="parallel", delays=(0, 0, 0, 0))
PATTERNS = {
    "delay": TEXT,
    "parallel": replace(TEXT, pattern="parallel"),
    "unroll": replace(TEXT, pattern="unroll", delays=(0, 0, 0, 0), flattening=(0, 1, 1, 2)),
    "coarse_first": replace(TEXT, pattern="coarse_first", delays=(0, 0, 0)),
    "musiclm": replace(TEXT, pattern="musiclm"),
    "stereo": replace(TEXT, codebooks=8, channels=2, delays=(0, 0, 1, 1, 2, 2, 3, 3)),
}


def plainly(model, frames: int, prompt: torch.Tensor, conditions=None) -> torch.Tensor:
    """Greedy codes `[B, K, F]` without any state: the whole sequence anew for each step."""
    layout = model.pattern.layout(frames)
    codes = torch.full((len(prompt), model.num_codebooks, frames), -1)
    codes[..., : prompt.shape[2]] = prompt
    for number, step in enumerate(model.pattern.steps(frames)):
        due = [(t, k) for t, k in step if t < frames and (codes[:, k, t] < 0).any()]
        if not due:
            continue
        known = torch.where(codes < 0, model.special_token_id, codes)
        sequence = layout.sequence(known, model.special_token_id)[..., :number]
        best = model(sequence, conditions)[:, :, -1].argmax(-1)
        for t, k in due:
            codes[:, k, t] = best[:, k]
    return codes


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("known", [0, 1, 6])
def test_against_a_loop_without_state(name: str, known: int) -> None:
    model = lm(PATTERNS[name])
    torch.manual_seed(4)
    prompt = torch.randint(32, (2, model.num_codebooks, known))
    told = text_conditions(model, [3, 5])
    frames = generate_frames(
        model, Guided(told, 2, 1.0), Plan(14 - known, 40, 20), [0, 0], Sampling(False),
        prompt=prompt,
    )  # fmt: skip
    got = torch.stack(list(frames), dim=2)
    assert torch.equal(got, plainly(model, 14, prompt, told)[..., known:])


@pytest.mark.parametrize("two_step", [False, True])
@pytest.mark.parametrize("guidance", [0.0, 3.0])
def test_guidance_is_of_both_passes(two_step: bool, guidance: float) -> None:
    """Of two items with a text and one without, which nothing leads."""
    model = lm(TEXT)
    told = text_conditions(model, [3, 5])
    led = Guided(told, 2, guidance, two_step)
    frames = generate_frames(model, led, Plan(12, 40, 20), [0, 0, 0], Sampling(False))
    got = torch.stack(list(frames), dim=2)

    class Led:
        num_codebooks, special_token_id, pattern = 4, 32, model.pattern

        def __call__(self, sequence, _):
            own, null = model(sequence, told), model(sequence)
            return torch.cat([(null + guidance * (own - null))[:2], null[2:]])

    assert torch.equal(got, plainly(Led(), 12, torch.zeros(3, 4, 0).long()))


def windows(frames: int, window: int, stride: int, known: int = 0) -> list[tuple[int, int]]:
    """(prompt, length) of each window, in integers."""
    made, first = known, [(known, min(window, known + frames))]
    made = first[0][1]
    while made < known + frames:
        keep = window - stride
        new = min(stride, known + frames - made)
        first.append((keep, keep + new))
        made += new
    return first


def test_windows_move_on_by_whole_frames(monkeypatch) -> None:
    """Lengths around all places where a float would be off; MusicGen's 60 s and AudioGen's 20 s."""
    import ncodec.lm.generation as module

    seen = list[tuple[int, int]]()

    def window(model, led, prompt, count, draw):
        seen.append((prompt.shape[2], prompt.shape[2] + count))
        for _ in range(count):
            yield torch.zeros(1, 4, dtype=torch.int64)

    monkeypatch.setattr(module, "_window", window)
    model = lm(TEXT)
    for frames, size, stride in [(3000, 1500, 900), (1000, 500, 100), (535, 500, 100)]:
        seen.clear()
        made = list(generate_frames(model, Guided(), Plan(frames, size, stride), [0], Sampling()))
        assert len(made) == frames
        assert seen == windows(frames, size, stride)
    assert windows(3000, 1500, 900) == [(0, 1500), (600, 1500), (600, 1200)]
    assert windows(1000, 500, 100) == [(0, 500)] + [(400, 500)] * 5
    for frames in range(1, 400, 7):
        made = list(generate_frames(model, Guided(), Plan(frames, 41, 13), [0], Sampling()))
        assert len(made) == frames


def test_a_window_reads_the_end_of_the_last_one_again() -> None:
    model = lm(TEXT)
    made = torch.stack(
        list(generate_frames(model, Guided(), Plan(60, 40, 15), [0], Sampling(False))), dim=2
    )
    first = plainly(model, 40, torch.zeros(1, 4, 0).long())
    second = plainly(model, 40, first[..., 15:])
    third = plainly(model, 30, second[..., 15:])
    assert torch.equal(made, torch.cat([first, second[..., 25:], third[..., 25:]], dim=2))


@pytest.mark.parametrize("seconds", [0.58, 1.14, 1.16, 2.26, 30, 0.02, 0.0399])
def test_frames_are_those_of_the_decimal(seconds: float) -> None:
    assert TEXT.frames(seconds) == math.floor(Fraction(str(seconds)) * 50)


@pytest.fixture
def told() -> GenModel:
    return generator(TAGS)


def test_a_seed_gives_the_same_codes_in_every_batch(told: GenModel) -> None:
    told.set_generation_params(top_k=10, duration=0.5, seed=3)
    texts = ["rain", None, "wind, dog"]
    _, codes = told.generate(texts, return_tokens=True)
    assert told.seeds == [3, 4, 5]
    assert told.generate(texts, return_tokens=True)[1].equal(codes)
    for item, text in enumerate(texts):
        told.set_generation_params(top_k=10, duration=0.5, seed=3 + item)
        assert told.generate([text], return_tokens=True)[1].equal(codes[item : item + 1])
    told.set_generation_params(top_k=10, duration=0.5, seed=3, batch_size=3)
    assert told.generate(texts, return_tokens=True)[1].equal(codes)
    assert len({tuple(item.flatten().tolist()) for item in codes}) == 3
    told.set_generation_params(top_k=10, duration=0.5)
    told.generate_unconditional(1)
    first = told.seeds
    told.generate_unconditional(1)
    assert told.seeds != first


@pytest.mark.parametrize("config", [TAGS, PATTERNS["stereo"]], ids=["tags", "stereo"])
def test_a_stream_is_the_whole_in_pieces(config) -> None:
    made = generator(config)
    made.set_generation_params(top_k=10, duration=0.7, seed=5)
    audio, codes = made.generate([None], return_tokens=True)
    assert audio.shape == (1, config.channels, 35 * 320)
    parts = list(made.stream(None))
    assert len(parts) > 20
    assert np.array_equal(np.concatenate(parts, axis=1), audio[0])
    frames = torch.stack(list(made.stream_codes(None)), dim=1)
    assert torch.equal(frames, codes[0])
    coarse = np.concatenate(list(made.stream(None, block=10)), axis=1)
    assert np.abs(coarse - audio[0].numpy()).max() < 1e-5


def test_stereo_is_the_mono_codec_on_both_sides() -> None:
    made = generator(PATTERNS["stereo"])
    codes = torch.randint(32, (1, 8, 12))
    audio = made.generate_audio(codes)
    mono = made.compression_model
    for side in range(2):
        want = mono.decode(codes[:, side::2])[0, 0]
        assert (audio[0, side] - want).abs().max() < 1e-5
    assert torch.equal(made.encode_prompt(audio, 16000)[:, 1::2], mono.encode(audio[:, 1:])[0])


def test_the_first_sound_of_a_causal_codec_comes_with_the_first_frame(monkeypatch) -> None:
    """K frames of tokens: by then the codes of the first frame are all drawn."""
    made = GenModel(lm(TAGS), codec(causal=True, pad_mode="constant"))
    steps = itertools.count()
    plain = type(made.lm).hidden

    def counting(self, sequence, state):
        next(steps)
        return plain(self, sequence, state)

    monkeypatch.setattr(type(made.lm), "hidden", counting)
    stream = made.stream(None, duration=math.inf, seed=1)
    assert next(stream).shape == (1, 320)
    assert next(steps) == 4
    for _ in range(10):
        assert next(stream).shape == (1, 320)


def test_an_endless_stream_begins_as_a_finite_one_and_can_be_stopped() -> None:
    for config in (TAGS, TEXT):  # without windows, and with them
        made = generator(config)
        made.set_generation_params(top_k=10, duration=2.0, seed=5)
        finite = list(made.stream_codes(None))
        endless = made.stream_codes(None, duration=math.inf)
        wanted = len(finite) if config is TAGS else TEXT.window_frames
        for frame in finite[:wanted]:
            assert torch.equal(next(endless), frame)
        endless.close()
        made.set_generation_params(duration=math.inf)
        with pytest.raises(ArgumentError, match="no end"):
            made.generate_unconditional(1)


def test_a_continuation_begins_with_its_prompt() -> None:
    made = generator(TEXT)
    made.set_generation_params(top_k=10, duration=0.6, seed=2)
    prompt = 0.3 * torch.randn(1, 1, 3200)
    audio, codes = made.generate_continuation(prompt, 16000, return_tokens=True)
    known = made.encode_prompt(prompt, 16000)
    assert codes.shape == (1, 4, 30)
    assert torch.equal(codes[..., :10], known)
    parts = list(made.stream(None, prompt=known[0], duration=0.4))
    assert np.array_equal(np.concatenate(parts, axis=1), audio[0])
    stereo = made.encode_prompt(torch.cat([prompt, prompt], 1).repeat_interleave(2, 2), 32000)
    assert stereo.shape == (1, 4, 10)


def test_progress(told: GenModel, capsys) -> None:
    seen = list[tuple[int, int]]()
    told.set_generation_params(duration=0.2)
    told.set_custom_progress_callback(lambda done, total: seen.append((done, total)))
    told.generate(["rain", None])
    assert seen == [(n, 20) for n in range(1, 21)]
    told.set_custom_progress_callback(None)
    told.generate(["rain"], progress=True)
    assert "10 /     10" in capsys.readouterr().err


def test_defaults_are_audiocrafts() -> None:
    parts = lm(replace(TEXT, window=30.0, stride=18.0)), codec()
    for kind, duration, stride in ((MusicGen, 30.0, 900), (AudioGen, 10.0, 100)):
        made = kind(*parts)
        parameters = made._parameters
        assert (made.duration, parameters.stride) == (duration, stride)
        assert (parameters.guidance, parameters.sampling) == (3.0, Sampling(True, 250, 0.0, 1.0))
        assert not parameters.two_step


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.generate([""]), "empty"),
        (lambda m: m.generate(["x" * 10000]), "10000 characters"),
        (lambda m: m.generate([5]), "must be text"),
        (lambda m: m.generate(["rain snow"]), "tag 'snow': small knows rain, wind, dog"),
        (lambda m: m.generate([]), "no descriptions"),
        (lambda m: m.generate_unconditional(0), "num_samples 0"),
        (lambda m: m.set_generation_params(duration=0), "duration 0 s: must be at least a frame"),
        (lambda m: m.set_generation_params(duration=-1.0), "at least a frame"),
        (lambda m: m.set_generation_params(duration=math.nan), "finite"),
        (lambda m: m.set_generation_params(cfg_coef=-1), "negative"),
        (lambda m: m.set_generation_params(batch_size=0), "batch_size 0"),
        (lambda m: m.generate_continuation(torch.zeros(1, 1, 100), 16000), "shorter than a frame"),
        (lambda m: m.generate_continuation(torch.zeros(5), 16000), "batch, channels, time"),
        (lambda m: m.generate_continuation(torch.full((1, 1, 900), math.nan), 16000), "finite"),
        (lambda m: m.generate_continuation(torch.zeros(1, 1, 9600), 16000, [None] * 2), "2 desc"),
        (lambda m: m.generate_continuation(torch.zeros(1, 1, 320000), 16000), "prompt of 1000"),
    ],
)
def test_what_is_refused(told: GenModel, call, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call(told)


def test_a_prompt_must_leave_room_in_the_window() -> None:
    made = generator(TEXT)
    made.set_generation_params(duration=5.0)
    with pytest.raises(ArgumentError, match=r"hears 0.8 s, which must have room"):
        made.generate_continuation(torch.zeros(1, 1, 12800), 16000)
    with pytest.raises(ArgumentError, match="extend_stride"):
        made.set_generation_params(extend_stride=0.8)
    with pytest.raises(ArgumentError, match="needs an end"):
        next(generator(replace(PATTERNS["musiclm"], context=9, position="rope")).stream_codes(
            None, duration=math.inf))  # fmt: skip


def test_tags_come_with_their_companions() -> None:
    config = replace(TAGS, vocabulary="sound rain storm", companions="rain=sound storm=sound,rain")
    model = generator(config)
    model.set_generation_params(duration=0.4, seed=9)
    said = ("storm", "storm sound rain")
    alone, told = (model.generate([text], return_tokens=True)[1] for text in said)
    assert torch.equal(alone, told)
    plain = generator(replace(config, companions=""))
    plain.set_generation_params(duration=0.4, seed=9)
    assert not torch.equal(plain.generate(["storm"], return_tokens=True)[1], told)
    with pytest.raises(ArgumentError, match="'wind' is no tag"):
        replace(config, companions="rain=wind")


def test_temperatures_are_the_models_own_unless_given() -> None:
    model = generator(replace(TAGS, temperature=(0.5,)))
    model.set_generation_params(duration=0.4, seed=9)
    cool = model.generate(["rain"], return_tokens=True)[1]
    model.set_generation_params(duration=0.4, seed=9, temperature=1.0)
    assert not torch.equal(model.generate(["rain"], return_tokens=True)[1], cool)
    model.set_generation_params(duration=0.4, seed=9, temperature=0.5)
    assert torch.equal(model.generate(["rain"], return_tokens=True)[1], cool)
    with pytest.raises(ArgumentError, match="temperature: must be one, or 4"):
        replace(TAGS, temperature=(1.0, 0.9))
