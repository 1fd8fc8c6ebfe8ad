"""Tests of fastopt.interop.keras; `tests/interop/test_keras.py` runs them, and says how to run them by hand."""
