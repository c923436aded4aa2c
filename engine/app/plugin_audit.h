/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PLUGIN_AUDIT_H
#define PERI_APP_PLUGIN_AUDIT_H

#include "app/cli.h"

/* `perigee plugins audit`: prints and returns the exit code. id and action may be NULL. */
int peri_plugin_audit(struct peri_cli *cli, const char *id, const char *action, size_t limit);
/* Permissions that were granted and never used. rows: what GET /v1/plugins lists. */
int peri_plugin_unused(struct peri_cli *cli, const struct peri_value *rows, const char *id);

#endif
