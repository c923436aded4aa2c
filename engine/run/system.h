/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_SYSTEM_H
#define PERI_RUN_SYSTEM_H

#include "run/lane.h"
#include "run/pipeline_internal.h"

/* Events about the service itself (lang/system_event.h). */

struct system_events {
    struct peri_event **items; /* one reference each */
    size_t count;
};

/* What a transition means to those who hear of runs and actions: appended, to be stored with it. effects: before they
 * are given away. False when memory is out. */
bool system_transition(struct live *live, const struct peri_run_effects *effects, struct system_events *to);
/* A run is ended by somebody else's transaction. Before it, on the loop: is that to be told, and when is it? */
void system_stops_prepare(const struct peri_pipeline *p, struct peri_lane_stops *stops);
/* In it, on the store's thread: the event becomes part of it, and ends waits. */
enum peri_status system_tell_stopped(struct peri_tx *tx, uint64_t run, enum peri_run_state state, const char *code,
    const char *message, struct peri_lane_stops *stops, struct peri_error *err) PERI_MUST_CHECK;
/* After it. */
void system_stops_told(struct peri_pipeline *p, const struct peri_lane_stops *stops);
/* Does a rule or plugin hear this type by its name? */
bool pipe_heard(const struct peri_pipeline *p, const char *type);
/* What was announced before the start is told now. */
void system_started(struct peri_pipeline *p);
void system_finish(struct peri_pipeline *p);

#endif
