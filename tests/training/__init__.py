"""Tests of fastopt/training."""
