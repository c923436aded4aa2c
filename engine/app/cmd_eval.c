/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "app/zones.h"
#include "lang/expr.h"

enum { EVENT, NOW };

static const struct argp_option options[] = {
    {"event", PERI_OPTION(EVENT), "FILE|JSON", 0,
        "what `event' is: JSON, a file, or - (a whole CloudEvent counts as its data)", 0},
    {"now", PERI_OPTION(NOW), "TIME", 0, "what `now' is, RFC 3339 (default: the clock)", 0},
    {0},
};
static const struct peri_usage_text usage = {"EXPR",
    "Evaluates a template expression, with or without {{ }}, and prints the value as JSON.\v"
    "Exit code 1 when a field is missing or the types do not fit, 2 when the expression is wrong.\n\n"
    "  perigee eval \"event.calls | length\" --event '{\"calls\":[1,2]}'",
    options, 1, 1};

struct roots {
    struct peri_value *event, *trigger, *now, *empty;
};

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    const struct roots *r = ctx;
    static const char *const empty[] = {"events", "steps", "vars", "rule", "run"};
    if (len == 5 && memcmp(name, "event", 5) == 0)
        return r->event;
    if (len == 7 && memcmp(name, "trigger", 7) == 0)
        return r->trigger;
    if (len == 3 && memcmp(name, "now", 3) == 0)
        return r->now;
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        if (strlen(empty[i]) == len && memcmp(name, empty[i], len) == 0)
            return r->empty;
    return NULL;
}

static const char *const root_names[] = {"event", "events", "trigger", "steps", "vars", "rule", "run", "now", NULL};

static bool known(void *ctx, const char *name, size_t len)
{
    for (size_t i = 0; root_names[i]; i++)
        if (strlen(root_names[i]) == len && memcmp(root_names[i], name, len) == 0)
            return true;
    return false;
}

static const char *const *names(void *ctx)
{
    return root_names;
}

static int bad_expression(struct peri_cli *cli, const char *text, const struct peri_expr_problem *p)
{
    struct peri_error err;
    peri_error_set(&err, PERI_EINVAL, p->code, "column %zu: %s%s%s%s", peri_utf8_length(text, p->offset) + 1,
        p->message, p->hint[0] ? " (" : "", p->hint, p->hint[0] ? ")" : "");
    peri_cli_fail_error(cli, &err);
    if (!cli->json) {
        fprintf(stderr, "  %s\n  ", text);
        for (size_t i = 0; i < peri_utf8_length(text, p->offset); i++)
            fputc(' ', stderr);
        fputs("^\n", stderr);
    }
    return PERI_EXIT_USAGE;
}

static int evaluate(struct peri_cli *cli, const char *text, struct roots *roots, int64_t now)
{
    struct peri_tz_source tz = peri_tz_files();
    struct peri_expr *expr;
    struct peri_expr_problem problem = {0};
    struct peri_error err;
    struct peri_value *value = NULL;
    const struct peri_expr_names known_names = {.known = known, .list = names};
    while (*text == ' ')
        text++;
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len > 4 && peri_str_starts(text, "{{") && strncmp(text + len - 2, "}}", 2) == 0) {
        text += 2;
        len -= 4;
    }
    char *source = peri_strndup(text, len);
    if (!source)
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (peri_expr_compile(source, len, &known_names, &expr, &problem)) {
        int code = bad_expression(cli, source, &problem);
        free(source);
        return code;
    }
    struct peri_scope scope = {lookup, roots, now, &tz};
    enum peri_status st = peri_expr_eval(expr, &scope, &value, &err);
    if (st == PERI_OK)
        peri_print_json(value);
    peri_value_unref(value);
    peri_expr_destroy(expr);
    free(source);
    return st ? peri_cli_fail_error(cli, &err) : PERI_EXIT_OK;
}

static enum peri_status read_event(const char *text, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *v = NULL;
    bool file = text[0] != '{' && text[0] != '[' && text[0] != '"' && text[0] != '-' && text[0] != '@';
    char *at = file ? peri_asprintf("@%s", text) : NULL;
    enum peri_status st = peri_cli_json("the event", at ? at : text, &v, err);
    free(at);
    if (st)
        return st;
    *ret = peri_map_at(v, "specversion") && peri_map_at(v, "data") ? peri_value_ref(peri_map_at(v, "data"))
                                                                   : peri_value_ref(v);
    peri_value_unref(v);
    return PERI_OK;
}

int peri_cmd_eval(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_error err;
    struct roots roots = {0};
    struct peri_clock clock = peri_clock_system();
    int64_t now = peri_clock_wall_ms(&clock);
    char stamp[PERI_TIME_TEXT];
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (args.value[NOW] && !peri_time_parse(args.value[NOW], strlen(args.value[NOW]), &now))
        return peri_cli_usage(cli, "eval", "--now takes an RFC 3339 time such as 2026-01-02T03:04:05Z");
    if (args.value[EVENT] && read_event(args.value[EVENT], &roots.event, &err))
        return peri_cli_fail(cli, PERI_EXIT_USAGE, "%s", err.message);
    if (!roots.event)
        roots.event = peri_value_map();
    roots.trigger = peri_value_map();
    roots.empty = peri_value_map();
    roots.now = peri_value_str(peri_time_format(now, stamp));
    int code = roots.event && roots.trigger && roots.empty && roots.now ? evaluate(cli, args.words[0], &roots, now)
                                                                        : PERI_EXIT_INTERNAL;
    peri_value_unref(roots.event);
    peri_value_unref(roots.trigger);
    peri_value_unref(roots.empty);
    peri_value_unref(roots.now);
    return code;
}
