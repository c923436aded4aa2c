/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_HOST_CHECK_H
#define PERI_PLUGIN_HOST_CHECK_H

#include "plugin/host_internal.h"

/* Reads both policy files again; a broken one counts as empty and is a finding. */
void peri_host_read_policies(struct peri_host *host, struct peri_diag *diag);
/* Reads and checks a plugin's folder, its settings and its grants. The result's state is LOADING (everything is fine),
 * DISABLED, UNCONFIGURED, BLOCKED or FAILED with its error. Findings go to host->load_diag. enable: whatever the
 * settings say about it. NULL when memory is out. */
struct peri_plugin *peri_plugin_prepare(struct peri_host *host, const char *dir, bool bundled, bool enable);

#endif
