/* A job done by the threads of another library's OpenMP runtime, in the place of the pool's helpers.

   After a parallel region OpenMP's threads poll for milliseconds. In a training loop of a library that computes with them, a helper of the
   pool has a core no sooner than one of them gives it up, while they are awake already, and have in their caches what they computed last.
   Their barrier waits for all of them, as it does after each of that library's own operations.

   The runtime is known by two of its functions, which every one that compilers use has: GOMP_parallel and omp_get_thread_num. */

#ifndef FASTOPT_TEAM_H
#define FASTOPT_TEAM_H

#include "pool.h"

#ifndef FASTOPT_THREADS

static void fastopt_use_team(void* parallel, void* number) {
    (void)parallel;
    (void)number;
}

static int fastopt_run_by_team(const fastopt_job* job, int threads, Py_ssize_t pieces) { return fastopt_run(job, threads, pieces); }

#else

#include <unistd.h>

static struct {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*number)(void);
    pid_t process; /* a forked child has none of its threads, and they do not start anew */
} fastopt_team;

typedef struct {
    const fastopt_job* job;
    fastopt_share* shares;
    int threads;
    uint64_t mode; /* the caller's */
    atomic_int found;
} fastopt_team_job;

static void fastopt_use_team(void* parallel, void* number) {
    fastopt_team.parallel = (void (*)(void (*)(void*), void*, unsigned, unsigned))parallel;
    fastopt_team.number = (int (*)(void))number;
    fastopt_team.process = getpid();
}

/* What each of the team's threads does: its own share first, then what is left of the others'. */
static void fastopt_of_team(void* argument) {
    fastopt_team_job* all = argument;
    const int thread = fastopt_team.number();
    const uint64_t mode = fastopt_mode();
    int found = 0;
    fastopt_take_mode(all->mode);
    for (int k = 0; k < all->threads; k++) {
        fastopt_share* share = &all->shares[(thread + k) % all->threads];
        for (long piece; (piece = atomic_fetch_add(&share->next, 1)) < share->end;)
            found |= fastopt_do_pieces(all->job, piece, piece + 1);
    }
    fastopt_take_mode(mode); /* its library's own, for what it does next */
    if (found)
        atomic_fetch_or(&all->found, found);
}

/* As `fastopt_run`, which does the job where there is no team, or where it is not worth its barrier. */
static int fastopt_run_by_team(const fastopt_job* job, int threads, Py_ssize_t pieces) {
    if (!job->large || threads < 2 || threads > FASTOPT_MOST_THREADS || !fastopt_team.parallel || fastopt_team.process != getpid())
        return fastopt_run(job, threads, pieces);
    fastopt_share shares[threads];
    fastopt_team_job all = {job, shares, threads, fastopt_mode(), 0};
    for (int k = 0; k < threads; k++) {
        shares[k].end = (long)(pieces / threads * (k + 1));
        atomic_init(&shares[k].next, (long)(pieces / threads * k));
    }
    fastopt_team.parallel(fastopt_of_team, &all, (unsigned)threads, 0);
    return atomic_load(&all.found);
}

#endif
#endif
