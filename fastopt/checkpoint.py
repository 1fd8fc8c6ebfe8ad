"""An optimizer's state in a safetensors file: arrays as they are, everything else as JSON in the file's metadata.

The parameters are not in it; they belong to whoever gave them. A file is written beside its place, flushed to the disk and
then renamed, so a crash leaves the old one or the new one and never half of either. Needs `pip install 'fastopt[checkpoints]'`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage import STORAGES

__all__ = ["load", "save"]

FORMAT = "fastopt 2"
BEFORE = "fastopt 1"
"""What the first versions wrote: one group, and parameters that do not nest."""


def save(
    states: Mapping[str, Sequence[NDArray[Any] | None]], rest: Mapping[str, Any], labels: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Writes each state by name, one array for each parameter, and what else `Optimizer.state_dict` gives; `labels` name the parameters."""
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {}
    dtypes: dict[str, str] = {}
    for name, arrays in states.items():
        for i, array in enumerate(arrays):
            if array is None:
                continue
            # a transposed array would be stored in the wrong order without a word
            plain = np.ascontiguousarray(array).reshape(array.shape)
            if plain.dtype.kind == "V" or plain.dtype.name == "bfloat16":  # not every version of safetensors knows it
                dtypes[f"{name}.{i}"], plain = plain.dtype.name, plain.view(np.uint16)
            tensors[f"{name}.{i}"] = plain
    parts = {"states": list(states), "labels": list(labels), "dtypes": dtypes, "rest": rest}
    metadata = {"format": FORMAT, **{key: json.dumps(value) for key, value in parts.items()}}
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


def load(path: str | os.PathLike[str], labels: Sequence[str]) -> dict[str, Any]:
    """Reads a file: what `Optimizer.state_dict` gives, but each state as a list with an array, or None, for each parameter.

    Raises ValueError for a file of another kind, or of parameters that are called otherwise.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (FORMAT, BEFORE):
                raise ValueError(
                    f"{os.fspath(path)}: expected a file that Optimizer.save wrote ({FORMAT}), received format {metadata.get('format')!r}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)}: expected a safetensors file ({error})") from error
    if metadata["format"] == BEFORE:
        return _before(metadata, tensors, labels)
    if json.loads(metadata["labels"]) != list(labels):
        raise ValueError(f"{os.fspath(path)}: expected the states of parameters in the structure of params, received those of others")
    for name, dtype in json.loads(metadata["dtypes"]).items():
        tensors[name] = tensors[name].view(STORAGES[dtype].dtype)
    rest = _with_tuples(json.loads(metadata["rest"]))
    return {**rest, "state": _by_name(json.loads(metadata["states"]), tensors, len(labels))}


def _by_name(names: Sequence[str], tensors: Mapping[str, Any], count: int) -> dict[str, list[Any]]:
    return {name: [tensors.get(f"{name}.{i}") for i in range(count)] for name in names}


def _with_tuples(rest: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters of several numbers as tuples again, which JSON has none of."""
    for group in rest["groups"]:
        group.update({name: tuple(value) for name, value in group.items() if isinstance(value, list) and name != "params"})
    return rest


def _before(metadata: Mapping[str, str], tensors: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """What a file of the first version comes to."""
    old = json.loads(metadata["rest"])
    everyone = list(range(len(labels)))
    storage = {"state_dtype": None, "grad_dtype": None}
    group = {"rule": old["rule"], "lr": old["lr"], **old["hyperparameters"], **storage, "params": everyone}
    slot = {"steps": old["steps"], "memory": {}, "params": everyone}
    rest = _with_tuples({"steps": old["steps"], "groups": [group], "slots": [slot]})
    return {**rest, "state": _by_name(json.loads(metadata["state"]), tensors, len(labels))}
