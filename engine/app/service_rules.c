/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the running service: what was read becomes what runs, less what is switched off. */
#include <stdlib.h>
#include <string.h>

#include "app/hooks.h"
#include "app/service.h"
#include "app/workbench.h"
#include "base/failpoint.h"
#include "base/pool.h"
#include "base/str.h"
#include "data/json.h"

static bool is_disabled(const struct peri_service *s, const char *id)
{
    return peri_map_at(s->disabled, id) != NULL;
}

const struct peri_rule *peri_service_rule(const struct peri_service *s, const char *id)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(s->rulebook);
    for (size_t i = 0; i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id))
            return rules->items[i];
    return NULL;
}

static enum peri_status swap_rules(struct peri_service *s, struct peri_error *err)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(s->rulebook);
    struct peri_rule **active = calloc(rules->count + 1, sizeof(*active)),
                     **off = calloc(rules->count + 1, sizeof(*off));
    size_t n = 0, off_count = 0;
    enum peri_status st = active && off ? PERI_OK : peri_error_nomem(err);
    for (size_t i = 0; st == PERI_OK && i < rules->count; i++) {
        if (rules->items[i]->enabled && !is_disabled(s, rules->items[i]->id))
            active[n++] = rules->items[i];
        else
            off[off_count++] = rules->items[i];
    }
    if (st == PERI_OK)
        st = peri_pipeline_set_rules(s->pipeline, active, n, err);
    if (st == PERI_OK && peri_pipeline_set_disabled(s->pipeline, off, off_count))
        st = peri_error_nomem(err);
    /* Those that are off too: what comes is stored, and the verdict says that they are. */
    if (st == PERI_OK && peri_hooks_set(s->hooks, rules->items, rules->count))
        st = peri_error_nomem(err);
    free(active);
    free(off);
    return st;
}

void peri_service_log_findings(struct peri_service *s)
{
    for (size_t i = 0; i < s->findings.count; i++) {
        const struct peri_finding *f = &s->findings.items[i];
        enum peri_log_level level = f->severity == PERI_SEV_ERROR ? PERI_LOG_ERROR : PERI_LOG_WARN;
        if (f->line > 0)
            peri_log_write(s->log, level, "rules", "%s:%d:%d: %s [%s]%s%s", f->file, f->line, f->column, f->message,
                f->code, f->hint ? " " : "", f->hint ? f->hint : "");
        else
            peri_log_write(s->log, level, "rules", "%s: %s [%s]", f->file, f->message, f->code);
    }
}

/* What was read becomes what runs. */
void peri_service_rules_read(struct peri_service *s, enum peri_status st)
{
    struct peri_error err;
    PERI_FAILPOINT("reload.read");
    if (st)
        peri_error_set(&err, st, NULL, "out of memory while reading the rules");
    else
        st = swap_rules(s, &err);
    if (!st && s->ready)
        peri_news_rules(&s->news, s->pipeline, peri_rulebook_rules(s->rulebook), &s->findings);
    s->news.waits = !st && !s->ready;
    peri_pool_trim(); /* reading needed more than keeping */
    PERI_FAILPOINT("reload.swapped");
    peri_service_log_findings(s);
    if (st)
        peri_err(s->log, "rules", "the rules are not changed: %s", err.message);
    else
        peri_info(s->log, "rules", "%zu rules from %zu files, %zu errors", peri_rulebook_rules(s->rulebook)->count,
            peri_rulebook_files(s->rulebook), s->findings.errors);
}

void peri_service_load_rules(struct peri_service *s)
{
    struct peri_rule_env env = peri_rule_env_of(s->host, &s->tz, s->config->timezone);
    peri_rule_env_locate(&env, s->config->latitude, s->config->longitude);
    peri_diag_finish(&s->findings);
    peri_service_rules_read(s, peri_rulebook_load(s->rulebook, &env, &s->findings));
}

struct disabled_write {
    char *text;
};

static enum peri_status write_disabled(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    PERI_FAILPOINT("disable.rows");
    return peri_tx_meta_set(tx, "rules.disabled", ((struct disabled_write *)arg)->text, err);
}

static void disabled_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("disable.done");
    free(((struct disabled_write *)arg)->text);
    free(arg);
}

enum peri_status peri_service_set_rule(struct peri_service *s, const char *id, bool enabled, struct peri_error *err)
{
    if (!peri_service_rule(s, id))
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no rule \"%s\"", id);
    struct peri_value *copy = peri_value_copy(s->disabled);
    struct disabled_write *w = calloc(1, sizeof(*w));
    enum peri_status st = copy && w ? PERI_OK : PERI_ENOMEM;
    if (st == PERI_OK && enabled)
        peri_map_drop(copy, id);
    else if (st == PERI_OK)
        st = peri_map_put_bool(copy, id, true);
    if (st == PERI_OK)
        st = (w->text = peri_json_text(copy, PERI_JSON_COMPACT)) ? PERI_OK : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_store_submit(s->store, 256, write_disabled, disabled_written, w);
    if (st) {
        peri_value_unref(copy);
        if (w)
            free(w->text);
        free(w);
        return peri_error_set(err, st, NULL, "cannot store the change");
    }
    peri_value_unref(s->disabled);
    s->disabled = copy;
    return swap_rules(s, err);
}

enum peri_status peri_service_load_disabled(struct peri_service *s, struct peri_error *err)
{
    struct peri_reader *reader;
    char *text = NULL;
    enum peri_status st = peri_store_reader(s->store, &reader, err);
    if (st)
        return st;
    st = peri_reader_meta(reader, "rules.disabled", &text, err);
    peri_reader_close(reader);
    if (st == PERI_OK)
        st = peri_json_parse(text, strlen(text), &s->disabled, err);
    else if (st == PERI_ENOTFOUND)
        st = (s->disabled = peri_value_map()) ? PERI_OK : peri_error_nomem(err);
    free(text);
    return st;
}
