"""Tests of the drop-in over MPI."""
