/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "app/client.h"
#include "app/commands.h"
#include "base/str.h"
#include "io/store_data.h"

enum { LIMIT };

static const struct argp_option options[] = {
    {"limit", PERI_OPTION(LIMIT), "N", 0, "list: at most N (default 50)", 0}, {0}};
static const struct peri_usage_text usage = {"list | show ID | clear",
    "Messages that no configured channel took: they are kept here instead of failing, so that a rule's effect can be "
    "seen without any account.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"created", "CREATED", 0}, {"channel_type", "CHANNEL", 0},
    {"to", "TO", 30}, {"subject", "SUBJECT", 40}, {"body", "BODY", 60}, {0}};

static enum peri_status read_outbox(
    struct peri_reader *reader, const void *filter, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_outbox(reader, 0, *(const size_t *)filter, ret, err);
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    size_t rows = (size_t)limit;
    return peri_cli_list(cli, read_outbox, &rows, columns, "the outbox is empty");
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    long long id;
    if (!peri_str_starts(args->words[0], "ob-") || !peri_parse_i64(args->words[0] + 3, &id) || id <= 0)
        return peri_cli_usage(cli, "outbox", "\"%s\" is no message id (they look like ob-7)", args->words[0]);
    return peri_cli_show(cli, "message", args->words[0], (uint64_t)id, peri_reader_outbox_item, NULL);
}

static enum peri_status clear_all(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_outbox_clear(tx, arg, err);
}

static int clear(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *answer = NULL;
    uint64_t count = 0;
    int code = peri_cli_change(cli, "DELETE", "/v1/outbox", NULL, clear_all, &count, &answer);
    if (code == PERI_EXIT_OK)
        printf(cli->json ? "{\"deleted\":%lld}\n" : "%lld messages deleted\n",
            (long long)peri_map_int(answer, "count", (int64_t)count));
    peri_value_unref(answer);
    return code;
}

int peri_cmd_outbox(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {
        {"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"}, {"clear", clear, 0, 0, ""}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "outbox", verbs, &args);
}
