/* How the calling thread does arithmetic: how it rounds, and whether it flushes denormals to zero. A helper takes it over for each job,
   so that a step does all of its elements alike; what else there is of a thread's own (flags, which exceptions trap) stays its own. */

#ifndef FASTOPT_MODE_H
#define FASTOPT_MODE_H

#include <stdint.h>

#if (defined(__x86_64__) || defined(__SSE__)) && (defined(__GNUC__) || defined(__clang__))

#include <xmmintrin.h>

#define FASTOPT_MODE_BITS 0xE040u /* MXCSR: flush to zero, rounding, denormals are zeros */

static uint64_t fastopt_mode(void) { return _mm_getcsr() & FASTOPT_MODE_BITS; }

static void fastopt_take_mode(uint64_t mode) {
    const unsigned own = _mm_getcsr();
    if ((own & FASTOPT_MODE_BITS) != mode)
        _mm_setcsr((own & ~FASTOPT_MODE_BITS) | (unsigned)mode);
}

#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))

#define FASTOPT_MODE_BITS 0x03C80000u /* FPCR: default NaN, flush to zero, rounding, flush to zero in half precision */

static uint64_t fastopt_fpcr(void) {
    uint64_t found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    return found;
}

static uint64_t fastopt_mode(void) { return fastopt_fpcr() & FASTOPT_MODE_BITS; }

static void fastopt_take_mode(uint64_t mode) {
    const uint64_t own = fastopt_fpcr();
    if ((own & FASTOPT_MODE_BITS) != mode)
        __asm__ volatile("msr fpcr, %0" : : "r"((own & ~(uint64_t)FASTOPT_MODE_BITS) | mode));
}

#else /* not known: helpers are in the mode that they were started in, which is their first caller's */

static uint64_t fastopt_mode(void) { return 0; }

static void fastopt_take_mode(uint64_t mode) { (void)mode; }

#endif
#endif
