# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The addresses of a step's gradients, gathered and checked in compiled code.

A `Gatherer` answers one question: are these gradients, and the parameters they belong to, all plain arrays that a
kernel can use as they lie? If so it has written the gradients' addresses. If not, it says so and no more: the checks of
`fastopt.arguments` then find out what is wrong and word the error, so there is one set of messages.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

from fastopt._plain cimport READ, WRITE, plain

cnp.import_array()


def all_plain(list arrays):
    """Whether all are plain arrays of float32 or float64 that a kernel can write to as they lie."""
    for array in arrays:
        if not plain(array, cnp.NPY_FLOAT32, WRITE) and not plain(array, cnp.NPY_FLOAT64, WRITE):
            return False
    return True


def addresses(list arrays):
    """Where the arrays begin, as int64."""
    cdef cnp.npy_intp count = len(arrays)
    cdef cnp.ndarray found = cnp.PyArray_EMPTY(1, &count, cnp.NPY_INT64, 0)
    cdef int64_t* at = <int64_t*> cnp.PyArray_DATA(found)
    cdef Py_ssize_t i
    cdef cnp.ndarray array
    for i in range(count):
        array = arrays[i]
        at[i] = <int64_t> cnp.PyArray_DATA(array)
    return found


cdef class Gatherer:
    """`Gatherer(params, type_number, addresses, extent_starts, extent_ends)(gradients) -> bool`."""

    cdef list params
    cdef object kept  # the arrays whose memory the pointers below point into
    cdef int type_number
    cdef Py_ssize_t count, width, extents
    cdef int64_t* addresses
    cdef int64_t* starts
    cdef int64_t* ends
    cdef Py_ssize_t* first_dimension  # of each parameter, into `dimensions`
    cdef cnp.npy_intp* dimensions

    def __init__(
        self,
        list params,
        int type_number,
        cnp.ndarray addresses,
        cnp.ndarray extent_starts,
        cnp.ndarray extent_ends,
    ):
        cdef Py_ssize_t i, j, total = 0
        cdef cnp.ndarray p
        if self.dimensions != NULL:
            raise RuntimeError("Gatherer: __init__ runs once")
        self.params = list(params)
        self.kept = (addresses, extent_starts, extent_ends)
        self.type_number = type_number
        self.count = len(params)
        self.width = addresses.shape[1]
        self.extents = extent_starts.shape[0]
        self.addresses = <int64_t*> cnp.PyArray_DATA(addresses)
        self.starts = <int64_t*> cnp.PyArray_DATA(extent_starts)
        self.ends = <int64_t*> cnp.PyArray_DATA(extent_ends)
        for i in range(self.count):
            total += cnp.PyArray_NDIM(self.params[i])
        self.first_dimension = <Py_ssize_t*> malloc((self.count + 1) * sizeof(Py_ssize_t))
        self.dimensions = <cnp.npy_intp*> malloc((total + 1) * sizeof(cnp.npy_intp))
        if self.first_dimension == NULL or self.dimensions == NULL:
            raise MemoryError("Gatherer: no memory for the shapes of the parameters")
        total = 0
        for i in range(self.count):
            p = self.params[i]
            self.first_dimension[i] = total
            for j in range(cnp.PyArray_NDIM(p)):
                self.dimensions[total + j] = cnp.PyArray_DIM(p, j)
            total += cnp.PyArray_NDIM(p)
        self.first_dimension[self.count] = total

    def __dealloc__(self):
        free(self.first_dimension)
        free(self.dimensions)

    cdef bint usable(self, object candidate, Py_ssize_t i, int flags) noexcept:
        """An exact ndarray of the right dtype, flags and shape."""
        cdef cnp.ndarray a
        cdef Py_ssize_t j, dimensions = self.first_dimension[i + 1] - self.first_dimension[i]
        if not plain(candidate, self.type_number, flags):
            return False
        a = <cnp.ndarray> candidate
        if cnp.PyArray_NDIM(a) != dimensions:
            return False
        for j in range(dimensions):
            if cnp.PyArray_DIM(a, j) != self.dimensions[self.first_dimension[i] + j]:
                return False
        return True

    cdef bint overlaps(self, int64_t start, int64_t size) noexcept:
        """Whether [start, start + size) meets memory that a step writes; the extents are disjoint and ascending."""
        cdef Py_ssize_t low = 0, high = self.extents, middle
        while low < high:  # ends at the number of extents that begin before the gradient ends
            middle = (low + high) // 2
            if self.starts[middle] < start + size:
                low = middle + 1
            else:
                high = middle
        return size > 0 and low > 0 and self.ends[low - 1] > start

    def __call__(self, list gradients):
        """True if all can be used, with the addresses written; False if the caller has to look closer."""
        cdef Py_ssize_t i
        cdef int64_t address
        cdef object p, g
        if len(gradients) != self.count:
            return False
        for i in range(self.count):
            p = self.params[i]
            g = gradients[i]
            if not self.usable(p, i, WRITE) or <int64_t> cnp.PyArray_DATA(p) != self.addresses[i * self.width]:
                return False
            if not self.usable(g, i, READ):
                return False
            address = <int64_t> cnp.PyArray_DATA(g)
            # an address that was looked up at the last step lies as it lay then: what a step writes does not move
            if address != self.addresses[i * self.width + 1]:
                if self.overlaps(address, cnp.PyArray_NBYTES(g)):
                    return False
                self.addresses[i * self.width + 1] = address
        return True
