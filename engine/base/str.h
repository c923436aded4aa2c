/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_STR_H
#define PERI_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include "base/status.h"

/* Copies, NUL-terminated; NULL when memory is out or s is NULL. */
char *peri_strdup(const char *s);
char *peri_strndup(const char *s, size_t len);
/* printf into fresh memory; NULL when memory is out. */
char *peri_asprintf(const char *fmt, ...) PERI_PRINTF(1, 2);
bool peri_streq(const char *a, const char *b); /* NULL equals only NULL */
bool peri_str_starts(const char *s, const char *prefix);
bool peri_str_ends(const char *s, const char *suffix);
/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, no overlong forms).
 * On false *ret_offset (may be NULL) is the first bad byte. */
bool peri_utf8_valid(const char *s, size_t len, size_t *ret_offset);
/* How many bytes at the start are printable ASCII (a space is). */
size_t peri_ascii_span(const char *s, size_t len);
/* Number of code points in valid UTF-8. */
size_t peri_utf8_length(const char *s, size_t len);
/* Decodes one code point at s (len > 0, valid UTF-8), returns its size in bytes. */
size_t peri_utf8_decode(const char *s, size_t len, unsigned *ret_code);
/* Does it steer a terminal or hide what is written: control characters (C0, DEL, C1), marks that turn the direction of
 * text? */
bool peri_code_steers(unsigned code);
/* Nothing in it does. Valid UTF-8. */
bool peri_text_is_plain(const char *text);
/* Puts a '?' for each byte of what peri_text_is_plain refuses, and for what is not UTF-8; in place. */
void peri_text_make_plain(char *text);
/* Encodes code into out (4 bytes), returns the size. */
size_t peri_utf8_encode(unsigned code, char out[4]);
/* "VIP Missed Call" -> "vip-missed-call": lower-case ASCII letters and digits, the rest becomes single dashes. Bytes
 * beyond ASCII are kept when they are letters of UTF-8 words. Caller frees. */
char *peri_slug(const char *text);
/* The candidate nearest to word by edit distance (transpositions count one), or NULL when none is near enough to be
 * worth suggesting (distance <= 1 + length/4, at most 3). candidates ends with NULL. */
const char *peri_nearest(const char *word, const char *const *candidates);
/* Parses a whole decimal text; false on anything else or overflow. */
bool peri_parse_i64(const char *s, long long *ret);
/* Constant-time compare of equal-length secrets; different lengths give false. */
bool peri_equal_secret(const void *a, size_t alen, const void *b, size_t blen);

#endif
