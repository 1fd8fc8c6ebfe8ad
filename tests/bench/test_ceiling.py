"""The probe moves every stream, all of it, for each number of states and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import ceiling


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", range(ceiling.MOST_STATES + 1))
def test_every_element_of_every_written_stream_moves(states: int, dtype: Any, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    filled = ceiling.filled

    def remembered(*arguments: Any) -> Any:
        made.append(filled(*arguments))
        return made[-1]

    monkeypatch.setattr(ceiling, "filled", remembered)
    monkeypatch.setattr(ceiling, "SERIAL_BELOW", 0)
    move = ceiling.probe(1_001, states, dtype, threads)
    assert len(made) == 2 + states
    made[1][...] = 1.0  # the gradient
    before = [array.copy() for array in made]
    move()
    for i, (array, old) in enumerate(zip(made, before, strict=True)):
        np.testing.assert_array_equal(array, old if i == 1 else old + 1)


def test_more_states_than_it_has_loops_for_are_refused() -> None:
    with pytest.raises(ValueError, match="states: expected 0 to 3"):
        ceiling.probe(10, 4, np.float32, 1)
