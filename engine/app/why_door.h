/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_WHY_DOOR_H
#define PERI_APP_WHY_DOOR_H

#include "app/cli.h"

/* Calls of the rule's webhooks that were refused never became events: a note on standard error for each webhook that
 * has refused some since the service started. Nothing without a running service. */
void peri_why_refused(struct peri_cli *cli, const char *rule);

#endif
