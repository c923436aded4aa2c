/* SPDX-License-Identifier: Apache-2.0 */
#include "run/verdict.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/store_events.h"

#define NO_MAX (1 << 20) /* of the text of one verdict; what was compared is far smaller (PERI_COND_DETAIL_MAX) */
#define NO_USUAL 400

const char *const peri_verdict_words[PERI_VERDICTS] = {PERI_VERDICT_FIRED, PERI_VERDICT_NO, PERI_VERDICT_ERROR,
    PERI_VERDICT_DEAD, PERI_VERDICT_QUEUED, PERI_VERDICT_DROPPED, PERI_VERDICT_THROTTLED, PERI_VERDICT_HELD,
    PERI_VERDICT_DISABLED};

int peri_verdict_index(const char *word)
{
    for (int i = 0; i < PERI_VERDICTS; i++)
        if (peri_streq(word, peri_verdict_words[i]))
            return i;
    return 1;
}

static struct peri_value *verdict(const struct peri_rule *rule, const struct peri_trigger *trigger, const char *word,
    const char *at, const char *operator_id, const char *reason, const struct peri_value *detail)
{
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    if (!bad && rule) {
        bad = peri_map_put_text(map, "rule", rule->id) != PERI_OK;
        bad = bad || peri_map_put_text(map, "name", rule->name) != PERI_OK;
    }
    if (!bad && trigger)
        bad = peri_map_put_text(map, "trigger", trigger->id) != PERI_OK;
    bad = bad || peri_map_put_text(map, "verdict", word) != PERI_OK;
    bad = bad || peri_map_put_text(map, "at", at) != PERI_OK;
    bad = bad || peri_map_put_text(map, "operator", operator_id) != PERI_OK;
    bad = bad || peri_map_put_text(map, "reason", reason) != PERI_OK;
    if (!bad && detail)
        bad = peri_map_put_ref(map, "detail", detail) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

struct peri_value *peri_verdict_fired(const struct peri_rule *rule, const struct peri_trigger *trigger)
{
    return verdict(rule, trigger, PERI_VERDICT_FIRED, NULL, NULL, NULL, NULL);
}

static void unmatched_reason(const struct peri_value *why, char *out, size_t size)
{
    const char *field = peri_map_text(why, "field"), *reason = peri_map_text(why, "reason");
    if (field && reason)
        snprintf(out, size, "%.120s: %.180s", field, reason);
    else
        snprintf(out, size, "%.300s", reason ? reason : "the payload does not match");
}

struct peri_value *peri_verdict_unmatched(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const struct peri_value *why)
{
    char text[320];
    unmatched_reason(why, text, sizeof(text));
    return verdict(rule, trigger, PERI_VERDICT_NO, "match", NULL, text, why);
}

struct peri_value *peri_verdict_watch(const struct peri_rule *rule, const struct peri_trigger *trigger,
    const char *word, uint64_t found, const char *at, const char *reason)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = verdict(rule, trigger, word, at, NULL, reason, NULL);
    if (map && found && peri_map_put_text(map, "found", peri_event_id(found, id)) != PERI_OK) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

static void write_member(struct peri_buf *out, const char *name, const char *text)
{
    peri_buf_puts(out, name);
    (void)peri_json_write_string(out, text, strlen(text));
}

enum peri_status peri_verdict_write_unmatched(struct peri_buf *out, const struct peri_rule *rule,
    const struct peri_trigger *trigger, const struct peri_value *why)
{
    char text[320];
    unmatched_reason(why, text, sizeof(text));
    write_member(out, "{\"rule\":", rule->id);
    write_member(out, ",\"name\":", rule->name);
    write_member(out, ",\"trigger\":", trigger->id);
    write_member(out, ",\"verdict\":", PERI_VERDICT_NO);
    write_member(out, ",\"at\":", "match");
    write_member(out, ",\"reason\":", text);
    if (why) {
        peri_buf_puts(out, ",\"detail\":");
        if (peri_json_write(out, why, PERI_JSON_COMPACT) != PERI_OK)
            return out->failed;
    }
    peri_buf_putc(out, '}');
    return out->failed;
}

char *peri_verdict_text_no(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const struct peri_cond_eval *eval)
{
    struct peri_buf out;
    if (!peri_utf8_valid(eval->reason, strlen(eval->reason), NULL))
        return NULL;
    peri_buf_init(&out, NO_MAX);
    (void)!peri_buf_reserve(&out, NO_USUAL);
    write_member(&out, "{\"rule\":", rule->id);
    write_member(&out, ",\"name\":", rule->name);
    write_member(&out, ",\"trigger\":", trigger->id);
    write_member(&out, ",\"verdict\":", PERI_VERDICT_NO);
    if (eval->at)
        write_member(&out, ",\"at\":", eval->at);
    if (eval->operator_at)
        write_member(&out, ",\"operator\":", eval->operator_at);
    if (eval->reason[0])
        write_member(&out, ",\"reason\":", eval->reason);
    if (eval->detail) {
        peri_buf_puts(&out, ",\"detail\":");
        (void)!peri_json_write(&out, eval->detail, PERI_JSON_COMPACT); /* the buffer remembers it */
    }
    peri_buf_putc(&out, '}');
    char *text = out.failed ? NULL : peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return text;
}

enum peri_status peri_verdict_write_fired(
    struct peri_buf *out, const struct peri_rule *rule, const struct peri_trigger *trigger, uint64_t run)
{
    char id[PERI_ID_TEXT];
    write_member(out, "{\"rule\":", rule->id);
    write_member(out, ",\"name\":", rule->name);
    write_member(out, ",\"trigger\":", trigger->id);
    write_member(out, ",\"verdict\":", PERI_VERDICT_FIRED);
    if (run)
        write_member(out, ",\"run\":", peri_run_id(run, id));
    peri_buf_putc(out, '}');
    return out->failed;
}

struct peri_value *peri_verdict_condition(const struct peri_rule *rule, const struct peri_trigger *trigger,
    enum peri_cond_outcome outcome, const struct peri_cond_eval *eval)
{
    const char *word = outcome == PERI_COND_FAILED ? PERI_VERDICT_ERROR : PERI_VERDICT_NO;
    const char *reason = eval->reason[0] ? eval->reason : NULL;
    struct peri_value *map = verdict(rule, trigger, word, eval->at, eval->operator_at, reason, eval->detail);
    if (map && outcome == PERI_COND_FAILED && peri_map_put_text(map, "code", eval->error.code) != PERI_OK) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

struct peri_value *peri_verdict_error(
    const struct peri_rule *rule, const struct peri_trigger *trigger, const char *at, const char *reason)
{
    return verdict(rule, trigger, PERI_VERDICT_ERROR, at, NULL, reason, NULL);
}

/* Of an id in a reason. */
#define ID_SHOWN 100

struct peri_value *peri_verdict_disabled(const struct peri_rule *rule, const struct peri_trigger *trigger)
{
    char reason[ID_SHOWN + 96];
    if (rule->enabled)
        snprintf(reason, sizeof(reason), "the rule is disabled: `perigee rules enable %.*s' lets it hear events",
            ID_SHOWN, rule->id);
    else
        snprintf(
            reason, sizeof(reason), "`enabled: false' stands in the file, in the rule of line %d", rule->place.line);
    return verdict(rule, trigger, PERI_VERDICT_DISABLED, NULL, NULL, reason, NULL);
}

struct peri_value *peri_verdict_dead(const char *reason)
{
    return verdict(NULL, NULL, PERI_VERDICT_DEAD, NULL, NULL, reason, NULL);
}

struct peri_value *peri_verdict_outcome(
    const struct peri_value *fired, const char *word, uint64_t run, const char *at, const char *reason)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = peri_value_copy(fired);
    bool bad = !map || peri_map_put_text(map, "verdict", word) != PERI_OK;
    if (!bad && run)
        bad = peri_map_put_text(map, "run", peri_run_id(run, id)) != PERI_OK;
    bad = bad || peri_map_put_text(map, "at", at) != PERI_OK;
    bad = bad || peri_map_put_text(map, "reason", reason) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

bool peri_verdict_is_error(const struct peri_value *v)
{
    return peri_streq(peri_map_text(v, "verdict"), PERI_VERDICT_ERROR);
}

int peri_verdict_rank(const struct peri_value *v)
{
    const char *word = peri_map_text(v, "verdict");
    if (!word)
        return 0;
    if (peri_streq(word, PERI_VERDICT_FIRED))
        return 4;
    if (peri_streq(word, PERI_VERDICT_ERROR))
        return 3;
    return peri_streq(peri_map_text(v, "at"), "match") ? PERI_VERDICT_RANK_UNMATCHED : PERI_VERDICT_RANK_NO;
}
