"""Structures: an array, a sequence, a mapping. (What is refused, and how: tests/bad_calls.)"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from fastopt.structure import Structure

A, B, C = np.zeros(1), np.zeros(2), np.zeros(3)


def test_array() -> None:
    structure, arrays = Structure.of(A)
    assert structure == Structure("array")
    assert arrays[0] is A
    assert structure.flatten(B, "grads")[0] is B
    assert structure.label(0, "grads") == "grads"
    assert structure.restore([C]) is C


@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_sequence(make: type) -> None:
    structure, arrays = Structure.of(make([A, B]))
    assert structure == Structure("sequence", (0, 1))
    assert arrays[0] is A
    assert arrays[1] is B
    assert structure.flatten(make([C, A]), "grads") == [C, A]
    assert structure.label(1, "grads") == "grads[1]"
    assert structure.restore([A, B]) == [A, B]


def test_sequence_is_not_the_callers_list() -> None:
    given = [A, B]
    _, arrays = Structure.of(given)
    given.append(C)
    assert len(arrays) == 2


def test_mapping() -> None:
    structure, arrays = Structure.of({"w": A, 7: B})
    assert structure == Structure("mapping", ("w", 7))
    assert structure.flatten({7: C, "w": A}, "grads") == [A, C]
    assert (structure.label(0, "grads"), structure.label(1, "grads")) == ("grads['w']", "grads[7]")
    assert structure.restore(arrays) == {"w": A, 7: B}
    assert list(structure.restore(arrays)) == ["w", 7]


def test_mapping_refuses_other_names() -> None:
    structure, _ = Structure.of({"w": A, "b": B})
    with pytest.raises(ValueError, match=r"^grads: expected the names of params; 'b' is missing \(1 in all\)$"):
        structure.flatten({"w": A, "c": B}, "grads")
    with pytest.raises(ValueError, match=r"^x: expected the names of params; received 'c' besides \(2 in all\)$"):
        structure.flatten({"w": A, "b": B, "c": C, "d": C}, "x")


def test_labels_are_made_when_asked_for() -> None:
    structure, _ = Structure.of({"w": A, 7: B, "c": C})
    labels = structure.labels("grads")
    assert (len(labels), list(labels)) == (3, ["grads['w']", "grads[7]", "grads['c']"])
    assert list(structure.labels("params", [2, 0])) == ["params['c']", "params['w']"]
    with pytest.raises(IndexError):
        labels[3]


def test_nested() -> None:
    given = {"layer": {"w": A, "b": B}, 3: [C, (A, {"x": B})], "none": {}}
    structure, arrays = Structure.of(given)
    assert [id(a) for a in arrays] == [id(a) for a in (A, B, C, A, B)]
    assert structure.length == 5
    assert list(structure.labels("grads")) == [
        "grads['layer']['w']",
        "grads['layer']['b']",
        "grads[3][0]",
        "grads[3][1][0]",
        "grads[3][1][1]['x']",
    ]
    assert structure.restore("abcde") == {"layer": {"w": "a", "b": "b"}, 3: ["c", ["d", {"x": "e"}]], "none": {}}
    found = structure.flatten({"none": {}, 3: (C, [A, {"x": None}]), "layer": {"b": B, "w": A}}, "grads")
    assert [id(a) for a in found] == [id(a) for a in (A, B, C, A, None)]


@pytest.mark.parametrize(
    ("grads", "error", "words"),
    [
        ({"layer": {"w": A, "b": B}}, ValueError, r"^grads: expected the names of params; 3 is missing"),
        ({"layer": {"w": A}, 3: [C]}, ValueError, r"^grads\['layer'\]: expected the names of params; 'b' is missing"),
        ({"layer": [A, B], 3: [C]}, TypeError, r"^grads\['layer'\]: expected a mapping with the names of params; received list"),
        ({"layer": {"w": A, "b": B}, 3: [C, A]}, ValueError, r"^grads\[3\]: expected 1 arrays, one for each parameter; received 2"),
        ({"layer": {"w": A, "b": B}, 3: C}, TypeError, r"^grads\[3\]: expected a sequence of 1 arrays, like params; received ndarray"),
        ({"layer": None, 3: [C]}, TypeError, r"^grads\['layer'\]: expected a mapping with the names of params; received NoneType"),
    ],
)
def test_nested_gradients_of_another_structure(grads: Any, error: type[Exception], words: str) -> None:
    structure, _ = Structure.of({"layer": {"w": A, "b": B}, 3: [C]})
    with pytest.raises(error, match=words):
        structure.flatten(grads, "grads")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda structure: pickle.loads(pickle.dumps(structure))])
def test_a_copy_takes_none_for_a_gradient_as_the_structure_does(copied: Any) -> None:
    structure, _ = Structure.of({"first": A, "rest": [B]})
    assert structure.flatten({"first": None, "rest": [B]}, "grads")[0] is None
    assert copied(structure).flatten({"first": None, "rest": [B]}, "grads")[0] is None
