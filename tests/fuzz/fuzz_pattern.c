/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a pattern on one line, then an event. What is compiled must answer for every event that is valid JSON,
 * the same each time, and say why not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/json_scan.h"
#include "lang/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    if (!newline)
        return 0;
    size_t len = (size_t)(newline - data), rest = size - len - 1;
    struct peri_error err;
    struct peri_pattern *pattern = NULL;
    enum peri_status st = peri_pattern_compile_json(text, len, &pattern, &err);
    if (st != PERI_OK) {
        if (st != PERI_EINVAL || strncmp(err.message, "line ", 5) != 0 || pattern)
            abort();
        return 0;
    }
    char *event = malloc(rest + 1); /* exact size, so that a read beyond it is seen */
    memcpy(event, newline + 1, rest);
    bool first = false, second = false;
    struct peri_value *why = NULL;
    struct peri_json_tape tape = {0};
    bool valid = peri_json_scan(event, rest, &tape, NULL) == PERI_OK;
    peri_json_tape_finish(&tape);
    st = peri_pattern_match(pattern, event, rest, &first, &why, &err);
    if ((st == PERI_OK) != valid)
        abort();
    if (valid) {
        if (first != !why || peri_pattern_match(pattern, event, rest, &second, NULL, &err) != PERI_OK ||
            first != second)
            abort();
        peri_value_unref(why);
    }
    free(event);
    peri_pattern_destroy(pattern);
    return 0;
}
