/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PLUGIN_NEW_H
#define PERI_APP_PLUGIN_NEW_H

#include "base/error.h"

struct peri_plugin_plan {
    const char *id;   /* "garden", "io.example.garden" */
    const char *type; /* operator, connector, channel */
    const char *lang; /* lua, c */
    const char *dir;  /* the folder that gets the plugin's folder */
};

/* Makes <dir>/<last part of id> from the templates of the share folder. *ret_folder: malloc'ed path. PERI_EINVAL for an
 * id, type or language that there is not, PERI_EEXIST when something of that name is there. */
enum peri_status peri_plugin_new(
    const struct peri_plugin_plan *plan, char **ret_folder, struct peri_error *err) PERI_MUST_CHECK;

#endif
