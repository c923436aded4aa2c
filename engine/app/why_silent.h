/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WHY_SILENT_H
#define PERI_APP_WHY_SILENT_H

#include "app/cli.h"
#include "io/store_events.h"

/* Says why there is no verdict for the pair: the rule is not there, switched off, hears other events, or came later.
 * event (an id such as ev-7) may be NULL: of no event at all. Returns the exit code. */
int peri_why_silent(struct peri_cli *cli, struct peri_reader *reader, const char *rule, const char *event);

#endif
