/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/graph_view.h"
#include "app/rule_view.h"
#include "app/rulebook.h"
#include "app/workbench.h"
#include "base/str.h"

enum { DOT };

static const struct argp_option options[] = {
    {"dot", PERI_OPTION(DOT), 0, 0, "graph: as a document for Graphviz", 0},
    {0},
};

static const struct peri_usage_text usage = {"list | show ID | enable ID | disable ID | reload | graph | webhooks",
    "The rules. With a running service `list' and `show' print what it runs; without one they read the rule folders. "
    "`disable' keeps a rule from hearing events until `enable', also over restarts; `reload' reads "
    "the rule folders now instead of within a second (both need the service). `graph' reads the rule folders and shows "
    "which rule emits what which rule hears, cycles, "
    "and the rules that nothing is known to start. `webhooks' (with the service) shows the doors of rules, and who was "
    "let in.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 40}, {"name", "NAME", 40}, {"enabled", "ENABLED", 0},
    {"hears", "HEARS", 40}, {"place", "PLACE", 60}, {0}};

/* Adds what only the table shows. */
static void decorate(struct peri_value *rows)
{
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        struct peri_value *row = peri_list_at(rows, i), *triggers = peri_map_at(row, "triggers"),
                          *hears = peri_value_list();
        for (size_t k = 0; hears && k < peri_value_count(triggers); k++) {
            const char *event = peri_map_text(peri_list_at(triggers, k), "event");
            if (peri_list_push(hears, peri_value_str(event ? event : "(schedule)")))
                break;
        }
        char *place = peri_asprintf("%s:%lld", peri_map_text(row, "file"), (long long)peri_map_int(row, "line", 0));
        if (hears && peri_map_put_ref(row, "hears", hears) == PERI_OK &&
            peri_map_put_text(row, "place", place) == PERI_OK) {
            peri_value_unref(hears);
            free(place);
            continue;
        }
        peri_value_unref(hears);
        free(place);
    }
}

/* The rules of the folders, for when no service runs. full: with text. */
static struct peri_value *from_folders(struct peri_cli *cli, bool full, struct peri_error *err)
{
    struct peri_workbench bench = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    struct peri_value *rows = NULL;
    struct peri_rulebook *book = NULL;
    if (peri_workbench_open(&bench, cli, &diag, err) == PERI_OK) {
        book = peri_rulebook_create((const char *const *)cli->config.rules);
        rows = peri_value_list();
        if (!book || !rows || peri_rulebook_load(book, &bench.env, &diag))
            peri_error_nomem(err);
        const struct peri_rule_list *rules = book ? peri_rulebook_rules(book) : NULL;
        for (size_t i = 0; rules && rows && i < rules->count; i++)
            if (peri_list_push(rows, peri_rule_value(rules->items[i], rules->items[i]->enabled, full)))
                break;
        peri_rulebook_destroy(book);
        peri_workbench_close(&bench);
        if (diag.errors)
            fprintf(stderr, "perigee: %zu errors in rules or plugins; `perigee check' shows them\n", diag.errors);
    }
    peri_diag_finish(&diag);
    return rows;
}

/* A list from the service, or from the folders; NULL after a failure. */
static struct peri_value *fetch(struct peri_cli *cli, bool full, struct peri_error *err)
{
    struct peri_client *client;
    struct peri_value *doc = NULL, *rows = NULL;
    if (cli->rule_count == 0 && peri_client_open(cli, &client, err) == PERI_OK) {
        if (peri_client_call(client, "GET", "/v1/rules", NULL, &doc, err) == PERI_OK)
            rows = peri_value_ref(peri_map_at(doc, "items"));
        peri_value_unref(doc);
        peri_client_close(client);
    }
    return rows ? rows : from_folders(cli, full, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    struct peri_value *rows = fetch(cli, false, &err);
    if (!rows)
        return peri_cli_fail_error(cli, &err);
    if (!cli->json)
        decorate(rows);
    peri_print_list(cli, rows, columns, "no rules");
    peri_value_unref(rows);
    return PERI_EXIT_OK;
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    struct peri_value *rows = from_folders(cli, true, &err);
    if (!rows)
        return peri_cli_fail_error(cli, &err);
    const struct peri_value *found = NULL;
    for (size_t i = 0; i < peri_value_count(rows) && !found; i++)
        if (peri_streq(peri_map_text(peri_list_at(rows, i), "id"), args->words[0]))
            found = peri_list_at(rows, i);
    int code = PERI_EXIT_OK;
    if (!found)
        code = peri_cli_fail(
            cli, PERI_EXIT_NO, "there is no rule \"%s\" (`perigee rules list' names them)", args->words[0]);
    else if (cli->json)
        peri_print_json(found);
    else
        peri_print_record(found);
    peri_value_unref(rows);
    return code;
}

static int change(struct peri_cli *cli, const char *id, const char *verb)
{
    struct peri_value *answer;
    struct peri_buf path;
    peri_buf_init(&path, 4096);
    peri_buf_puts(&path, "/v1/rules/");
    peri_url_encode(&path, id);
    peri_buf_printf(&path, "/%s", verb);
    struct peri_value *body = peri_value_map();
    int code =
        path.failed ? PERI_EXIT_USAGE : peri_cli_change(cli, "POST", peri_buf_text(&path), body, NULL, NULL, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK)
        printf("%s: %s\n", id, peri_map_bool(answer, "enabled", false) ? "enabled" : "disabled");
    if (code == PERI_EXIT_OK)
        peri_value_unref(answer);
    peri_value_unref(body);
    peri_buf_finish(&path);
    return code;
}

static int enable(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "enable");
}

static int disable(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "disable");
}

static int reload(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *answer = NULL, *body = peri_value_map();
    int code = body ? peri_cli_change(cli, "POST", "/v1/reload", body, NULL, NULL, &answer) : PERI_EXIT_INTERNAL;
    peri_value_unref(body);
    if (code == PERI_EXIT_OK && cli->json) {
        peri_print_json(answer);
    } else if (code == PERI_EXIT_OK) {
        const struct peri_value *items = peri_map_at(answer, "items");
        for (size_t i = 0; i < peri_value_count(items); i++) {
            const struct peri_value *f = peri_list_at(items, i);
            printf("%s:%lld:%lld: %s: %s [%s]\n", peri_map_text(f, "file"), (long long)peri_map_int(f, "line", 0),
                (long long)peri_map_int(f, "column", 0), peri_map_text(f, "severity"), peri_map_text(f, "message"),
                peri_map_text(f, "code"));
        }
        fprintf(stderr, "reloaded\n");
    }
    if (code == PERI_EXIT_OK && peri_map_int(answer, "errors", 0) > 0)
        code = PERI_EXIT_NO;
    peri_value_unref(answer);
    return code;
}

/* The rules of the folders as they are, whatever a service runs. */
static int graph(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_workbench bench = {0};
    struct peri_diag diag;
    struct peri_error err;
    struct peri_value *doc = NULL;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    peri_diag_init(&diag);
    if (peri_workbench_open(&bench, cli, &diag, &err)) {
        peri_diag_finish(&diag);
        return peri_cli_fail_error(cli, &err);
    }
    struct peri_rulebook *book = peri_rulebook_create((const char *const *)cli->config.rules);
    if (book && peri_rulebook_load(book, &bench.env, &diag) == PERI_OK)
        doc = peri_graph_of(bench.host, peri_rulebook_rules(book));
    peri_rulebook_destroy(book);
    peri_workbench_close(&bench);
    if (diag.errors)
        fprintf(stderr, "perigee: %zu errors in rules or plugins; `perigee check' shows them\n", diag.errors);
    peri_diag_finish(&diag);
    if (!doc)
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (cli->json)
        peri_print_json(doc);
    else if (args->value[DOT])
        peri_graph_print_dot(doc);
    else
        peri_graph_print(doc);
    peri_value_unref(doc);
    return PERI_EXIT_OK;
}

/* The doors of rules, as the service counts them. */
static int webhooks(struct peri_cli *cli, const struct peri_args *args)
{
    static const struct peri_column doors[] = {{"path", "PATH", 40}, {"rules", "RULES", 40}, {"methods", "METHODS", 0},
        {"proof", "PROOF", 0}, {"accepted", "ACCEPTED", 0}, {"duplicates", "REPEATS", 0}, {"rejected", "REJECTED", 0},
        {"why", "LAST REJECTED", 60}, {0}};
    struct peri_client *client = NULL;
    struct peri_value *doc = NULL;
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    enum peri_status st = peri_client_open(cli, &client, &err);
    if (st == PERI_OK)
        st = peri_client_call(client, "GET", "/v1/webhooks", NULL, &doc, &err);
    peri_client_close(client);
    if (st)
        return peri_cli_fail_error(cli, &err);
    struct peri_value *items = peri_map_at(doc, "items");
    for (size_t i = 0; !cli->json && i < peri_value_count(items); i++) {
        struct peri_value *row = peri_list_at(items, i);
        const char *why = peri_map_text(peri_map_at(row, "last_rejected"), "reason");
        if (peri_map_put_text(row, "why", why ? why : "") != PERI_OK)
            break;
    }
    peri_print_list(cli, items, doors, "no webhooks");
    peri_value_unref(doc);
    return PERI_EXIT_OK;
}

int peri_cmd_rules(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"enable", enable, 1, 1, "ID"}, {"disable", disable, 1, 1, "ID"}, {"reload", reload, 0, 0, ""},
        {"graph", graph, 0, 0, ""}, {"webhooks", webhooks, 0, 0, ""}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "rules", verbs, &args);
}
