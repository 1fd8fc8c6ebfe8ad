"""Networks of which every rank has a part: FSDP2, its checkpoints, and DTensors placed in other ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import distributed
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import fastopt.interop.torch as dropins
from tests.interop.torch.together import (
    OPTIONS,
    RANKS,
    alone,
    network,
    refused,
    same,
    same_states,
    sharded,
    together,
    train,
    whole,
)


@together
def fsdp(folder: Path) -> None:
    for name in dropins.__all__:
        if not (isinstance(getattr(dropins, name), type) and issubclass(getattr(dropins, name), torch.optim.Optimizer)):
            continue
        options = {"lr": 0.01, **OPTIONS.get(name, {})}
        model = sharded()
        optimizer = getattr(dropins, name)(model.parameters(), **options)
        train(model, optimizer, 3)
        expected, theirs = alone(lambda params: getattr(dropins, name)(params, **options), 3)  # noqa: B023
        same(model, expected)
        same_states(optimizer, theirs, model, expected)
        sizes = [p.to_local().numel() for p in model.parameters()]
        assert sizes == ([20, 4, 7, 1] if distributed.get_rank() == 0 else [15, 3, 0, 0])
        for p in model.parameters():
            for key, value in optimizer.state[p].items():
                if key not in ("step", "mu_product"):
                    assert (value.placements, value.device_mesh, value.shape) == (p.placements, p.device_mesh, p.shape)
            assert p._version >= 3  # autograd knows


@together
def fsdp_beside_torchs_own(folder: Path) -> None:
    model, other = sharded(torch.float64), sharded(torch.float64)
    train(model, dropins.AdamW(model.parameters(), lr=0.01), 5)
    train(other, torch.optim.AdamW(other.parameters(), lr=0.01), 5)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(whole(p.detach()), whole(q.detach()), rtol=1e-12, atol=1e-13)


@together
def fsdp_clips_by_the_norm_of_all_ranks(folder: Path) -> None:
    for shape in ((RANKS,), (1, RANKS), (RANKS, 1)):  # the last one is a copy on each rank
        model = sharded(shape=shape)
        optimizer = dropins.Adam(model.parameters(), lr=0.1, max_norm=0.5)
        train(model, optimizer, 1)
        # the squares are exact in float64: how they are summed up on one rank, and then of both
        locally = torch.stack([torch.stack([p.grad.to_local().double().square().sum() for p in model.parameters()]).sum()])
        every = [torch.empty_like(locally) for _ in range(RANKS)]
        distributed.all_gather(every, locally)
        squares = sum(every).item() if shape[-1] == RANKS else locally.item()
        assert abs(optimizer.grad_norm - squares**0.5) < 1e-14 * optimizer.grad_norm
        train(model, optimizer, 2, start=1)
        norms: list[Any] = [None] * RANKS
        distributed.all_gather_object(norms, optimizer.grad_norm)
        assert norms[0] == norms[1] > 0.5
        expected, theirs = alone(lambda params: dropins.Adam(params, lr=0.1, max_norm=0.5), 3)
        assert abs(theirs.grad_norm - norms[0]) < 1e-5 * norms[0]
        for p, q in zip(model.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(whole(p.detach()), q.detach(), rtol=1e-5, atol=1e-6)


@together
def a_norm_that_no_sum_a_rank_gives_is_refused(folder: Path) -> None:
    mesh = init_device_mesh("cpu", (RANKS,))
    p, q = (torch.nn.Parameter(distribute_tensor(torch.ones(4), mesh, [placement])) for placement in (Shard(0), Replicate()))
    for params in ([p, q], [p, torch.nn.Parameter(torch.ones(2))]):
        optimizer = dropins.SGD(params, lr=0.1, max_norm=1.0)
        for each in params:
            each.grad = torch.ones_like(each)
        with refused(ValueError, "max_norm: expected parameters that are all DTensors, divided along the same dimensions of one mesh"):
            optimizer.step()
        assert all(bool((whole(each) == 1).all()) for each in params)
        optimizer.max_norm = None
        optimizer.step()
        assert all(bool((whole(each.detach()) == 0.9).all()) for each in params)
        with torch.no_grad():
            for each in params:
                each.fill_(1.0)


@together
def checkpoints(folder: Path) -> None:
    """From fastopt and from torch, by torch.distributed.checkpoint, and in whole to one process."""
    expected, theirs = alone(lambda params: dropins.Adam(params, lr=0.1), 3)
    for k, writer in enumerate((dropins.Adam, torch.optim.Adam)):
        model = sharded()
        optimizer = writer(model.parameters(), lr=0.1)
        train(model, optimizer, 2)
        where = folder / f"checkpoint{k}"
        dcp.save({"model": model.state_dict(), "optimizer": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=where)
        again = sharded()
        with torch.no_grad():
            for p in again.parameters():
                p.fill_(7.0)
        resumed = dropins.Adam(again.parameters(), lr=9.0)
        saved = {"model": again.state_dict(), "optimizer": get_optimizer_state_dict(again, resumed)}
        dcp.load(saved, checkpoint_id=where)
        again.load_state_dict(saved["model"])
        set_optimizer_state_dict(again, resumed, saved["optimizer"])
        train(model, optimizer, 1, start=2)
        train(again, resumed, 1, start=2)
        if writer is dropins.Adam:
            same(again, model)
            same(again, expected)
            same_states(resumed, theirs, again, expected)
        else:
            for p, q in zip(model.parameters(), again.parameters(), strict=True):
                torch.testing.assert_close(whole(p.detach()), whole(q.detach()), rtol=1e-5, atol=1e-6)
        if distributed.get_rank() == 0:  # on another number of ranks
            single = network()
            one = dropins.Adam(single.parameters())
            saved = {"model": single.state_dict(), "optimizer": get_optimizer_state_dict(single, one)}
            dcp.load(saved, checkpoint_id=where, no_dist=True)
            single.load_state_dict(saved["model"])
            set_optimizer_state_dict(single, one, saved["optimizer"])
            if writer is dropins.Adam:
                alone(lambda _: one, 1, single, start=2)  # noqa: B023  (called at once)
                same(single, expected)
                same_states(one, theirs, single, expected)
    full = get_optimizer_state_dict(again, resumed, options=StateDictOptions(full_state_dict=True))
    if distributed.get_rank() == 0:
        single = network()
        one = dropins.Adam(single.parameters())
        set_optimizer_state_dict(single, one, full)
        assert torch.equal(one.state[single[0].weight]["exp_avg"], full["state"]["0.weight"]["exp_avg"])
        assert one.state[single[0].weight]["step"] == 3


@together
def narrow_parts_have_wide_states(folder: Path) -> None:
    model = sharded(torch.bfloat16)
    optimizer = dropins.Adam(model.parameters(), lr=0.1)
    train(model, optimizer, 2)
    state = optimizer.state[model[0].weight]["exp_avg"]
    assert (state.dtype, state.to_local().dtype, state.full_tensor().dtype, state._spec.tensor_meta.dtype) == (torch.float32,) * 4
    expected, _ = alone(lambda params: dropins.Adam(params, lr=0.1), 2, network(torch.bfloat16))
    same(model, expected)
    again = dropins.Adam(model.parameters(), lr=0.1)
    again.load_state_dict(optimizer.state_dict())
    assert torch.equal(again.state[model[0].weight]["exp_avg"].to_local(), state.to_local())


@together
def parts_that_are_replaced_are_followed(folder: Path) -> None:
    model = sharded()
    optimizer = dropins.Adam(model.parameters(), lr=0.1)
    train(model, optimizer, 1)
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(7.0)
    model.load_state_dict(saved)
    train(model, optimizer, 1, start=1)
    for p in model.parameters():  # as FSDP2 does where a module is moved
        p._local_tensor = p._local_tensor.clone()
    before = [p._local_tensor.clone() for p in model.parameters()]
    optimizer.step()  # on the same gradients
    for p, values in zip(model.parameters(), before, strict=True):
        assert values.numel() == 0 or not torch.equal(p._local_tensor, values)
    expected, theirs = alone(lambda params: dropins.Adam(params, lr=0.1), 2)
    theirs.step()
    same(model, expected)


@together
def gradients_placed_otherwise(folder: Path) -> None:
    """A parameter with a copy on each rank, whose gradient is a sum over the ranks, as of tensor parallelism's norms."""
    mesh = init_device_mesh("cpu", (RANKS,))
    p = torch.nn.Parameter(distribute_tensor(torch.ones(3), mesh, [Replicate()]))
    q = torch.nn.Parameter(torch.ones(3))
    optimizer, theirs = dropins.SGD([p], lr=0.5, momentum=0.9), dropins.SGD([q], lr=0.5, momentum=0.9)
    for _ in range(2):
        part = torch.arange(3.0) + distributed.get_rank()
        p.grad = DTensor.from_local(part, mesh, [Partial()])
        q.grad = torch.arange(3.0) + (torch.arange(3.0) + 1)
        optimizer.step()
        theirs.step()
        assert p.grad.placements == (Partial(),)
    assert torch.equal(whole(p.detach()), q.detach())
    assert optimizer.state[p]["momentum_buffer"].placements == (Replicate(),)
    p.grad = None
    optimizer.step()
    assert torch.equal(whole(p.detach()), q.detach())


@together
def what_cannot_be_right_is_refused(folder: Path) -> None:
    mesh, other = init_device_mesh("cpu", (RANKS,)), init_device_mesh("cpu", (1, RANKS))
    with refused(TypeError, "params[0]: expected a tensor with memory of its own, received DTensor; step after the backward pass"):
        dropins.step_in_backward(sharded(), dropins.SGD, lr=0.1)
    terms = torch.nn.Parameter(DTensor.from_local(torch.ones(3), mesh, [Partial()]))
    with refused(ValueError, "params[0][0]: expected placements that divide or repeat a parameter, received (Partial(sum),)"):
        dropins.SGD([terms], lr=0.1)
    p = torch.nn.Parameter(distribute_tensor(torch.ones(5), mesh, [Shard(0)]))
    optimizer = dropins.Adam([p], lr=0.1)
    p.grad = distribute_tensor(torch.ones(5), other, [Replicate(), Shard(0)])
    with refused(ValueError, "grads[0][0]: expected a DTensor on its parameter's mesh"):
        optimizer.step()
    p.grad = distribute_tensor(torch.ones(5), mesh, [Shard(0)])
    optimizer.step()
    for given, words in (
        (torch.zeros(5), "a Tensor of shape (5,) that is no DTensor"),
        (distribute_tensor(torch.zeros(5), mesh, [Replicate()]), "with placements (Replicate(),)"),
    ):
        before = whole(p.detach()).clone()
        optimizer.state[p]["exp_avg"], kept = given, optimizer.state[p]["exp_avg"]
        with refused(ValueError, "state[params[0][0]]['exp_avg']: expected a DTensor of shape (5,) with placements (Shard(dim=0),)"):
            optimizer.step()
        with refused(ValueError, words):
            optimizer.step()
        assert torch.equal(whole(p.detach()), before)
        optimizer.state[p]["exp_avg"] = kept
    optimizer.step()
    q = torch.nn.Parameter(torch.ones(5))
    plain = dropins.Adam([q], lr=0.1)
    q.grad = torch.ones(5)
    plain.step()
    plain.state[q]["exp_avg"] = distribute_tensor(torch.zeros(5), mesh, [Shard(0)])
    with refused(ValueError, "expected a Parameter of shape (5,) that is no DTensor"):
        plain.step()


@together
def a_gradient_that_others_wait_for_is_taken_when_it_is_there(folder: Path) -> None:
    from torch.distributed._functional_collectives import all_reduce

    mesh = init_device_mesh("cpu", (RANKS,))
    p = torch.nn.Parameter(distribute_tensor(torch.ones(3), mesh, [Replicate()]))
    optimizer = dropins.SGD([p], lr=0.25)
    coming = all_reduce(torch.ones(3), "sum", mesh)
    assert type(coming) is not torch.Tensor
    p.grad = DTensor(coming, p._spec, requires_grad=False)
    assert type(p.grad._local_tensor) is not torch.Tensor
    optimizer.step()
    assert bool((whole(p.detach()) == 0.5).all())
