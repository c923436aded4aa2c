/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_HEALTH_H
#define PERI_IO_STORE_HEALTH_H

#include "io/store.h"

/* Inside of the store: what state it is in, shared by the thread that writes and every reader opened from the store,
 * because a reader may be the first to see damage. Any thread. */
struct peri_health;

/* log, metrics and the callback of options are used until peri_health_close. NULL: no memory. */
struct peri_health *peri_health_create(const struct peri_store_options *options);
struct peri_health *peri_health_ref(struct peri_health *health);
void peri_health_unref(struct peri_health *health);
/* The store ends: nobody is told any more. */
void peri_health_close(struct peri_health *health);

enum peri_store_state peri_health_state(struct peri_health *health, char reason[PERI_ERROR_MESSAGE_MAX]);
/* The first damage decides and stays; it is logged here. health may be NULL. */
void peri_health_damaged(struct peri_health *health, const char *reason);
/* Between good and full. False when the state is another one already. The caller logs. */
bool peri_health_full(struct peri_health *health, const char *reason);
bool peri_health_good(struct peri_health *health);

#endif
