/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_MANIFEST_INTERNAL_H
#define PERI_PLUGIN_MANIFEST_INTERNAL_H

#include "data/yaml.h"
#include "plugin/manifest.h"

/* What the readers of plugin.json share. */
struct peri_manifest_reader {
    const char *file;
    const struct peri_node *root; /* NULL: no places */
    struct peri_diag *diag;
    const struct peri_value *doc;
    struct peri_manifest *m;
};

struct peri_place peri_manifest_place(const struct peri_manifest_reader *r, const char *pointer);
#define FINDING(r, pointer, code, hint, ...)                                                                           \
    peri_diag_add((r)->diag, peri_manifest_place(r, pointer), PERI_SEV_ERROR, code, hint, __VA_ARGS__)
/* A finding, and false, when v is of another type. */
bool peri_manifest_want(struct peri_manifest_reader *r, const struct peri_value *v, enum peri_type type,
    const char *pointer, const char *what);
void peri_manifest_keys(
    struct peri_manifest_reader *r, const struct peri_value *map, const char *pointer, const char *const *known);

/* manifest_lists.c */
void peri_manifest_read_limits(struct peri_manifest_reader *r);
void peri_manifest_read_relations(struct peri_manifest_reader *r); /* and "load" */
void peri_manifest_read_events(struct peri_manifest_reader *r);    /* and "mtlsSecrets" */

#endif
