"""The state of an emulated GPU: memory, queues that wait to be run, and graphs in the making. `emulated_driver` is how to get at it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cuda.ptx_machine import Heap, Program

__all__ = ["LEGACY", "EmulatedGpu", "Operation"]

LEGACY = 1
"""The handle of the legacy default stream."""

Operation = Callable[[], None]


@dataclass
class EmulatedGpu:
    """The state of the device, and the means to capture and replay graphs (which PyTorch or CuPy would do on a real one)."""

    heap: Heap = field(default_factory=lambda: Heap(1 << 28))
    queues: dict[int, deque[Operation]] = field(default_factory=dict)
    captures: dict[int, tuple[int, list[Operation]]] = field(default_factory=dict)
    events: dict[int, bool] = field(default_factory=dict)
    programs: dict[int, Program] = field(default_factory=dict)
    loaded: set[int] = field(default_factory=set)
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
        """Does all that was asked for."""
        for queue in self.queues.values():
            while queue:
                queue.popleft()()

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
