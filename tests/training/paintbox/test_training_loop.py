"""The loop of all lessons: it learns, a stopped run ends as an unstopped one, and averages are kept."""

from pathlib import Path

import pytest
import torch

from training.paintbox.lessons.loop import Average, Chance, Optimiser, Plan, chance, rate, restore, train

pytestmark = pytest.mark.long  # of the training of the built-in model, which no user runs


def plan_of(folder: Path, steps: int, *, ema_decay: float | None = None, seed: int = 0, muon: bool = False) -> Plan:
    return Plan("line", steps, 0.05, folder, seed=seed, ema_decay=ema_decay, muon=muon)


def line() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def learn(plan: Plan, module: torch.nn.Module) -> None:
    def loss_of(chance: Chance) -> torch.Tensor:
        x = torch.randn(16, 3, generator=chance.torch)
        return (module(x) - x.sum(1, keepdim=True)).square().mean()

    train(plan, module, loss_of)


def test_it_learns_and_writes_its_curve(tmp_path: Path) -> None:
    module = line()
    learn(plan_of(tmp_path, 200), module)
    assert torch.allclose(module.weight, torch.ones(1, 3), atol=0.02)
    losses = [float(row.split("\t")[1]) for row in (tmp_path / "line.tsv").read_text().splitlines()]
    assert len(losses) == 10
    assert losses[-1] < 0.01 * losses[0]


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_stopped_run_that_is_taken_up_ends_where_an_unstopped_one_does(
    tmp_path: Path, ema_decay: float | None, muon: bool
) -> None:
    whole, halves, other = line(), line(), line()
    learn(plan_of(tmp_path / "whole", 60, ema_decay=ema_decay, muon=muon), whole)
    stopping = Stop(30)
    with pytest.raises(KeyboardInterrupt):
        train(
            Plan("line", 60, 0.05, tmp_path / "halves", ema_decay=ema_decay, muon=muon, save_every_s=0.0),
            halves,
            stopping.loss(halves),
        )
    resumed = line()
    learn(plan_of(tmp_path / "halves", 60, ema_decay=ema_decay, muon=muon), resumed)
    assert torch.equal(whole.weight, resumed.weight)
    learn(plan_of(tmp_path / "other", 60, ema_decay=ema_decay, muon=muon, seed=1), other)
    assert not torch.equal(whole.weight, other.weight)


class Stop:
    """The loss of `learn`, until a key is pressed at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def loss(self, module: torch.nn.Module):  # type: ignore[no-untyped-def]
        def loss_of(chance: Chance) -> torch.Tensor:
            if chance.step == self._step:
                raise KeyboardInterrupt
            x = torch.randn(16, 3, generator=chance.torch)
            return (module(x) - x.sum(1, keepdim=True)).square().mean()

        return loss_of


def test_restored_weights_are_the_averaged_ones(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 40, ema_decay=0.9)
    module, again = line(), line()
    learn(plan, module)
    assert restore(plan, again) == 40
    assert torch.equal(module.weight, again.weight)
    assert not torch.equal(torch.load(plan.checkpoint)["module"]["weight"], again.weight)


def test_the_average_lags_behind() -> None:
    module = line()
    average = Average(module, 0.5)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    average.update(module, step=1000)
    average.copy_to(module)
    assert torch.allclose(module.weight, before + 0.5)


def test_the_rate_warms_up_and_falls(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 1000)
    rates = [rate(plan, step) for step in range(1000)]
    assert rates[0] < 0.1 * max(rates)
    assert rates.index(max(rates)) < 100
    assert rates[-1] < 0.03 * max(rates)


def test_a_step_has_its_own_chance() -> None:
    assert torch.equal(torch.rand(3, generator=chance(1, 5).torch), torch.rand(3, generator=chance(1, 5).torch))
    assert not torch.equal(torch.rand(3, generator=chance(1, 5).torch), torch.rand(3, generator=chance(1, 6).torch))
    assert not torch.equal(torch.rand(3, generator=chance(1, 5).torch), torch.rand(3, generator=chance(2, 5).torch))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_steps_the_kernels_themselves_and_all_directions_alike(
    tmp_path: Path, memory_format: torch.memory_format
) -> None:
    conv = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3)).to(memory_format=memory_format)  # type: ignore[call-overload]
    optimiser = Optimiser(Plan("toy", 10, 1e-2, tmp_path, muon=True, weight_decay=0.0), conv)
    before = conv[0].weight.detach().clone()
    conv(torch.randn(2, 4, 8, 8)).square().mean().backward()
    optimiser.step(1e-2)
    turned = (conv[0].weight.detach() - before).flatten(1)
    lengths = torch.linalg.svdvals(turned)
    assert lengths.min() > 0.3 * lengths.max() > 0
