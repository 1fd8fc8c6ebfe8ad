"""Events: recorded on a stream, asked and waited for, from any thread, and while a graph is captured."""

from __future__ import annotations

import threading
from typing import Any

from fastopt.cuda import driver


def test_events_happen_in_the_order_of_their_stream(emulated: Any) -> None:
    events = [driver.event(0) for _ in range(3)]
    with driver.on(0):
        for each in events:
            driver.recording(each, 24)()
    assert driver.happened(0, events) == 0
    queue = emulated.queues[24]
    assert len(queue) == 3
    queue.popleft()()
    queue.popleft()()
    assert driver.happened(0, events) == 2
    emulated.run()
    assert driver.happened(0, events) == 3
    with driver.on(0):
        driver.recording(events[1], 24)()
    assert driver.happened(0, events) == 1, "recorded again, it is to happen again"
    driver.wait_for(0, events)
    assert driver.happened(0, events) == 3


def test_from_any_thread_and_during_a_capture(emulated: Any) -> None:
    found = []

    def work() -> None:
        own = driver.event(1)
        with driver.on(1):
            driver.recording(own, 24)()
        emulated.begin_capture(77)
        found.append(driver.happened(1, [own]))
        driver.wait_for(1, [own])
        found.append(driver.happened(1, [own]))
        assert emulated.end_capture(77) == []

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0, 1]
