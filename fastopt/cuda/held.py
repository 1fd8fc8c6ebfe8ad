"""What a launch reads, held until its stream is done: whoever made a gradient may give its memory to others as soon as it is gone.

Behind the launch of a step an event is recorded on its stream, and what was launched with is kept in a queue beside that event. At the next
step, at `Optimizer.advance`, and where the device was waited for anyway, the events are asked, in the order of the steps; what is behind
is let go of, and its event recorded again. So a host that runs ahead by some steps keeps the gradients of so many, and of one more.

PyTorch and CuPy give memory out again in the order of the stream that it was asked for on, so what they made is not kept for a step
on the stream that they work on at present (`DeviceWorkList.refresh`): that would cost the memory of one more set of gradients. Nor is it
while a graph is captured: each replay reads the gradients again, which are the caller's to keep.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastopt.cuda import Runtime

__all__ = ["Held"]


class Held:
    """What the steps of one work list read: in a queue what goes from step to step, and what stays as long as the work list does.

    Where the work list goes away, streams may have steps of it to do: that is waited for, since nobody would ask afterwards. Then the
    tables go, before the arrays: to free fastopt's own memory waits for the device, and arrays of a framework may go to others at once.

    Parameters
    ----------
    tables
        What keeps the memory of the tables that kernels read.
    arrays
        Parameters and states.
    """

    def __init__(self, runtime: Runtime, device: int, tables: Sequence[object], arrays: Sequence[object]) -> None:
        # in the order in which they are to go
        self.runtime, self.device, self.tables = runtime, device, list(tables)
        self.queue: deque[tuple[Any, object]] = deque()
        """Events, in the order in which they were recorded, and what is to stay until each has happened."""
        self.spare: list[Any] = []
        self.arrays = list(arrays)

    def until_done(self, read: object, stream: int) -> list[Callable[[], Any]]:
        """The calls (`fastopt.uninterrupted`) behind a launch that keep what it reads, made by a thread that is on the device."""
        event = self.spare.pop() if self.spare else self.runtime.event(self.device)
        return [self.runtime.recording(event, stream), partial(self.queue.append, (event, read))]

    def release(self) -> None:
        """Lets go of what has been read. Asks, and never waits; to be called by one thread at a time."""
        if not self.queue:
            return
        for _ in range(self.runtime.happened(self.device, map(itemgetter(0), self.queue))):
            self.spare.append(self.queue.popleft()[0])

    def __del__(self) -> None:
        # not `weakref.finalize`, which would keep what it is given, and so a gradient or parameter that knows of its optimizer for good
        if sys.is_finalizing() or "arrays" not in self.__dict__:  # the driver may be gone; or nothing was launched yet
            return
        if self.queue:
            self.runtime.wait_for(self.device, [event for event, _ in self.queue])
        self.tables.clear()
