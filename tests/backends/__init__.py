"""Tests of fastopt/backends."""
