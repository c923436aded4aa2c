/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_MATCHER_H
#define PERI_LANG_MATCHER_H

#include <stdint.h>
#include "lang/pattern.h"

/* Many patterns in one index: which of them match an event? The answer is that of peri_pattern_match for each pattern
 * alone; the cost depends on what matches and nearly matches, not on how many patterns there are. Built aside and never
 * changed: match from any number of threads, swap the whole on reload. */
struct peri_matcher;

/* The patterns are named by their position in the array. They are not needed afterwards. A NULL in the array matches
 * nothing. */
enum peri_status peri_matcher_build(const struct peri_pattern *const *patterns, size_t count, struct peri_matcher **ret,
    struct peri_error *err) PERI_MUST_CHECK;
void peri_matcher_destroy(struct peri_matcher *matcher);
size_t peri_matcher_count(const struct peri_matcher *matcher);
/* What the index occupies. */
size_t peri_matcher_bytes(const struct peri_matcher *matcher);

/* Room to work in, one for each thread, for any matcher. It grows to what the largest event needed and stays so: then
 * matching allocates nothing (regular expressions excepted). */
struct peri_matcher_scratch;
struct peri_matcher_scratch *peri_matcher_scratch_create(void);
void peri_matcher_scratch_destroy(struct peri_matcher_scratch *scratch);

/* hits gets the first cap of the patterns that match, rising; *ret_count is how many there are. PERI_EINVAL, with the
 * message of peri_json_scan, when json is not one valid JSON text from end to end. */
enum peri_status peri_matcher_match(const struct peri_matcher *matcher, struct peri_matcher_scratch *scratch,
    const char *json, size_t len, uint32_t *hits, size_t cap, size_t *ret_count,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
