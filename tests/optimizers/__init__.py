"""Tests of fastopt/optimizers."""
