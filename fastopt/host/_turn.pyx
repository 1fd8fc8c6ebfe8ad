# cython: language_level=3
"""Whose turn it is to work on an optimizer, compiled: taken and given back by a step's one call, at a few nanoseconds each."""

from cpython.pythread cimport (
    NOWAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_get_thread_ident,
    PyThread_release_lock,
    WAIT_LOCK,
)


cdef class Turn:
    """Whose turn it is to work on an optimizer (`fastopt.optimizers.turns`, which has it in Python too): a lock that its thread may take again,
    and what a step looks at and changes while it has it.
    """

    def __cinit__(self):
        self.lock_ = PyThread_allocate_lock()
        if self.lock_ == NULL:
            raise MemoryError("Turn: no memory for a lock")

    def __dealloc__(self):
        if self.lock_ != NULL:
            PyThread_free_lock(self.lock_)

    @property
    def lock(self):
        """The context manager that holds it."""
        return self

    cdef bint take(self, bint wait) noexcept:
        cdef unsigned long me = PyThread_get_thread_ident()
        if self.depth and self.owner == me:
            self.depth += 1
            return True
        if not PyThread_acquire_lock(self.lock_, NOWAIT_LOCK):
            if not wait:
                return False
            with nogil:
                PyThread_acquire_lock(self.lock_, WAIT_LOCK)
        self.owner, self.depth = me, 1
        return True

    cdef void give(self) noexcept:
        self.depth -= 1
        if not self.depth:
            PyThread_release_lock(self.lock_)

    def __enter__(self):
        self.take(True)
        return self

    def __exit__(self, *_):
        self.give()

    def after_fork(self):
        """In a child: whether this was the turn of a thread that does not live there. It is nobody's then."""
        if not self.depth or self.owner == PyThread_get_thread_ident():
            return False
        self.lock_ = PyThread_allocate_lock()  # the old one is left as it is: nobody will release it
        self.depth = 0
        return True
