"""Tests of fastopt.interop."""
