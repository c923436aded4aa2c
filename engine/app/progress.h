/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PROGRESS_H
#define PERI_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* How far long work has come: one line on standard error that is written over, on a terminal only. */
struct peri_progress {
    const char *what; /* "changes" */
    bool shown;
    int64_t last_ms;
};

/* total 0: unknown. At most ten times a second. */
void peri_progress_step(struct peri_progress *progress, int64_t done, int64_t total);
/* Takes the line away. */
void peri_progress_end(struct peri_progress *progress);

#endif
