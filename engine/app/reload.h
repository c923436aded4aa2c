/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_RELOAD_H
#define PERI_APP_RELOAD_H

#include "app/service.h"

/* Reading the rule folders while the service runs: a few milliseconds at a time, so that nobody waits for 10,000 files.
 * The set that runs stays as it is until all of them have been read. Loop thread only. */
struct peri_reload;

struct peri_reload *peri_reload_create(struct peri_service *service);
/* Calls that wait are forgotten. */
void peri_reload_destroy(struct peri_reload *reload);
/* Begins, or begins once more after the one under way. done (may be NULL) is called when everything that was there at
 * this call has been read and runs. */
void peri_reload(struct peri_reload *reload, void (*done)(void *arg), void *arg);

/* perigee.yaml again: settings of plugins and channels count from now on, other changes at the next start. A file with
 * mistakes changes nothing. True: plugins have to be looked at. */
bool peri_settings_reload(struct peri_service *service);

#endif
