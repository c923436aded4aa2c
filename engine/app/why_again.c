/* SPDX-License-Identifier: Apache-2.0 */
#include "app/why_again.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/backtest.h"
#include "app/event_file.h"
#include "app/privacy.h"
#include "app/rulebook.h"
#include "app/why_silent.h"
#include "base/str.h"
#include "data/json.h"
#include "run/verdicts_read.h"

struct asking {
    struct peri_cli *cli;
    struct peri_backtest_stage stage;
    struct peri_rulebook *book;
    struct peri_rule *rule; /* borrow */
    struct peri_backtest test;
    peri_why_print print;
    const char *path; /* NULL: a stored event */
    size_t asked;
    int code;
};

static int begin(struct asking *a, const char *id, struct peri_error *err)
{
    struct peri_diag diag;
    peri_diag_init(&diag);
    int code = PERI_EXIT_OK;
    if (peri_backtest_stage_open(&a->stage, a->cli, &diag, err)) {
        peri_diag_finish(&diag);
        return peri_cli_fail_error(a->cli, err);
    }
    a->book = peri_rulebook_create((const char *const *)a->cli->config.rules);
    if (!a->book || peri_rulebook_load(a->book, &a->stage.bench.env, &diag))
        code = peri_cli_fail(a->cli, PERI_EXIT_INTERNAL, "out of memory");
    const struct peri_rule_list *rules = code ? NULL : peri_rulebook_rules(a->book);
    for (size_t i = 0; rules && i < rules->count; i++)
        if (peri_streq(rules->items[i]->id, id))
            a->rule = rules->items[i];
    if (rules && !a->rule)
        code = peri_why_no_rule(a->cli, rules, id, diag.errors);
    peri_diag_finish(&diag);
    return code;
}

static void end(struct asking *a)
{
    peri_backtest_close(&a->test);
    peri_rulebook_destroy(a->book);
    peri_backtest_stage_close(&a->stage);
}

/* This world has the event alone; the entities that it names are in the other. */
static enum peri_status hide(struct asking *a, uint64_t seq, struct peri_value **list, struct peri_error *err)
{
    struct peri_privacy *privacy = NULL;
    if (a->cli->show_personal && a->stage.recorded)
        return peri_cli_hide(a->cli, a->stage.recorded, seq, list, err);
    enum peri_status st = peri_privacy_here(a->cli, a->stage.bench.host, a->stage.recorded, &privacy, err);
    if (!st)
        st = peri_privacy_hide_by(privacy, a->test.reader, a->stage.recorded, seq, list, err);
    peri_privacy_destroy(privacy);
    return st;
}

/* Data of which only a newer value is there is named, so that nobody takes the verdict for that of then. */
static enum peri_status tell_changed(struct asking *a, struct peri_value *verdict, struct peri_error *err)
{
    struct peri_value *list = peri_value_list();
    bool good = list != NULL;
    for (void *it = peri_map_first(a->stage.changed); it && good; it = peri_map_next(a->stage.changed, it))
        good = peri_list_push(list, peri_value_str(peri_map_key(it, NULL))) == PERI_OK;
    if (good && peri_value_count(list) > 0)
        good = peri_map_put_ref(verdict, "data_of_now", list) == PERI_OK;
    peri_value_unref(list);
    return good ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status tell(
    struct asking *a, const char *name, const struct peri_event *event, uint64_t seq, struct peri_error *err)
{
    struct peri_value *list = NULL;
    enum peri_status st = peri_verdicts_read(a->test.reader, seq, a->rule->id, &list, err);
    int code = PERI_EXIT_NO;
    if (!st)
        st = hide(a, seq, &list, err);
    struct peri_value *verdict = peri_value_copy(peri_list_at(list, 0));
    peri_map_drop(verdict, "run"); /* of this world, that ends here */
    if (!st && verdict)
        st = tell_changed(a, verdict, err);
    struct peri_value *data = NULL;
    (void)!peri_json_parse(event->data, event->data_len, &data, NULL);
    if (st == PERI_OK && verdict)
        code = a->print(a->cli, name, verdict, data);
    else if (st == PERI_OK)
        code = peri_why_not_heard(a->cli, a->rule, name, event->type);
    a->code = a->code ? a->code : code;
    peri_value_unref(data);
    peri_value_unref(verdict);
    peri_value_unref(list);
    return st;
}

/* One world for all: but each event finds nothing remembered, as it begins anew. */
static enum peri_status ask(
    struct asking *a, const char *name, const struct peri_event *event, uint64_t original, struct peri_error *err)
{
    struct peri_rule_list only = {.items = &a->rule, .count = 1};
    peri_backtest_close(&a->test);
    enum peri_status st = peri_backtest_open(&a->test, &a->stage, &only, event->received_ms, err);
    if (st == PERI_OK)
        st = peri_backtest_send(&a->test, event, original, err);
    return st ? st : tell(a, name, event, 1, err); /* the first event of a new store */
}

static enum peri_status ask_line(void *arg, struct peri_event *event)
{
    struct asking *a = arg;
    struct peri_error err = {0};
    char name[300];
    snprintf(name, sizeof(name), a->asked ? "%.250s (%zu)" : "%.250s", a->path, a->asked + 1);
    if (peri_streq(a->path, "-"))
        snprintf(name, sizeof(name), a->asked ? "standard input (%zu)" : "standard input", a->asked + 1);
    a->asked++;
    enum peri_status st = ask(a, name, event, 0, &err);
    if (st)
        a->code = peri_cli_fail_error(a->cli, &err);
    return st;
}

int peri_why_file(struct peri_cli *cli, const char *rule, const char *path, peri_why_print print)
{
    struct asking a = {.cli = cli, .print = print, .path = path};
    struct peri_error err = {0};
    struct peri_clock system = peri_clock_system();
    int code = begin(&a, rule, &err);
    if (code == PERI_EXIT_OK && peri_event_file_read(path, peri_clock_wall_ms(&system), ask_line, &a, &err) && !a.code)
        code = peri_cli_fail_error(cli, &err);
    else if (code == PERI_EXIT_OK && a.asked == 0)
        code = peri_cli_fail(cli, PERI_EXIT_NO, "there is no event in %s", path);
    end(&a);
    return code ? code : a.code;
}

int peri_why_stored(struct peri_cli *cli, const char *rule, uint64_t seq, peri_why_print print)
{
    struct asking a = {.cli = cli, .print = print};
    struct peri_error err = {0};
    struct peri_event *event = NULL;
    char id[PERI_ID_TEXT];
    int code = begin(&a, rule, &err);
    if (code == PERI_EXIT_OK && !a.stage.recorded)
        code = peri_cli_fail(cli, PERI_EXIT_NO, "there are no events yet");
    if (code == PERI_EXIT_OK &&
        (peri_reader_event(a.stage.recorded, seq, &event, &err) || ask(&a, peri_event_id(seq, id), event, seq, &err)))
        code = peri_cli_fail_error(cli, &err);
    peri_event_unref(event);
    end(&a);
    return code ? code : a.code;
}
