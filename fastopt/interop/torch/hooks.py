"""torch's post-accumulate hook: in compiled code (`fastopt.interop.torch._hook`) or, where that was not built, in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from fastopt.interop.torch._hook import Hook, Pass
except ImportError:  # no compiler at hand when fastopt was installed

    class Pass:  # type: ignore[no-redef]
        """The backward pass that is under way."""

        def __init__(self, turn: Any) -> None:
            self.number, self.quick = -1, False

    class Hook:  # type: ignore[no-redef]
        """What torch calls with a parameter."""

        def __init__(self, under_way: Pass, current: Callable[[], int], increment_version: Any, otherwise: Callable[[Any], None]) -> None:
            self.otherwise = otherwise

        @property
        def __self__(self) -> Any:
            """Whose hook it is, as of a method."""
            return self.otherwise.__self__  # type: ignore[attr-defined]

        def bind(self, *given: Any) -> None:
            """Nothing: every step is made by `otherwise`."""

        def unbind(self) -> None:
            """Nothing."""

        def __call__(self, param: Any) -> None:
            self.otherwise(param)


__all__ = ["Hook", "Pass"]
