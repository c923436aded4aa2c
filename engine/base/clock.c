/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t system_wall(void *ctx)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct peri_mono system_mono(void *ctx)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (struct peri_mono){(int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec};
}

struct peri_clock peri_clock_system(void)
{
    return (struct peri_clock){system_wall, system_mono, NULL};
}

static int64_t fake_wall(void *ctx)
{
    return ((struct peri_clock_fake *)ctx)->wall_ms;
}

static struct peri_mono fake_mono(void *ctx)
{
    return (struct peri_mono){((struct peri_clock_fake *)ctx)->mono_ns};
}

struct peri_clock peri_clock_fake_init(struct peri_clock_fake *fake, int64_t wall_ms)
{
    fake->wall_ms = wall_ms;
    fake->mono_ns = 1;
    return (struct peri_clock){fake_wall, fake_mono, fake};
}

void peri_clock_fake_advance(struct peri_clock_fake *fake, int64_t ms)
{
    fake->wall_ms += ms;
    fake->mono_ns += ms * 1000000;
}
