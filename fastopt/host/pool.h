/* Threads that help the caller with one job at a time, and never make it wait for one that has not begun.

   A job is a number of pieces, dealt out in equal shares. Every thread works through its own share first, so that data
   meets the same core's cache step after step, and then takes what is left of the others'. The caller does the same, so a
   helper that is asleep, or whose core is taken by somebody else's polling threads, costs nothing: its share is done for it.
   A helper that loses its CPU in the middle of a piece is brought to the caller's, to end it there; and each helper has a CPU of its own
   (`placement.h`). OpenMP's barrier does wait, and its idle threads poll for milliseconds: with NumPy's BLAS threads on the same two cores
   a step of 300,000 parameters took 5 to 8 ms under OpenMP, and 0.1 ms in one thread.

   Helpers poll for FASTOPT_POLL_NS after a job, then sleep. To wake one takes as long as a small job, so a small job gets
   help only if it follows another one within that time; a large one always does. Jobs of several callers at once: the first
   one has the helpers, the others do their pieces alone. After a fork the child has no helpers, and starts its own when it
   needs them. */

#ifndef FASTOPT_POOL_H
#define FASTOPT_POOL_H

#include <stdint.h>

typedef int (*fastopt_kernel)(const int64_t* addresses, Py_ssize_t width, const int64_t* rows, Py_ssize_t first, Py_ssize_t last,
                              const void* scalars);

typedef struct {
    fastopt_kernel kernel;
    const int64_t* addresses;
    Py_ssize_t width;
    const int64_t* rows;
    const int64_t* pieces; /* of each: its first row, and the one after its last */
    const void* scalars;
    int large; /* worth waking helpers for */
} fastopt_job;

static int fastopt_do_pieces(const fastopt_job* job, Py_ssize_t first, Py_ssize_t last) {
    int found = 0;
    for (Py_ssize_t piece = first; piece < last; piece++)
        found |= job->kernel(job->addresses, job->width, job->rows, job->pieces[2 * piece], job->pieces[2 * piece + 1], job->scalars);
    return found;
}

#ifndef FASTOPT_THREADS /* set by setup.py where it found POSIX threads and C11 atomics */

static int fastopt_pool_start(void) { return 0; }

static int fastopt_run(const fastopt_job* job, int threads, Py_ssize_t pieces) {
    (void)threads;
    return fastopt_do_pieces(job, 0, pieces);
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "mode.h"
#include "placement.h"

#define FASTOPT_MOST_THREADS 1024 /* fastopt.host.threads.MOST */
#define FASTOPT_POLL_NS 30000     /* longer than what Python does between two small steps in a loop, shorter than any training step */
#define FASTOPT_PATIENCE_NS 20000 /* less than to move a thread takes, and more than any small piece */

typedef struct {
    _Alignas(64) atomic_long next; /* the first piece that nobody took */
    long end;
} fastopt_share;

typedef struct {
    _Alignas(64) atomic_uint posted; /* jobs this helper was called to */
    atomic_int asleep;
    atomic_int joining; /* may be inside */
    pthread_t id;
    fastopt_place place;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} fastopt_helper;

static struct {
    atomic_flag busy;  /* somebody has the helpers */
    atomic_int open;   /* the job may be joined */
    atomic_int inside; /* helpers that may be at it */
    atomic_int found;
    int started;
    int threads; /* that the job is shared out for */
    int called;  /* helpers that may join */
    const fastopt_job* job;
    uint64_t mode; /* the caller's */
    _Atomic int64_t ended; /* when the last job was */
    fastopt_share shares[FASTOPT_MOST_THREADS];
    fastopt_helper helpers[FASTOPT_MOST_THREADS]; /* the caller is thread 0 and has none */
} fastopt_pool;

static void fastopt_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t fastopt_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* How many pieces this thread did. */
static int fastopt_work(int thread) {
    const int threads = fastopt_pool.threads;
    int found = 0, done = 0;
    for (int k = 0; k < threads; k++) {
        fastopt_share* share = &fastopt_pool.shares[(thread + k) % threads];
        long piece;
        for (; (piece = atomic_fetch_add(&share->next, 1)) < share->end; done++)
            found |= fastopt_do_pieces(fastopt_pool.job, piece, piece + 1);
    }
    if (found)
        atomic_fetch_or(&fastopt_pool.found, found);
    return done;
}

static void fastopt_await(fastopt_helper* self, unsigned seen, int64_t poll) {
    const int64_t deadline = fastopt_now() + poll;
    while (atomic_load(&self->posted) == seen) {
        for (int k = 0; k < 16; k++)
            fastopt_relax();
        if (fastopt_now() > deadline) {
            pthread_mutex_lock(&self->mutex);
            atomic_store(&self->asleep, 1); /* before the look at `posted`, as the caller posts before it looks at `asleep` */
            while (atomic_load(&self->posted) == seen)
                pthread_cond_wait(&self->wake, &self->mutex);
            atomic_store(&self->asleep, 0);
            pthread_mutex_unlock(&self->mutex);
        }
    }
}

/* Joins the present job, if there is one: answers whether a place was missing. */
static int fastopt_join(fastopt_helper* self, int thread) {
    int missing = 0;
    atomic_store(&self->joining, 1);
    /* in this order: the caller closes the job and then looks whether somebody is inside, so one of the two sees the other */
    atomic_fetch_add(&fastopt_pool.inside, 1);
    if (atomic_load(&fastopt_pool.open) && thread <= fastopt_pool.called) {
        missing = !fastopt_in_place(&self->place, thread);
        if (!missing) {
            fastopt_take_mode(fastopt_pool.mode);
            fastopt_work(thread);
        }
    }
    atomic_fetch_sub(&fastopt_pool.inside, 1);
    atomic_store(&self->joining, 0);
    return missing;
}

static void* fastopt_help(void* argument) {
    const int thread = (int)(intptr_t)argument;
    fastopt_helper* self = &fastopt_pool.helpers[thread];
    int64_t poll = FASTOPT_POLL_NS;
    for (unsigned seen = 0;; seen = atomic_load(&self->posted)) {
        fastopt_await(self, seen, poll);
        poll = FASTOPT_POLL_NS;
        while (fastopt_join(self, thread)) { /* between two tries nobody waits for it */
            if (!fastopt_move(&self->place, fastopt_now())) {
                poll = 0; /* it would poll on a CPU that somebody works on */
                break;
            }
        }
    }
    return NULL;
}

static void fastopt_call(fastopt_helper* helper) {
    atomic_fetch_add(&helper->posted, 1);
    if (atomic_load(&helper->asleep)) {
        pthread_mutex_lock(&helper->mutex);
        pthread_cond_signal(&helper->wake);
        pthread_mutex_unlock(&helper->mutex);
    }
}

/* Starts helpers up to a number; if the system has no more threads to give, there are fewer, and the work is done all the same. */
static void fastopt_start(int helpers) {
    sigset_t all, before;
    if (fastopt_pool.started >= helpers)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for Python's own threads */
    while (fastopt_pool.started < helpers) {
        const int thread = fastopt_pool.started + 1;
        pthread_mutex_init(&fastopt_pool.helpers[thread].mutex, NULL);
        pthread_cond_init(&fastopt_pool.helpers[thread].wake, NULL);
        if (pthread_create(&fastopt_pool.helpers[thread].id, NULL, fastopt_help, (void*)(intptr_t)thread))
            break;
        pthread_detach(fastopt_pool.helpers[thread].id);
        fastopt_pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Waits for helpers that are in the middle of a piece: as long as two pieces take when nothing is in the way. A helper that has not
   ended by then has probably lost its CPU to another process, for milliseconds: it is brought to this one, and left the room. */
static void fastopt_finish(int64_t began, int pieces) {
    const int64_t now = fastopt_now(), pace = (now - began) / (pieces ? pieces : 1);
    const int64_t deadline = now + (2 * pace > FASTOPT_PATIENCE_NS ? 2 * pace : FASTOPT_PATIENCE_NS);
    while (fastopt_now() < deadline) {
        fastopt_relax();
        if (!atomic_load(&fastopt_pool.inside))
            return;
    }
    for (int k = 1; k <= fastopt_pool.started; k++) {
        if (atomic_load(&fastopt_pool.helpers[k].joining))
            fastopt_bring_here(fastopt_pool.helpers[k].id);
    }
    while (atomic_load(&fastopt_pool.inside))
        sched_yield();
}

static void fastopt_forget_helpers(void) {
    memset(&fastopt_pool, 0, sizeof fastopt_pool);
    fastopt_forget_places();
}

/* Once, when the module is loaded. */
static int fastopt_pool_start(void) { return pthread_atfork(NULL, NULL, fastopt_forget_helpers); }

/* Does all pieces, whose number is a multiple of `threads`; answers what the kernels found, or-ed together. */
static int fastopt_run(const fastopt_job* job, int threads, Py_ssize_t pieces) {
    if (threads > FASTOPT_MOST_THREADS || threads < 2)
        return fastopt_do_pieces(job, 0, pieces);
    const int64_t now = fastopt_now();
    int helpers = 0;
    if ((job->large || now - atomic_load(&fastopt_pool.ended) <= FASTOPT_POLL_NS) && !atomic_flag_test_and_set(&fastopt_pool.busy)) {
        helpers = fastopt_room_for(threads - 1, now);
        if (!helpers)
            atomic_flag_clear(&fastopt_pool.busy);
    }
    if (!helpers) {
        const int found = fastopt_do_pieces(job, 0, pieces);
        atomic_store(&fastopt_pool.ended, fastopt_now());
        return found;
    }
    fastopt_start(helpers);
    fastopt_pool.job = job;
    fastopt_pool.mode = fastopt_mode();
    fastopt_pool.threads = threads;
    fastopt_pool.called = helpers;
    atomic_store(&fastopt_pool.found, 0);
    for (int k = 0; k < threads; k++) {
        fastopt_pool.shares[k].end = (long)(pieces / threads * (k + 1));
        atomic_store(&fastopt_pool.shares[k].next, (long)(pieces / threads * k));
    }
    atomic_store(&fastopt_pool.open, 1);
    for (int k = 1; k <= helpers && k <= fastopt_pool.started; k++)
        fastopt_call(&fastopt_pool.helpers[k]);
    const int done = fastopt_work(0);
    atomic_store(&fastopt_pool.open, 0);
    if (atomic_load(&fastopt_pool.inside))
        fastopt_finish(now, done);
    const int found = atomic_load(&fastopt_pool.found);
    atomic_store(&fastopt_pool.ended, fastopt_now());
    atomic_flag_clear(&fastopt_pool.busy);
    return found;
}

#endif
#endif
