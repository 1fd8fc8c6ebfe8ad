# Written from the families by `make documents` (fastopt.optimizers.documents): change those, not this.

from collections.abc import Mapping
from typing import Any, Literal

from fastopt.optimizers.base import Optimizer as Optimizer
from fastopt.schedules import Schedule

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "NAdam", "Optimizer", "RMSProp"]

class AdaGrad(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.01,
        lr_decay: float | Schedule = 0.0,
        initial_accumulator_value: float | Schedule = 0.0,
        eps: float | Schedule = 1e-10,
        *,
        eps_inside_root: bool = False,
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class Adam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.001,
        betas: tuple[float | Schedule, float | Schedule] = (0.9, 0.999),
        eps: float | Schedule = 1e-08,
        amsgrad: bool = False,
        *,
        eps_root: float | Schedule = 0.0,
        eps_hat: bool = False,
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class Momentum(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.01,
        momentum: float | Schedule = 0.9,
        nesterov: bool = False,
        form: Literal["heavy_ball", "velocity", "averaged"] = "heavy_ball",
        *,
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class NAdam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.002,
        betas: tuple[float | Schedule, float | Schedule] = (0.9, 0.999),
        eps: float | Schedule = 1e-08,
        momentum_decay: float | Schedule = 0.004,
        *,
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class RMSProp(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.01,
        alpha: float | Schedule = 0.99,
        eps: float | Schedule = 1e-08,
        momentum: float | Schedule = 0.0,
        centered: bool = False,
        *,
        eps_inside_root: bool = False,
        form: Literal["heavy_ball", "velocity"] = "heavy_ball",
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class SGD(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.001,
        momentum: float | Schedule = 0.0,
        dampening: float | Schedule = 0.0,
        nesterov: bool = False,
        *,
        form: Literal["heavy_ball", "velocity", "averaged"] = "heavy_ball",
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...

class AdamW(Adam):
    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 0.001,
        betas: tuple[float | Schedule, float | Schedule] = (0.9, 0.999),
        eps: float | Schedule = 1e-08,
        amsgrad: bool = False,
        *,
        eps_root: float | Schedule = 0.0,
        eps_hat: bool = False,
        weight_decay: float | Schedule = 0.01,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        convention: Literal["torch", "keras"] = "torch",
        max_norm: float | None = None,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None: ...
