/* SPDX-License-Identifier: Apache-2.0 */
#include "app/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "app/client.h"
#include "app/paths.h"
#include "app/privacy.h"
#include "base/str.h"
#include "data/json.h"
#include "io/secrets.h"

const struct peri_command peri_commands[] = {
    {"The service", "run", "the service, in the foreground", peri_cmd_run},
    {NULL, "doctor", "checks the installation", peri_cmd_doctor},
    {NULL, "top", "what plugins and rules cost, live", peri_cmd_top},
    {NULL, "backup", "a copy of the database, while the service runs", peri_cmd_backup},
    {NULL, "recover", "saves what can be saved of a damaged database", peri_cmd_recover},
    {NULL, "version", "versions of the program and of what it is linked to", peri_cmd_version},
    {"Writing rules", "check", "validates configuration, plugins and rules", peri_cmd_check},
    {NULL, "test", "runs tests of rules with virtual time", peri_cmd_test},
    {NULL, "operators", "conditions and actions: list, show, call", peri_cmd_operators},
    {NULL, "eval", "evaluates a template expression", peri_cmd_eval},
    {NULL, "cron", "the next instants of a cron expression", peri_cmd_cron},
    {NULL, "match", "filters JSON events by a pattern, like grep", peri_cmd_match},
    {NULL, "blueprints", "rules with holes, and what is made of them: list, show, diff, expand", peri_cmd_blueprints},
    {NULL, "diff", "what other rules would have done with stored events", peri_cmd_diff},
    {NULL, "lsp", "a language server for editors", peri_cmd_lsp},
    {"Events, and what became of them", "emit", "sends an event to the service", peri_cmd_emit},
    {NULL, "events", "the journal: list, show, replay", peri_cmd_events},
    {NULL, "rules", "the rules: list, show, graph, webhooks, enable, disable, reload", peri_cmd_rules},
    {NULL, "why", "why a rule did or did not run for an event", peri_cmd_why},
    {NULL, "runs", "what rules did: list, show, approve, pause, resume, retry, cancel, resolve", peri_cmd_runs},
    {NULL, "outbox", "messages that no channel took: list, show, clear", peri_cmd_outbox},
    {NULL, "tasks", "scheduled actions: list, show, create, cancel, retry", peri_cmd_tasks},
    {NULL, "dead", "dead letters: list, show, redrive, resolve", peri_cmd_dead},
    {NULL, "errors", "what failed: list, show, stats, trends, resolve", peri_cmd_errors},
    {"Data, secrets, accounts", "data", "the unified model: query, get, put, delete, import", peri_cmd_data},
    {NULL, "mappings", "ids that other systems have for ours: list, show, set, lookup, key, delete", peri_cmd_mappings},
    {NULL, "secrets", "secret values: list, set, remove", peri_cmd_secrets},
    {NULL, "accounts", "accounts at other services: list, connect, status, disconnect", peri_cmd_accounts},
    {"Plugins", "plugins",
        "packages: list, show, new, check, test, probe, approve, revoke, audit, enable, disable, reload",
        peri_cmd_plugins},
    {0},
};

int peri_cli_verb(
    struct peri_cli *cli, const char *command, const struct peri_verb *verbs, const struct peri_args *args)
{
    const char *word = args->count ? args->words[0] : verbs[0].name, *names[32];
    size_t n = 0;
    for (const struct peri_verb *v = verbs; v->name && n < 31; v++) {
        names[n++] = v->name;
        if (!peri_streq(v->name, word))
            continue;
        size_t words = args->count ? args->count - 1 : 0;
        if (words < v->min_words || words > v->max_words)
            return peri_cli_usage(
                cli, command, "`%s %s' takes %s", command, word, v->max_words ? v->words : "no arguments");
        struct peri_args rest = *args;
        if (args->count)
            memmove(rest.words, rest.words + 1, sizeof(rest.words) - sizeof(rest.words[0]));
        rest.count = words;
        return v->run(cli, &rest);
    }
    names[n] = NULL;
    const char *near = peri_nearest(word, names);
    if (near)
        return peri_cli_usage(cli, command, "there is no `%s %s' (did you mean \"%s\"?)", command, word, near);
    return peri_cli_usage(cli, command, "there is no `%s %s'", command, word);
}

int peri_cli_reader(struct peri_cli *cli, struct peri_reader **ret)
{
    struct peri_error err;
    *ret = NULL;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    enum peri_status st = peri_reader_open(cli->config.database, ret, &err);
    if (st == PERI_ENOTFOUND)
        *ret = NULL;
    else if (st)
        return peri_cli_fail_error(cli, &err);
    return PERI_EXIT_OK;
}

int peri_cli_show(struct peri_cli *cli, const char *noun, const char *word, uint64_t id, peri_cli_read_fn read,
    void (*print)(const struct peri_value *v))
{
    struct peri_reader *reader;
    struct peri_value *v = NULL;
    struct peri_error err;
    int code = peri_cli_reader(cli, &reader);
    if (code)
        return code;
    enum peri_status st = reader ? read(reader, id, &v, &err)
                                 : peri_error_set(&err, PERI_ENOTFOUND, NULL, "there is no %s %s", noun, word);
    if (!st)
        st = peri_cli_hide(cli, reader, 0, &v, &err);
    if (st)
        code = peri_cli_fail_error(cli, &err);
    else if (cli->json)
        peri_print_json(v);
    else
        (print ? print : peri_print_record)(v);
    peri_value_unref(v);
    peri_reader_close(reader);
    return code;
}

int peri_cli_list(struct peri_cli *cli, peri_cli_rows_fn read, const void *filter, const struct peri_column *columns,
    const char *none)
{
    struct peri_reader *reader;
    struct peri_value *rows = NULL;
    struct peri_error err;
    int code = peri_cli_reader(cli, &reader);
    if (code)
        return code;
    if (reader && (read(reader, filter, &rows, &err) || peri_cli_hide(cli, reader, 0, &rows, &err)))
        code = peri_cli_fail_error(cli, &err);
    else
        peri_print_list(cli, rows, columns, none);
    peri_value_unref(rows);
    peri_reader_close(reader);
    return code;
}

bool peri_cli_number(struct peri_cli *cli, const char *option, const char *text, long long low, long long high,
    long long fallback, long long *ret)
{
    *ret = fallback;
    if (!text || (peri_parse_i64(text, ret) && *ret >= low && *ret <= high))
        return true;
    peri_cli_fail(
        cli, PERI_EXIT_USAGE, "%s takes a whole number from %lld to %lld, not \"%s\"", option, low, high, text);
    return false;
}

enum peri_status peri_cli_json(const char *what, const char *text, struct peri_value **ret, struct peri_error *err)
{
    char *read = NULL;
    size_t len = strlen(text);
    if (peri_streq(text, "-") || text[0] == '@') {
        enum peri_status st = peri_path_read(text[0] == '@' ? text + 1 : text, 64u << 20, &read, &len, err);
        if (st)
            return st;
        text = read;
    }
    enum peri_status st = peri_json_parse(text, len, ret, err);
    if (st)
        peri_error_prefix(err, "%s is not valid JSON", what);
    free(read);
    return st;
}

enum peri_status peri_cli_read_hidden(const char *what, char **ret, size_t *ret_len, struct peri_error *err)
{
    struct termios old, quiet;
    *ret = NULL;
    *ret_len = 0;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
    enum peri_status st;
    if (terminal) {
        char *line = NULL;
        size_t cap = 0;
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fprintf(stderr, "%s: ", what);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        ssize_t n = getline(&line, &cap, stdin);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
        *ret = line;
        *ret_len = n > 0 ? (size_t)n : 0;
        st = n > 0 ? PERI_OK : peri_error_set(err, PERI_EINVAL, NULL, "no %s was given", what);
    } else {
        st = peri_path_read("-", 64 * 1024, ret, ret_len, err);
    }
    if (st == PERI_OK && *ret_len > 0 && (*ret)[*ret_len - 1] == '\n')
        (*ret)[--*ret_len] = '\0';
    if (st == PERI_OK && *ret_len == 0)
        st = peri_error_set(err, PERI_EINVAL, NULL, "the %s is empty", what);
    if (st && *ret) {
        peri_secret_free(*ret, *ret_len);
        *ret = NULL;
    }
    return st;
}

static int change_directly(struct peri_cli *cli, peri_store_fn fn, void *arg)
{
    struct peri_store *store;
    struct peri_error err;
    enum peri_status st = peri_path_make(cli->config.state_dir, &err);
    if (st == PERI_OK)
        st = peri_store_open(
            &(struct peri_store_options){.path = cli->config.database, .clock = peri_clock_system()}, &store, &err);
    if (st)
        return peri_cli_fail_error(cli, &err);
    st = peri_store_run(store, fn, arg, &err);
    peri_store_close(store);
    return st ? peri_cli_fail_error(cli, &err) : PERI_EXIT_OK;
}

int peri_cli_change(struct peri_cli *cli, const char *method, const char *path, const struct peri_value *body,
    peri_store_fn fn, void *arg, struct peri_value **ret_answer)
{
    struct peri_client *client;
    struct peri_error err;
    *ret_answer = NULL;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    enum peri_status st = peri_client_open(cli, &client, &err);
    if (st == PERI_OK && peri_client_alive(client)) {
        st = peri_client_call(client, method, path, body, ret_answer, &err);
        peri_client_close(client);
        return st ? peri_client_fail(cli, &err) : PERI_EXIT_OK;
    }
    if (st == PERI_OK)
        peri_client_close(client);
    return fn ? change_directly(cli, fn, arg)
              : peri_cli_fail(cli, PERI_EXIT_UNAVAILABLE, "the service is not running; start it with `perigee run'");
}
