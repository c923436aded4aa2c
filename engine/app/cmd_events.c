/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/privacy.h"
#include "app/run_view.h"
#include "base/str.h"
#include "io/store_events.h"
#include "run/verdicts_read.h"

enum { TYPE, SOURCE, LIMIT, AFTER, RULE };

static const struct argp_option options[] = {
    {"type", PERI_OPTION(TYPE), "GLOB", 0, "list: only events of this type", 0},
    {"source", PERI_OPTION(SOURCE), "SOURCE", 0, "list: only events of this source", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {"after", PERI_OPTION(AFTER), "ID", 0, "list: go on behind this event (older ones)", 0},
    {"rule", PERI_OPTION(RULE), "RULE", 0, "replay: only this rule hears it", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | replay ID...",
    "The journal of accepted events. `list' prints the newest first, `show' one event with the verdict of every rule "
    "that "
    "could have heard it, `replay' runs the rules again with a recorded event (new run ids, marked as replay; needs "
    "the service).",
    options, 0, PERI_ARGS_MAX - 1};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"received", "RECEIVED", 0}, {"type", "TYPE", 40},
    {"source", "SOURCE", 30}, {"state", "STATE", 0}, {"data", "DATA", 60}, {0}};

static enum peri_status read_events(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_events(reader, filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_event_filter filter = {.type = args->value[TYPE], .source = args->value[SOURCE]};
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    if (args->value[AFTER] && !peri_event_id_parse(args->value[AFTER], &filter.before))
        return peri_cli_usage(cli, "events", "--after takes an event id such as ev-12");
    filter.limit = (size_t)limit;
    return peri_cli_list(cli, read_events, &filter, columns, "no events");
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_reader *reader;
    struct peri_value *event = NULL, *verdicts = NULL;
    struct peri_error err;
    uint64_t seq;
    if (!peri_event_id_parse(args->words[0], &seq))
        return peri_cli_usage(cli, "events", "\"%s\" is no event id (they look like ev-12)", args->words[0]);
    int code = peri_cli_reader(cli, &reader);
    if (code)
        return code;
    enum peri_status st = reader ? peri_reader_event_value(reader, seq, &event, &err)
                                 : peri_error_set(&err, PERI_ENOTFOUND, NULL, "there is no event %s", args->words[0]);
    if (st == PERI_OK)
        st = peri_verdicts_read(reader, seq, NULL, &verdicts, &err);
    if (st == PERI_OK)
        st = peri_cli_hide(cli, reader, seq, &verdicts, &err);
    if (st == PERI_OK)
        st = peri_cli_hide(cli, reader, seq, &event, &err);
    if (st == PERI_OK && cli->json)
        st = peri_map_put_ref(event, "verdicts", verdicts);
    if (st)
        code = peri_cli_fail_error(cli, &err);
    else if (cli->json)
        peri_print_json(event);
    else
        peri_print_event(event, verdicts);
    peri_value_unref(event);
    peri_value_unref(verdicts);
    peri_reader_close(reader);
    return code;
}

static int replay_one(struct peri_cli *cli, struct peri_client *client, const char *id, const struct peri_value *body)
{
    struct peri_value *answer = NULL;
    struct peri_error err;
    uint64_t seq;
    if (!peri_event_id_parse(id, &seq))
        return peri_cli_usage(cli, "events", "\"%s\" is no event id (they look like ev-12)", id);
    char *path = peri_asprintf("/v1/events/%s/replay", id);
    enum peri_status st = path ? peri_client_call(client, "POST", path, body, &answer, &err) : peri_error_nomem(&err);
    free(path);
    if (st)
        return peri_client_fail(cli, &err);
    if (cli->json)
        peri_print_json(answer);
    else
        printf("%s again as %s\n", id, peri_map_text(answer, "id"));
    peri_value_unref(answer);
    return PERI_EXIT_OK;
}

static int replay(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_client *client;
    struct peri_error err;
    struct peri_value *body = peri_value_map();
    if (!body || peri_map_put_text(body, "rule", args->value[RULE]))
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    int code = PERI_EXIT_OK;
    if (!peri_cli_config(cli)) {
        code = PERI_EXIT_NO;
    } else if (peri_client_open(cli, &client, &err)) {
        code = peri_client_fail(cli, &err);
    } else {
        for (size_t i = 0; code == PERI_EXIT_OK && i < args->count; i++)
            code = replay_one(cli, client, args->words[i], body);
        peri_client_close(client);
    }
    peri_value_unref(body);
    return code;
}

int peri_cmd_events(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {
        {"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"}, {"replay", replay, 1, PERI_ARGS_MAX, "ID..."}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "events", verbs, &args);
}
