/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_CLOCK_H
#define PERI_BASE_CLOCK_H

#include <stdint.h>

/* Two kinds of time that do not mix: wall time in ms since 1970 UTC (plain int64_t, suffix _ms), and monotonic time for
 * durations, wrapped so that the compiler keeps them apart. */
struct peri_mono {
    int64_t ns;
};

/* Where time comes from. Tests replace it. Functions may be called from any thread. */
struct peri_clock {
    int64_t (*wall_ms)(void *ctx);
    struct peri_mono (*mono)(void *ctx); /* CLOCK_BOOTTIME: goes on during suspend */
    void *ctx;
};

/* The clock of the machine. */
struct peri_clock peri_clock_system(void);

/* A clock that stands until it is moved. Keep the struct alive as long as the clock is used. */
struct peri_clock_fake {
    _Atomic int64_t wall_ms;
    _Atomic int64_t mono_ns;
};
struct peri_clock peri_clock_fake_init(struct peri_clock_fake *fake, int64_t wall_ms);
void peri_clock_fake_advance(struct peri_clock_fake *fake, int64_t ms);

static inline int64_t peri_clock_wall_ms(const struct peri_clock *clock)
{
    return clock->wall_ms(clock->ctx);
}
static inline struct peri_mono peri_clock_mono(const struct peri_clock *clock)
{
    return clock->mono(clock->ctx);
}

#endif
