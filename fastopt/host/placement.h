/* Where helpers run: each on a CPU of its own, within those that the caller may use.

   Linux often wakes a helper on its caller's own CPU, and leaves it there: neither sleeps long enough to be moved. The two then
   take turns while another CPU idles. Measured on 2 CPUs, Adam on 1,000,000 parameters: 160 to 190 us a step with the helper on the
   other CPU, 370 to 430 us with both on one.

   So a helper that comes to a job looks where it is. If that is the caller's CPU, another helper's, or one that the caller may not
   use (any more), it moves, and joins from its new CPU if the job is still open; the caller does not wait for it meanwhile. It
   moves by what it is allowed from now on: the caller's CPUs, without the caller's own and those that other helpers have. That
   keeps it away from them at the next wake-up too. Among the rest the system still chooses, as it knows what other processes do:
   pinned to one CPU each, the helpers of several processes would meet on the same ones.

   A CPU belongs to the helper that claimed it in `owner`; of two that want one the lower number has it, so that the helpers of a
   small job never make room for those that only larger jobs call. No job has more helpers than there are CPUs for them, and a
   caller that may use one CPU alone (a container, a thread that somebody bound) works alone.

   Where the system does not know these calls, or forbids them, helpers run wherever it puts them. */

#ifndef FASTOPT_PLACEMENT_H
#define FASTOPT_PLACEMENT_H

#include <pthread.h>
#include <stdint.h>

#ifndef FASTOPT_PLACEMENT /* set by setup.py where it found the calls */

typedef int fastopt_place;

static int fastopt_room_for(int helpers, int64_t now) {
    (void)now;
    return helpers;
}
static int fastopt_in_place(fastopt_place* self, int helper) {
    (void)self, (void)helper;
    return 1;
}
static int fastopt_move(fastopt_place* self, int64_t now) {
    (void)self, (void)now;
    return 0;
}
static void fastopt_bring_here(pthread_t helper) { (void)helper; }
static void fastopt_forget_places(void) {}

#else

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define FASTOPT_LOOK_AGAIN_NS 1000000 /* how long the caller's CPUs are taken to be what they were */
#define FASTOPT_MOVE_AGAIN_NS 1000000 /* callers that take turns on two CPUs would have a helper do nothing but move */

typedef struct {
    int home;            /* the CPU that it claimed last */
    unsigned generation; /* of `allowed`, when it last moved */
    int64_t moved;       /* when that was */
    cpu_set_t target;    /* where to, if it is not in place, and by which generation */
    unsigned wanted;
} fastopt_place;

static struct {
    int known;           /* whether the system tells; all below is written while no helper is at a job */
    int caller;          /* the caller's CPU when the job began */
    cpu_set_t allowed;   /* those that the caller may use */
    int count;           /* how many these are */
    unsigned generation; /* counts how often they changed; 0 before they were first asked for */
    int64_t asked;       /* when that was last, and by whom */
    pthread_t by;
    atomic_int owner[CPU_SETSIZE]; /* the helper that has a CPU, 0 where none has */
} fastopt_places;

static void fastopt_ask(int64_t now) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    fastopt_places.asked = now;
    fastopt_places.by = pthread_self();
    fastopt_places.known = !sched_getaffinity(0, sizeof allowed, &allowed);
    if (!fastopt_places.known || (fastopt_places.generation && CPU_EQUAL(&allowed, &fastopt_places.allowed)))
        return;
    fastopt_places.allowed = allowed;
    fastopt_places.count = CPU_COUNT(&allowed);
    fastopt_places.generation++;
}

/* The caller's part, before each job: how many of these helpers can have a CPU of their own. */
static int fastopt_room_for(int helpers, int64_t now) {
    if (!fastopt_places.generation || now - fastopt_places.asked > FASTOPT_LOOK_AGAIN_NS || !pthread_equal(fastopt_places.by, pthread_self()))
        fastopt_ask(now);
    fastopt_places.caller = sched_getcpu();
    if (!fastopt_places.known || fastopt_places.caller < 0 || fastopt_places.count > helpers)
        return helpers;
    return fastopt_places.count - 1;
}

static int fastopt_claim(fastopt_place* self, int helper, int cpu) {
    int present = atomic_load(&fastopt_places.owner[cpu]), own = helper;
    if (present == helper)
        return 1;
    if ((present && present < helper) || !atomic_compare_exchange_strong(&fastopt_places.owner[cpu], &present, helper))
        return 0;
    if (self->home != cpu)
        atomic_compare_exchange_strong(&fastopt_places.owner[self->home], &own, 0);
    self->home = cpu;
    return 1;
}

/* The CPUs that the caller may use, without its own and those of other helpers below a number; how many these are. */
static int fastopt_without_owned(cpu_set_t* set, int below, int helper) {
    *set = fastopt_places.allowed;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        const int owner = atomic_load(&fastopt_places.owner[cpu]);
        if (cpu == fastopt_places.caller || (owner && owner < below && owner != helper))
            CPU_CLR(cpu, set);
    }
    return CPU_COUNT(set);
}

/* The helper's part, at a job: whether it may do its share where it is. If not, `target` says where it could. */
static int fastopt_in_place(fastopt_place* self, int helper) {
    const int cpu = sched_getcpu();
    if (!fastopt_places.known || cpu < 0 || cpu >= CPU_SETSIZE)
        return 1;
    if (self->generation == fastopt_places.generation && cpu != fastopt_places.caller && fastopt_claim(self, helper, cpu))
        return 1;
    self->wanted = fastopt_places.generation;
    if (!fastopt_without_owned(&self->target, CPU_SETSIZE, helper)) /* every CPU is somebody's */
        fastopt_without_owned(&self->target, helper, helper);
    return 0;
}

/* The helper's part, on its way: whether it is somewhere else now. */
static int fastopt_move(fastopt_place* self, int64_t now) {
    if (self->moved && now - self->moved < FASTOPT_MOVE_AGAIN_NS)
        return 0;
    self->moved = now;
    self->generation = self->wanted; /* also if the system refuses: then it helps wherever it is not in the way */
    return CPU_COUNT(&self->target) && !sched_setaffinity(0, sizeof self->target, &self->target);
}

/* The caller's part, when it waits: the helper goes on where the caller is, which then has to leave it the CPU. Its next job finds
   it out of place, and it moves again. */
static void fastopt_bring_here(pthread_t helper) {
    cpu_set_t here;
    const int cpu = sched_getcpu();
    if (!fastopt_places.known || cpu < 0 || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    pthread_setaffinity_np(helper, sizeof here, &here);
}

static void fastopt_forget_places(void) { memset(&fastopt_places, 0, sizeof fastopt_places); }

#endif
#endif
