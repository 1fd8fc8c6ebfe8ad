/* How far apart two CPUs are: nanoseconds in which a cache line goes from one to the other and back.

   On a virtual machine the host decides where its CPUs lie, and may move them while a program runs. What two threads share, such as
   gradients that one wrote and the other reads, costs accordingly: a figure that changes with this one is the machine's. */

#ifndef FASTOPT_ROUND_TRIP_H
#define FASTOPT_ROUND_TRIP_H

#if !defined(FASTOPT_THREADS) || !defined(FASTOPT_PLACEMENT)

static double fastopt_round_trip(int first, int second, long turns) {
    (void)first, (void)second, (void)turns;
    return 0;
}

#else

#define FASTOPT_ROUND_TRIP_LIMIT_NS 50000000 /* a CPU that others use may keep the line for a scheduler's time slice */

typedef struct {
    _Alignas(128) atomic_long turn;
    _Alignas(128) long turns;
    int cpus[2];
    int64_t deadline;
    double took;
} fastopt_ball;

/* Waits for its turn, and whether it came. */
static int fastopt_catch(fastopt_ball* ball, long turn) {
    for (long spins = 1; atomic_load(&ball->turn) != turn; spins++) {
        fastopt_relax();
        if (spins % 4096 == 0 && fastopt_now() > ball->deadline)
            return 0;
    }
    return 1;
}

static int fastopt_run_on(int cpu) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    return !sched_setaffinity(0, sizeof here, &here);
}

static void* fastopt_throw_back(void* argument) {
    fastopt_ball* ball = argument;
    if (fastopt_run_on(ball->cpus[1]))
        for (long k = 0; k < ball->turns && fastopt_catch(ball, 2 * k + 1); k++)
            atomic_store(&ball->turn, 2 * k + 2);
    return NULL;
}

static void* fastopt_throw(void* argument) {
    fastopt_ball* ball = argument;
    if (!fastopt_run_on(ball->cpus[0]))
        return NULL;
    int64_t start = fastopt_now();
    for (long k = 0; k < ball->turns; k++) {
        if (k == ball->turns / 10) /* both are under way by then */
            start = fastopt_now();
        atomic_store(&ball->turn, 2 * k + 1);
        if (!fastopt_catch(ball, 2 * k + 2))
            return NULL;
    }
    ball->took = (double)(fastopt_now() - start) / (double)(ball->turns - ball->turns / 10);
    return NULL;
}

/* The mean of so many round trips, in two threads of its own; 0 where it could not be found out. */
static double fastopt_round_trip(int first, int second, long turns) {
    fastopt_ball ball = {.turns = turns, .cpus = {first, second}, .deadline = fastopt_now() + FASTOPT_ROUND_TRIP_LIMIT_NS};
    pthread_t one, other;
    if (first < 0 || second < 0 || first >= CPU_SETSIZE || second >= CPU_SETSIZE || turns < 1)
        return 0;
    if (pthread_create(&one, NULL, fastopt_throw, &ball))
        return 0;
    if (!pthread_create(&other, NULL, fastopt_throw_back, &ball))
        pthread_join(other, NULL);
    pthread_join(one, NULL);
    return ball.took;
}

#endif
#endif
