"""PyTorch's tensors on a GPU: parameters and gradients as autograd makes them, streams, and captured graphs. Takes a real GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.rules.entry import RULES
from fastopt.storage import STORAGES


def pair(torch: Any, rule: str, shapes: Any, dtype: Any = np.float32, **options: Any) -> tuple[Any, list[Any], Any, list[Any]]:
    """An optimizer of tensors on the GPU and the reference on equal arrays."""
    rng = np.random.default_rng(0)
    host = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    tensors = [torch.tensor(p, device="cuda", requires_grad=True) for p in host]
    return fastopt.Optimizer(tensors, rule, 0.01, **options), tensors, fastopt.Optimizer(host, rule, 0.01, backend="numpy", **options), host


def agree(tensors: list[Any], host: list[Any]) -> bool:
    return all(ulp_distance(t.detach().cpu().numpy(), p) == 0 for t, p in zip(tensors, host, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_on_tensors(torch: Any, rule: str, dtype: Any) -> None:
    on_device, tensors, on_host, host = pair(torch, rule, [(3, 5), (), (0, 4), (70_001,)], dtype, weight_decay=0.1)
    assert on_device.backend == "cuda"
    rng = np.random.default_rng(1)
    for _ in range(3):
        gradients = [np.asarray(rng.standard_normal(p.shape), dtype) for p in host]
        on_device.step([torch.tensor(g, device="cuda") for g in gradients])
        on_host.step(gradients)
    assert agree(tensors, host)


def test_a_module_trains(torch: Any) -> None:
    """Gradients as autograd makes them, new tensors at every step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 1)).cuda()
    x, y = torch.randn(64, 20, device="cuda"), torch.randn(64, 1, device="cuda")
    optimizer = fastopt.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        model.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step([p.grad for p in model.parameters()])
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


BLOCKS = {"state_dtype": "int8", "narrow_from": 0}


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        *((dtype, options) for dtype in ("bfloat16", "float16") for options in ({}, {"state_dtype": "bfloat16"}, BLOCKS)),
        *(("bfloat16", options) for options in ({"master_bits": 32}, {**BLOCKS, "master_bits": 24, "stochastic_rounding": True})),
    ],
)
def test_narrow_tensors(torch: Any, dtype: str, options: dict[str, Any]) -> None:
    """The numbers of the oracle on arrays of the same patterns, which NumPy takes over bit by bit."""
    own, rng = STORAGES[dtype].dtype, np.random.default_rng(0)

    def on_device(values: Any) -> Any:
        return torch.tensor(values.view(np.int16), device="cuda").view(getattr(torch, dtype))

    host = [rng.standard_normal(n).astype(np.float32).astype(own) for n in (5, 0, 7_001)]
    tensors = [on_device(p) for p in host]
    pairs = [fastopt.Adam(params, lr=0.1, backend=b, **options) for params, b in ((tensors, "auto"), (host, "numpy"))]
    for _ in range(3):
        gradients = [rng.standard_normal(p.shape).astype(np.float32).astype(own) for p in host]
        pairs[0].step([on_device(g) for g in gradients])
        pairs[1].step(gradients)
    assert all(np.array_equal(t.view(torch.int16).cpu().numpy(), p.view(np.int16)) for t, p in zip(tensors, host, strict=True))


def test_channels_last(torch: Any) -> None:
    """Gradients as autograd makes them for such a parameter lie as it does; one that does not is refused."""
    values, gradient = np.random.default_rng(0).standard_normal((2, 4, 3, 5, 6)).astype(np.float32)
    p, g = (torch.tensor(v, device="cuda").to(memory_format=torch.channels_last) for v in (values, gradient))
    expected = values.copy()
    optimizer = fastopt.Adam(p, lr=0.1)
    optimizer.step(g)
    fastopt.Adam(expected, lr=0.1, backend="numpy").step(gradient)
    assert ulp_distance(p.cpu().numpy(), expected) == 0
    with pytest.raises(ValueError, match=r"^grads: expected its elements in the order of params's"):
        optimizer.step(g.contiguous())


def test_gradients_that_are_none(torch: Any) -> None:
    params = [torch.ones(4, device="cuda", requires_grad=True) for _ in range(3)]
    optimizer = fastopt.SGD(params, lr=1.0)
    versions = [p._version for p in params]
    optimizer.step([torch.ones(4, device="cuda"), None, torch.ones(4, device="cuda")])
    assert [float(p.detach()[0]) for p in params] == [0.0, 1.0, 0.0]
    assert [p._version > before for p, before in zip(params, versions, strict=True)] == [True, False, True]


def test_autograd_sees_that_parameters_changed(torch: Any) -> None:
    p = torch.ones(3, device="cuda", requires_grad=True)
    loss = (p * p).sum()
    version = p._version
    fastopt.SGD(p, lr=0.1).step(torch.ones(3, device="cuda"))
    assert p._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_current_stream_and_a_given_one(torch: Any) -> None:
    """A step waits for what its stream did before, without waiting on the host."""
    p, g = torch.zeros(1_000_000, device="cuda"), torch.zeros(1_000_000, device="cuda")
    optimizer, stream = fastopt.SGD(p, lr=1.0), torch.cuda.Stream()
    optimizer.step(g)
    torch.cuda.synchronize()
    for given in (False, True):
        with torch.cuda.stream(stream):
            torch.cuda._sleep(50_000_000)
            g.fill_(1.0)
            if not given:
                optimizer.step(g)
        if given:
            optimizer.step(g, stream=stream)
        assert not stream.query(), "the step waited for the device"
        stream.synchronize()
        assert (p == -1.0 - given).all()


def test_views_that_are_not_aligned_to_vectors(torch: Any) -> None:
    for start in range(4):
        for shift in range(4):
            whole = torch.arange(4000, dtype=torch.float32, device="cuda")
            expected = whole.clone()
            fastopt.SGD(whole[start:3990], lr=0.5).step(torch.ones(4000, device="cuda")[shift : 3990 - start + shift])
            expected[start:3990] -= 0.5
            assert torch.equal(whole, expected)


@pytest.mark.parametrize(
    ("spoiled", "error", "message"),
    [
        (
            lambda torch, g: g.cpu(),
            TypeError,
            r"^grads: expected an array on the device of params \(cuda:0\), received a torch",
        ),
        (lambda torch, g: g.half(), TypeError, r"^grads: expected dtype float32 like params, received float16$"),
        (lambda torch, g: g.double(), TypeError, r"^grads: expected dtype float32 like params, received float64$"),
        (
            lambda torch, g: g.t(),
            ValueError,
            r"^grads: expected its elements in the order of params's, with strides \(4, 1\) in elements; received strides \(1, 4\)$",
        ),
        (lambda torch, g: g.reshape(16), ValueError, r"^grads has shape \(16,\), its parameter params has shape \(4, 4\)$"),
        (lambda torch, g: g.to_sparse(), TypeError, r"^grads: expected a dense tensor"),
        (lambda torch, g: g.cpu().numpy(), TypeError, r"^grads: expected an array on the device of params"),
    ],
)
def test_gradients_that_cannot_be_used(torch: Any, spoiled: Any, error: type[Exception], message: str) -> None:
    p = torch.ones(4, 4, device="cuda")
    optimizer = fastopt.Adam(p)
    with pytest.raises(error, match=message):
        optimizer.step(spoiled(torch, torch.ones(4, 4, device="cuda")))
    assert (p == 1).all()
    assert optimizer.steps == 0


def test_a_parameter_whose_memory_was_replaced(torch: Any) -> None:
    p = torch.ones(4, device="cuda")
    optimizer = fastopt.Adam(p)
    p.data = torch.ones(4, device="cuda")
    with pytest.raises(ValueError, match=r"^params: expected the array that the optimizer was built with, received it moved"):
        optimizer.step(torch.ones(4, device="cuda"))


@pytest.fixture
def graph_of_a_step(torch: Any) -> tuple[Any, ...]:
    """A captured step of Adam, its static gradients, and the reference beside it."""
    on_device, tensors, on_host, host = pair(torch, "adam", [(300,), (5, 7)])
    static = [torch.zeros_like(t) for t in tensors]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # PyTorch wants work before a capture done on another stream
        on_device.step(static)
    torch.cuda.current_stream().wait_stream(side)
    on_host.step([np.zeros_like(p) for p in host])
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        on_device.step(static)
    return on_device, tensors, static, graph, on_host, host


def test_a_captured_graph(torch: Any, graph_of_a_step: Any) -> None:
    on_device, tensors, static, graph, on_host, host = graph_of_a_step
    assert on_device.steps == 1
    rng = np.random.default_rng(4)
    for step in range(1, 6):
        gradients = [rng.standard_normal(p.shape).astype(np.float32) for p in host]
        for place, values in zip(static, gradients, strict=True):
            place.copy_(torch.tensor(values))
        on_device.lr = on_host.lr = 0.1 / step
        on_device.advance()
        graph.replay()
        on_host.step(gradients)
        assert agree(tensors, host)
        if step == 3:  # a step outside, with gradients elsewhere
            on_device.step([torch.tensor(g, device="cuda") for g in gradients])
            on_host.step(gradients)
    assert on_device.steps == on_host.steps == 7


def test_many_replays_without_waiting(torch: Any, graph_of_a_step: Any) -> None:
    """The host runs ahead of the device; each replay must find its own scalars."""
    on_device, tensors, static, graph, on_host, host = graph_of_a_step
    for place in static:
        place.fill_(0.5)
    for step in range(200):
        on_device.lr = on_host.lr = 0.01 * (1 + step % 7)
        on_device.advance()
        graph.replay()
        on_host.step([np.full_like(p, 0.5) for p in host])
    assert agree(tensors, host)


def test_a_whole_training_step_in_a_graph(torch: Any) -> None:
    """Forward, backward and step captured together, as PyTorch's documentation does it; the same losses as without."""
    losses = []
    for captured in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Linear(10, 1).cuda()
        x, y = torch.randn(32, 10, device="cuda"), torch.randn(32, 1, device="cuda")
        optimizer = fastopt.Adam(model.parameters(), lr=1e-2)

        def step(model: Any = model, optimizer: Any = optimizer, x: Any = x, y: Any = y) -> Any:
            model.zero_grad(set_to_none=True)
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step([p.grad for p in model.parameters()])
            return loss

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        found = []
        if captured:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loss = step()
            for _ in range(10):
                optimizer.advance()
                graph.replay()
                found.append(float(loss.detach()))
        else:
            found = [float(step().detach()) for _ in range(10)]
        losses.append(found)
    assert losses[0] == losses[1]


def test_beside_torch_itself(torch: Any) -> None:
    """PyTorch rounds elsewhere, so this is no comparison of bits: it would show a wrong formula, nothing finer."""
    own = torch.randn(10_000, device="cuda")
    theirs = own.clone().requires_grad_()
    mine, reference = fastopt.Adam(own, lr=1e-3), torch.optim.Adam([theirs], lr=1e-3, fused=True)
    for _ in range(10):
        g = torch.randn(10_000, device="cuda")
        mine.step(g)
        theirs.grad = g
        reference.step()
    assert torch.allclose(own, theirs, atol=2e-6)
