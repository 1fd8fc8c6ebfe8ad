# cython: language_level=3
"""What compiled code asks of an array before it uses it as it lies."""

cimport numpy as cnp

cdef enum:
    READ = cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED
    WRITE = READ | cnp.NPY_ARRAY_WRITEABLE


cdef inline bint plain(object candidate, int type_number, int flags) noexcept:
    """An exact ndarray of that type in native byte order, with the flags."""
    if not cnp.PyArray_CheckExact(candidate):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> candidate) != type_number or not cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> candidate):
        return False
    return cnp.PyArray_CHKFLAGS(<cnp.ndarray> candidate, flags)
