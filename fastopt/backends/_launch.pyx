# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One call for a step: runs a kernel over the rows of a work list, in this thread or with the pool's (`pool.h`).

Also what only compiled code can say of the machine: the instruction set, and whether there are threads.
"""

from libc.stdint cimport int64_t

cimport numpy as cnp

cnp.import_array()

cdef extern from "pool.h":
    ctypedef int (*fastopt_kernel)(const int64_t*, Py_ssize_t, const int64_t*, Py_ssize_t, Py_ssize_t, const void*) noexcept nogil
    ctypedef struct fastopt_job:
        fastopt_kernel kernel
        const int64_t* addresses
        Py_ssize_t width
        const int64_t* rows
        const int64_t* pieces
        const void* scalars
        int large
    int fastopt_run(const fastopt_job*, int, Py_ssize_t) nogil
    int fastopt_pool_start()

cdef extern from *:
    """
    #ifdef FASTOPT_THREADS
    #define FASTOPT_HAS_THREADS 1
    #else
    #define FASTOPT_HAS_THREADS 0
    #endif
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
    const bint FASTOPT_HAS_THREADS
    int fastopt_isa() nogil

HAS_THREADS = bool(FASTOPT_HAS_THREADS)
ISA_LEVEL = fastopt_isa()
"""4 for x86-64-v4 (AVX-512), 3 for x86-64-v3 (AVX2), 0 for the baseline or another architecture."""

if fastopt_pool_start():
    raise ImportError("the thread pool cannot be told of forks: pthread_atfork failed")

DEF MOST_SCALARS = 64


cdef class Launcher:
    """`Launcher(kernel, addresses, rows, pieces, threads, large, is_double)(scalars) -> int`: what the kernel found in all pieces.

    `pieces` has one row a piece: its first row of the work list, and the one after its last. Their number is a multiple
    of `threads`. `large` says whether sleeping helpers shall be woken.
    """

    cdef fastopt_job job
    cdef object kept  # the arrays whose memory the job points into
    cdef Py_ssize_t pieces
    cdef int threads
    cdef bint is_double

    def __init__(self, size_t kernel, cnp.ndarray addresses, cnp.ndarray rows, cnp.ndarray pieces, int threads, bint large, bint is_double):
        if threads < 1 or pieces.shape[0] % threads:
            raise ValueError(f"pieces: expected a multiple of {threads} of them, received {pieces.shape[0]}")
        self.kept = (addresses, rows, pieces)
        self.job.kernel = <fastopt_kernel> <void*> kernel
        self.job.addresses = <const int64_t*> cnp.PyArray_DATA(addresses)
        self.job.width = addresses.shape[1]
        self.job.rows = <const int64_t*> cnp.PyArray_DATA(rows)
        self.job.pieces = <const int64_t*> cnp.PyArray_DATA(pieces)
        self.job.large = large
        self.pieces = pieces.shape[0]
        self.threads = threads
        self.is_double = is_double

    def __call__(self, tuple scalars):
        cdef double doubles[MOST_SCALARS]
        cdef float floats[MOST_SCALARS]
        cdef fastopt_job job = self.job  # a copy on this stack: two threads may step one rule's kernel with their own scalars
        cdef Py_ssize_t k
        cdef int found
        if len(scalars) > MOST_SCALARS:
            raise ValueError(f"scalars: expected at most {MOST_SCALARS}, received {len(scalars)}")
        for k in range(len(scalars)):
            doubles[k] = scalars[k]
            floats[k] = <float> doubles[k]
        job.scalars = <const void*> doubles if self.is_double else <const void*> floats
        with nogil:
            found = fastopt_run(&job, self.threads, self.pieces)
        return found
