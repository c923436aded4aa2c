/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/client.h"
#include "app/commands.h"
#include "base/str.h"

enum { ONCE, INTERVAL, SORT };

static const struct argp_option options[] = {
    {"once", PERI_OPTION(ONCE), 0, 0,
        "one table of what was since the start of the service (also when the output is no terminal)", 0},
    {"interval", PERI_OPTION(INTERVAL), "SECONDS", 0, "how often the table is made anew: 1 to 60 (default 2)", 0},
    {"sort", PERI_OPTION(SORT), "COLUMN", 0, "by cpu (the default), calls, http, waiting or failures", 0},
    {0},
};
static const struct peri_usage_text usage = {"",
    "What plugins and rules cost, live: processor time in their code, calls of operators, conditions, channels and "
    "webhooks, how many wait, and the time "
    "spent waiting for HTTP. A rule's figures are those of all calls made for it. `q' and Return, or Ctrl-C, ends it. "
    "Needs the service.\v"
    "With --json one document: {since_ms, plugins: [...], rules: [...]}, each {id, calls, failures, cpu_us, wall_us, "
    "http_calls, http_us, waiting}, sums "
    "since the start but for waiting.",
    options, 0, 0};

struct row {
    const char *kind, *id;
    double cpu, calls, failures, http; /* of a second: processor share, calls, failures, seconds of HTTP */
    double wall_ms;                    /* of a call */
    int64_t waiting;
    double key; /* what the table is sorted by */
};

static double key_of(const struct row *r, const char *sorting)
{
    return peri_streq(sorting, "calls")      ? r->calls
           : peri_streq(sorting, "http")     ? r->http
           : peri_streq(sorting, "waiting")  ? (double)r->waiting
           : peri_streq(sorting, "failures") ? r->failures
                                             : r->cpu;
}

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->key > y->key ? -1 : x->key < y->key ? 1 : strcmp(x->id, y->id);
}

static const struct peri_value *same(const struct peri_value *list, const char *id)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_map_text(peri_list_at(list, i), "id"), id))
            return peri_list_at(list, i);
    return NULL;
}

static int64_t grown(const struct peri_value *now, const struct peri_value *before, const char *key)
{
    return peri_map_int(now, key, 0) - (before ? peri_map_int(before, key, 0) : 0);
}

/* seconds: between before (NULL: the start) and now. */
static size_t add_rows(
    struct row *rows, const char *kind, const struct peri_value *list, const struct peri_value *before, double seconds)
{
    size_t n = 0;
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *now = peri_list_at(list, i), *old = same(before, peri_map_text(now, "id"));
        int64_t calls = grown(now, old, "calls");
        rows[n++] = (struct row){.kind = kind,
            .id = peri_map_text(now, "id"),
            .cpu = (double)grown(now, old, "cpu_us") / 1e6 / seconds,
            .calls = (double)calls / seconds,
            .failures = (double)grown(now, old, "failures") / seconds,
            .http = (double)grown(now, old, "http_us") / 1e6 / seconds,
            .wall_ms = calls ? (double)grown(now, old, "wall_us") / 1e3 / (double)calls : 0,
            .waiting = peri_map_int(now, "waiting", 0)};
    }
    return n;
}

static void print_rows(const struct row *rows, size_t count, size_t most)
{
    printf("%-7s %-32s %7s %9s %9s %8s %9s %8s\n", "", "ID", "CPU %", "CALLS/s", "FAILED/s", "WAITING", "HTTP s/s",
        "MS/CALL");
    for (size_t i = 0; i < count && i < most; i++)
        printf("%-7s %-32.32s %7.1f %9.1f %9.1f %8lld %9.2f %8.1f\n", rows[i].kind, rows[i].id, rows[i].cpu * 100,
            rows[i].calls, rows[i].failures, (long long)rows[i].waiting, rows[i].http, rows[i].wall_ms);
    if (count > most)
        printf("... %zu more\n", count - most);
    if (count == 0)
        puts("nothing was called yet");
}

/* before: the answer of the look before, NULL: none. */
static bool print_table(const struct peri_value *now, const struct peri_value *before, const char *sorting, size_t most)
{
    const struct peri_value *plugins = peri_map_at(now, "plugins"), *rules = peri_map_at(now, "rules");
    double seconds = (double)grown(now, before, "since_ms") / 1e3;
    struct row *rows = calloc(peri_value_count(plugins) + peri_value_count(rules) + 1, sizeof(*rows));
    if (!rows)
        return false;
    seconds = seconds > 0.001 ? seconds : 0.001;
    size_t n = add_rows(rows, "plugin", plugins, peri_map_at(before, "plugins"), seconds);
    n += add_rows(rows + n, "rule", rules, peri_map_at(before, "rules"), seconds);
    for (size_t i = 0; i < n; i++)
        rows[i].key = key_of(&rows[i], sorting);
    if (n)
        qsort(rows, n, sizeof(*rows), by_key);
    print_rows(rows, n, most);
    free(rows);
    return true;
}

/* False: the one who looks wants to stop. */
static bool wait_for(long long seconds)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c = '\0';
    bool terminal = isatty(STDIN_FILENO);
    if (poll(&in, terminal ? 1 : 0, (int)seconds * 1000) > 0 && read(STDIN_FILENO, &c, 1) == 1)
        return c != 'q' && c != 'Q';
    return true;
}

static int watch(struct peri_cli *cli, struct peri_client *client, const char *sorting, bool once, long long seconds)
{
    struct peri_value *before = NULL, *now = NULL;
    struct peri_error err;
    int code = PERI_EXIT_OK;
    do {
        if (peri_client_call(client, "GET", "/v1/top", NULL, &now, &err)) {
            code = peri_client_fail(cli, &err);
            break;
        }
        if (cli->json) {
            peri_print_json(now);
        } else {
            if (!once)
                printf("\033[H\033[2Jperigee top, %s, every %lld s; q and Return ends\n\n",
                    before ? "since the last look" : "since the start", seconds);
            if (!print_table(now, before, sorting, once ? 1000 : 40))
                code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
            fflush(stdout);
        }
        peri_value_unref(before);
        before = now;
        now = NULL;
    } while (!once && code == PERI_EXIT_OK && wait_for(seconds));
    peri_value_unref(before);
    return code;
}

int peri_cmd_top(struct peri_cli *cli, int argc, char **argv)
{
    static const char *const columns[] = {"cpu", "calls", "http", "waiting", "failures", NULL};
    struct peri_args args;
    struct peri_client *client;
    struct peri_error err;
    long long seconds = 2;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    const char *sorting = args.value[SORT] ? args.value[SORT] : "cpu";
    bool known = false;
    for (const char *const *c = columns; *c; c++)
        known = known || peri_streq(*c, sorting);
    if (!known)
        return peri_cli_usage(cli, "top", "--sort takes cpu, calls, http, waiting or failures");
    if (!peri_cli_number(cli, "--interval", args.value[INTERVAL], 1, 60, 2, &seconds))
        return PERI_EXIT_USAGE;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (peri_client_open(cli, &client, &err))
        return peri_client_fail(cli, &err);
    bool once = args.value[ONCE] || cli->json || !isatty(STDOUT_FILENO);
    int code = watch(cli, client, sorting, once, seconds);
    peri_client_close(client);
    return code;
}
