/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/run_view.h"
#include "base/buf.h"
#include "base/str.h"
#include "lang/duration.h"

enum { ID, SOURCE, SUBJECT, TIME, WAIT };

static const struct argp_option options[] = {
    {"id", PERI_OPTION(ID), "ID", 0, "the sender's id: the same (source, id) again is accepted once", 0},
    {"source", PERI_OPTION(SOURCE), "SOURCE", 0, "where it comes from (default: cli)", 0},
    {"subject", PERI_OPTION(SUBJECT), "TEXT", 0, "what it is about", 0},
    {"time", PERI_OPTION(TIME), "TIME", 0, "when it happened, RFC 3339 (default: now)", 0},
    {"wait", PERI_OPTION(WAIT), "SECONDS", OPTION_ARG_OPTIONAL,
        "waits for its runs to end (30 seconds unless given) and prints them", 0},
    {0},
};
static const struct peri_usage_text usage = {"TYPE [JSON|@FILE|-]",
    "Sends an event of TYPE with the payload JSON (default {}) to the running service and prints its id.\v"
    "With --wait the exit code is 1 when a run failed or has not ended in time.",
    options, 1, 2};

static enum peri_status post(struct peri_client *client, const struct peri_args *args, const struct peri_value *data,
    struct peri_value **ret, struct peri_error *err)
{
    static const char *const names[] = {"id", "source", "subject", "time"};
    struct peri_buf path;
    peri_buf_init(&path, 8192);
    peri_buf_puts(&path, "/v1/events?type=");
    peri_url_encode(&path, args->words[0]);
    for (size_t i = 0; i < 4; i++) {
        const char *value = args->value[i] ? args->value[i] : i == SOURCE ? "cli" : NULL;
        if (!value)
            continue;
        peri_buf_printf(&path, "&%s=", names[i]);
        peri_url_encode(&path, value);
    }
    enum peri_status st = path.failed ? peri_error_set(err, PERI_EINVAL, NULL, "the arguments are too long")
                                      : peri_client_call(client, "POST", peri_buf_text(&path), data, ret, err);
    peri_buf_finish(&path);
    return st;
}

/* Asks until the event is matched and its runs have ended, or the time is up. */
static enum peri_status wait_for(
    struct peri_client *client, const char *id, long long seconds, struct peri_value **ret_runs, struct peri_error *err)
{
    struct peri_clock clock = peri_clock_system();
    int64_t until = peri_clock_mono(&clock).ns + seconds * 1000000000LL;
    char *event_path = peri_asprintf("/v1/events/%s", id),
         *runs_path = peri_asprintf("/v1/runs?limit=1000&event=%s", id);
    enum peri_status st = event_path && runs_path ? PERI_OK : peri_error_nomem(err);
    bool ended = false;
    *ret_runs = NULL;
    while (st == PERI_OK && !ended) {
        struct peri_value *event = NULL, *runs = NULL;
        st = peri_client_call(client, "GET", event_path, NULL, &event, err);
        if (st == PERI_OK)
            st = peri_client_call(client, "GET", runs_path, NULL, &runs, err);
        if (st == PERI_OK) {
            struct peri_value *items = peri_map_at(runs, "items");
            ended = !peri_streq(peri_map_text(event, "state"), "journaled");
            for (size_t i = 0; i < peri_value_count(items); i++)
                ended &= peri_map_at(peri_list_at(items, i), "ended") != NULL;
            peri_value_unref(*ret_runs);
            *ret_runs = peri_value_ref(items);
        }
        peri_value_unref(event);
        peri_value_unref(runs);
        if (ended || peri_clock_mono(&clock).ns >= until)
            break;
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    free(event_path);
    free(runs_path);
    return st;
}

static int print_runs(struct peri_cli *cli, struct peri_client *client, const char *id, const struct peri_value *runs,
    const struct peri_value *answer)
{
    bool good = true;
    struct peri_value *full = peri_value_list(), *doc = peri_value_map();
    for (size_t i = 0; full && i < peri_value_count(runs); i++) {
        struct peri_value *run = NULL;
        struct peri_error err;
        char *path = peri_asprintf("/v1/runs/%s", peri_map_text(peri_list_at(runs, i), "id"));
        if (path && peri_client_call(client, "GET", path, NULL, &run, &err) == PERI_OK)
            good &= peri_streq(peri_map_text(run, "state"), "succeeded");
        else
            good = false;
        if (run && peri_list_push(full, run))
            good = false;
        free(path);
    }
    if (cli->json) {
        if (doc && peri_map_put_text(doc, "id", id) == PERI_OK &&
            peri_map_put_bool(doc, "duplicate", peri_map_bool(answer, "duplicate", false)) == PERI_OK &&
            peri_map_put_ref(doc, "runs", full) == PERI_OK)
            peri_print_json(doc);
    } else {
        if (peri_value_count(full) == 0)
            printf("no rule ran; `perigee events show %s' says why\n", id);
        for (size_t i = 0; i < peri_value_count(full); i++)
            peri_print_run(peri_list_at(full, i));
    }
    peri_value_unref(doc);
    peri_value_unref(full);
    return good ? PERI_EXIT_OK : PERI_EXIT_NO;
}

static int emit(
    struct peri_cli *cli, struct peri_client *client, const struct peri_args *args, const struct peri_value *data)
{
    struct peri_value *answer = NULL, *runs = NULL;
    struct peri_error err;
    long long seconds = 30;
    if (args->value[WAIT] && *args->value[WAIT] &&
        !peri_cli_number(cli, "--wait", args->value[WAIT], 1, 86400, 30, &seconds))
        return PERI_EXIT_USAGE;
    if (post(client, args, data, &answer, &err))
        return peri_client_fail(cli, &err);
    const char *id = peri_map_text(answer, "id");
    int code = PERI_EXIT_OK;
    if (!id) {
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "the service gave no event id");
    } else if (args->value[WAIT]) {
        if (!cli->json)
            printf("%s%s\n", id, peri_map_bool(answer, "duplicate", false) ? " (a duplicate: accepted before)" : "");
        code = wait_for(client, id, seconds, &runs, &err) ? peri_client_fail(cli, &err)
                                                          : print_runs(cli, client, id, runs, answer);
    } else if (cli->json) {
        peri_print_json(answer);
    } else {
        printf("%s%s\n", id, peri_map_bool(answer, "duplicate", false) ? " (a duplicate: accepted before)" : "");
    }
    peri_value_unref(runs);
    peri_value_unref(answer);
    return code;
}

int peri_cmd_emit(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_client *client;
    struct peri_value *data = NULL;
    struct peri_error err;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (peri_cli_json("the payload", args.count > 1 ? args.words[1] : "{}", &data, &err))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    int code;
    if (peri_client_open(cli, &client, &err)) {
        code = peri_client_fail(cli, &err);
    } else {
        code = emit(cli, client, &args, data);
        peri_client_close(client);
    }
    peri_value_unref(data);
    return code;
}
