/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_FOREIGN_H
#define PERI_LANG_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/* What other rule systems and languages call things, and what is written here instead: for hints of findings. All texts
 * are constants; NULL where nothing is known. */

/* A key among names (NULL-ended) that means what this one means elsewhere. */
const char *peri_foreign_key(const char *word, const char *const *names);
/* For a key without a counterpart: what is written instead. what: the mapping it stands in, as messages call it. */
const char *peri_foreign_key_hint(const char *word, const char *what);
/* For a function or filter of another language. */
const char *peri_foreign_function(const char *name);
/* For a name at the start of a path. */
const char *peri_foreign_root(const char *name);
/* For a word that stands where an operator belongs; rest is the text behind it. */
const char *peri_foreign_word(const char *word, size_t len, const char *rest, size_t rest_len);
/* For a method that is called on a value: x.name(...). */
const char *peri_foreign_method(const char *name);
/* Of a pattern: what stands for the operator. *ret_compares: the sign of its comparison, or NULL. */
const char *peri_foreign_pattern(const char *name, const char **ret_compares);
/* What a text that is no template here would be elsewhere; *ret_offset is where that begins. NULL: just a text. */
const char *peri_foreign_template(const char *text, size_t len, size_t *ret_offset);

/* "7:00", "07:00:00", "7 pm": the time of day as HH:MM. */
bool peri_foreign_clock(const char *text, char ret[6]);
/* "10 minutes", "00:05:00": the duration as it is written here. */
bool peri_foreign_duration(const char *text, char ret[32]);

#endif
