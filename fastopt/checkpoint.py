"""An optimizer's state in a safetensors file: arrays as they are, everything else as JSON in the file's metadata.

The parameters are not in it; they belong to whoever gave them. A file is written beside its place (in a folder, `.NAME.saving`),
flushed to the disk and then renamed, so a crash leaves the old one or the new one and never half of either; the next save takes away what
one that was killed has left. It has a digest of all that is in it, so one that was altered is refused. Needs
`pip install 'fastopt[checkpoints]'`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage import STORAGES

__all__ = ["load", "save"]

FORMAT = "fastopt 3"
WITHOUT_DIGEST = "fastopt 2"
BEFORE = "fastopt 1"
"""What the first versions wrote: one group, and parameters that do not nest."""


def save(
    states: Mapping[str, Sequence[NDArray[Any] | None]],
    rest: Mapping[str, Any],
    labels: Sequence[str],
    kinds: Sequence[str],
    path: str | os.PathLike[str],
) -> None:
    """Writes each state by name, one array for each parameter, and what else `Optimizer.state_dict` gives.

    `labels` name the parameters, and `kinds` say of each its dtype and shape.
    """
    safetensors = _safetensors()
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
    parts = {"states": list(states), "labels": list(labels), "kinds": list(kinds), "dtypes": dtypes, "rest": rest}
    metadata = {"format": FORMAT, **{key: json.dumps(value) for key, value in parts.items()}}
    metadata["digest"] = _digest(metadata, tensors)
    target = Path(os.path.realpath(path))  # the file that a link stands for, and not the link
    with _beside(target) as beside:
        try:
            safetensors.numpy.save_file(tensors, beside, metadata)
        except safetensors.SafetensorError as error:
            raise OSError(f"{os.fspath(path)}: it cannot be written ({error})") from error
        _flush(beside)
    if os.name == "posix":
        _flush(target.parent)  # the new name itself


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"saving and loading take safetensors ({error}): pip install 'fastopt[checkpoints]'") from error
    return safetensors


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path to write a file at, which then takes the place of another one and has its mode. One process at a time saves in a folder."""
    scratch = target.with_name(f".{target.name}.saving")  # a folder: who writes the file may make others on the way
    path = scratch / target.name
    with _alone_in(target.parent):
        try:
            shutil.rmtree(scratch, ignore_errors=True)  # of a save that was killed
            scratch.mkdir()
            path.touch()  # as any new file: the umask says who may read it
            mode = stat.S_IMODE((target if target.exists() else path).stat().st_mode)
            yield path
            path.chmod(mode)
            path.replace(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until nobody else is; a lock of the folder itself leaves nothing behind. Does without where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have none
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> str:
    """Of the metadata but for the digest, and of every tensor's name, dtype, shape and bytes."""
    found = hashlib.sha256(json.dumps({key: value for key, value in metadata.items() if key != "digest"}, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name} {array.dtype.name} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: str | os.PathLike[str], labels: Sequence[str], kinds: Sequence[str], convert: bool = False) -> dict[str, Any]:
    """Reads a file: what `Optimizer.state_dict` gives, but each state as a list with an array, or None, for each parameter.

    With `convert`, parameters may be of other dtypes than those whose states were saved.

    Raises ValueError for a file of another kind, or of parameters that are called otherwise or are of other dtypes and shapes.
    """
    safetensors = _safetensors()
    name_of_file = os.fspath(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            kind = metadata.get("format")
            if kind not in (FORMAT, WITHOUT_DIGEST, BEFORE):
                raise ValueError(f"{name_of_file}: expected a file that Optimizer.save wrote ({FORMAT}), received format {kind!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name_of_file}: expected a safetensors file ({error})") from error
    if (kind == FORMAT or "digest" in metadata) and metadata.get("digest") != _digest(metadata, tensors):
        raise ValueError(f"{name_of_file}: it was altered or damaged since it was saved: what it holds does not have its digest")
    try:
        return _before(metadata, tensors, labels) if kind == BEFORE else _read(metadata, tensors, labels, kinds, convert, name_of_file)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, json.JSONDecodeError) as error:  # of a file without a digest
        raise ValueError(f"{name_of_file}: it was altered or damaged since it was saved ({type(error).__name__}: {error})") from error


def _read(
    metadata: Mapping[str, str], tensors: dict[str, Any], labels: Sequence[str], kinds: Sequence[str], convert: bool, name_of_file: str
) -> dict[str, Any]:
    if json.loads(metadata["labels"]) != list(labels):
        raise ValueError(f"{name_of_file}: expected the states of parameters in the structure of params, received those of others")
    if "kinds" in metadata:  # a rule may keep no state that would tell; the first files do not say
        for label, own, found in zip(labels, kinds, json.loads(metadata["kinds"]), strict=True):
            if (found.partition(" ")[2] != own.partition(" ")[2]) if convert else (found != own):
                raise ValueError(f"{name_of_file}: expected the states of {label} of {own}, received those of one of {found}")
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
    storage = dict.fromkeys(("state_dtype", "stochastic_rounding", "narrow_from", "master_bits", "grad_dtype"))
    group = {"rule": old["rule"], "lr": old["lr"], **old["hyperparameters"], **storage, "params": everyone}
    slot = {"steps": old["steps"], "memory": {}, "params": everyone}
    rest = _with_tuples({"steps": old["steps"], "groups": [group], "slots": [slot]})
    return {**rest, "state": _by_name(json.loads(metadata["state"]), tensors, len(labels))}
