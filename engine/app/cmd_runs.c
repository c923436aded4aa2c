/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/run_view.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_events.h"
#include "io/store_runs.h"
#include "io/store_waits.h"

enum { RULE, STATE, EVENT, LIMIT, AFTER, STEP };

static const struct argp_option options[] = {
    {"rule", PERI_OPTION(RULE), "ID", 0, "list: only runs of this rule", 0},
    {"state", PERI_OPTION(STATE), "STATE", 0,
        "list: ready, running, sleeping, waiting, paused, unknown, succeeded, failed, cancelled, live or dead", 0},
    {"event", PERI_OPTION(EVENT), "ID", 0, "list: only runs of this event", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {"after", PERI_OPTION(AFTER), "ID", 0, "list: go on behind this run (older ones)", 0},
    {"step", PERI_OPTION(STEP), "STEP", 0, "approve: id or number of the step, when several wait", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | retry ID | cancel ID | pause ID | resume ID|all | "
                                             "resolve ID done|again|fail | approve [ID [ANSWER]]",
    "What rules did. `show' prints every step with its parameters as rendered, its result, attempts and times. `retry' "
    "makes a new "
    "run of the same rule and event; `pause' holds a run before its next step (a call that is under way ends first), "
    "`resume' lets it go on, also one "
    "that `perigee recover' has paused; `resolve' says of a "
    "run in state unknown whether its last step was done, is to be "
    "sent again, or failed. "
    "`approve' lists what waits for a person, or answers it: with JSON, a text, or true when nothing is said. "
    "retry, cancel, pause, resume, resolve and answers need the service.",
    options, 0, 3};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"rule", "RULE", 40}, {"event", "EVENT", 0},
    {"state", "STATE", 0}, {"created", "CREATED", 0}, {"ended", "ENDED", 0}, {"waiting.code", "WAITS FOR", 0},
    {"wake", "UNTIL", 0}, {"error.message", "ERROR", 50}, {0}};

static enum peri_status read_runs(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_runs(reader, filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_run_filter filter = {.rule = args->value[RULE], .state = args->value[STATE]};
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    if (args->value[AFTER] && !peri_run_id_parse(args->value[AFTER], &filter.before))
        return peri_cli_usage(cli, "runs", "--after takes a run id such as run-7");
    if (args->value[EVENT] && !peri_event_id_parse(args->value[EVENT], &filter.event))
        return peri_cli_usage(cli, "runs", "--event takes an event id such as ev-12");
    filter.limit = (size_t)limit;
    return peri_cli_list(cli, read_runs, &filter, columns, "no runs");
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    uint64_t id;
    if (!peri_run_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "runs", "\"%s\" is no run id (they look like run-7)", args->words[0]);
    return peri_cli_show(cli, "run", args->words[0], id, peri_reader_run, peri_print_run);
}

static int change(struct peri_cli *cli, const char *id, const char *verb, const char *decision)
{
    struct peri_value *body = peri_value_map(), *answer = NULL;
    uint64_t number;
    if (!peri_run_id_parse(id, &number))
        return peri_cli_usage(cli, "runs", "\"%s\" is no run id (they look like run-7)", id);
    char *path = peri_asprintf("/v1/runs/%s/%s", id, verb);
    int code = PERI_EXIT_INTERNAL;
    if (body && path && peri_map_put_text(body, "decision", decision) == PERI_OK)
        code = peri_cli_change(cli, "POST", path, body, NULL, NULL, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK)
        printf("%s\n", peri_map_text(answer, "id") ? peri_map_text(answer, "id") : "done");
    free(path);
    peri_value_unref(body);
    peri_value_unref(answer);
    return code;
}

static int retry(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "retry", NULL);
}

static int cancel(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "cancel", NULL);
}

static int pause_one(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "pause", NULL);
}

/* The oldest first, as they would have gone on. */
static int resume_all(struct peri_cli *cli)
{
    struct peri_run_filter filter = {.state = "paused", .limit = 1000};
    int code = PERI_EXIT_OK;
    for (bool more = true; more && code == PERI_EXIT_OK;) {
        struct peri_reader *reader;
        struct peri_value *rows = NULL;
        struct peri_error err;
        code = peri_cli_reader(cli, &reader);
        if (code == PERI_EXIT_OK && reader && peri_reader_runs(reader, &filter, &rows, &err))
            code = peri_cli_fail_error(cli, &err);
        peri_reader_close(reader);
        size_t n = peri_value_count(rows);
        more = n > 0;
        for (size_t i = n; i > 0 && code == PERI_EXIT_OK; i--)
            code = change(cli, peri_map_text(peri_list_at(rows, i - 1), "id"), "resume", NULL);
        peri_value_unref(rows);
    }
    return code;
}

static int resume(struct peri_cli *cli, const struct peri_args *args)
{
    return peri_streq(args->words[0], "all") ? resume_all(cli) : change(cli, args->words[0], "resume", NULL);
}

static int resolve(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "resolve", args->words[1]);
}

static const struct peri_column approval_columns[] = {{"id", "ID", 0}, {"rule", "RULE", 40}, {"step", "STEP", 0},
    {"n", "N", 0}, {"since", "SINCE", 0}, {"until", "UNTIL", 0}, {"prompt", "PROMPT", 60}, {0}};

static enum peri_status read_approvals(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_approvals(reader, 0, 1000, ret, err);
}

static int list_approvals(struct peri_cli *cli)
{
    return peri_cli_list(cli, read_approvals, NULL, approval_columns, "nothing waits for an answer");
}

/* JSON, or a text as it is. */
static struct peri_value *read_answer(const char *word)
{
    struct peri_value *v = NULL;
    if (!word)
        return peri_value_bool(true);
    return peri_json_parse(word, strlen(word), &v, NULL) == PERI_OK ? v : peri_value_str(word);
}

static int approve(struct peri_cli *cli, const struct peri_args *args)
{
    uint64_t number;
    if (!args->words[0])
        return list_approvals(cli);
    const char *id = args->words[0];
    if (!peri_run_id_parse(id, &number))
        return peri_cli_usage(cli, "runs", "\"%s\" is no run id (they look like run-7)", id);
    struct peri_value *body = peri_value_map(), *answer = NULL;
    char *path = peri_asprintf("/v1/runs/%s/approve", id);
    int code = PERI_EXIT_INTERNAL;
    if (body && path && !peri_map_put_text(body, "step", args->value[STEP]) &&
        !peri_map_put(body, "answer", read_answer(args->words[1])))
        code = peri_cli_change(cli, "POST", path, body, NULL, NULL, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK)
        printf("%s\n", peri_map_text(answer, "id") ? peri_map_text(answer, "id") : "done");
    free(path);
    peri_value_unref(body);
    peri_value_unref(answer);
    return code;
}

int peri_cmd_runs(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"retry", retry, 1, 1, "ID"}, {"cancel", cancel, 1, 1, "ID"}, {"pause", pause_one, 1, 1, "ID"},
        {"resume", resume, 1, 1, "ID or all"}, {"resolve", resolve, 2, 2, "ID and one of done, again, fail"},
        {"approve", approve, 0, 2, "ID and an answer"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "runs", verbs, &args);
}
