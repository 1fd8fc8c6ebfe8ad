"""The systems that people use today, each making the same Adam step on the same values.

A peer is a class in a module of this package (`Peer` in `peer.py` says what it must have); it is found by being there. Before any
is timed, `verify` lets it make steps beside fastopt's reference.
"""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

import fastopt

from .peer import BETAS, EPS, LR, Handed, Peer

__all__ = ["BETAS", "EPS", "LR", "PEERS", "Handed", "Peer", "absent", "measured_on", "verify"]


def _found() -> dict[str, type[Peer]]:
    """Every peer by name: those first that large sizes are measured with too."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    kinds = [kind for module in modules for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    peers = [kind for kind in kinds if issubclass(kind, Peer) and not inspect.isabstract(kind) and "name" in vars(kind)]
    return {peer.name: peer for peer in sorted(peers, key=lambda peer: (peer.slow, peer.name.lower()))}


PEERS = _found()


def measured_on(device: str) -> dict[str, type[Peer]]:
    """The peers that are measured on a device, or on the host ("cpu"), whether they are installed or not."""
    return {name: peer for name, peer in PEERS.items() if device in peer.devices}


def absent(device: str = "cpu") -> dict[str, str]:
    """Those of them that cannot be measured here, and what they need."""
    reasons = {name: peer.missing(device) for name, peer in measured_on(device).items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


@cache
def verify(kind: type[Peer], device: str = "cpu") -> float:
    """Lets a peer make three steps beside fastopt's reference, once a run; returns the largest difference of a parameter.

    Gradients stay away from 0, where the frameworks' different places for eps show. Raises AssertionError if it does not
    compute Adam: what is fast and wrong has no time.
    """
    rng = np.random.default_rng(3)
    params = [rng.standard_normal(n).astype(np.float32) for n in (5, 1_000)]
    expected = [p.copy() for p in params]
    reference = fastopt.Adam(expected, LR, BETAS, EPS, backend="numpy")
    peer: Any = None
    for _ in range(3):
        grads = [(rng.uniform(0.5, 1.5, p.size) * rng.choice([-1, 1], p.size)).astype(np.float32) for p in params]
        if peer is None:
            peer = Handed(kind, params, [g.copy() for g in grads], device)
        else:
            peer.new_gradients([g.copy() for g in grads])
        peer.step()
        reference.step(grads)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(peer.result(), expected, strict=True))
    assert difference < 2e-6, f"{kind.name}: parameters differ from the reference by {difference}"
    return difference
