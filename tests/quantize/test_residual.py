"""Residual VQ: nearest entries, learning, revival of dead entries, gradients."""

from __future__ import annotations

import pytest
import torch

from ncodec.errors import ArgumentError
from ncodec.quantize import Codebook, FactorizedVQ, ResidualVQ, draw_count
from ncodec.quantize.kmeans import kmeans


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_codes_are_the_nearest_entries() -> None:
    book = Codebook(8, 64)
    x = torch.randn(500, 8)
    expected = torch.cdist(x.double(), book.embed.double()).argmin(1)
    assert torch.equal(book.encode(x), expected)


def test_codes_follow_a_change_of_the_entries() -> None:
    book = Codebook(4, 16)
    x = torch.randn(100, 4)
    book.encode(x)
    book.load_state_dict({"embed": torch.randn(16, 4) * 3})
    assert torch.equal(book.encode(x), torch.cdist(x, book.embed).argmin(1))


def test_fewer_codebooks_give_the_first_rows() -> None:
    vq = ResidualVQ(8, 5, 32).eval()
    z = torch.randn(2, 8, 11)
    codes = vq.encode(z)
    assert codes.shape == (2, 5, 11)
    assert torch.equal(vq.encode(z, 3), codes[:, :3])


def test_decode_sums_the_entries() -> None:
    vq = ResidualVQ(8, 3, 32).eval()
    codes = torch.randint(32, (2, 3, 7))
    z = vq.decode(codes)
    assert z.shape == (2, 8, 7)
    assert torch.allclose(
        z[1, :, 4], sum(vq.codebook(k).embed[codes[1, k, 4]] for k in range(3)), atol=1e-6
    )
    assert vq.decode(codes[..., :0]).shape == (2, 8, 0)
    assert vq.encode(torch.zeros(2, 8, 0)).shape == (2, 3, 0)


def test_forward_agrees_with_encode_and_decode() -> None:
    vq = ResidualVQ(8, 4, 32).eval()
    z = torch.randn(2, 8, 9)
    out = vq(z, 3)
    assert torch.equal(out.codes, vq.encode(z, 3))
    assert torch.allclose(out.latent, vq.decode(out.codes), atol=1e-5)


@pytest.mark.parametrize("kind", [ResidualVQ, FactorizedVQ])
@pytest.mark.parametrize("n_q", [0, 5])
def test_wrong_number_of_codebooks(kind: type, n_q: int) -> None:
    vq = kind(8, 4, 32)
    with pytest.raises(ArgumentError, match="1 to 4"):
        vq.encode(torch.zeros(1, 8, 2), n_q)
    with pytest.raises(ArgumentError, match="1 to 4"):
        vq.decode(torch.zeros(1, n_q, 2, dtype=torch.int64))


def test_kmeans_finds_the_clusters() -> None:
    centres = torch.randn(8, 4) * 20
    x = (centres[:, None] + torch.randn(8, 50, 4) * 0.1).flatten(0, 1)
    found = kmeans(x, 32, 10)
    assert torch.cdist(centres, found).min(1).values.max() < 0.2


def test_entries_follow_their_inputs() -> None:
    vq = ResidualVQ(8, 2, 32, decay=0.9)
    vq.train()
    vq(torch.randn(4, 8, 64))
    moved = vq(torch.randn(4, 8, 64) + 5).commitment.item()
    for _ in range(60):
        vq(torch.randn(4, 8, 64) + 5)
    assert vq.eval()(torch.randn(4, 8, 64) + 5).commitment.item() < 0.2 * moved


def test_averages_survive_a_resumed_training() -> None:
    vq, resumed = Codebook(4, 16), Codebook(4, 16)
    x = torch.randn(64, 4)
    vq.learn(x)
    vq.follow(x, vq.encode(x))
    resumed.load_state_dict(vq.state_dict())
    resumed.restore_averages(vq.averages())
    for book in (vq, resumed):
        torch.manual_seed(1)
        book.follow(x, book.encode(x))
    assert torch.equal(vq.embed, resumed.embed)


def test_dropout_draws_every_count() -> None:
    assert {draw_count(4) for _ in range(200)} == {1, 2, 3, 4}


def test_dead_entries_revive_and_stay() -> None:
    book = Codebook(4, 16, decay=0.5)
    book.started = True
    book.embed.fill_(1e3)  # all but one far from every input
    book.embed[0] = 0
    book.sums.copy_(book.embed)
    for _ in range(20):
        x = torch.randn(256, 4)
        book.follow(x, book.encode(x))
    used = torch.bincount(book.encode(torch.randn(4096, 4)), minlength=16)
    assert (used > 0).all()
    assert book.embed.abs().max() < 10


def test_every_codebook_has_its_commitment_gradient() -> None:
    vq = ResidualVQ(4, 3, 16).eval()
    z = torch.randn(1, 4, 20, requires_grad=True)
    out = vq(z)
    (grad,) = torch.autograd.grad(out.commitment, z)
    residual, expected = z.detach().clone(), torch.zeros(1, 4, 20)
    for k in range(3):
        residual = residual - vq.codebook(k).decode(out.codes[:, k]).transpose(1, 2)
        expected += 2 * residual / residual.numel() / 3
    assert torch.allclose(grad, expected, atol=1e-6)


def test_gradient_goes_straight_through() -> None:
    vq = ResidualVQ(4, 3, 16).eval()
    z = torch.randn(1, 4, 20, requires_grad=True)
    weight = torch.randn(1, 4, 20)
    (grad,) = torch.autograd.grad((vq(z).latent * weight).sum(), z)
    assert torch.allclose(grad, weight, atol=1e-6)


def test_model_state_is_the_entries_alone() -> None:
    vq = ResidualVQ(4, 2, 16)
    assert sorted(vq.state_dict()) == ["layers.0.embed", "layers.1.embed"]
    copy = ResidualVQ(4, 2, 16)
    copy.load_state_dict(vq.state_dict())
    assert copy.codebook(0).started  # loaded entries must not be thrown away by a new start
    assert torch.equal(copy.codebook(0).sums, vq.codebook(0).embed)


def test_factorized_agrees_with_its_definition() -> None:
    vq = FactorizedVQ(16, 3, 32, 4).eval()
    z = torch.randn(2, 16, 9)
    codes = vq.encode(z)
    residual = z.transpose(1, 2)
    for k in range(3):
        book = vq.codebook(k)
        narrow = torch.nn.functional.normalize(book.in_proj(residual), dim=-1)
        unit = torch.nn.functional.normalize(book.embed, dim=-1)
        assert torch.equal(codes[:, k], torch.cdist(narrow, unit[None]).argmin(-1))
        residual = residual - book.out_proj(book.embed[codes[:, k]])
    assert torch.allclose(vq(z).latent, vq.decode(codes), atol=1e-5)


def test_factorized_losses_move_both_sides() -> None:
    vq = FactorizedVQ(16, 2, 32, 4)
    out = vq(torch.randn(1, 16, 9))
    (out.commitment + out.codebook).backward()
    for k in range(2):
        assert vq.codebook(k).embed.grad is not None
        assert vq.codebook(k).in_proj.weight.grad is not None


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 3), (5, 2)])
def test_a_few_frames_are_coded_and_looked_up_as_many_are(batch: int, frames: int) -> None:
    quantizer = ResidualVQ(dim=8, n_q=5, bins=16).eval()
    z = torch.randn(batch, 8, frames)
    many = torch.cat([z] * 40, dim=2)  # no step of a stream any more
    for count in (1, 5):
        codes = quantizer.encode(z, count)
        assert torch.equal(codes, quantizer.encode(many, count)[:, :, :frames])
        whole = quantizer.decode(torch.cat([codes] * 300, dim=2))
        assert torch.equal(quantizer.decode(codes), whole[:, :, :frames])
    before = quantizer.decode(codes)
    quantizer.codebook(4).embed.add_(1.0)  # what is kept of the entries follows them
    assert torch.allclose(quantizer.decode(codes), before + 1.0)
    for wrong in (-1, 16):
        codes[0, 0, 0] = wrong
        with pytest.raises(ArgumentError):
            quantizer.decode(codes)
