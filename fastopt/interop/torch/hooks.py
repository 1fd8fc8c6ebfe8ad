"""torch's post-accumulate hook: in compiled code (`fastopt.interop.torch._hook`) or, where that was not built, in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from fastopt.interop.torch._hook import Arrivals, Hook, Pass
except ImportError:  # no compiler at hand when fastopt was installed

    class Pass:  # type: ignore[no-redef]
        """The backward pass that is under way."""

        def __init__(self, turn: Any, most: int) -> None:
            self.number, self.waiting, self.most = -1, 0, most
            self.stepping, self.quick = False, False

    class Arrivals:  # type: ignore[no-redef]
        """Which gradients of some parameters are there."""

        def __init__(self, params: list[Any]) -> None:
            self.number, self.missing, self.waiting, self.params = -1, len(params), 0, params

        def bind(self, *given: Any) -> None:
            """Nothing: every step is made by a hook's `otherwise`."""

        def unbind(self) -> None:
            """Nothing."""

        def stepped(self, under_way: Pass) -> None:
            """Those that waited were stepped."""
            under_way.waiting -= self.waiting
            self.waiting = 0
            if self.missing <= 0:
                self.missing = len(self.params)

    class Hook:  # type: ignore[no-redef]
        """What torch calls with a parameter."""

        def __init__(
            self, under_way: Pass, nbytes: int, current: Callable[[], int], increment_version: Any, otherwise: Callable[[Any], None]
        ) -> None:
            self.under_way, self.nbytes, self.number, self.otherwise = under_way, nbytes, -1, otherwise
            self.arrivals: Arrivals | None = None

        @property
        def __self__(self) -> Any:
            """Whose hook it is, as of a method."""
            return self.otherwise.__self__  # type: ignore[attr-defined]

        def note(self) -> bool:
            """Notes that a gradient is there; whether there is anything to do now."""
            under_way, arrivals = self.under_way, self.arrivals
            if arrivals is not None and arrivals.number != under_way.number:
                arrivals.number, arrivals.missing, arrivals.waiting = under_way.number, len(arrivals.params), 0
            if self.number != under_way.number:
                self.number = under_way.number
                under_way.waiting += self.nbytes
                if arrivals is not None:
                    arrivals.missing -= 1
                    arrivals.waiting += self.nbytes
            return arrivals is None or arrivals.missing <= 0 or under_way.waiting >= under_way.most

        def __call__(self, param: Any) -> None:
            self.otherwise(param)


__all__ = ["Arrivals", "Hook", "Pass"]
