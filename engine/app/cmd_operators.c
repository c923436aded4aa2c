/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/call_view.h"
#include "app/commands.h"
#include "app/workbench.h"
#include "base/str.h"

enum { PARAMS, EVENT };

static const struct argp_option options[] = {
    {"params", PERI_OPTION(PARAMS), "JSON", 0, "call: the parameters (JSON, @FILE or -)", 0},
    {"event", PERI_OPTION(EVENT), "JSON", 0,
        "call: the payload of the event that it sees, or a whole CloudEvent (JSON, @FILE or -)", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | call ID",
    "Conditions and actions of the plugins. `call' runs one by hand, without the service: it reads the data of the "
    "state folder, "
    "keeps what it writes to itself, and leaves nothing behind; messages and HTTP requests are really sent.\v"
    "call prints {\"ok\":true,\"result\":...,\"usage\":{...}} or {\"ok\":false,\"error\":{...}}; exit code 1 when it "
    "failed. The result "
    "of a condition is {\"holds\":...,\"compared\":...}.\n\n"
    "  perigee operators call comms.missedCalls --params '{\"count\":3}'",
    options, 0, 2};

static const struct peri_column columns[] = {
    {"id", "ID", 0}, {"kind", "KIND", 0}, {"plugin", "PLUGIN", 0}, {"description", "DESCRIPTION", 80}, {0}};

/* Opens the bench; findings about plugins are told on standard error. */
static bool open_bench(struct peri_cli *cli, struct peri_workbench *bench, int *ret_code)
{
    struct peri_diag diag;
    struct peri_error err;
    *ret_code = PERI_EXIT_NO;
    if (!peri_cli_config(cli))
        return false;
    peri_diag_init(&diag);
    enum peri_status st = peri_workbench_open(bench, cli, &diag, &err);
    if (st)
        *ret_code = peri_cli_fail_error(cli, &err);
    peri_print_findings(cli, &diag, false);
    peri_diag_finish(&diag);
    return st == PERI_OK;
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_workbench bench = {0};
    struct peri_value *rows = NULL;
    int code;
    if (!open_bench(cli, &bench, &code))
        return code;
    if (peri_host_operators(bench.host, NULL, &rows))
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    else {
        peri_print_list(cli, rows, columns, "no operators");
        code = PERI_EXIT_OK;
    }
    peri_value_unref(rows);
    peri_workbench_close(&bench);
    return code;
}

static int no_operator(struct peri_cli *cli, struct peri_workbench *bench, const char *id)
{
    const char *near = peri_nearest(id, peri_host_operator_ids(bench->host));
    if (near)
        return peri_cli_fail(cli, PERI_EXIT_NO, "there is no operator \"%s\" (did you mean \"%s\"?)", id, near);
    return peri_cli_fail(cli, PERI_EXIT_NO, "there is no operator \"%s\"", id);
}

/* A parameter as a row of the table; NULL when memory is out. */
static struct peri_value *parameter_row(
    const struct peri_value *schema, const char *name, const struct peri_value *property)
{
    struct peri_value *row = peri_value_map();
    const struct peri_value *required = peri_map_at(schema, "required"), *choices = peri_map_at(property, "enum");
    bool needed = false;
    for (size_t i = 0; i < peri_value_count(required); i++)
        needed |= peri_streq(peri_value_text(peri_list_at(required, i)), name);
    enum peri_status st = row ? peri_map_put_text(row, "name", name) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = choices                         ? peri_map_put_ref(row, "type", choices)
             : peri_map_at(property, "type") ? peri_map_put_ref(row, "type", peri_map_at(property, "type"))
                                             : peri_map_put_text(row, "type", "any");
    if (st == PERI_OK)
        st = peri_map_put_text(row, "needed", needed ? "yes" : "");
    if (st == PERI_OK && peri_map_at(property, "default"))
        st = peri_map_put_ref(row, "default", peri_map_at(property, "default"));
    if (st == PERI_OK)
        st = peri_map_put_text(row, "meaning", peri_map_text(property, "description"));
    if (st == PERI_OK)
        return row;
    peri_value_unref(row);
    return NULL;
}

#define PARAMETERS_MAX 100

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_operator(const struct peri_value *v)
{
    static const struct peri_column parameters[] = {{"name", "PARAMETER", 0}, {"type", "TYPE", 40},
        {"needed", "REQUIRED", 0}, {"default", "DEFAULT", 20}, {"meaning", "MEANING", 0}, {0}};
    static const char *const keys[] = {"id", "kind", "plugin", "delivery", "description", NULL};
    const struct peri_value *schema = peri_map_at(v, "params"), *properties = peri_map_at(schema, "properties");
    struct peri_value *rows = peri_value_list();
    const char *names[PARAMETERS_MAX];
    for (size_t i = 0; keys[i]; i++)
        if (peri_map_text(v, keys[i])) {
            printf("%-12s ", keys[i]);
            peri_print_line(peri_map_text(v, keys[i]));
        }
    size_t n = 0;
    for (void *it = peri_map_first(properties); it && n < PARAMETERS_MAX; it = peri_map_next(properties, it))
        names[n++] = peri_map_key(it, NULL);
    qsort(names, n, sizeof(names[0]), by_name); /* Lua tables have no order */
    for (size_t i = 0; rows && i < n; i++)
        if (peri_list_push(rows, parameter_row(schema, names[i], peri_map_at(properties, names[i]))))
            break;
    putchar('\n');
    peri_print_table(rows, parameters, "no parameters");
    peri_value_unref(rows);
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_workbench bench = {0};
    struct peri_value *v = NULL;
    int code;
    if (!open_bench(cli, &bench, &code))
        return code;
    if (peri_host_operators(bench.host, args->words[0], &v)) {
        code = no_operator(cli, &bench, args->words[0]);
    } else {
        if (cli->json)
            peri_print_json(v);
        else
            print_operator(v);
        code = PERI_EXIT_OK;
    }
    peri_value_unref(v);
    peri_workbench_close(&bench);
    return code;
}

struct waiting {
    bool done, ok;
    struct peri_value *answer;
};

static void called(void *arg, const struct peri_call_result *result)
{
    struct waiting *w = arg;
    w->done = true;
    w->ok = result->status == PERI_OK;
    w->answer = peri_call_value(result);
}

static int call_by_hand(struct peri_cli *cli, struct peri_workbench *bench, const char *id,
    const struct peri_value *params, struct peri_event *event)
{
    struct waiting w = {0};
    struct peri_error err;
    struct peri_call call = {.operator_id = id, .params = params, .event = event};
    if (!peri_host_operator(bench->host, id))
        return no_operator(cli, bench, id);
    enum peri_status st = peri_host_call(bench->host, &call, called, &w, &err);
    if (st) {
        struct peri_call_result failed = {.status = st, .error = err};
        called(&w, &failed);
    }
    while (!w.done)
        peri_loop_once(bench->loop, 1000);
    if (w.answer)
        peri_print_json(w.answer);
    peri_value_unref(w.answer);
    return w.ok ? PERI_EXIT_OK : PERI_EXIT_NO;
}

static int call(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_workbench bench = {0};
    struct peri_value *params = NULL, *given = NULL;
    struct peri_event *event = NULL;
    struct peri_error err;
    int code;
    if (peri_cli_json("--params", args->value[PARAMS] ? args->value[PARAMS] : "{}", &params, &err) ||
        (args->value[EVENT] && peri_cli_json("--event", args->value[EVENT], &given, &err))) {
        peri_value_unref(params);
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    }
    if (open_bench(cli, &bench, &code)) {
        if (given && peri_call_event(given, peri_clock_wall_ms(&bench.clock), &event, &err))
            code = peri_cli_fail_error(cli, &err);
        else
            code = call_by_hand(cli, &bench, args->words[0], params, event);
        if (event)
            peri_event_unref(event);
        peri_workbench_close(&bench);
    }
    peri_value_unref(params);
    peri_value_unref(given);
    return code;
}

int peri_cmd_operators(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {
        {"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"}, {"call", call, 1, 1, "ID"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "operators", verbs, &args);
}
