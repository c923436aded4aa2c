/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_REFUSAL_H
#define PERI_PLUGIN_REFUSAL_H

/* What to do about a plugin that is not loaded, by the stable code of its refusal; "ID" stands for the plugin. NULL for
 * codes of the plugin's own making. docs/plugins.md has the same list. */
const char *peri_refusal_remedy(const char *code);
/* The codes, NULL-ended. */
extern const char *const peri_refusal_codes[];

#endif
