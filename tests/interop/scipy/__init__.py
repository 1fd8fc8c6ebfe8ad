"""Tests of the methods for `scipy.optimize.minimize`."""
