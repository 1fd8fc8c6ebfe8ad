"""Tests of the drop-in for scikit-learn."""
