"""The tests, laid out as fastopt/ is; what they share stands in conftest.py."""
