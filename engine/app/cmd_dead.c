/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/ledger_view.h"
#include "base/clock.h"
#include "base/str.h"
#include "io/store_ledger.h"

enum { KIND, RULE, CODE, SINCE, STATE, LIMIT, AFTER, ALL, NOTE };

static const struct argp_option options[] = {
    {"kind", PERI_OPTION(KIND), "KIND", 0, "of this kind: run, event, rule or drop", 0},
    {"rule", PERI_OPTION(RULE), "ID", 0, "of this rule", 0},
    {"code", PERI_OPTION(CODE), "CODE", 0, "with this error code", 0},
    {"since", PERI_OPTION(SINCE), "TIME", 0, "not older than this: a duration such as 2h, or a time", 0},
    {"state", PERI_OPTION(STATE), "STATE", 0, "list: open (default), resolved or all", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {"after", PERI_OPTION(AFTER), "ID", 0, "list: go on behind this one (older ones)", 0},
    {"all", PERI_OPTION(ALL), NULL, 0, "redrive, resolve: every open one", 0},
    {"note", PERI_OPTION(NOTE), "TEXT", 0, "resolve: why", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | redrive [ID] | resolve [ID]",
    "Dead letters: runs that failed and that nothing handled, events that were set aside, rules that could not decide, "
    "and "
    "runs that max_exceeded dropped. They are kept until somebody settles them. `redrive' lets them go once more, as a "
    "new run or "
    "event; `resolve' only marks them. Without an ID both take all that --kind, --rule, --code and --since say, or "
    "--all. "
    "redrive and resolve need the service.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"time", "TIME", 0}, {"kind", "KIND", 0},
    {"rule", "RULE", 30}, {"run", "RUN", 0}, {"event", "EVENT", 0}, {"code", "CODE", 24}, {"reason", "REASON", 60},
    {0}};

static const struct peri_ledger_options places = {KIND, -1, RULE, CODE, SINCE, STATE, LIMIT, AFTER, ALL, NOTE};

static enum peri_status read_dead(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_dead(reader, filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_ledger_filter filter;
    int code = peri_ledger_filter_read(cli, "dead", args, &places, &filter);
    if (code == PERI_EXIT_OK && args->value[AFTER] && !peri_dead_id_parse(args->value[AFTER], &filter.before))
        code = peri_cli_usage(cli, "dead", "--after takes an id such as dl-7");
    return code ? code : peri_cli_list(cli, read_dead, &filter, columns, "no dead letters");
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    uint64_t id;
    if (!peri_dead_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "dead", "\"%s\" is no id of a dead letter (they look like dl-7)", args->words[0]);
    return peri_cli_show(cli, "dead letter", args->words[0], id, peri_reader_dead_one, NULL);
}

static void print_failed(const struct peri_value *failed)
{
    for (size_t i = 0; i < peri_value_count(failed); i++)
        fprintf(stderr, "%s: %s\n", peri_map_text(peri_list_at(failed, i), "id"),
            peri_map_text(peri_list_at(failed, i), "message"));
}

/* A hundred at a time, until none is left that has not been tried. */
static int redrive_many(struct peri_cli *cli, struct peri_value *body)
{
    size_t made = 0, failed = 0;
    int code;
    bool more = true;
    do {
        struct peri_value *answer = NULL;
        code = peri_cli_change(cli, "POST", "/v1/dead/redrive", body, NULL, NULL, &answer);
        const struct peri_value *list = peri_map_at(answer, "made");
        for (size_t i = 0; i < peri_value_count(list) && !cli->json; i++)
            printf("%s\n", peri_value_text(peri_list_at(list, i)));
        made += peri_value_count(list);
        failed += peri_value_count(peri_map_at(answer, "failed"));
        print_failed(peri_map_at(answer, "failed"));
        more = code == PERI_EXIT_OK && peri_map_text(answer, "last") &&
               peri_map_put_text(body, "after", peri_map_text(answer, "last")) == PERI_OK;
        peri_value_unref(answer);
    } while (more);
    if (code == PERI_EXIT_OK && cli->json)
        printf("{\"made\":%zu,\"failed\":%zu}\n", made, failed);
    return code == PERI_EXIT_OK && failed ? PERI_EXIT_NO : code;
}

static int redrive(struct peri_cli *cli, const struct peri_args *args)
{
    if (args->count)
        return peri_ledger_change(cli, "dead", args->words[0], "redrive", args, &places);
    struct peri_value *body = NULL;
    int code = peri_ledger_body(cli, "dead", args, &places, &body);
    struct peri_clock clock = peri_clock_system();
    /* What comes back while this goes on is not sent a second time. */
    if (code == PERI_EXIT_OK && peri_map_put_time(body, "until", peri_clock_wall_ms(&clock)))
        code = PERI_EXIT_INTERNAL;
    if (code == PERI_EXIT_OK)
        code = redrive_many(cli, body);
    peri_value_unref(body);
    return code;
}

static int resolve(struct peri_cli *cli, const struct peri_args *args)
{
    return peri_ledger_change(cli, "dead", args->count ? args->words[0] : NULL, "resolve", args, &places);
}

int peri_cmd_dead(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"redrive", redrive, 0, 1, "an ID, or options"}, {"resolve", resolve, 0, 1, "an ID, or options"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "dead", verbs, &args);
}
