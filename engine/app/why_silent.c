/* SPDX-License-Identifier: Apache-2.0 */
#include "app/why_silent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/rulebook.h"
#include "app/workbench.h"
#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "lang/glob.h"

static const struct peri_rule *find(const struct peri_rule_list *rules, const char *id)
{
    for (size_t i = 0; i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id))
            return rules->items[i];
    return NULL;
}

int peri_why_no_rule(struct peri_cli *cli, const struct peri_rule_list *rules, const char *id, size_t errors)
{
    char hint[160] = "", broken[96] = "";
    const char **ids = calloc(rules->count + 1, sizeof(*ids)), *near = NULL;
    for (size_t i = 0; ids && i < rules->count; i++) {
        ids[i] = rules->items[i]->id;
        if (peri_streq(rules->items[i]->name, id))
            near = ids[i];
    }
    if (ids && !near)
        near = peri_nearest(id, ids);
    if (near)
        snprintf(hint, sizeof(hint), " (did you mean \"%s\"?)", near);
    if (errors)
        snprintf(broken, sizeof(broken), "; the rule files have %zu error%s: see `perigee check'", errors,
            errors == 1 ? "" : "s");
    free(ids);
    return peri_cli_fail(cli, PERI_EXIT_NO, "there is no rule \"%s\"%s%s", id, hint, broken);
}

static bool is_disabled(struct peri_reader *reader, const char *id)
{
    char *text = NULL;
    struct peri_value *map = NULL;
    struct peri_error err;
    bool disabled = peri_reader_meta(reader, "rules.disabled", &text, &err) == PERI_OK &&
                    peri_json_parse(text, strlen(text), &map, NULL) == PERI_OK && peri_map_at(map, id);
    free(text);
    peri_value_unref(map);
    return disabled;
}

/* "a.B, c.* and schedules"; true when one of them is type. */
static bool what_it_hears(const struct peri_rule *rule, const char *type, struct peri_buf *out)
{
    bool hears = false;
    for (size_t i = 0; i < rule->trigger_count; i++) {
        const struct peri_trigger *t = &rule->triggers[i];
        const char *event;
        for (size_t k = 0; (event = peri_trigger_hears(t, k, NULL)) != NULL; k++) {
            hears = hears || (type && peri_glob_match(event, type));
            peri_buf_printf(out, "%s%s", i || k ? ", " : "", event);
        }
        if (t->kind == PERI_TRIGGER_SCHEDULE)
            peri_buf_printf(out, "%s%s", i ? ", " : "", "its schedule");
    }
    return hears;
}

int peri_why_not_heard(struct peri_cli *cli, const struct peri_rule *rule, const char *event, const char *type)
{
    struct peri_buf hears;
    peri_buf_init(&hears, 1024);
    (void)what_it_hears(rule, type, &hears);
    int code = peri_cli_fail(
        cli, PERI_EXIT_NO, "the rule \"%s\" hears %s; %s is a %s", rule->id, peri_buf_text(&hears), event, type);
    peri_buf_finish(&hears);
    return code;
}

static int about_event(
    struct peri_cli *cli, struct peri_reader *reader, const struct peri_rule *rule, const char *event)
{
    uint64_t seq = 0;
    struct peri_event *e = NULL;
    struct peri_error err;
    struct peri_buf hears;
    int code;
    if (event && (!peri_event_id_parse(event, &seq) || peri_reader_event(reader, seq, &e, &err)))
        return peri_cli_fail_error(cli, &err);
    peri_buf_init(&hears, 1024);
    bool heard = what_it_hears(rule, e ? e->type : NULL, &hears);
    const char *list = peri_buf_text(&hears);
    if (!e)
        code = peri_cli_fail(
            cli, PERI_EXIT_NO, "the rule \"%s\" hears %s: nothing of that is among the latest events", rule->id, list);
    else if (!heard)
        code = peri_cli_fail(cli, PERI_EXIT_NO, "the rule \"%s\" hears %s; %s is a %s", rule->id, list, event, e->type);
    else
        code = peri_cli_fail(cli, PERI_EXIT_NO,
            "the rule \"%s\" was not loaded, or was another one, when %s came; `perigee why %s --event %s --again' "
            "says "
            "what it would do now, `perigee events replay %s' lets it hear the event",
            rule->id, event, rule->id, event, event);
    peri_buf_finish(&hears);
    peri_event_unref(e);
    return code;
}

int peri_why_silent(struct peri_cli *cli, struct peri_reader *reader, const char *id, const char *event)
{
    struct peri_workbench bench = {0};
    struct peri_error err;
    struct peri_diag diag;
    struct peri_rulebook *book = NULL;
    int code;
    peri_diag_init(&diag);
    if (peri_workbench_open(&bench, cli, &diag, &err)) {
        peri_diag_finish(&diag);
        return peri_cli_fail_error(cli, &err);
    }
    book = peri_rulebook_create((const char *const *)cli->config.rules);
    if (!book || peri_rulebook_load(book, &bench.env, &diag)) {
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
        goto out;
    }
    const struct peri_rule *rule = find(peri_rulebook_rules(book), id);
    if (!rule)
        code = peri_why_no_rule(cli, peri_rulebook_rules(book), id, diag.errors);
    else if (!rule->enabled)
        code = peri_cli_fail(cli, PERI_EXIT_NO, "the rule \"%s\" is switched off: `enabled: false' in %s:%d", id,
            rule->place.file, rule->place.line);
    else if (is_disabled(reader, id))
        code = peri_cli_fail(
            cli, PERI_EXIT_NO, "the rule \"%s\" is disabled: `perigee rules enable %s' lets it hear events", id, id);
    else
        code = about_event(cli, reader, rule, event);
out:
    peri_rulebook_destroy(book);
    peri_workbench_close(&bench);
    peri_diag_finish(&diag);
    return code;
}
