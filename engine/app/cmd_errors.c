/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/ledger_view.h"
#include "base/str.h"

enum { KIND, OPERATOR, RULE, CODE, SINCE, STATE, LIMIT, AFTER, ALL, NOTE, BY };

static const struct argp_option options[] = {
    {"kind", PERI_OPTION(KIND), "KIND", 0, "of this kind: action, condition or plugin", 0},
    {"operator", PERI_OPTION(OPERATOR), "ID", 0, "of this operator", 0},
    {"rule", PERI_OPTION(RULE), "ID", 0, "of this rule", 0},
    {"code", PERI_OPTION(CODE), "CODE", 0, "with this error code", 0},
    {"since", PERI_OPTION(SINCE), "TIME", 0, "not older than this: a duration such as 2h, or a time", 0},
    {"state", PERI_OPTION(STATE), "STATE", 0, "list: open (default), resolved or all", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {"after", PERI_OPTION(AFTER), "ID", 0, "list: go on behind this one (older ones)", 0},
    {"all", PERI_OPTION(ALL), NULL, 0, "resolve: every open one", 0},
    {"note", PERI_OPTION(NOTE), "TEXT", 0, "resolve: why", 0},
    {"by", PERI_OPTION(BY), "UNIT", 0, "trends: hour (default) or day", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | stats | trends | resolve [ID]",
    "Every failed attempt of an action, every condition that could not be decided, every plugin that failed: the "
    "newest "
    "50,000 of them. `stats' counts them by operator and code, `trends' by hour or day; both remember 90 days, and "
    "look at the "
    "last day without --since. `resolve' without an ID takes all that the options say, or --all; it needs the service.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"time", "TIME", 0}, {"operator", "OPERATOR", 30},
    {"rule", "RULE", 30}, {"run", "RUN", 0}, {"attempt", "TRY", 0}, {"code", "CODE", 24}, {"message", "MESSAGE", 60},
    {0}};
static const struct peri_column stat_columns[] = {{"operator", "OPERATOR", 40}, {"code", "CODE", 30},
    {"count", "COUNT", 0}, {"open", "OPEN", 0}, {"last", "LAST", 0}, {"message", "MESSAGE", 60}, {0}};
static const struct peri_column trend_columns[] = {
    {"time", "FROM", 0}, {"count", "COUNT", 0}, {"operators", "OPERATORS", 80}, {0}};

static const struct peri_ledger_options places = {KIND, OPERATOR, RULE, CODE, SINCE, STATE, LIMIT, AFTER, ALL, NOTE};

static enum peri_status read_failures(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_failures(reader, filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_ledger_filter filter;
    int code = peri_ledger_filter_read(cli, "errors", args, &places, &filter);
    if (code == PERI_EXIT_OK && args->value[AFTER] && !peri_failure_id_parse(args->value[AFTER], &filter.before))
        code = peri_cli_usage(cli, "errors", "--after takes an id such as er-7");
    return code ? code : peri_cli_list(cli, read_failures, &filter, columns, "no errors");
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    uint64_t id;
    if (!peri_failure_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "errors", "\"%s\" is no id of an error (they look like er-7)", args->words[0]);
    return peri_cli_show(cli, "error", args->words[0], id, peri_reader_failure, NULL);
}

struct counting {
    int64_t since;
    bool by_day;
    const char *operator_id;
};

static enum peri_status read_stats(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    const struct counting *c = filter;
    return peri_reader_failure_stats(reader, c->since, ret, err);
}

static enum peri_status read_trends(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    const struct counting *c = filter;
    return peri_reader_failure_trends(reader, c->since, c->by_day, c->operator_id, ret, err);
}

static int count(
    struct peri_cli *cli, const struct peri_args *args, peri_cli_rows_fn read, const struct peri_column *shown)
{
    const char *by = args->value[BY], *since = args->value[SINCE];
    struct counting c = {.by_day = peri_streq(by, "day"), .operator_id = args->value[OPERATOR]};
    if (by && !peri_streq(by, "hour") && !c.by_day)
        return peri_cli_usage(cli, "errors", "--by takes hour or day");
    if (!peri_ledger_since(cli, since ? since : c.by_day ? "30d" : "1d", &c.since))
        return PERI_EXIT_USAGE;
    return peri_cli_list(cli, read, &c, shown, "no errors");
}

static int stats(struct peri_cli *cli, const struct peri_args *args)
{
    return count(cli, args, read_stats, stat_columns);
}

static int trends(struct peri_cli *cli, const struct peri_args *args)
{
    return count(cli, args, read_trends, trend_columns);
}

static int resolve(struct peri_cli *cli, const struct peri_args *args)
{
    return peri_ledger_change(cli, "errors", args->count ? args->words[0] : NULL, "resolve", args, &places);
}

int peri_cmd_errors(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"stats", stats, 0, 0, ""}, {"trends", trends, 0, 0, ""}, {"resolve", resolve, 0, 1, "an ID, or options"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "errors", verbs, &args);
}
