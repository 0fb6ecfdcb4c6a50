"""The balancer: shares, moving averages, resumption, and what it refuses."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from ncodec.errors import ArgumentError, NcodecError
from ncodec.train.balancer import Balancer


def model(batch: int = 4) -> tuple[torch.nn.Linear, Tensor]:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 8)
    return net, net(torch.randn(batch, 3))


def pull(output: Tensor, direction: int, strength: float) -> Tensor:
    """A loss that pulls one coordinate of every item, mean over the batch: |g| is `strength`."""
    return strength * output[:, direction].mean()


class Probe(torch.nn.Module):
    """An output whose gradient is what the balancer sent."""

    def __init__(self, *shape: int):
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(shape))

    def forward(self) -> Tensor:
        return self.value * 1


def test_each_loss_gets_its_share_whatever_its_scale():
    probe = Probe(4, 8)
    output = probe()
    losses = {"a": pull(output, 0, 1e4), "b": pull(output, 1, 1e-4), "c": pull(output, 2, 1.0)}
    norms = Balancer({"a": 4, "b": 1, "c": 5}, total_norm=2).backward(losses, output)
    assert norms == pytest.approx({"a": 1e4, "b": 1e-4, "c": 1})
    assert probe.value.grad is not None
    columns = probe.value.grad.sum(dim=0)
    assert columns[:3].tolist() == pytest.approx([0.8, 0.2, 1.0])
    assert not columns[3:].any()


def test_losses_that_are_present_share_among_themselves():
    probe = Probe(2, 8)
    output = probe()
    Balancer({"mel": 1, "adv": 3, "feat": 6}).backward(
        {"mel": pull(output, 0, 7.0), "adv": pull(output, 1, 7.0)}, output
    )
    assert probe.value.grad is not None
    assert probe.value.grad.sum(dim=0)[:2].tolist() == pytest.approx([0.25, 0.75])


def test_the_batch_size_changes_nothing_but_the_item_s_part():
    for batch in (1, 2, 16):
        probe = Probe(batch, 8)
        output = probe()
        norms = Balancer({"a": 1}).backward({"a": pull(output, 0, 3.0)}, output)
        assert norms["a"] == pytest.approx(3)
        assert probe.value.grad is not None
        assert probe.value.grad[:, 0].tolist() == pytest.approx([1 / batch] * batch)


def test_parameters_receive_the_balanced_gradient():
    net, output = model()
    target = torch.ones_like(output)
    loss = (output - target).square().mean()
    expected = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    norm = torch.autograd.grad(loss, output, retain_graph=True)[0].norm(dim=1).sum()
    Balancer({"mse": 9}, total_norm=5).backward({"mse": loss}, output)
    for parameter, plain in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, plain * 5 / norm)


def test_norms_are_averaged_over_steps_and_corrected_for_the_start():
    balancer, sent = Balancer({"a": 1}, decay=0.9), []
    for strength in (1.0, 1.0, 4.0):
        probe = Probe(1, 8)
        output = probe()
        balancer.backward({"a": pull(output, 0, strength)}, output)
        assert probe.value.grad is not None
        sent.append(float(probe.value.grad[0, 0]))
    # steady norms become one from the first step on; the jump to 4 is held against the average
    average = (4 + 0.9 + 0.81) / (1 + 0.9 + 0.81)
    assert sent == pytest.approx([1, 1, 4 / average])


def test_the_default_decay_is_encodecs():
    assert Balancer({"a": 1}).decay == 0.999


def test_a_resumed_balancer_goes_on_where_it_stopped():
    def step(balancer: Balancer, strength: float) -> float:
        probe = Probe(1, 8)
        output = probe()
        balancer.backward({"a": pull(output, 0, strength)}, output)
        assert probe.value.grad is not None
        return float(probe.value.grad[0, 0])

    one, other = Balancer({"a": 1}), Balancer({"a": 1})
    step(one, 1.0)
    step(one, 3.0)
    state = one.state_dict()
    expected = step(one, 5.0)
    # a copy both ways: neither the steps of the one nor those of the other change the state
    for _ in range(2):
        other.load_state_dict(state)
        assert step(other, 5.0) == expected != step(Balancer({"a": 1}), 5.0)


def test_an_unbalanced_loss_keeps_its_own_gradient():
    balancer = Balancer({"a": 1})
    net, output = model()
    balancer.backward({"a": pull(output, 0, 1.0)}, output)
    assert net.weight.grad is not None
    balanced = net.weight.grad
    net, output = model()
    commitment = 3 * net.weight.square().sum()
    balancer.backward({"a": pull(output, 0, 1.0)}, output, unbalanced=commitment)
    torch.testing.assert_close(net.weight.grad, balanced + 6 * net.weight)


def test_a_loss_without_gradient_takes_nothing_from_the_others():
    probe = Probe(2, 8)
    output = probe()
    losses = {"a": pull(output, 0, 1.0), "b": pull(output, 1, 0.0)}
    Balancer({"a": 1, "b": 1}).backward(losses, output)
    assert probe.value.grad is not None
    assert probe.value.grad.sum(dim=0)[:2].tolist() == pytest.approx([0.5, 0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_named_and_leaves_no_trace(bad):
    probe, balancer = Probe(2, 8), Balancer({"good": 1, "bad": 1})
    output = probe()
    losses = {"good": pull(output, 0, 1.0), "bad": pull(output, 1, bad)}
    with pytest.raises(NcodecError, match=r"not finite.*'bad'"):
        balancer.backward(losses, output)
    assert probe.value.grad is None
    assert balancer.state_dict() == Balancer({"a": 1}).state_dict()


def test_misuse_is_named():
    _, output = model()
    balancer = Balancer({"a": 1})
    with pytest.raises(ArgumentError, match=r"\['b'\]: must be one or more of \['a'\]"):
        balancer.backward({"b": output.mean()}, output)
    with pytest.raises(ArgumentError, match=r"\[\]: must be one or more"):
        balancer.backward({}, output)
    with pytest.raises(ArgumentError, match=r"'a': 0"):
        Balancer({"a": 0})
    with pytest.raises(ArgumentError, match=r"decay 1"):
        Balancer({"a": 1}, decay=1)
    with pytest.raises(ArgumentError, match=r"total_norm -1"):
        Balancer({"a": 1}, total_norm=-1)


def uneven(output: Tensor) -> dict[str, Tensor]:
    """Losses whose gradients differ from item to item."""
    return {"square": output.square().mean(), "fourth": output.pow(4).mean()}


def balance_as_one_of_two(rank: int, port: int, path: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 8)
    output = net(torch.randn(4, 3)[rank::2])
    norms = Balancer({"square": 1, "fourth": 2}).backward(uneven(output), output)
    torch.save({"norms": norms, "grad": net.weight.grad}, f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_balance_like_one_with_the_whole_batch(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(balance_as_one_of_two, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in (0, 1))
    net, output = model()
    alone = Balancer({"square": 1, "fourth": 2}).backward(uneven(output), output)
    assert first["norms"] == second["norms"] == pytest.approx(alone)
    torch.testing.assert_close((first["grad"] + second["grad"]) / 2, net.weight.grad)
