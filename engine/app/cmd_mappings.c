/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/client.h"
#include "app/commands.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_mappings.h"

enum { SOURCE, TYPE, LIMIT, DATA };

static const struct argp_option options[] = {
    {"source", PERI_OPTION(SOURCE), "ID", 0, "list: of this source (a plugin, as a rule)", 0},
    {"type", PERI_OPTION(TYPE), "TYPE", 0, "list: of this type", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0},
    {"data", PERI_OPTION(DATA), "JSON", 0, "set: what to keep with it", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | set SOURCE TYPE KEY EXTERNAL-ID | lookup SOURCE TYPE "
                                             "KEY | key SOURCE TYPE EXTERNAL-ID | delete ID",
    "Which id another system has for something of ours. Plugins keep theirs with ctx.mappings, with their own id as "
    "the source. `lookup' prints the external id of a key, `key' the key of an external id.",
    options, 0, 5};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"source", "SOURCE", 30}, {"type", "TYPE", 20},
    {"key", "KEY", 40}, {"external_id", "EXTERNAL ID", 40}, {0}};

static int find(struct peri_cli *cli, const struct peri_mapping_filter *filter, struct peri_value **ret)
{
    struct peri_reader *reader;
    struct peri_error err;
    int code = peri_cli_reader(cli, &reader);
    *ret = NULL;
    if (code == PERI_EXIT_OK && reader && peri_reader_mappings(reader, filter, ret, &err))
        code = peri_cli_fail_error(cli, &err);
    peri_reader_close(reader);
    return code;
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *rows;
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    struct peri_mapping_filter filter = {
        .source = args->value[SOURCE], .type = args->value[TYPE], .limit = (size_t)limit};
    int code = find(cli, &filter, &rows);
    if (code == PERI_EXIT_OK)
        peri_print_list(cli, rows, columns, "there are no mappings");
    peri_value_unref(rows);
    return code;
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *rows;
    uint64_t id;
    if (!peri_mapping_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "mappings", "\"%s\" is no mapping id (they look like map-7)", args->words[0]);
    struct peri_mapping_filter filter = {.after = id - 1, .limit = 1};
    int code = find(cli, &filter, &rows);
    const struct peri_value *v = peri_list_at(rows, 0);
    if (code == PERI_EXIT_OK && !peri_streq(peri_map_text(v, "id"), args->words[0]))
        code = peri_cli_fail(cli, PERI_EXIT_NO, "there is no mapping %s", args->words[0]);
    else if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(v);
    else if (code == PERI_EXIT_OK)
        peri_print_record(v);
    peri_value_unref(rows);
    return code;
}

static int answer_one(struct peri_cli *cli, struct peri_mapping_filter filter, const char *member)
{
    struct peri_value *rows;
    filter.limit = 1;
    int code = find(cli, &filter, &rows);
    const struct peri_value *v = peri_list_at(rows, 0);
    if (code == PERI_EXIT_OK && !v)
        code = peri_cli_fail(cli, PERI_EXIT_NO, "there is no such mapping");
    else if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(v);
    else if (code == PERI_EXIT_OK)
        printf("%s\n", peri_map_text(v, member));
    peri_value_unref(rows);
    return code;
}

static int lookup(struct peri_cli *cli, const struct peri_args *args)
{
    return answer_one(cli,
        (struct peri_mapping_filter){.source = args->words[0], .type = args->words[1], .key = args->words[2]},
        "external_id");
}

static int key_of(struct peri_cli *cli, const struct peri_args *args)
{
    return answer_one(cli,
        (struct peri_mapping_filter){.source = args->words[0], .type = args->words[1], .external_id = args->words[2]},
        "key");
}

static enum peri_status put(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_mapping m;
    enum peri_status st = peri_mapping_read(arg, &m, err);
    return st ? st : peri_tx_mapping_put(tx, &m, NULL, err);
}

static int set(struct peri_cli *cli, const struct peri_args *args)
{
    static const char *const members[] = {"source", "type", "key", "external_id"};
    struct peri_value *body = peri_value_map(), *answer = NULL, *data = NULL;
    struct peri_error err;
    enum peri_status st = body ? PERI_OK : peri_error_nomem(&err);
    for (size_t i = 0; !st && i < 4; i++)
        st = peri_map_put_text(body, members[i], args->words[i]);
    if (!st && args->value[DATA])
        st = peri_cli_json("--data", args->value[DATA], &data, &err);
    if (!st && data)
        st = peri_map_put_ref(body, "data", data);
    int code =
        st ? peri_cli_fail_error(cli, &err) : peri_cli_change(cli, "POST", "/v1/mappings", body, put, body, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer ? answer : body);
    peri_value_unref(body);
    peri_value_unref(data);
    peri_value_unref(answer);
    return code;
}

static enum peri_status drop(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_mapping_delete(tx, *(uint64_t *)arg, err);
}

static int delete_one(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *answer = NULL;
    uint64_t id;
    char path[64], text[32];
    if (!peri_mapping_id_parse(args->words[0], &id))
        return peri_cli_usage(cli, "mappings", "\"%s\" is no mapping id (they look like map-7)", args->words[0]);
    snprintf(path, sizeof(path), "/v1/mappings/%s", peri_mapping_id(id, text));
    int code = peri_cli_change(cli, "DELETE", path, NULL, drop, &id, &answer);
    if (code == PERI_EXIT_OK && cli->json)
        puts("{}");
    peri_value_unref(answer);
    return code;
}

int peri_cmd_mappings(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"set", set, 4, 4, "SOURCE TYPE KEY EXTERNAL-ID"}, {"lookup", lookup, 3, 3, "SOURCE TYPE KEY"},
        {"key", key_of, 3, 3, "SOURCE TYPE EXTERNAL-ID"}, {"delete", delete_one, 1, 1, "ID"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "mappings", verbs, &args);
}
