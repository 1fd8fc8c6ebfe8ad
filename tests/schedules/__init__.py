"""Tests of fastopt/schedules."""
