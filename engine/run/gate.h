/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_GATE_H
#define PERI_RUN_GATE_H

#include "run/pipeline_internal.h"

/* What holds the calls of steps back: quiet hours, circuits, the limit of calls to one destination, rate limits. One
 * for each pipeline; loop thread. */
struct gate;

struct gate *gate_create(struct peri_pipeline *p);
void gate_destroy(struct gate *g);
/* From the store: times that were given, circuits that are open. */
enum peri_status gate_recover(struct gate *g, struct peri_error *err);
const struct peri_gate *gate_of(const struct gate *g);
/* How a call of the run's present step has ended; error NULL: well. */
void gate_result(struct gate *g, const struct peri_track *track, const struct peri_error *error);
/* The call of this task begins; its attempt was held: true, it waits for its destination (slots.h). */
void gate_enter(struct gate *g, struct live_task *task);
bool gate_park(struct gate *g, struct live_task *task);
/* For the status: [{destination, state, ...}]. */
struct peri_value *gate_circuits(const struct gate *g);

#endif
