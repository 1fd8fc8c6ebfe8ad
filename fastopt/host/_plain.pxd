# cython: language_level=3
"""What compiled code asks of an array before it uses it as it lies."""

cimport numpy as cnp

cdef enum:
    READ = cnp.NPY_ARRAY_ALIGNED
    WRITE = READ | cnp.NPY_ARRAY_WRITEABLE


cdef inline bint plain(object candidate, int type_number, int flags) noexcept:
    """An exact ndarray of that type in native byte order, with the flags."""
    if not cnp.PyArray_CheckExact(candidate):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> candidate) != type_number or not cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> candidate):
        return False
    return cnp.PyArray_CHKFLAGS(<cnp.ndarray> candidate, flags)


cdef inline bint same_strides(cnp.ndarray a, const cnp.npy_intp* shape, const cnp.npy_intp* strides) noexcept:
    """Whether the elements of an array of that shape lie in the order that the strides, in elements, give them.

    The stride of a dimension of length 1 says nothing, nor does any of an array without elements.
    """
    cdef Py_ssize_t j
    cdef cnp.npy_intp itemsize = cnp.PyArray_ITEMSIZE(a)
    for j in range(cnp.PyArray_NDIM(a)):
        if shape[j] > 1 and cnp.PyArray_STRIDE(a, j) != strides[j] * itemsize:
            return cnp.PyArray_SIZE(a) == 0
    return True
