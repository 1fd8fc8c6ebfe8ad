"""The four tables together."""

from __future__ import annotations

from tests.bad_calls.test_changes import CHANGES
from tests.bad_calls.test_constructions import CONSTRUCTIONS
from tests.bad_calls.test_functional import FUNCTION_CALLS
from tests.bad_calls.test_steps import STEP_CALLS


def test_a_hundred_calls_and_more() -> None:
    assert len(STEP_CALLS) + len(CONSTRUCTIONS) + len(FUNCTION_CALLS) + len(CHANGES) > 300
    for table in (STEP_CALLS, CONSTRUCTIONS, FUNCTION_CALLS):
        names = [(type(call).__name__, call.id) for call in table]
        assert all(call.error is None or call.words for call in table), "an exception without its words"
        assert len(names) == len(table)
