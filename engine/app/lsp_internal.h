/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_LSP_INTERNAL_H
#define PERI_APP_LSP_INTERNAL_H

#include "app/lsp.h"
#include "app/lsp_shape.h"
#include "app/lsp_text.h"
#include "app/rulebook.h"

/* An open file: its text is the editor's, whatever the disk says. */
struct peri_lsp_doc {
    char *uri, *path, *text;
    size_t len;
};

struct peri_lsp {
    struct peri_workbench *bench;
    FILE *out;
    struct peri_value *schema;         /* of rule files */
    struct peri_value *tests, *config; /* of test files, of perigee.yaml */
    struct peri_value *operators;      /* of peri_host_operators */
    struct peri_event_types types;
    struct peri_rulebook *book; /* the rules on the disk */
    struct peri_lsp_doc *docs;
    size_t doc_count, doc_cap;
    enum peri_lsp_units units;
    bool initialized, shutdown, failed; /* failed: the output is gone or memory is out */
};

/* lsp_schema.c */
enum peri_lsp_kind { PERI_LSP_OTHER, PERI_LSP_RULES, PERI_LSP_TESTS, PERI_LSP_CONFIG };
enum peri_lsp_kind peri_lsp_kind(const char *path);
/* Makes those of tests and configuration; false: memory is out. */
bool peri_lsp_forms(struct peri_lsp *lsp);
/* That of the file; borrow. */
const struct peri_value *peri_lsp_schema(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc);

struct peri_lsp_doc *peri_lsp_doc(struct peri_lsp *lsp, const char *uri);
struct peri_lsp_text peri_lsp_doc_text(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc);

/* Values of the protocol; new references, NULL when memory is out. */
struct peri_value *peri_lsp_range(const struct peri_lsp_text *t, size_t start, size_t end);
struct peri_value *peri_lsp_location(const char *uri, struct peri_value *range); /* takes range */
struct peri_value *peri_lsp_markdown(const char *text);
/* The offset of a request's position. */
size_t peri_lsp_asked(const struct peri_lsp_text *t, const struct peri_value *position);

/* The event that a plugin declares by that name or by a glob that it fits: as the manifest has it; *ret_plugin (may be
 * NULL) is its plugin's id. borrow or NULL. */
const struct peri_value *peri_lsp_event(
    const struct peri_lsp *lsp, struct peri_lsp_piece type, const char **ret_plugin);

/* Answers; params of the request. The result, new reference; NULL when memory is out. */
struct peri_value *peri_lsp_diagnostics(struct peri_lsp *lsp, const struct peri_lsp_doc *doc);
struct peri_value *peri_lsp_actions(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);
struct peri_value *peri_lsp_complete(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);
struct peri_value *peri_lsp_hover(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);
struct peri_value *peri_lsp_definition(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);
struct peri_value *peri_lsp_symbols(
    struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);

#endif
