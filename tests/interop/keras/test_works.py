"""What the drop-in for Keras is measured at, on its PyTorch backend."""

from __future__ import annotations

import keras
import pytest

from bench.dropins import keras as measured


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="there is nothing to measure on another backend")
def test_every_contender_can_be_stepped_and_the_drop_in_is_the_first() -> None:
    works = measured.works("smoke")
    assert len(works) == 2
    for work in works:
        assert list(work.makers) == ["fastopt", "keras"]
        for make in work.makers.values():
            make(1).block(1)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras is on PyTorch in this process")
def test_on_another_backend_there_is_none() -> None:
    assert measured.works("smoke") == []
