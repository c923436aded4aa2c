/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: what is accepted can be written, and reads back equal; the check takes what the parser takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct peri_value *v, enum peri_json_style style)
{
    struct peri_buf b;
    struct peri_value *again = NULL;
    struct peri_error err;
    peri_buf_init(&b, 256u << 20);
    if (peri_json_write(&b, v, style) || peri_json_parse(b.data, b.len, &again, &err) || !peri_value_equal(v, again))
        abort();
    peri_value_unref(again);
    peri_buf_finish(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    if ((peri_json_check((const char *)data, size, &err) == PERI_OK) !=
        (peri_json_parse((const char *)data, size, &v, &err) == PERI_OK))
        abort();
    peri_value_unref(v);
    v = NULL;
    if (peri_json_parse_strict((const char *)data, size, &v, &err) == PERI_OK) {
        struct peri_value *strict = v; /* always made by the library */
        v = NULL;
        if (peri_json_parse((const char *)data, size, &v, &err) != PERI_OK || !peri_value_equal(v, strict))
            abort();
        peri_value_unref(strict);
    } else if (peri_json_parse((const char *)data, size, &v, &err) != PERI_OK) {
        return 0;
    }
    round_trip(v, PERI_JSON_COMPACT);
    round_trip(v, PERI_JSON_INDENT);
    round_trip(v, PERI_JSON_SORTED);
    peri_value_unref(v);
    return 0;
}
