"""Tests of fastopt/rules."""
