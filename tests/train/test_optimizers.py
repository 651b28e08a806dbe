"""Each optimizer against PyTorch's own, with what study files call it."""

import pytest
import torch
from torch import nn

from hw2tune.study.hyperparameters import OPTIMIZERS, Hyperparameters
from hw2tune.train.optimizers import build_optimizers, step_of


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 4))


def stepped(model: nn.Module, optimizers, times: int = 3) -> list[torch.Tensor]:
    images = torch.linspace(-1, 1, 5 * 64).view(5, 1, 8, 8)
    for _ in range(times):
        model.zero_grad()
        model(images).square().mean().backward()
        for optimizer in optimizers:
            step_of(optimizer)()
    return [parameter.detach().clone() for parameter in model.parameters()]


OWN = {
    "sgd": {"momentum": 0.9, "nesterov": True}, "rmsprop": {"momentum": 0.5}, "muon": {"momentum": 0.9},
    "adam": {"beta1": 0.8, "beta2": 0.99}, "adamw": {"beta1": 0.8, "beta2": 0.99}, "nadam": {"beta1": 0.8},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "muon"])
def test_an_optimizer_is_pytorchs(name):
    own = OWN.get(name, {})
    hp = Hyperparameters(learning_rate=0.01, batch_size=5, optimizer=name, weight_decay=0.01, **own)
    ours = stepped(model := network(), build_optimizers(model, hp))
    given = {key: value for key, value in own.items() if not key.startswith("beta")}
    if any(key.startswith("beta") for key in own):
        given["betas"] = (own.get("beta1", 0.9), own.get("beta2", 0.999))
    kind = getattr(torch.optim, OPTIMIZERS[name].torch_name)
    theirs = stepped(model := network(), [kind(model.parameters(), lr=0.01, weight_decay=0.01, **given)])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_muon_takes_the_matrices_and_adamw_the_rest():
    hp = Hyperparameters(learning_rate=0.01, batch_size=5, optimizer="muon")
    model = network()
    muon, adamw = build_optimizers(model, hp)
    assert isinstance(muon, torch.optim.Muon) and isinstance(adamw, torch.optim.AdamW)
    assert [tuple(p.shape) for p in muon.param_groups[0]["params"]] == [(4, 72)]
    assert len(adamw.param_groups[0]["params"]) == 3
    before = [parameter.detach().clone() for parameter in model.parameters()]
    after = stepped(model, [muon, adamw])
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_nesterov_without_momentum_is_no_error_and_frozen_parameters_stay():
    model = network()
    model[0].weight.requires_grad_(False)
    frozen = model[0].weight.clone()
    hp = Hyperparameters(learning_rate=0.1, batch_size=5, optimizer="sgd", nesterov=True, weight_decay=0.1)
    stepped(model, build_optimizers(model, hp))
    assert torch.equal(model[0].weight, frozen)
