/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WHY_AGAIN_H
#define PERI_APP_WHY_AGAIN_H

#include "app/cli.h"

/* Asks a rule of the rule folders about events, without effects (app/backtest.h): with nothing remembered of what was
 * before, so no throttle or lane is in its way. Each returns the exit code: 0 when it would fire (for every event). */

/* Called for each event: what it is called, its verdict, its payload (NULL: not known). Returns the exit code. */
typedef int (*peri_why_print)(
    struct peri_cli *cli, const char *event, const struct peri_value *verdict, const struct peri_value *data);

/* The events of a file (app/event_file.h). */
int peri_why_file(struct peri_cli *cli, const char *rule, const char *path, peri_why_print print);
/* A stored event, with the data as of it. */
int peri_why_stored(struct peri_cli *cli, const char *rule, uint64_t seq, peri_why_print print);

#endif
