# cython: language_level=3
"""What other compiled modules may call of the gatherer."""

from libc.stdint cimport int64_t

cimport numpy as cnp


cdef class Gatherer:
    cdef list params
    cdef object kept  # the arrays whose memory the pointers below point into
    cdef int type_number, gradient_type, gradient_flags
    cdef bint writes  # to gradients
    cdef Py_ssize_t count, width, extents
    cdef int64_t* addresses
    cdef int64_t* starts
    cdef int64_t* ends
    cdef unsigned char* absent
    cdef Py_ssize_t* first_dimension  # of each parameter, into the two below
    cdef cnp.npy_intp* dimensions
    cdef cnp.npy_intp* strides  # in elements

    cdef bint usable(self, object candidate, Py_ssize_t i, int type_number, int flags) noexcept
    cdef int gather(self, list gradients) except -1
