# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One call for a step: runs a kernel over the rows of a work list, in this thread or with the pool's (`pool.h`).

Also what only compiled code can say of the machine: the instruction set, whether there are threads, and how far apart CPUs are.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

from fastopt._plain cimport READ, WRITE, plain

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

cdef extern from "round_trip.h":
    double fastopt_round_trip(int, int, long) nogil

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


def round_trip(int first, int second, long turns=300):
    """Nanoseconds in which a cache line goes from one CPU to another and back; 0 where that cannot be found out."""
    cdef double found
    with nogil:
        found = fastopt_round_trip(first, second, turns)
    return found


DEF MOST_SCALARS = 64
DEF MOST_ARRAYS = 34
DEF BLOCK = 256


cdef class Launcher:
    """`Launcher(kernel, addresses, rows, pieces, threads, large, is_double)(scalars, gradient_factor, decay)
    -> int`: what the kernel found in all pieces.

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

    def __call__(self, tuple scalars, double gradient_factor, double decay):
        cdef scalar_values values
        cdef fastopt_job job = self.job  # a copy on this stack: two threads may step one rule's kernel with their own scalars
        cdef int found
        job.scalars = fill(&values, scalars, gradient_factor, decay, self.is_double)
        with nogil:
            found = fastopt_run(&job, self.threads, self.pieces)
        return found


ctypedef struct scalar_values:
    double doubles[MOST_SCALARS]
    float floats[MOST_SCALARS]


cdef const void* fill(scalar_values* values, tuple scalars, double gradient_factor, double decay, bint is_double) except NULL:
    """The rule's scalars and then the prologue's, each rounded once to the compute dtype."""
    cdef Py_ssize_t k, count = len(scalars)
    if count > MOST_SCALARS - 2:
        raise ValueError(f"scalars: expected at most {MOST_SCALARS - 2}, received {count}")
    for k in range(count):
        values.doubles[k] = scalars[k]
    values.doubles[count] = gradient_factor
    values.doubles[count + 1] = decay
    if is_double:
        return values.doubles
    for k in range(count + 2):
        values.floats[k] = <float> values.doubles[k]
    return values.floats


def step_once(
    size_t kernel, int type_number, tuple arrays, tuple scalars, double gradient_factor, double decay, int threads, int pieces_each, bint large
):
    """One step of one tensor with a work list on the stack: `arrays` are p, g and the states. Answers whether it was made.

    It is not, and nothing is written, if they are not all plain arrays of that type and one shape, disjoint, and all but g
    writeable: the caller has to look closer then. The tensor is shared out as `fastopt.worklist` does it, in `pieces_each` for each thread.
    """
    cdef int64_t addresses[MOST_ARRAYS]
    cdef int64_t few[5]
    cdef int64_t* rows = few
    cdef scalar_values values
    cdef fastopt_job job
    cdef cnp.ndarray p, a
    cdef Py_ssize_t k, j, share, size, count = len(arrays), pieces = threads * pieces_each if threads > 1 else 1
    cdef int64_t nbytes
    if not 2 <= count <= MOST_ARRAYS or not plain(arrays[0], type_number, WRITE):
        return False
    p = arrays[0]
    size, nbytes = cnp.PyArray_SIZE(p), cnp.PyArray_NBYTES(p)
    for k in range(count):
        if not plain(arrays[k], type_number, READ if k == 1 else WRITE):
            return False
        a = arrays[k]
        if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(p) or not cnp.PyArray_CompareLists(
            cnp.PyArray_DIMS(a), cnp.PyArray_DIMS(p), cnp.PyArray_NDIM(p)
        ):
            return False
        addresses[k] = <int64_t> cnp.PyArray_DATA(a)
        for j in range(k):
            if addresses[j] < addresses[k] + nbytes and addresses[k] < addresses[j] + nbytes and nbytes:
                return False
    job.scalars = fill(&values, scalars, gradient_factor, decay, type_number == cnp.NPY_FLOAT64)
    if pieces > 1:
        rows = <int64_t*> malloc(5 * pieces * sizeof(int64_t))
        if rows == NULL:
            raise MemoryError("step_once: no memory for the rows")
    share = (size + pieces - 1) // pieces
    share = (share + BLOCK - 1) // BLOCK * BLOCK
    for k in range(pieces):
        rows[3 * k] = 0
        rows[3 * k + 1] = min(k * share, size)
        rows[3 * k + 2] = min(share, size - rows[3 * k + 1])
        rows[3 * pieces + 2 * k] = k
        rows[3 * pieces + 2 * k + 1] = k + 1
    job.kernel = <fastopt_kernel> <void*> kernel
    job.addresses, job.width, job.rows, job.pieces, job.large = addresses, count, rows, rows + 3 * pieces, large
    with nogil:
        fastopt_run(&job, threads, pieces)
    if pieces > 1:
        free(rows)
    return True
