"""Whether these run in this process, and on which of Keras's backends."""

from __future__ import annotations

import os

BACKEND = os.environ.get("FASTOPT_TEST_KERAS")
collect_ignore_glob = [] if BACKEND else ["test_*.py"]
if BACKEND:
    os.environ["KERAS_BACKEND"] = BACKEND
