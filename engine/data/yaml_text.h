/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_YAML_TEXT_H
#define PERI_DATA_YAML_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/diag.h"
#include "data/value.h"

/* Internal to the YAML reader: places in the source, and sentences for what is wrong with it. */

/* The source with a cursor. Going forward is cheap, going back starts over. */
struct peri_yaml_text {
    const char *file;
    const char *s; /* valid UTF-8 once peri_yaml_text_check has passed, without a byte order mark */
    size_t len;
    size_t index, byte; /* cursor, in characters and bytes from 0 */
    int line, column;   /* from 1 */
};

void peri_yaml_text_init(struct peri_yaml_text *t, const char *file, const char *s, size_t len);
/* Moves the cursor to a character (at most the end). */
void peri_yaml_text_seek(struct peri_yaml_text *t, size_t index);
void peri_yaml_text_seek_byte(struct peri_yaml_text *t, size_t byte);
struct peri_place peri_yaml_text_place(const struct peri_yaml_text *t);
/* Refuses what is not UTF-8 and the control characters that YAML forbids, with the place of the first one. */
bool peri_yaml_text_check(struct peri_yaml_text *t, struct peri_diag *diag);
/* True when a template that needs quotes, `key: {{ ... }}`, stands in the line of the character; the cursor is then on
 * it. */
bool peri_yaml_text_bare_template(struct peri_yaml_text *t, size_t index);
/* The change for the finding just added: quotes around the text that starts here and goes to the end of its line, or of
 * its item in a flow collection. */
void peri_yaml_text_fix_quotes(struct peri_yaml_text *t, struct peri_diag *diag, bool flow);
/* Adds the one finding for a syntax error. context may be NULL. */
void peri_yaml_text_explain(struct peri_yaml_text *t, const char *context, size_t context_index, const char *problem,
    size_t problem_index, struct peri_diag *diag);

/* What the core schema makes of a plain scalar. *ret_why is set (else NULL) when the number cannot be represented. */
enum peri_type peri_yaml_plain_type(const char *text, size_t len, const char **ret_why);

#endif
