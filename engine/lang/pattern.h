/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_PATTERN_H
#define PERI_LANG_PATTERN_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/diag.h"
#include "base/error.h"
#include "data/value.h"
#include "data/yaml.h"

/* The event pattern language of Amazon EventBridge (as aws/event-ruler 2 understands it), evaluated on the JSON text
 * itself: number texts, repeated keys and escapes count as docs/rules.md says. This is the plain evaluator; it is also
 * the oracle for anything faster. Immutable after compilation, match from any thread. */
struct peri_pattern;

/* From a YAML node: every finding has its place. */
enum peri_status peri_pattern_compile_node(
    const struct peri_node *node, struct peri_pattern **ret, struct peri_diag *diag) PERI_MUST_CHECK;
/* From JSON text; err->message begins with "line L, column C: ". */
enum peri_status peri_pattern_compile_json(
    const char *text, size_t len, struct peri_pattern **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_pattern_destroy(struct peri_pattern *pattern);

/* PERI_EINVAL when json is not one valid JSON text from end to end. *ret_matches is set on PERI_OK. A root that is not
 * an object matches nothing. why (may be NULL) gets, when it does not match, a map {field, reason, actual, wanted} that
 * names the first field that stood in the way. */
enum peri_status peri_pattern_match(const struct peri_pattern *pattern, const char *json, size_t len, bool *ret_matches,
    struct peri_value **ret_why, struct peri_error *err) PERI_MUST_CHECK;

/* The same in two steps, for an event that many patterns look at: it is scanned once. json is borrowed and must live as
 * long as the result. One thread at a time. */
struct peri_pattern_event;
enum peri_status peri_pattern_event_read(
    const char *json, size_t len, struct peri_pattern_event **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_pattern_event_destroy(struct peri_pattern_event *event);
enum peri_status peri_pattern_match_event(const struct peri_pattern *pattern, struct peri_pattern_event *event,
    bool *ret_matches, struct peri_value **ret_why, struct peri_error *err) PERI_MUST_CHECK;

#endif
