/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "base/str.h"
#include "io/store_runs.h"
#include "io/store_tasks.h"

enum { PARAMS, AT, AFTER, KEY, OPERATOR, STATE, LIMIT };

static const struct argp_option options[] = {
    {"params", PERI_OPTION(PARAMS), "JSON", 0, "create: its parameters; @FILE or - reads them", 0},
    {"at", PERI_OPTION(AT), "TIME", 0, "create: when, as an RFC 3339 time", 0},
    {"after", PERI_OPTION(AFTER), "DURATION", 0, "create: in how long, such as 2h (default: now)", 0},
    {"key", PERI_OPTION(KEY), "TEXT", 0, "create: makes a repeat the same task, and is the call's idempotency key", 0},
    {"operator", PERI_OPTION(OPERATOR), "ID", 0, "list: of this operator", 0},
    {"state", PERI_OPTION(STATE), "STATE", 0, "list: scheduled, running, done, failed, cancelled or unknown", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | create OPERATOR | cancel ID | retry ID",
    "One call of an action at a time, without a rule: it survives restarts, is tried again and becomes a dead letter "
    "as the step of a rule would. "
    "create, cancel and retry need the service.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"operator", "OPERATOR", 40}, {"state", "STATE", 0},
    {"at", "AT", 0}, {"run", "RUN", 0}, {"key", "KEY", 30}, {"error.message", "ERROR", 50}, {0}};

static enum peri_status read_tasks(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_tasks(reader, filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    struct peri_task_filter filter = {.op = args->value[OPERATOR], .state = args->value[STATE], .limit = (size_t)limit};
    return peri_cli_list(cli, read_tasks, &filter, columns, "no tasks");
}

static enum peri_status read_task(
    struct peri_reader *reader, uint64_t id, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_task(reader, id, ret, NULL, err);
}

static void print_task(const struct peri_value *task)
{
    peri_print_record(task);
    printf("(`perigee runs show %s' has its attempts)\n", peri_map_text(task, "run"));
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    uint64_t id;
    if (!peri_task_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "tasks", "\"%s\" is no task id (they look like task-7)", args->words[0]);
    return peri_cli_show(cli, "task", args->words[0], id, read_task, print_task);
}

static int send(struct peri_cli *cli, const char *path, const struct peri_value *body)
{
    struct peri_value *answer = NULL;
    int code = peri_cli_change(cli, "POST", path, body, NULL, NULL, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK)
        printf("%s%s\n", peri_map_text(answer, "id") ? peri_map_text(answer, "id") : "done",
            peri_map_bool(answer, "duplicate", false) ? " (there already)" : "");
    peri_value_unref(answer);
    return code;
}

static int create(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *body = peri_value_map(), *params = NULL;
    struct peri_error err;
    int code = PERI_EXIT_OK;
    if (args->value[PARAMS] && peri_cli_json("--params", args->value[PARAMS], &params, &err)) {
        peri_value_unref(body);
        return peri_cli_usage(cli, "tasks", "%s", err.message);
    }
    bool bad = !body || peri_map_put_text(body, "operator", args->words[0]) ||
               peri_map_put_text(body, "at", args->value[AT]) || peri_map_put_text(body, "after", args->value[AFTER]) ||
               peri_map_put_text(body, "key", args->value[KEY]) || (params && peri_map_put_ref(body, "params", params));
    code = bad ? PERI_EXIT_INTERNAL : send(cli, "/v1/tasks", body);
    peri_value_unref(params);
    peri_value_unref(body);
    return code;
}

static int change(struct peri_cli *cli, const char *id, const char *verb)
{
    uint64_t number;
    if (!peri_task_id_parse(id, &number))
        return peri_cli_usage(cli, "tasks", "\"%s\" is no task id (they look like task-7)", id);
    struct peri_value *body = peri_value_map();
    char *path = peri_asprintf("/v1/tasks/%s/%s", id, verb);
    int code = body && path ? send(cli, path, body) : PERI_EXIT_INTERNAL;
    free(path);
    peri_value_unref(body);
    return code;
}

static int cancel(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "cancel");
}

static int retry(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "retry");
}

int peri_cmd_tasks(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"create", create, 1, 1, "OPERATOR"}, {"cancel", cancel, 1, 1, "ID"}, {"retry", retry, 1, 1, "ID"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "tasks", verbs, &args);
}
