"""Whether memory that is to be read meets memory that a step writes, for all that gathers addresses."""

from libc.stdint cimport int64_t


cdef inline bint meets(const int64_t* starts, const int64_t* ends, Py_ssize_t extents, int64_t start, int64_t size) noexcept nogil:
    """Whether [start, start + size) meets one of the extents [starts[k], ends[k]), which are disjoint and ascending."""
    cdef Py_ssize_t low = 0, high = extents, middle
    while low < high:  # ends at the number of extents that begin before the memory ends
        middle = (low + high) // 2
        if starts[middle] < start + size:
            low = middle + 1
        else:
            high = middle
    return size > 0 and low > 0 and ends[low - 1] > start
