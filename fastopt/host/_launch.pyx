# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One call for a step: runs a kernel over the rows of a work list, in this thread, with the pool's (`pool.h`) or with a team's (`team.h`).

Also what only compiled code can say of the machine: the instruction set, whether there are threads, and how far apart CPUs are.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

from fastopt.host._gather cimport Gatherer
from fastopt.host._plain cimport READ, WRITE, plain
from fastopt.host._turn cimport Turn

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

cdef extern from "team.h":
    void fastopt_use_team(void*, void*)
    int fastopt_run_by_team(const fastopt_job*, int, Py_ssize_t) nogil

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


def use_team(size_t parallel, size_t number):
    """The team of threads from now on, by the addresses of its runtime's `GOMP_parallel` and `omp_get_thread_num`; 0 and 0 for none."""
    fastopt_use_team(<void*> parallel, <void*> number)


def round_trip(int first, int second, long turns=300):
    """Nanoseconds in which a cache line goes from one CPU to another and back; 0 where that cannot be found out."""
    cdef double found
    with nogil:
        found = fastopt_round_trip(first, second, turns)
    return found


DEF MOST_SCALARS = 80  # a rule's, those of stages, the prologue's
DEF MOST_ARRAYS = 34
DEF BLOCK = 256


cdef class Launcher:
    """`Launcher(kernel, scalar_count, addresses, rows, pieces, threads, large, is_double, by_team=False, draws=False)(scalars, gradient_factor,
    decay) -> int`: what the kernel found in all pieces, where all tensors take the scalars of slot 0. See also `step`, `over` and `into`.

    `scalar_count` is that of the kernel, the prologue's two included. `pieces` has one row a piece: its first row of the work list, and
    the one after its last. Their number is a multiple of `threads`. `large` says whether sleeping helpers shall be woken.
    `by_team`, whether the team does a large job, where there is one; `draws`, whether `step` hands the kernel the step's number.
    """

    cdef fastopt_job job
    cdef object kept  # the arrays whose memory the job points into
    cdef Py_ssize_t pieces, scalar_count
    cdef int threads
    cdef bint is_double, by_team, draws

    def __init__(
        self,
        size_t kernel,
        Py_ssize_t scalar_count,
        cnp.ndarray addresses,
        cnp.ndarray rows,
        cnp.ndarray pieces,
        int threads,
        bint large,
        bint is_double,
        bint by_team=False,
        bint draws=False,
    ):
        if threads < 1 or pieces.shape[0] % threads:
            raise ValueError(f"pieces: expected a multiple of {threads} of them, received {pieces.shape[0]}")
        if scalar_count > MOST_SCALARS:
            raise ValueError(f"scalars: expected at most {MOST_SCALARS}, received {scalar_count}")
        self.kept = (addresses, rows, pieces)
        self.job.kernel = <fastopt_kernel> <void*> kernel
        self.job.addresses = <const int64_t*> cnp.PyArray_DATA(addresses)
        self.job.width = addresses.shape[1]
        self.job.rows = <const int64_t*> cnp.PyArray_DATA(rows)
        self.job.pieces = <const int64_t*> cnp.PyArray_DATA(pieces)
        self.job.large = large
        self.pieces = pieces.shape[0]
        self.threads = threads
        self.scalar_count = scalar_count
        self.is_double = is_double
        self.by_team = by_team
        self.draws = draws

    cdef int run(self, const void* scalars) noexcept:
        cdef fastopt_job job = self.job  # a copy on this stack: two threads may step one rule's kernel with their own scalars
        job.scalars = scalars
        with nogil:
            return (fastopt_run_by_team if self.by_team else fastopt_run)(&job, self.threads, self.pieces)

    cdef int launch(self, tuple scalars, double gradient_factor, double decay) except -1:
        cdef double doubles[MOST_SCALARS]
        cdef float floats[MOST_SCALARS]
        if self.is_double:
            fill[double](doubles, scalars, gradient_factor, decay, self.scalar_count)
            return self.run(doubles)
        fill[float](floats, scalars, gradient_factor, decay, self.scalar_count)
        return self.run(floats)

    def __call__(self, tuple scalars, double gradient_factor, double decay):
        return self.launch(scalars, gradient_factor, decay)

    def step(
        self,
        Turn turn,
        tuple at_once,
        list gradients,
        tuple scalars,
        double gradient_factor,
        double decay,
        object before,
        object step,
        tuple remembered,
    ):
        """Gathers the gradients, runs, and counts, in one call: no interrupt and no other thread finds a part of it.

        `at_once` is (this method, a gatherer, a slot) and has to be the turn's; the step is the slot's `step`-th, after `before`, and its
        scalars `remembered` something or nothing. Answers
        whether it was made. It is not, and nothing is done, where another thread has the turn, where the slot has moved on, where not all
        gradients can be used as they lie, or where some came or went: the caller has to look closer then.
        """
        cdef Gatherer gatherer = at_once[1]
        cdef object slot = at_once[2]
        if gatherer.addresses != self.job.addresses:
            raise ValueError("gatherer: expected the one that writes the addresses of this launcher, received another's")
        if turn.taken or turn.at_once is not at_once or slot.steps is not before or not turn.take(False):
            return False
        try:
            if gatherer.gather(gradients) != 1:
                return False
            if self.draws:  # as `fastopt.storage.noise.step_scalars`
                scalars = (*scalars, <double> (step & 0xFFFF), <double> (step >> 16 & 0xFFFF))
            self.launch(scalars, gradient_factor, decay)
            slot.steps = step
            if remembered:
                slot.memory = remembered
            turn.steps += 1
        finally:
            turn.give()
        return True

    def table(self, list slots):
        """The scalars of several slots as the kernel reads them, from the scalars, the gradient factor and the decay of each."""
        cdef Py_ssize_t k, size = self.scalar_count * (sizeof(double) if self.is_double else sizeof(float))
        cdef bytes found = PyBytes_FromStringAndSize(NULL, len(slots) * size)
        cdef char* at = PyBytes_AS_STRING(found)
        for k in range(len(slots)):
            scalars, gradient_factor, decay = slots[k]
            if self.is_double:
                fill[double](<double*> (at + k * size), scalars, gradient_factor, decay, self.scalar_count)
            else:
                fill[float](<float*> (at + k * size), scalars, gradient_factor, decay, self.scalar_count)
        return found

    def over(self, bytes table):
        """Runs with a table of scalars; tensors take the row of their slot."""
        return self.run(PyBytes_AS_STRING(table))

    def into(self, cnp.ndarray results):
        """For kernels that take no scalars and may write results: to an array of float64, each to a place of its own."""
        return self.run(cnp.PyArray_DATA(results))


ctypedef fused real:
    float
    double


cdef int fill(real* values, tuple scalars, double gradient_factor, double decay, Py_ssize_t expected) except -1:
    """The rule's scalars and then the prologue's, each rounded once to the compute dtype."""
    cdef Py_ssize_t k, count = len(scalars)
    cdef double value
    if count + 2 != expected:
        raise ValueError(f"scalars: expected {expected - 2} of the rule, received {count}")
    for k in range(count):
        value = scalars[k]
        values[k] = <real> value
    values[count] = <real> gradient_factor
    values[count + 1] = <real> decay
    return 0


cdef double folded(double* values, Py_ssize_t count) noexcept nogil:
    """The sum of values >= 0 in the order of `fastopt.global_norm.block_sums`; they are overwritten."""
    cdef double lanes[16]
    cdef Py_ssize_t block, i, k, half, length, blocks
    while count > 1:
        blocks = (count + 255) // 256
        for block in range(blocks):
            length = min(256, count - 256 * block)
            for k in range(16):
                lanes[k] = 0.0
            for i in range(length):
                lanes[i % 16] += values[256 * block + i]
            half = 8
            while half:
                for k in range(half):
                    lanes[k] += lanes[k + half]
                half //= 2
            values[block] = lanes[0]
        count = blocks
    return values[0] if count else 0.0


def fold(cnp.ndarray values):
    """The sum of an array of float64, in the order in which every backend takes it; the array is used up."""
    cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
    return folded(<double*> cnp.PyArray_DATA(values), count)


def step_once(
    size_t kernel,
    list type_numbers,
    bint writes_gradient,
    Py_ssize_t scalar_count,
    bint is_double,
    tuple arrays,
    tuple scalars,
    double gradient_factor,
    double decay,
    int threads,
    int pieces_each,
    bint large,
):
    """One step of one tensor with a work list on the stack: `arrays` are p, g and the states. Answers whether it was made.

    It is not, and nothing is written, if they are not all plain arrays of their types and one shape, disjoint, and writeable (g only
    where the kernel writes to it): the caller has to look closer then. The tensor is shared out as `fastopt.host.worklist` does it, in
    `pieces_each` for each thread.
    """
    cdef int64_t addresses[MOST_ARRAYS + 2]
    cdef int64_t sizes[MOST_ARRAYS]
    cdef int64_t few[5]
    cdef int64_t* rows = few
    cdef double doubles[MOST_SCALARS]
    cdef float floats[MOST_SCALARS]
    cdef fastopt_job job
    cdef cnp.ndarray p, a
    cdef Py_ssize_t k, j, share, size, count = len(arrays), pieces = threads * pieces_each if threads > 1 else 1
    if not 2 <= count <= MOST_ARRAYS or not plain(arrays[0], type_numbers[0], WRITE):
        return False
    p = arrays[0]
    size = cnp.PyArray_SIZE(p)
    for k in range(count):
        if not plain(arrays[k], type_numbers[k], READ if k == 1 and not writes_gradient else WRITE):
            return False
        a = arrays[k]
        if not cnp.PyArray_IS_C_CONTIGUOUS(a):
            return False
        if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(p) or not cnp.PyArray_CompareLists(
            cnp.PyArray_DIMS(a), cnp.PyArray_DIMS(p), cnp.PyArray_NDIM(p)
        ):
            return False
        addresses[k], sizes[k] = <int64_t> cnp.PyArray_DATA(a), cnp.PyArray_NBYTES(a)
        for j in range(k):
            if addresses[j] < addresses[k] + sizes[k] and addresses[k] < addresses[j] + sizes[j] and size:
                return False
    addresses[count], addresses[count + 1] = 0, 0  # its first block, and its slot
    if is_double:
        fill[double](doubles, scalars, gradient_factor, decay, scalar_count)
        job.scalars = doubles
    else:
        fill[float](floats, scalars, gradient_factor, decay, scalar_count)
        job.scalars = floats
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
    job.addresses, job.width, job.rows, job.pieces, job.large = addresses, count + 2, rows, rows + 3 * pieces, large
    with nogil:
        fastopt_run(&job, threads, pieces)
    if pieces > 1:
        free(rows)
    return True
