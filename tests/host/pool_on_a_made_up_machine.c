/* The pool on a machine of any number of CPUs, which a thread may be told to run on.

   Its scheduler is the worst that there can be: it wakes every thread on the caller's CPU, if the thread may run there, and else on the
   lowest that it may run on. Calls can be made to fail. A kernel writes down which thread did each piece, and where. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef ssize_t Py_ssize_t;

static cpu_set_t machine;          /* what the caller may use */
static atomic_int caller_is_on, can_ask, can_move, moves, brought;
static _Thread_local int is_caller, told; /* told: which CPUs this thread may run on was said */
static _Thread_local cpu_set_t mine;

static int made_up_getcpu(void) {
    const int caller = atomic_load(&caller_is_on);
    const cpu_set_t* may = told ? &mine : &machine;
    if (is_caller || caller < 0 || CPU_ISSET(caller, may))
        return caller;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, may))
            return cpu;
    return -1;
}

__attribute__((unused)) static int made_up_getaffinity(pid_t pid, size_t size, cpu_set_t* set) {
    (void)pid, (void)size;
    *set = machine;
    return atomic_load(&can_ask) ? 0 : -1;
}

__attribute__((unused)) static int made_up_setaffinity(pid_t pid, size_t size, const cpu_set_t* set) {
    (void)pid, (void)size;
    if (!atomic_load(&can_move))
        return -1;
    atomic_fetch_add(&moves, 1);
    CPU_AND(&mine, set, &machine);
    told = 1;
    return CPU_COUNT(&mine) ? 0 : -1;
}

__attribute__((unused)) static int made_up_bring(pthread_t thread, size_t size, const cpu_set_t* set) {
    (void)thread, (void)size;
    if (CPU_COUNT(set) == 1 && CPU_ISSET(atomic_load(&caller_is_on), set))
        atomic_fetch_add(&brought, 1);
    return 0;
}

#define sched_getcpu made_up_getcpu
#define sched_getaffinity made_up_getaffinity
#define sched_setaffinity made_up_setaffinity
#define pthread_setaffinity_np made_up_bring

#include "pool.h"

#define MOST_PIECES 8192

static atomic_int times[MOST_PIECES];  /* how often each piece was done */
static int done_on[MOST_PIECES];       /* on which CPU */
static int done_by_caller[MOST_PIECES];
static long piece_takes_us, stuck_until_brought;

static int kernel(const int64_t* addresses, Py_ssize_t width, const int64_t* rows, Py_ssize_t first, Py_ssize_t last, const void* scalars) {
    (void)addresses, (void)width, (void)rows, (void)last, (void)scalars;
    atomic_fetch_add(&times[first], 1);
    done_on[first] = made_up_getcpu();
    done_by_caller[first] = is_caller;
    if (stuck_until_brought && !is_caller)
        for (int k = 0; k < 10000 && !atomic_load(&brought); k++) /* a second: who is not brought by then never will be */
            usleep(100);
    else if (piece_takes_us)
        usleep((useconds_t)piece_takes_us);
    return 0;
}

/* What a test sets up and asks. */

void set_machine(uint64_t cpus, int caller, int ask, int move) {
    CPU_ZERO(&machine);
    for (int cpu = 0; cpu < 64; cpu++)
        if (cpus >> cpu & 1)
            CPU_SET(cpu, &machine);
    atomic_store(&caller_is_on, caller);
    atomic_store(&can_ask, ask);
    atomic_store(&can_move, move);
}

int start(void) { return fastopt_pool_start(); }
int moves_so_far(void) { return atomic_load(&moves); }
int brought_in_this_job(void) { return atomic_load(&brought); }
int helpers_started(void) { return fastopt_pool.started; }

#ifdef FASTOPT_PLACEMENT
int claim(int helper, int cpu) { return fastopt_claim(&fastopt_pool.helpers[helper].place, helper, cpu); }
#endif

/* One job; `on` gets the CPU of each piece, -2 where the caller did it. Answers whether each piece was done exactly once. */
int run(int threads, int pieces, long takes_us, int stuck, int* on) {
    int64_t bounds[2 * MOST_PIECES];
    is_caller = 1;
    piece_takes_us = takes_us;
    stuck_until_brought = stuck;
    atomic_store(&brought, 0);
    for (int k = 0; k < pieces; k++) {
        bounds[2 * k] = k, bounds[2 * k + 1] = k + 1;
        atomic_store(&times[k], 0);
    }
    const fastopt_job job = {kernel, NULL, 0, NULL, bounds, NULL, 1};
    fastopt_run(&job, threads, pieces);
    int once = 1;
    for (int k = 0; k < pieces; k++) {
        once &= atomic_load(&times[k]) == 1;
        on[k] = done_by_caller[k] ? -2 : done_on[k];
    }
    return once;
}

/* Many small jobs as fast as it goes, of changing numbers of threads; the number of those in which a piece was not done exactly once. */
int hurry(int jobs, int most_threads) {
    int on[8 * 64], wrong = 0;
    for (int k = 0; k < jobs; k++) {
        const int threads = 2 + k % (most_threads - 1);
        wrong += !run(threads, 8 * threads, 0, 0, on);
    }
    return wrong;
}
