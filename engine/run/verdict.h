/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_VERDICT_H
#define PERI_RUN_VERDICT_H

#include "base/buf.h"
#include "data/value.h"
#include "lang/rule.h"
#include "run/condition.h"

/* One verdict for each (event, rule) whose trigger names the event's type, stored with the event as one JSON list. (Of
 * types that many rules hear, those whose pattern does not match share one entry: see verdicts_read.h.)
 *   {rule, name, trigger, verdict, run?, at?, operator?, reason?, code?, detail?}
 *   verdict  "fired"    a run was made
 *            "queued"   a run was made that waits for its lane
 *            "dropped"  no run was made, because of the rule's mode
 *            "throttled" no run was made, because the rule has fired lately
 *            "held"     a run may be made later, when something else has or has not happened
 *            "no"       the pattern or a condition said no
 *            "error"    a condition or the key could not be decided
 *            "disabled" the rule is switched off
 *            "dead"     the event was set aside (rule is absent then)
 *   run      "run-7"
 *   at       "match", the path of the condition, "conditions[1]", "key", "mode" or "throttle"; "event", "count",
 * "absence" or "sequence" where a trigger watches over time found    of such a trigger: the event that its firing
 * became reason   one sentence; code with "error": the failure's stable name detail   what was compared: what the
 * operator returned, {left, op, right} of an expression, {field, actual, wanted} of a pattern */
#define PERI_VERDICT_FIRED "fired"
#define PERI_VERDICT_NO "no"
#define PERI_VERDICT_ERROR "error"
#define PERI_VERDICT_DEAD "dead"
#define PERI_VERDICT_QUEUED "queued"
#define PERI_VERDICT_DROPPED "dropped"
#define PERI_VERDICT_THROTTLED "throttled"
#define PERI_VERDICT_HELD "held"
#define PERI_VERDICT_DISABLED "disabled"

/* Every word, for counters. */
#define PERI_VERDICTS 9
extern const char *const peri_verdict_words[PERI_VERDICTS];
/* Its place among them; that of "no" for anything else. */
int peri_verdict_index(const char *word);

/* New references; NULL when memory is out. */
struct peri_value *peri_verdict_fired(const struct peri_rule *rule, const struct peri_trigger *trigger);
/* What a trigger that watches over time has to say; found: seq, 0: none. at and reason may be NULL. */
struct peri_value *peri_verdict_watch(const struct peri_rule *rule, const struct peri_trigger *trigger,
    const char *word, uint64_t found, const char *at, const char *reason);
struct peri_value *peri_verdict_condition(const struct peri_rule *rule, const struct peri_trigger *trigger,
    enum peri_cond_outcome outcome, const struct peri_cond_eval *eval);
struct peri_value *peri_verdict_error(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const char *at, const char *reason);
struct peri_value *peri_verdict_disabled(const struct peri_rule *rule, const struct peri_trigger *trigger);
struct peri_value *peri_verdict_dead(const char *reason);
/* That the pattern does not match. */
struct peri_value *peri_verdict_unmatched(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const struct peri_value *why);
/* The same appended as JSON text: an event has one from each rule that hears it in vain, so no value is made of it. Its
 * rank is PERI_VERDICT_RANK_UNMATCHED. */
enum peri_status peri_verdict_write_unmatched(struct peri_buf *out, const struct peri_rule *rule,
    const struct peri_trigger *trigger, const struct peri_value *why) PERI_MUST_CHECK;
#define PERI_VERDICT_RANK_UNMATCHED 1
/* That a condition says no, as peri_verdict_condition has it, malloc'ed; NULL: memory is out, or a text of it is no
 * UTF-8. Its rank is PERI_VERDICT_RANK_NO. */
char *peri_verdict_text_no(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const struct peri_cond_eval *eval);
#define PERI_VERDICT_RANK_NO 2
/* That it fired and what was made of it, 0: nothing; nothing else is to be said. */
enum peri_status peri_verdict_write_fired(struct peri_buf *out, const struct peri_rule *rule,
    const struct peri_trigger *trigger, uint64_t run) PERI_MUST_CHECK;
/* What became of a rule that fired: the same with another word, and a run (0: none), place and reason (or NULL). */
struct peri_value *peri_verdict_outcome(
    const struct peri_value *fired, const char *word, uint64_t run, const char *at, const char *reason);
/* Could something not be decided? */
bool peri_verdict_is_error(const struct peri_value *verdict);
/* How far a rule came: of the verdicts of several triggers of one rule the highest is kept. */
int peri_verdict_rank(const struct peri_value *verdict);

#endif
