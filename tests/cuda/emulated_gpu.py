"""The state of emulated GPUs: memory, queues that wait to be run, and graphs in the making. `emulated_driver` is how to get at it."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cuda.heap import Heap
from tests.cuda.ptx_machine import Program

__all__ = ["CONTEXTS", "LEGACY", "MEMORY", "EmulatedGpu", "Operation"]

LEGACY = 1
"""The handle of the legacy default stream."""

CONTEXTS = (4096, 8192)
"""The handles of the devices' primary contexts: there are two devices."""

MEMORY = 1 << 30
"""Bytes of each; what was freed is not given out again, so that a use of it shows."""

Operation = Callable[[], None]


@dataclass
class EmulatedGpu:
    """The state of the devices, and the means to capture and replay graphs (which PyTorch or CuPy would do on a real one).

    Each device has memory of its own, which the other one's kernels cannot reach; the queues are in one place, since all are run together.
    """

    heaps: list[Heap] = field(default_factory=lambda: [Heap(MEMORY) for _ in CONTEXTS])
    queues: dict[int, deque[Operation]] = field(default_factory=dict)
    captures: dict[int, tuple[int, list[Operation]]] = field(default_factory=dict)
    events: dict[int, float | None] = field(default_factory=dict)
    """When each event happened, or None where it has not yet."""
    programs: dict[int, Program] = field(default_factory=dict)
    loaded: set[tuple[int, int]] = field(default_factory=set)
    """Kernels, and the devices that have them."""
    pinned: dict[int, Any] = field(default_factory=dict)
    launches: list[tuple[int, int, int]] = field(default_factory=list)
    contexts: list[int] = field(default_factory=list)
    handles: int = 1000
    captures_begun: int = 0
    mode: int = 0

    @property
    def context(self) -> int:
        """The calling thread's current context, or 0."""
        return self.contexts[-1] if self.contexts else 0

    @context.setter
    def context(self, context: int) -> None:
        """As CUDA has it: replaces the top of the thread's stack of contexts, which 0 takes away."""
        if self.contexts:
            self.contexts.pop()
        if context:
            self.contexts.append(context)

    @property
    def device(self) -> int:
        """The device of the calling thread's current context; the first one's, where that is a context of somebody else."""
        return CONTEXTS.index(self.context) if self.context in CONTEXTS else 0

    def device_of(self, address: int) -> int | None:
        """The device on which an address lies."""
        return next((i for i, heap in enumerate(self.heaps) if heap.base <= address < heap.next), None)

    def heap(self, address: int) -> Heap:
        """The memory in which an address lies. Raises IndexError for one that is in none."""
        device = self.device_of(address)
        if device is None:
            raise IndexError(f"{address:#x} is on no device")
        return self.heaps[device]

    def handle(self) -> int:
        """A number that nothing else has."""
        self.handles += 8
        return self.handles

    def enqueue(self, stream: int, operation: Operation) -> None:
        """Puts an operation into a stream's queue, or into the graph that is being captured there."""
        if stream in self.captures:
            self.captures[stream][1].append(operation)
        else:
            self.queues.setdefault(stream or LEGACY, deque()).append(operation)

    def run(self) -> None:
        """Does all that was asked for. No garbage is collected meanwhile: to free memory waits for the device, amid a kernel."""
        collects = gc.isenabled()
        gc.disable()
        try:
            for queue in self.queues.values():
                while queue:
                    queue.popleft()()
        finally:
            if collects:
                gc.enable()

    def begin_capture(self, stream: int) -> None:
        """What is launched on the stream from now on is recorded."""
        self.captures_begun += 1
        self.captures[stream] = (self.captures_begun, [])

    def end_capture(self, stream: int) -> list[Operation]:
        """The graph that was recorded."""
        return self.captures.pop(stream)[1]

    def replay(self, graph: list[Operation], stream: int) -> None:
        """Launches a graph."""
        for operation in graph:
            self.enqueue(stream, operation)
