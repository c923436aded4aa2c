/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_JSON_PLAIN_H
#define PERI_DATA_JSON_PLAIN_H

#include <stdbool.h>

#include "data/json.h"

/* Between json.c and json_check.c. Is the text JSON, no deeper than PERI_JSON_DEPTH, in which keys have no escapes,
 * texts no \u, integers at most 18 digits and numbers no exponent? Nearly all is. */
#define PERI_JSON_PLAIN_NUMBER 64 /* more bytes than a number in it has */
bool peri_json_is_plain(const char *text, size_t len);

#endif
