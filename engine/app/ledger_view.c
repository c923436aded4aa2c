/* SPDX-License-Identifier: Apache-2.0 */
#include "app/ledger_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "lang/duration.h"

bool peri_ledger_since(struct peri_cli *cli, const char *text, int64_t *ret_ms)
{
    struct peri_clock clock = peri_clock_system();
    int64_t ms = 0;
    struct peri_error err;
    *ret_ms = 0;
    if (!text || peri_time_parse(text, strlen(text), ret_ms))
        return true;
    if (peri_duration_parse(text, strlen(text), &ms, &err) == PERI_OK) {
        *ret_ms = peri_clock_wall_ms(&clock) - ms;
        return true;
    }
    peri_cli_fail(cli, PERI_EXIT_USAGE, "--since takes a duration such as 2h or an RFC 3339 time, not \"%s\"", text);
    return false;
}

static const char *option(const struct peri_args *args, int n)
{
    return n < 0 ? NULL : args->value[n];
}

int peri_ledger_filter_read(struct peri_cli *cli, const char *command, const struct peri_args *args,
    const struct peri_ledger_options *places, struct peri_ledger_filter *ret)
{
    long long limit;
    *ret = (struct peri_ledger_filter){.kind = option(args, places->kind),
        .op = option(args, places->op),
        .rule = option(args, places->rule),
        .code = option(args, places->code),
        .state = option(args, places->state)};
    if (!peri_cli_number(cli, "--limit", option(args, places->limit), 1, 1000, 50, &limit) ||
        !peri_ledger_since(cli, option(args, places->since), &ret->since_ms))
        return PERI_EXIT_USAGE;
    ret->limit = (size_t)limit;
    return PERI_EXIT_OK;
}

int peri_ledger_body(struct peri_cli *cli, const char *command, const struct peri_args *args,
    const struct peri_ledger_options *places, struct peri_value **ret)
{
    struct peri_value *body = peri_value_map();
    const char *since = option(args, places->since), *all = option(args, places->all);
    const char *kind = option(args, places->kind), *op = option(args, places->op), *rule = option(args, places->rule),
               *code = option(args, places->code);
    int64_t ms = 0;
    *ret = body;
    if (!peri_ledger_since(cli, since, &ms))
        return PERI_EXIT_USAGE;
    if (!since && !kind && !op && !rule && !code && !all)
        return peri_cli_usage(cli, command, "say which: an ID, options such as --rule, or --all");
    bool bad = !body || peri_map_put_text(body, "kind", kind) || peri_map_put_text(body, "operator", op) ||
               peri_map_put_text(body, "rule", rule) || peri_map_put_text(body, "code", code) ||
               peri_map_put_text(body, "note", option(args, places->note)) ||
               (since && peri_map_put_time(body, "since", ms)) || (all && peri_map_put_bool(body, "all", true));
    return bad ? PERI_EXIT_INTERNAL : PERI_EXIT_OK;
}

int peri_ledger_change(struct peri_cli *cli, const char *command, const char *id, const char *verb,
    const struct peri_args *args, const struct peri_ledger_options *places)
{
    struct peri_value *body = NULL, *answer = NULL;
    uint64_t number;
    bool good = !id || peri_dead_id_parse(id, &number) || peri_failure_id_parse(id, &number);
    if (!good)
        return peri_cli_usage(
            cli, command, "\"%s\" is no id (they look like %s-7)", id, peri_streq(command, "dead") ? "dl" : "er");
    int code = PERI_EXIT_OK;
    if (!id)
        code = peri_ledger_body(cli, command, args, places, &body);
    else if (!(body = peri_value_map()) || peri_map_put_text(body, "note", option(args, places->note)))
        code = PERI_EXIT_INTERNAL;
    char *path = id ? peri_asprintf("/v1/%s/%s/%s", command, id, verb) : peri_asprintf("/v1/%s/%s", command, verb);
    if (code == PERI_EXIT_OK)
        code = path ? peri_cli_change(cli, "POST", path, body, NULL, NULL, &answer) : PERI_EXIT_INTERNAL;
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK && peri_map_text(answer, "id"))
        printf("%s\n", peri_map_text(answer, "id"));
    else if (code == PERI_EXIT_OK)
        printf("%lld resolved\n", (long long)peri_map_int(answer, "count", 0));
    free(path);
    peri_value_unref(body);
    peri_value_unref(answer);
    return code;
}
