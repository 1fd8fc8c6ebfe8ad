"""Tests of fastopt.interop.torch."""
