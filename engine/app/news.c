/* SPDX-License-Identifier: Apache-2.0 */
#include "app/news.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void peri_news_finish(struct peri_news *news)
{
    peri_map_destroy(news->rules, NULL);
    peri_value_unref(news->findings);
    *news = (struct peri_news){0};
}

static void put(struct peri_value *v, const char *key, const char *text)
{
    if (v && text)
        (void)!peri_map_put_text(v, key, text);
}

static void tell_rule(struct peri_pipeline *p, const struct peri_rule *rule)
{
    struct peri_value *v = peri_value_map();
    put(v, "rule", rule->id);
    put(v, "name", rule->name);
    put(v, "file", rule->place.file);
    peri_pipeline_announce(p, "rule.Loaded", v, NULL);
}

static void tell_finding(struct peri_pipeline *p, const struct peri_finding *f)
{
    struct peri_value *v = peri_value_map();
    put(v, "file", f->file);
    put(v, "code", f->code);
    put(v, "message", f->message);
    if (v && !peri_map_put_int(v, "line", f->line) && !peri_map_put_int(v, "column", f->column))
        peri_pipeline_announce(p, "rule.Failed", v, NULL);
    else
        peri_value_unref(v);
}

/* Never 0. */
static uintptr_t start_of(const char *hash)
{
    char digits[16];
    memcpy(digits, hash, 15);
    digits[15] = '\0';
    return (uintptr_t)strtoull(digits, NULL, 16) | 1;
}

static void tell_rules(struct peri_news *news, struct peri_pipeline *p, const struct peri_rule_list *rules)
{
    /* Nobody hears it, most of the time: then nothing is remembered of 10,000 rules, and who comes to hear it is told
     * of all of them, as after a start. */
    struct peri_map *now = peri_pipeline_hears(p, "rule.Loaded") ? peri_map_create() : NULL;
    for (size_t i = 0; now && i < rules->count; i++) {
        const struct peri_rule *rule = rules->items[i];
        void *mark = (void *)start_of(rule->hash);
        if (!news->rules || peri_map_get(news->rules, rule->id) != mark)
            tell_rule(p, rule);
        (void)peri_map_set(now, rule->id, mark, NULL);
    }
    peri_map_destroy(news->rules, NULL);
    news->rules = now;
}

void peri_news_rules(struct peri_news *news, struct peri_pipeline *p, const struct peri_rule_list *rules,
    const struct peri_diag *findings)
{
    struct peri_value *now = peri_value_map();
    tell_rules(news, p, rules);
    for (size_t i = 0; now && i < findings->count; i++) {
        const struct peri_finding *f = &findings->items[i];
        if (f->severity != PERI_SEV_ERROR)
            continue;
        char *text = peri_asprintf("%s:%d:%d: %s", f->file, f->line, f->column, f->message);
        if (text && !peri_map_at(news->findings, text) && !peri_map_at(now, text))
            tell_finding(p, f);
        if (text)
            (void)!peri_map_put_bool(now, text, true);
        free(text);
    }
    peri_value_unref(news->findings);
    news->findings = now;
}

void peri_news_started(struct peri_pipeline *p, int64_t started_ms)
{
    struct peri_value *v = peri_value_map();
    put(v, "version", PERIGEE_VERSION);
    if (v && !peri_map_put_time(v, "started_at", started_ms))
        peri_pipeline_announce(p, "system.Started", v, NULL);
    else
        peri_value_unref(v);
}

bool peri_news_stopping(struct peri_pipeline *p, const char *reason)
{
    struct peri_value *v = peri_value_map();
    put(v, "version", PERIGEE_VERSION);
    put(v, "reason", reason);
    bool heard = peri_pipeline_hears(p, "system.Stopping");
    peri_pipeline_announce(p, "system.Stopping", v, NULL);
    return heard;
}
