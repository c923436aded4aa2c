/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: through the running service, which alone can take a browser's answer; a key is stored, and an account taken
 * back, without it too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "io/accounts.h"

enum { WAIT };

#define LOOK_NS 200000000

static const struct argp_option options[] = {
    {"wait", PERI_OPTION(WAIT), "SECONDS", OPTION_ARG_OPTIONAL,
        "connect: waits until the account is connected (600 seconds unless given)", 0},
    {0}};
static const struct peri_usage_text usage = {"list | connect PROVIDER | status [PROVIDER] | disconnect PROVIDER",
    "Accounts at other services, which plugins use with ctx.account. What a provider is stands in perigee.yaml under "
    "`accounts'; tokens are kept in the state folder, readable by its owner only, and are never printed.\v"
    "connect prints an address to open in a browser, on the machine where the service can be reached; for a provider "
    "of "
    "kind `key' it reads the key from standard input (hidden on a terminal), never from the command line. disconnect "
    "deletes the tokens and revokes them where the provider can do that. status exits with 1 when an account is not "
    "connected.",
    options, 0, 2};

/* --- without the service --- */

struct bench {
    struct peri_clock clock;
    struct peri_loop *loop;
    struct peri_http_client *http;
    struct peri_secrets *secrets;
    struct peri_accounts *accounts;
    bool done, revoked;
    struct peri_error err;
};

static void bench_close(struct bench *b)
{
    peri_accounts_destroy(b->accounts);
    peri_http_client_destroy(b->http);
    peri_secrets_destroy(b->secrets);
    peri_loop_destroy(b->loop);
}

static enum peri_status bench_open(struct peri_cli *cli, struct bench *b, struct peri_error *err)
{
    b->clock = peri_clock_system();
    enum peri_status st = peri_loop_create(&b->clock, &b->loop, err);
    if (!st)
        st = peri_http_client_create(&(struct peri_http_client_options){.loop = b->loop}, &b->http, err);
    if (!st)
        st = peri_secrets_open(cli->config.state_dir, &b->secrets, err);
    struct peri_accounts_options o = {
        .loop = b->loop, .http = b->http, .clock = b->clock, .secrets = b->secrets, .state_dir = cli->config.state_dir};
    if (!st)
        st = peri_accounts_create(&o, &b->accounts, err);
    if (!st)
        st = peri_accounts_configure(b->accounts, cli->config.accounts, err);
    return st;
}

/* --- asking --- */

/* The service, when it runs: *ret NULL when not. Returns an exit code. */
static int find_service(struct peri_cli *cli, struct peri_client **ret)
{
    struct peri_error err;
    *ret = NULL;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (peri_client_open(cli, ret, &err))
        *ret = NULL;
    else if (!peri_client_alive(*ret)) {
        peri_client_close(*ret);
        *ret = NULL;
    }
    return PERI_EXIT_OK;
}

static enum peri_status ask(struct peri_client *client, const char *method, const char *name, const char *verb,
    const struct peri_value *body, struct peri_value **ret, struct peri_error *err)
{
    struct peri_buf path;
    peri_buf_init(&path, 1024);
    peri_buf_puts(&path, "/v1/accounts/");
    peri_url_encode(&path, name);
    peri_buf_printf(&path, "%s%s", *verb ? "/" : "", verb);
    enum peri_status st = path.failed ? peri_error_set(err, PERI_EINVAL, NULL, "the name is too long")
                                      : peri_client_call(client, method, peri_buf_text(&path), body, ret, err);
    peri_buf_finish(&path);
    return st;
}

/* One account, or all of them as a list. */
static int read_facts(struct peri_cli *cli, const char *name, struct peri_value **ret)
{
    struct peri_client *client;
    struct peri_value *doc = NULL;
    struct peri_error err;
    struct bench b = {0};
    int code = find_service(cli, &client);
    if (code)
        return code;
    enum peri_status st;
    if (client) {
        st = name ? ask(client, "GET", name, "", NULL, ret, &err)
                  : peri_client_call(client, "GET", "/v1/accounts?limit=1000", NULL, &doc, &err);
        if (!st && !name)
            *ret = peri_value_ref(peri_map_at(doc, "items"));
        code = st ? peri_client_fail(cli, &err) : PERI_EXIT_OK;
    } else {
        st = bench_open(cli, &b, &err);
        if (!st)
            st = name ? peri_account_facts(b.accounts, name, ret, &err) : peri_accounts_list(b.accounts, ret, &err);
        code = st ? peri_cli_fail_error(cli, &err) : PERI_EXIT_OK;
        bench_close(&b);
    }
    peri_client_close(client);
    peri_value_unref(doc);
    return code;
}

static void print_all(struct peri_cli *cli, const struct peri_value *rows)
{
    static const struct peri_column columns[] = {{"provider", "PROVIDER", 0}, {"kind", "KIND", 0},
        {"state", "STATE", 0}, {"user", "USER", 40}, {"expires_at", "TOKEN UNTIL", 0}, {"error.message", "ERROR", 60},
        {0}};
    peri_print_list(cli, rows, columns, "no accounts; perigee.yaml describes them under \"accounts\"");
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *rows = NULL;
    int code = read_facts(cli, NULL, &rows);
    if (!code)
        print_all(cli, rows);
    peri_value_unref(rows);
    return code;
}

static bool is_connected(const struct peri_value *v)
{
    return peri_streq(peri_map_text(v, "state"), "connected");
}

static int status(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_value *v = NULL;
    bool good = true;
    int code = read_facts(cli, args->count ? args->words[0] : NULL, &v);
    if (!code && args->count) {
        if (cli->json)
            peri_print_json(v);
        else
            peri_print_record(v);
        good = is_connected(v);
    } else if (!code) {
        print_all(cli, v);
        for (size_t i = 0; i < peri_value_count(v); i++)
            good &= is_connected(peri_list_at(v, i));
    }
    peri_value_unref(v);
    return code ? code : good ? PERI_EXIT_OK : PERI_EXIT_NO;
}

/* --- connecting --- */

static int connected(struct peri_cli *cli, const char *name, const struct peri_value *facts)
{
    if (cli->json)
        peri_print_json(facts);
    else
        fprintf(stderr, "account %s is connected\n", name);
    return PERI_EXIT_OK;
}

static enum peri_status store_key(struct peri_cli *cli, const char *name, const char *key, size_t len,
    struct peri_value **ret, struct peri_error *err)
{
    struct bench b = {0};
    enum peri_status st = peri_path_make(cli->config.state_dir, err);
    if (!st)
        st = bench_open(cli, &b, err);
    if (!st)
        st = peri_account_set_key(b.accounts, name, key, len, err);
    if (!st)
        st = peri_account_facts(b.accounts, name, ret, err);
    bench_close(&b);
    return st;
}

static int connect_key(struct peri_cli *cli, struct peri_client *client, const char *name)
{
    struct peri_value *body = NULL, *facts = NULL;
    struct peri_error err;
    char *key = NULL;
    size_t len = 0;
    enum peri_status st = peri_cli_read_hidden("key", &key, &len, &err);
    if (st)
        return peri_cli_fail_error(cli, &err);
    if (client) {
        body = peri_value_map();
        st = body && !peri_map_put(body, "key", peri_value_strn(key, len))
                 ? ask(client, "POST", name, "connect", body, &facts, &err)
                 : peri_error_set(&err, PERI_EINVAL, NULL, "the key is no text");
    } else {
        st = store_key(cli, name, key, len, &facts, &err);
    }
    peri_secret_free(key, len);
    peri_value_unref(body);
    int code = st ? client ? peri_client_fail(cli, &err) : peri_cli_fail_error(cli, &err) : connected(cli, name, facts);
    peri_value_unref(facts);
    return code;
}

/* Until somebody has come back from the provider, well or not. before: connected_at of the account as it was. */
static int wait_for(
    struct peri_cli *cli, struct peri_client *client, const char *name, const char *before, long long seconds)
{
    struct peri_clock clock = peri_clock_system();
    int64_t until = peri_clock_mono(&clock).ns + seconds * 1000000000LL;
    for (;;) {
        struct peri_value *v = NULL;
        struct peri_error err;
        int code = -1;
        const struct peri_value *wrong;
        if (ask(client, "GET", name, "", NULL, &v, &err))
            return peri_client_fail(cli, &err);
        if (is_connected(v) && !peri_streq(peri_map_text(v, "connected_at"), before))
            code = connected(cli, name, v);
        else if ((wrong = peri_map_at(v, "connect_error")))
            code = peri_cli_fail(cli, PERI_EXIT_NO, "%s", peri_map_text(wrong, "message"));
        else if (!peri_map_at(v, "connecting_until") || peri_clock_mono(&clock).ns >= until)
            code = peri_cli_fail(cli, PERI_EXIT_NO, "nobody has opened the address in time");
        peri_value_unref(v);
        if (code >= 0)
            return code;
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
    }
}

static int connect_browser(struct peri_cli *cli, struct peri_client *client, const char *name,
    const struct peri_value *facts, const char *wait)
{
    struct peri_value *body = peri_value_map(), *doc = NULL;
    struct peri_error err;
    long long seconds = 600;
    int code = PERI_EXIT_OK;
    if (wait && *wait && !peri_cli_number(cli, "--wait", wait, 1, 86400, 600, &seconds))
        code = PERI_EXIT_USAGE;
    else if (!client)
        code = peri_cli_fail(cli, PERI_EXIT_UNAVAILABLE,
            "the service is not running, and a browser has to come back to it; start it with `perigee run'");
    else if (!body || ask(client, "POST", name, "connect", body, &doc, &err))
        code = body ? peri_client_fail(cli, &err) : PERI_EXIT_INTERNAL;
    if (!code && cli->json) {
        peri_print_json(doc);
    } else if (!code) {
        fprintf(stderr, "Open this address in a browser within ten minutes, and only there:\n");
        printf("%s\n", peri_map_text(doc, "url"));
        fprintf(stderr, "The provider sends it back to %s, which must be registered there.\n",
            peri_map_text(doc, "redirect_uri"));
    }
    fflush(stdout);
    if (!code && wait)
        code = wait_for(cli, client, name, peri_map_text(facts, "connected_at"), seconds);
    peri_value_unref(body);
    peri_value_unref(doc);
    return code;
}

static int connect_account(struct peri_cli *cli, const struct peri_args *args)
{
    const char *name = args->words[0];
    struct peri_client *client = NULL;
    struct peri_value *facts = NULL;
    int code = read_facts(cli, name, &facts);
    if (!code)
        code = find_service(cli, &client);
    if (!code && peri_streq(peri_map_text(facts, "kind"), "key"))
        code = connect_key(cli, client, name);
    else if (!code)
        code = connect_browser(cli, client, name, facts, args->value[WAIT]);
    peri_client_close(client);
    peri_value_unref(facts);
    return code;
}

/* --- taking back --- */

static void gone(void *arg, bool revoked, const struct peri_error *err)
{
    struct bench *b = arg;
    b->done = true;
    b->revoked = revoked;
    if (err)
        b->err = *err;
}

static enum peri_status disconnect_here(
    struct peri_cli *cli, const char *name, struct peri_value **ret, struct peri_error *err)
{
    struct bench b = {0};
    struct peri_value *v = NULL;
    enum peri_status st = bench_open(cli, &b, err);
    if (!st)
        st = peri_account_disconnect(b.accounts, name, gone, &b, err);
    while (!st && !b.done)
        peri_loop_once(b.loop, 1000);
    if (!st && (!(v = peri_value_map()) || peri_map_put_text(v, "provider", name) ||
                   peri_map_put_text(v, "state", "not_connected") || peri_map_put_bool(v, "revoked", b.revoked) ||
                   peri_map_put_text(v, "warning", b.err.status ? b.err.message : NULL)))
        st = peri_error_nomem(err);
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    bench_close(&b);
    return st;
}

static int disconnect_account(struct peri_cli *cli, const struct peri_args *args)
{
    const char *name = args->words[0];
    struct peri_client *client;
    struct peri_value *body = peri_value_map(), *doc = NULL;
    struct peri_error err;
    int code = find_service(cli, &client);
    if (code) {
        peri_value_unref(body);
        return code;
    }
    enum peri_status st =
        client ? ask(client, "POST", name, "disconnect", body, &doc, &err) : disconnect_here(cli, name, &doc, &err);
    if (st)
        code = client ? peri_client_fail(cli, &err) : peri_cli_fail_error(cli, &err);
    else if (cli->json)
        peri_print_json(doc);
    else
        fprintf(stderr, "account %s is disconnected%s\n", name,
            peri_map_bool(doc, "revoked", false) ? ", its tokens are revoked" : "");
    if (!st && !cli->json && peri_map_text(doc, "warning"))
        fprintf(stderr, "%s\n", peri_map_text(doc, "warning"));
    peri_client_close(client);
    peri_value_unref(body);
    peri_value_unref(doc);
    return code;
}

int peri_cmd_accounts(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"connect", connect_account, 1, 1, "PROVIDER"},
        {"status", status, 0, 1, "PROVIDER"}, {"disconnect", disconnect_account, 1, 1, "PROVIDER"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "accounts", verbs, &args);
}
