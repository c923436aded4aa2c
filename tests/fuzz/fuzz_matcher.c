/* SPDX-License-Identifier: Apache-2.0 */
/* The input is patterns, one a line, an empty line, then an event. A matcher of all of them must answer as the plain
 * evaluator does for each one alone, with every scan that the processor has. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/json_scan.h"
#include "lang/matcher.h"
#include "lang/matcher_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATTERNS 16

static struct peri_matcher_scratch *scratch;

static void check_scans(const char *event, size_t len)
{
    struct peri_json_tape tape = {0};
    struct matcher_scan scan = {0};
    bool object = peri_json_scan(event, len, &tape, NULL) == PERI_OK && tape.items[0].kind == PERI_JSON_OBJECT;
    for (size_t i = 0; matcher_scan_kernel(i); i++) {
        if ((matcher_scan_with(matcher_scan_kernel(i), &scan, event, len) == MATCHER_SCAN_OK) != object)
            abort();
        for (size_t k = 0, at = 0; object && k < tape.count; k++, at++) {
            const struct peri_json_item *item = &tape.items[k];
            if (item->kind > PERI_JSON_ARRAY) {
                at--;
                continue;
            }
            while (scan.brackets[at] < item->off) /* those that close what was before */
                at++;
            if (scan.brackets[at] != item->off ||
                scan.brackets[matcher_scan_closing(&scan, at)] != item->off + item->len - 1)
                abort();
        }
    }
    matcher_scan_finish(&scan);
    peri_json_tape_finish(&tape);
}

static void check(const struct peri_pattern *const *patterns, size_t count, const char *event, size_t len)
{
    struct peri_matcher *matcher = NULL;
    uint32_t hits[PATTERNS];
    size_t found = 0, at = 0;
    if (peri_matcher_build(patterns, count, &matcher, NULL) != PERI_OK)
        abort();
    enum peri_status st = peri_matcher_match(matcher, scratch, event, len, hits, PATTERNS, &found, NULL);
    for (size_t i = 0; i < count; i++) {
        bool want = false;
        if (peri_pattern_match(patterns[i], event, len, &want, NULL, NULL) != st)
            abort();
        bool got = st == PERI_OK && at < found && hits[at] == i;
        at += got;
        if (got != want)
            abort();
    }
    peri_matcher_destroy(matcher);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peri_pattern *patterns[PATTERNS];
    size_t count = 0;
    if (!scratch)
        scratch = peri_matcher_scratch_create();
    while (size && *data != '\n') {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        if (count < PATTERNS && peri_pattern_compile_json((const char *)data, len, &patterns[count], NULL) == PERI_OK)
            count++;
        data += len + (end != NULL);
        size -= len + (end != NULL);
    }
    if (size) {
        data++;
        size--;
    }
    char *event = malloc(size ? size : 1); /* exact size, so that a read beyond it is seen */
    memcpy(event, data, size);
    check_scans(event, size);
    check((const struct peri_pattern *const *)patterns, count, event, size);
    free(event);
    for (size_t i = 0; i < count; i++)
        peri_pattern_destroy(patterns[i]);
    return 0;
}
