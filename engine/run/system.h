/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_SYSTEM_H
#define PERI_RUN_SYSTEM_H

#include "run/pipeline_internal.h"

/* Events about the service itself (lang/system_event.h). */

struct system_events {
    struct peri_event **items; /* one reference each */
    size_t count;
};

/* What a transition means to those who hear of runs and actions: appended, to be stored with it. effects: before they
 * are given away. False when memory is out. */
bool system_transition(struct live *live, const struct peri_run_effects *effects, struct system_events *to);
/* A run was ended by somebody else's transaction, which has been committed. */
void system_run_stopped(struct peri_pipeline *p, uint64_t run, enum peri_run_state state);
/* Does a rule or plugin hear this type by its name? */
bool pipe_heard(const struct peri_pipeline *p, const char *type);
/* What was announced before the start is told now. */
void system_started(struct peri_pipeline *p);
void system_finish(struct peri_pipeline *p);

#endif
