/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define EVERY_MS 100

void peri_progress_step(struct peri_progress *progress, int64_t done, int64_t total)
{
    struct peri_clock clock = peri_clock_system();
    int64_t now = peri_clock_mono(&clock).ns / 1000000;
    if (progress->last_ms && now - progress->last_ms < EVERY_MS)
        return;
    if (!progress->last_ms && !isatty(STDERR_FILENO))
        now = INT64_MAX; /* never again */
    progress->last_ms = now;
    if (now == INT64_MAX)
        return;
    progress->shown = true;
    if (total > 0)
        fprintf(stderr, "\r\033[K%lld of %lld %s, %lld %%", (long long)done, (long long)total, progress->what,
            (long long)(done * 100 / total));
    else
        fprintf(stderr, "\r\033[K%lld %s", (long long)done, progress->what);
}

void peri_progress_end(struct peri_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    *progress = (struct peri_progress){.what = progress->what};
}
