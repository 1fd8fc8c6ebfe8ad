# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One call for a step: runs a kernel over the rows of a work list, in this thread or shared out among several.

Also what only compiled code can say of the machine: the instruction set, and whether OpenMP is there.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

cimport numpy as cnp

cnp.import_array()

cdef extern from *:
    """
    #ifdef _OPENMP
    #define FASTOPT_OPENMP 1
    #else
    #define FASTOPT_OPENMP 0
    #endif
    typedef int (*fastopt_kernel)(const int64_t*, Py_ssize_t, const int64_t*, Py_ssize_t, Py_ssize_t, const void*);
    static int fastopt_isa(void) {
    #if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
        __builtin_cpu_init();
        int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
            && __builtin_cpu_supports("fma");
        int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        return v4 ? 4 : v3 ? 3 : 0;
    #else
        return 0;
    #endif
    }
    """
    const bint FASTOPT_OPENMP
    ctypedef int (*kernel_function "fastopt_kernel")(const int64_t*, Py_ssize_t, const int64_t*, Py_ssize_t, Py_ssize_t, const void*) noexcept nogil
    int fastopt_isa() nogil

HAS_OPENMP = bool(FASTOPT_OPENMP)
ISA_LEVEL = fastopt_isa()
"""4 for x86-64-v4 (AVX-512), 3 for x86-64-v3 (AVX2), 0 for the baseline or another architecture."""

DEF MOST_SCALARS = 64


cdef class Launcher:
    """`Launcher(kernel, addresses, rows, bounds, is_double)(scalars) -> int`: the kernel's answer, added over the threads.

    `bounds` has one row a thread: its first row of the work list, and the one after its last.
    """

    cdef kernel_function kernel
    cdef object kept  # the arrays whose memory the pointers below point into
    cdef const int64_t* addresses
    cdef const int64_t* rows
    cdef const int64_t* bounds
    cdef Py_ssize_t width
    cdef int threads
    cdef bint is_double

    def __init__(self, size_t kernel, cnp.ndarray addresses, cnp.ndarray rows, cnp.ndarray bounds, bint is_double):
        self.kernel = <kernel_function> <void*> kernel
        self.kept = (addresses, rows, bounds)
        self.addresses = <const int64_t*> cnp.PyArray_DATA(addresses)
        self.rows = <const int64_t*> cnp.PyArray_DATA(rows)
        self.bounds = <const int64_t*> cnp.PyArray_DATA(bounds)
        self.width = addresses.shape[1]
        self.threads = <int> bounds.shape[0]
        self.is_double = is_double

    def __call__(self, tuple scalars):
        cdef double doubles[MOST_SCALARS]
        cdef float floats[MOST_SCALARS]
        cdef const void* values = <const void*> doubles
        cdef Py_ssize_t k
        cdef int thread, found = 0
        if len(scalars) > MOST_SCALARS:
            raise ValueError(f"scalars: expected at most {MOST_SCALARS}, received {len(scalars)}")
        for k in range(len(scalars)):
            doubles[k] = scalars[k]
            floats[k] = <float> doubles[k]
        if not self.is_double:
            values = <const void*> floats
        with nogil:
            if self.threads == 1:
                found = self.kernel(self.addresses, self.width, self.rows, self.bounds[0], self.bounds[1], values)
            else:
                for thread in prange(self.threads, num_threads=self.threads, schedule="static", chunksize=1):
                    found += self.kernel(
                        self.addresses, self.width, self.rows, self.bounds[2 * thread], self.bounds[2 * thread + 1], values
                    )
        return found
