"""An optimizer's state in a safetensors file: arrays as they are, everything else as JSON in the file's metadata.

The parameters are not in it; they belong to whoever gave them. A file is written beside its place, flushed to the disk and
then renamed, so a crash leaves the old one or the new one and never half of either. Needs `pip install 'fastopt[checkpoints]'`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["load", "save"]

FORMAT = "fastopt 1"


def save(state_dict: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes what `Optimizer.state_dict` gave. Raises TypeError for parameters named by anything but strings."""
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {}
    names: list[str] | None = None
    for state, values in state_dict["state"].items():
        if isinstance(values, Mapping):
            names = list(values)
            if not all(isinstance(name, str) for name in names):
                raise TypeError(f"save: expected parameters named by strings, received {names!r}")
            values = list(values.values())
        arrays = [values] if isinstance(values, np.ndarray) else values
        # a transposed array would be stored in the wrong order without a word
        tensors |= {f"{state}.{i}": np.ascontiguousarray(array).reshape(array.shape) for i, array in enumerate(arrays)}
    rest = {key: value for key, value in state_dict.items() if key != "state"}
    metadata = {"format": FORMAT, "names": json.dumps(names), "state": json.dumps(list(state_dict["state"])), "rest": json.dumps(rest)}
    target = Path(path)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, suffix=".tmp", delete=False) as file:
        beside = Path(file.name)
    try:
        save_file(tensors, beside, metadata)
        _flush(beside)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _flush(target.parent)  # the new name itself


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Reads a file as `Optimizer.load_state_dict` takes it; `kind` is the structure of the optimizer's parameters.

    Raises ValueError for a file of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(
                    f"{os.fspath(path)}: expected a file that Optimizer.save wrote ({FORMAT}), received format {metadata.get('format')!r}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)}: expected a safetensors file ({error})") from error
    names = json.loads(metadata["names"])
    state: dict[str, Any] = {}
    for name in json.loads(metadata["state"]):
        count = sum(key.startswith(f"{name}.") for key in tensors)
        arrays = [tensors[f"{name}.{i}"] for i in range(count)]
        if names is not None:
            state[name] = dict(zip(names, arrays, strict=True))
        else:
            state[name] = arrays[0] if kind == "array" and count == 1 else arrays
    rest = json.loads(metadata["rest"])
    rest["hyperparameters"] = {key: tuple(value) if isinstance(value, list) else value for key, value in rest["hyperparameters"].items()}
    return {**rest, "state": state}
