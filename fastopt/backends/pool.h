/* Threads that help the caller with one job at a time, and never make it wait for one that has not begun.

   A job is a number of pieces, dealt out in equal shares. Every thread works through its own share first, so that data
   meets the same core's cache step after step, and then takes what is left of the others'. The caller does the same, so a
   helper that is asleep, or whose core is taken by somebody else's polling threads, costs nothing: its share is done for it.
   OpenMP's barrier does wait, and its idle threads poll for milliseconds: with NumPy's BLAS threads on the same two cores
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

#define FASTOPT_MOST_THREADS 1024 /* fastopt.threads.MOST */
#define FASTOPT_POLL_NS 30000     /* longer than what Python does between two small steps in a loop, shorter than any training step */

typedef struct {
    _Alignas(64) atomic_long next; /* the first piece that nobody took */
    long end;
} fastopt_share;

typedef struct {
    _Alignas(64) atomic_uint posted; /* jobs this helper was called to */
    atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} fastopt_helper;

static struct {
    atomic_flag busy;  /* somebody has the helpers */
    atomic_int open;   /* the job may be joined */
    atomic_int inside; /* helpers that may be at it */
    atomic_int found;
    int started;
    int threads;
    const fastopt_job* job;
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

static void fastopt_work(int thread) {
    const int threads = fastopt_pool.threads;
    int found = 0;
    for (int k = 0; k < threads; k++) {
        fastopt_share* share = &fastopt_pool.shares[(thread + k) % threads];
        long piece;
        while ((piece = atomic_fetch_add(&share->next, 1)) < share->end)
            found |= fastopt_do_pieces(fastopt_pool.job, piece, piece + 1);
    }
    if (found)
        atomic_fetch_or(&fastopt_pool.found, found);
}

static void fastopt_await(fastopt_helper* self, unsigned seen) {
    const int64_t deadline = fastopt_now() + FASTOPT_POLL_NS;
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

static void* fastopt_help(void* argument) {
    const int thread = (int)(intptr_t)argument;
    fastopt_helper* self = &fastopt_pool.helpers[thread];
    for (unsigned seen = 0;; seen = atomic_load(&self->posted)) {
        fastopt_await(self, seen);
        /* in this order: the caller closes the job and then looks whether somebody is inside, so one of the two sees the other */
        atomic_fetch_add(&fastopt_pool.inside, 1);
        if (atomic_load(&fastopt_pool.open) && thread < fastopt_pool.threads)
            fastopt_work(thread);
        atomic_fetch_sub(&fastopt_pool.inside, 1);
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
        pthread_t id;
        pthread_mutex_init(&fastopt_pool.helpers[thread].mutex, NULL);
        pthread_cond_init(&fastopt_pool.helpers[thread].wake, NULL);
        if (pthread_create(&id, NULL, fastopt_help, (void*)(intptr_t)thread))
            break;
        pthread_detach(id);
        fastopt_pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void fastopt_forget_helpers(void) { memset(&fastopt_pool, 0, sizeof fastopt_pool); }

/* Once, when the module is loaded. */
static int fastopt_pool_start(void) { return pthread_atfork(NULL, NULL, fastopt_forget_helpers); }

/* Does all pieces, whose number is a multiple of `threads`; answers what the kernels found, or-ed together. */
static int fastopt_run(const fastopt_job* job, int threads, Py_ssize_t pieces) {
    if (threads > FASTOPT_MOST_THREADS || threads < 2)
        return fastopt_do_pieces(job, 0, pieces);
    const int alone = !job->large && fastopt_now() - atomic_load(&fastopt_pool.ended) > FASTOPT_POLL_NS;
    if (alone || atomic_flag_test_and_set(&fastopt_pool.busy)) {
        const int found = fastopt_do_pieces(job, 0, pieces);
        atomic_store(&fastopt_pool.ended, fastopt_now());
        return found;
    }
    fastopt_start(threads - 1);
    fastopt_pool.job = job;
    fastopt_pool.threads = threads;
    atomic_store(&fastopt_pool.found, 0);
    for (int k = 0; k < threads; k++) {
        fastopt_pool.shares[k].end = (long)(pieces / threads * (k + 1));
        atomic_store(&fastopt_pool.shares[k].next, (long)(pieces / threads * k));
    }
    atomic_store(&fastopt_pool.open, 1);
    for (int k = 1; k < threads && k <= fastopt_pool.started; k++)
        fastopt_call(&fastopt_pool.helpers[k]);
    fastopt_work(0);
    atomic_store(&fastopt_pool.open, 0);
    for (int turns = 0; atomic_load(&fastopt_pool.inside); turns++) { /* somebody is in the middle of a piece */
        if (turns < 4096)
            fastopt_relax();
        else
            sched_yield();
    }
    const int found = atomic_load(&fastopt_pool.found);
    atomic_store(&fastopt_pool.ended, fastopt_now());
    atomic_flag_clear(&fastopt_pool.busy);
    return found;
}

#endif
#endif
