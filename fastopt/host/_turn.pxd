# cython: language_level=3
"""What other compiled modules may look at and call of a turn."""

from cpython.pythread cimport PyThread_type_lock


cdef class Turn:
    cdef PyThread_type_lock lock_
    cdef unsigned long owner
    cdef long depth
    cdef object __weakref__
    cdef public bint taken, forked
    cdef public object at_once
    cdef public long long steps

    cdef bint take(self, bint wait) noexcept
    cdef void give(self) noexcept
