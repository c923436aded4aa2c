/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/paths.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "plugin/manifest.h"

enum { WHERE, ORDER, LIMIT, OFFSET, COUNT };

static const struct argp_option options[] = {
    {"where", PERI_OPTION(WHERE), "JSON", 0,
        "query: {field: value, field: [one, of], field: {gt, gte, lt, lte, ne, in, prefix, exists, contains}}", 0},
    {"order", PERI_OPTION(ORDER), "FIELDS", 0, "query: field or -field, comma-separated (default: newest first)", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "query: at most N (default 100)", 0},
    {"offset", PERI_OPTION(OFFSET), "N", 0, "query: leave out the first N", 0},
    {"count", PERI_OPTION(COUNT), 0, 0, "query: only how many", 0},
    {0},
};
static const struct peri_usage_text usage = {
    "query TYPE | get TYPE ID | put TYPE JSON | delete TYPE ID | import TYPE FILE",
    "The unified model: contact, conversation, message, call, voicemail, task, calendar_event, email, place, presence "
    "and any other "
    "type (docs/data.md). `put' creates or merges one entity (JSON, @FILE or -), found by id, else by source and "
    "externalId. "
    "`import' puts every object of a JSON array, or of a file with one object a line.",
    options, 1, 3};

#define IMPORT_BATCH 500

static int print_entity(struct peri_cli *cli, const struct peri_value *v)
{
    if (cli->json)
        peri_print_json(v);
    else
        peri_print_record(v);
    return PERI_EXIT_OK;
}

static void print_rows(struct peri_cli *cli, const struct peri_value *rows)
{
    if (cli->json) {
        peri_print_json_lines(rows);
        return;
    }
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        if (i)
            putchar('\n');
        peri_print_record(peri_list_at(rows, i));
    }
    if (peri_value_count(rows) == 0)
        fprintf(stderr, "nothing found\n");
}

static int run_query(struct peri_cli *cli, struct peri_reader *reader, const struct peri_query *query)
{
    struct peri_value *rows = NULL;
    struct peri_error err;
    size_t count = 0;
    if (reader && peri_reader_query(reader, query, &rows, &count, &err))
        return peri_cli_fail_error(cli, &err);
    if (query->count_only)
        printf(cli->json ? "{\"count\":%zu}\n" : "%zu\n", count);
    else
        print_rows(cli, rows);
    peri_value_unref(rows);
    return PERI_EXIT_OK;
}

static int query(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_reader *reader;
    struct peri_value *where = NULL;
    struct peri_error err;
    long long limit, offset;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 10000, 100, &limit) ||
        !peri_cli_number(cli, "--offset", args->value[OFFSET], 0, 1LL << 40, 0, &offset))
        return PERI_EXIT_USAGE;
    if (args->value[WHERE] && peri_cli_json("--where", args->value[WHERE], &where, &err))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    int code = peri_cli_reader(cli, &reader);
    struct peri_query q = {.type = args->words[0],
        .where = where,
        .order = args->value[ORDER],
        .limit = (size_t)limit,
        .offset = (size_t)offset,
        .count_only = args->value[COUNT]};
    if (code == PERI_EXIT_OK) {
        code = run_query(cli, reader, &q);
        peri_reader_close(reader);
    }
    peri_value_unref(where);
    return code;
}

static int get(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_reader *reader;
    struct peri_value *v = NULL;
    struct peri_error err;
    int code = peri_cli_reader(cli, &reader);
    if (code)
        return code;
    enum peri_status st =
        reader ? peri_reader_entity(reader, args->words[0], args->words[1], &v, &err)
               : peri_error_set(&err, PERI_ENOTFOUND, NULL, "there is no %s \"%s\"", args->words[0], args->words[1]);
    code = st ? peri_cli_fail_error(cli, &err) : print_entity(cli, v);
    peri_value_unref(v);
    peri_reader_close(reader);
    return code;
}

/* One transaction of the direct way. */
struct put {
    const char *type;
    const struct peri_value *list;
    struct peri_value *last;
};

static enum peri_status put_all(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct put *p = arg;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < peri_value_count(p->list); i++) {
        bool created;
        peri_value_unref(p->last);
        p->last = NULL;
        st = peri_tx_entity_put(tx, p->type, peri_list_at(p->list, i), &p->last, &created, err);
        if (st)
            peri_error_prefix(err, "entity %zu", i + 1);
    }
    return st;
}

static char *data_path(const char *type, const char *id)
{
    struct peri_buf path;
    peri_buf_init(&path, 8192);
    peri_buf_puts(&path, "/v1/data/");
    peri_url_encode(&path, type);
    if (id) {
        peri_buf_putc(&path, '/');
        peri_url_encode(&path, id);
    }
    return peri_buf_take(&path, NULL);
}

/* one: the list holds one entity, which is sent as an object, and the stored one is what comes back. */
static int put_list(
    struct peri_cli *cli, const char *type, const struct peri_value *list, bool one, struct peri_value **ret_stored)
{
    struct put p = {type, list, NULL};
    char *path = data_path(type, NULL);
    int code = path ? peri_cli_change(cli, "POST", path, one ? peri_list_at(list, 0) : list, put_all, &p, ret_stored)
                    : PERI_EXIT_INTERNAL;
    free(path);
    if (code == PERI_EXIT_OK && !*ret_stored)
        *ret_stored = peri_value_ref(p.last);
    peri_value_unref(p.last);
    return code;
}

static int put(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *v = NULL, *list = peri_value_list(), *stored = NULL;
    struct peri_error err;
    int code;
    if (peri_cli_json("the entity", args->words[1], &v, &err))
        code = peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    else if (!peri_value_is(v, PERI_MAP))
        code = peri_cli_fail(cli, PERI_EXIT_USAGE, "the entity must be a JSON object");
    else if (!list || peri_list_push(list, peri_value_ref(v)))
        code = PERI_EXIT_INTERNAL;
    else if ((code = put_list(cli, args->words[0], list, true, &stored)) == PERI_EXIT_OK)
        code = print_entity(cli, stored);
    peri_value_unref(stored);
    peri_value_unref(list);
    peri_value_unref(v);
    return code;
}

struct removal {
    const char *type, *id;
    bool existed;
};

static enum peri_status remove_one(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct removal *r = arg;
    enum peri_status st = peri_tx_entity_delete(tx, r->type, r->id, &r->existed, err);
    return st == PERI_OK && !r->existed
               ? peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no %s \"%s\"", r->type, r->id)
               : st;
}

static int delete (struct peri_cli *cli, const struct peri_args *args)
{
    struct removal r = {args->words[0], args->words[1], false};
    struct peri_value *answer = NULL;
    char *path = data_path(r.type, r.id);
    int code = path ? peri_cli_change(cli, "DELETE", path, NULL, remove_one, &r, &answer) : PERI_EXIT_INTERNAL;
    if (code == PERI_EXIT_OK && cli->json)
        puts("{\"deleted\":true}");
    free(path);
    peri_value_unref(answer);
    return code;
}

/* Objects one a line, or one array, to a list. */
static enum peri_status read_import(const char *file, struct peri_value **ret, struct peri_error *err)
{
    char *text = NULL;
    size_t len;
    enum peri_status st = peri_path_read(file, 1u << 30, &text, &len, err);
    if (st)
        return st;
    size_t lead = strspn(text, " \t\r\n");
    if (text[lead] == '[') {
        st = peri_json_parse(text, len, ret, err);
        free(text);
        return st;
    }
    *ret = peri_value_list();
    int number = 1;
    for (char *line = text; st == PERI_OK && line < text + len; number++) {
        size_t n = strcspn(line, "\n");
        struct peri_value *v = NULL;
        if (n > strspn(line, " \t\r"))
            st = peri_json_parse(line, n, &v, err);
        if (st)
            peri_error_prefix(err, "%s:%d", file, number);
        else if (v)
            st = peri_list_push(*ret, v);
        line += n + 1;
    }
    free(text);
    if (st) {
        peri_value_unref(*ret);
        *ret = NULL;
    }
    return st;
}

static int import(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *all = NULL;
    struct peri_error err;
    if (read_import(args->words[1], &all, &err))
        return peri_cli_fail_error(cli, &err);
    size_t count = peri_value_count(all);
    int code = PERI_EXIT_OK;
    for (size_t at = 0; code == PERI_EXIT_OK && at < count; at += IMPORT_BATCH) {
        struct peri_value *part = peri_value_list(), *stored = NULL;
        for (size_t i = at; part && i < count && i < at + IMPORT_BATCH; i++)
            if (peri_list_push(part, peri_value_ref(peri_list_at(all, i))))
                code = PERI_EXIT_INTERNAL;
        if (code == PERI_EXIT_OK)
            code = put_list(cli, args->words[0], part, false, &stored);
        if (code != PERI_EXIT_OK && at > 0)
            fprintf(stderr,
                "perigee: the first %zu entities are stored; run the import again after mending the file (it merges)\n",
                at);
        if (code == PERI_EXIT_OK && isatty(STDERR_FILENO) && count > IMPORT_BATCH)
            fprintf(stderr, "\r%zu of %zu", at + IMPORT_BATCH < count ? at + IMPORT_BATCH : count, count);
        peri_value_unref(stored);
        peri_value_unref(part);
    }
    if (code == PERI_EXIT_OK)
        printf(cli->json ? "{\"imported\":%zu}\n" : "%zu imported\n", count);
    peri_value_unref(all);
    return code;
}

int peri_cmd_data(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"query", query, 1, 1, "TYPE"}, {"get", get, 2, 2, "TYPE and ID"},
        {"put", put, 2, 2, "TYPE and JSON"}, {"delete", delete, 2, 2, "TYPE and ID"},
        {"import", import, 2, 2, "TYPE and FILE"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (args.count > 1) /* "calls" is "call", as in permissions */
        args.words[1] = peri_entity_type_singular(args.words[1]);
    return peri_cli_verb(cli, "data", verbs, &args);
}
