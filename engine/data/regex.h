/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_REGEX_H
#define PERI_DATA_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

/* Regular expressions (PCRE2) over UTF-8, with limits on time and memory. They search anywhere; '$' is only the very
 * end; \d \w \s are ASCII; \uXXXX names a code point. Immutable after compilation, match from any thread. */
struct peri_regex;

#define PERI_REGEX_MAX 4096 /* bytes of an expression */

/* PERI_EINVAL, code "regex": the message says what and at which character (from 1). */
enum peri_status peri_regex_compile(
    const char *text, size_t len, struct peri_regex **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Another owner: each one destroys it. From any thread. */
struct peri_regex *peri_regex_ref(struct peri_regex *regex);
void peri_regex_destroy(struct peri_regex *regex);
/* s is valid UTF-8. PERI_ELIMIT when the search gave up at a limit. */
enum peri_status peri_regex_search(
    const struct peri_regex *regex, const char *s, size_t len, bool *ret_found) PERI_MUST_CHECK;

#endif
