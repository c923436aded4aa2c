/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_FORMAT_H
#define PERI_DATA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/* The formats of JSON Schema that are checked: date-time, date, time, duration, email, hostname, ipv4, ipv6, uri,
 * uri-reference, uuid, regex. Texts are valid UTF-8. */

typedef bool (*peri_format_fn)(const char *s, size_t len);

/* NULL for a name that is not in the list. */
peri_format_fn peri_format_find(const char *name);
/* RFC 3986: with a scheme; with or without one. */
bool peri_format_uri(const char *s, size_t len);
bool peri_format_uri_reference(const char *s, size_t len);

#endif
