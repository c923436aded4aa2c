/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_SCOPE_H
#define PERI_RUN_SCOPE_H

#include "data/value.h"
#include "io/store_events.h"
#include "lang/expr.h"
#include "lang/rule.h"

/* Values of the template roots. `event` is the payload; `trigger` says what fired and is one map:
 *   {id, event_id, type, source, subject?, external_id?, time, received, scheduled_at?, late_ms?} */

/* Payload as a value; null when it cannot be read. New reference, NULL when memory is out. */
struct peri_value *peri_scope_event(const struct peri_event *event);
struct peri_value *peri_scope_trigger(
    const struct peri_event *event, const struct peri_value *payload, const char *trigger_id);
/* {id, name, description?, tags} */
struct peri_value *peri_scope_rule(const struct peri_rule *rule);
/* {id, rule, event_id, created} */
struct peri_value *peri_scope_run(uint64_t run, const struct peri_rule *rule, uint64_t event, int64_t created_ms);

/* The text of a rule's key: a text, a number or a boolean that is not empty and at most 256 bytes; "" for a NULL
 * template. malloc'ed. */
#define PERI_KEY_MAX 256
enum peri_status peri_scope_key(const struct peri_template *key, const struct peri_scope *scope, char **ret,
    struct peri_error *err) PERI_MUST_CHECK;

/* The scope of a rule's conditions: there is no run yet. */
struct peri_match_scope {
    const struct peri_value *event, *trigger, *rule;
    /* Makes trigger when it is NULL and asked for; borrow. NULL: it cannot, and what is computed from now on is void
     * (`failed`). May be NULL itself. */
    const struct peri_value *(*make_trigger)(void *ctx);
    void *ctx;
    bool failed;
};
struct peri_scope peri_match_scope(struct peri_match_scope *roots, int64_t now_ms, const struct peri_tz_source *tz);

#endif
