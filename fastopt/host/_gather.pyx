# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The addresses of a step's gradients, gathered and checked in compiled code.

A `Gatherer` answers one question: are these gradients, and the parameters they belong to, all plain arrays that a
kernel can use as they lie? If so it has written the gradients' addresses. If not, it says so and no more: the checks of
`fastopt.arguments` then find out what is wrong and word the error, so there is one set of messages.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

from fastopt.host.extents cimport meets
from fastopt.host._plain cimport READ, WRITE, plain, same_strides

cnp.import_array()


def all_plain(list arrays):
    """Whether all are C-contiguous arrays of float32 or float64 that a kernel can write to as they lie."""
    for array in arrays:
        if not plain(array, cnp.NPY_FLOAT32, WRITE) and not plain(array, cnp.NPY_FLOAT64, WRITE):
            return False
        if not cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> array):
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
    """`Gatherer(params, gradient_type, writes, addresses, absent, extent_starts, extent_ends)(gradients) -> int`.

    `writes` says that a step writes to gradients too: then one that lies elsewhere than at the step before is looked at by the caller.
    `absent` says of each tensor whether its gradient is None; the element behind the last tensor, whether any of these has changed
    since that was last set to 0.
    """

    def __init__(
        self,
        list params,
        int gradient_type,
        bint writes,
        cnp.ndarray addresses,
        cnp.ndarray absent,
        cnp.ndarray extent_starts,
        cnp.ndarray extent_ends,
    ):
        cdef Py_ssize_t i, j, total = 0
        cdef cnp.ndarray p
        if self.dimensions != NULL:
            raise RuntimeError("Gatherer: __init__ runs once")
        self.params = list(params)
        self.kept = (addresses, absent, extent_starts, extent_ends)
        self.gradient_type = gradient_type
        self.writes, self.gradient_flags = writes, WRITE if writes else READ
        self.count = len(params)
        self.width = addresses.shape[1]
        self.extents = extent_starts.shape[0]
        self.addresses = <int64_t*> cnp.PyArray_DATA(addresses)
        self.absent = <unsigned char*> cnp.PyArray_DATA(absent)
        self.starts = <int64_t*> cnp.PyArray_DATA(extent_starts)
        self.ends = <int64_t*> cnp.PyArray_DATA(extent_ends)
        for i in range(self.count):
            total += cnp.PyArray_NDIM(self.params[i])
        self.first_dimension = <Py_ssize_t*> malloc((self.count + 1) * sizeof(Py_ssize_t))
        self.dimensions = <cnp.npy_intp*> malloc((total + 1) * sizeof(cnp.npy_intp))
        self.strides = <cnp.npy_intp*> malloc((total + 1) * sizeof(cnp.npy_intp))
        if self.first_dimension == NULL or self.dimensions == NULL or self.strides == NULL:
            raise MemoryError("Gatherer: no memory for the shapes of the parameters")
        total = 0
        for i in range(self.count):
            p = self.params[i]
            self.type_number = cnp.PyArray_TYPE(p)
            self.first_dimension[i] = total
            for j in range(cnp.PyArray_NDIM(p)):
                self.dimensions[total + j] = cnp.PyArray_DIM(p, j)
                self.strides[total + j] = cnp.PyArray_STRIDE(p, j) // cnp.PyArray_ITEMSIZE(p)
            total += cnp.PyArray_NDIM(p)
        self.first_dimension[self.count] = total

    def __dealloc__(self):
        free(self.first_dimension)
        free(self.dimensions)
        free(self.strides)

    cdef bint usable(self, object candidate, Py_ssize_t i, int type_number, int flags) noexcept:
        """An exact ndarray of the right dtype, flags, shape and layout."""
        cdef cnp.ndarray a
        cdef Py_ssize_t j, dimensions = self.first_dimension[i + 1] - self.first_dimension[i]
        cdef cnp.npy_intp* shape = self.dimensions + self.first_dimension[i]
        if not plain(candidate, type_number, flags):
            return False
        a = <cnp.ndarray> candidate
        if cnp.PyArray_NDIM(a) != dimensions:
            return False
        for j in range(dimensions):
            if cnp.PyArray_DIM(a, j) != shape[j]:
                return False
        return same_strides(a, shape, self.strides + self.first_dimension[i])

    def __call__(self, list gradients):
        """1 or 2 if all can be used, with the addresses written, 2 where gradients have come or gone since that was last asked for;
        0 if the caller has to look closer."""
        return self.gather(gradients)

    cdef int gather(self, list gradients) except -1:
        cdef Py_ssize_t i
        cdef int64_t address
        cdef bint missing
        cdef object p, g
        if len(gradients) != self.count:
            return 0
        for i in range(self.count):
            p = self.params[i]
            g = gradients[i]
            if not self.usable(p, i, self.type_number, WRITE) or <int64_t> cnp.PyArray_DATA(p) != self.addresses[i * self.width]:
                return 0
            missing = g is None
            if missing != self.absent[i]:
                self.absent[i] = missing
                self.absent[self.count] = 1
            if missing:
                continue
            if not self.usable(g, i, self.gradient_type, self.gradient_flags):
                return 0
            address = <int64_t> cnp.PyArray_DATA(g)
            # an address that was looked up at the last step lies as it lay then: what a step writes does not move
            if address != self.addresses[i * self.width + 1]:
                if self.writes or meets(self.starts, self.ends, self.extents, address, cnp.PyArray_NBYTES(g)):
                    return 0
                self.addresses[i * self.width + 1] = address
        return 2 if self.absent[self.count] else 1
