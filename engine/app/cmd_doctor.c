/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the installation: each prints "ok", "warn" or "fail" with what to do. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/paths.h"
#include "app/rulebook.h"
#include "app/workbench.h"
#include "base/str.h"
#include "io/http_client.h"
#include "io/store_flow.h"
#include "io/store_watch.h"
#include "app/zones.h"

static const struct peri_usage_text usage = {"",
    "Checks the installation: configuration, state folder, database, time zones, plugins, rules, service. Exit code 1 "
    "when something fails.",
    NULL, 0, 0};

#define FLOW_ROWS 12 /* of more sources only those are told that are wrong */

struct report {
    struct peri_value *rows;
    bool failed;
};

static void add(struct report *r, const char *state, const char *what, const char *fmt, ...) PERI_PRINTF(4, 5);

static void add(struct report *r, const char *state, const char *what, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->failed |= peri_streq(state, "fail");
    struct peri_value *row = peri_value_map();
    if (row && peri_map_put_text(row, "state", state) == PERI_OK && peri_map_put_text(row, "check", what) == PERI_OK &&
        peri_map_put_text(row, "detail", text) == PERI_OK && peri_list_push(r->rows, peri_value_ref(row)) == PERI_OK)
        peri_value_unref(row);
    else
        peri_value_unref(row);
}

static void check_state(struct report *r, const struct peri_config *c)
{
    struct stat st;
    struct statvfs fs;
    add(r, "ok", "configuration", "%s", c->file ? c->file : "no file: defaults");
    if (stat(c->state_dir, &st) < 0) {
        add(r, errno == ENOENT ? "ok" : "fail", "state folder", "%s: %s", c->state_dir,
            errno == ENOENT ? "not there yet; the first start makes it" : strerror(errno));
        return;
    }
    if (access(c->state_dir, W_OK) < 0)
        add(r, "fail", "state folder", "%s can not be written: %s", c->state_dir, strerror(errno));
    else if (st.st_mode & 077)
        add(r, "warn", "state folder", "%s is open to other users: chmod 700 it", c->state_dir);
    else
        add(r, "ok", "state folder", "%s", c->state_dir);
    if (statvfs(c->state_dir, &fs) == 0) {
        unsigned long long free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
        add(r, free_mib < 64 ? "warn" : "ok", "disk", "%llu MiB free", free_mib);
    }
}

/* Is every event that was ever received accounted for? Counted from the journal and the counts in one read. */
static void check_flow(struct report *r, struct peri_reader *reader)
{
    struct peri_value *rows = NULL;
    struct peri_error err;
    int64_t received = 0;
    if (peri_reader_flow(reader, &rows, &err)) {
        add(r, "warn", "conservation", "%s", err.message);
        return;
    }
    size_t count = peri_value_count(rows), wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const struct peri_value *row = peri_list_at(rows, i);
        received += peri_map_int(row, "received", 0);
        bool balanced = peri_map_bool(row, "balanced", false);
        wrong += !balanced;
        if (balanced && count > FLOW_ROWS)
            continue;
        add(r, balanced ? "ok" : "fail", "source",
            "%s: %lld received %s %lld matched + %lld unmatched + %lld duplicate + %lld rejected + %lld shed + %lld "
            "dead",
            peri_map_text(row, "source"), (long long)peri_map_int(row, "received", 0), balanced ? "=" : "is not",
            (long long)peri_map_int(row, "matched", 0), (long long)peri_map_int(row, "unmatched", 0),
            (long long)peri_map_int(row, "duplicate", 0), (long long)peri_map_int(row, "rejected", 0),
            (long long)peri_map_int(row, "shed", 0), (long long)peri_map_int(row, "dead", 0));
    }
    if (wrong)
        add(r, "fail", "conservation", "events of %zu sources are not accounted for", wrong);
    else
        add(r, "ok", "conservation", "all %lld events received from %zu sources are accounted for", (long long)received,
            count);
    peri_value_unref(rows);
}

/* A trigger that forgets keys misses what it was made for. */
static void check_watches(struct report *r, struct peri_reader *reader)
{
    struct peri_value *watches = NULL;
    struct peri_error err;
    if (peri_reader_watches(reader, &watches, &err))
        return; /* a database of an older version */
    for (size_t i = 0; i < peri_value_count(watches); i++) {
        const struct peri_value *w = peri_list_at(watches, i);
        if (peri_map_int(w, "evicted", 0) > 0)
            add(r, "warn", "watch",
                "the %s of the rule %s remembers %lld keys and has forgotten %lld for want of room (max_keys)",
                peri_map_text(w, "kind"), peri_map_text(w, "rule"), (long long)peri_map_int(w, "keys", 0),
                (long long)peri_map_int(w, "evicted", 0));
    }
    peri_value_unref(watches);
}

static void check_database(struct report *r, const struct peri_config *c)
{
    struct peri_reader *reader;
    struct peri_value *stats = NULL;
    struct peri_error err;
    enum peri_status st = peri_reader_open(c->database, &reader, &err);
    if (st == PERI_ENOTFOUND) {
        add(r, "ok", "database", "none yet");
        return;
    }
    if (st) {
        add(r, "fail", "database", "%s", err.message);
        return;
    }
    if (peri_reader_stats(reader, &stats, &err))
        add(r, "fail", "database", "%s", err.message);
    else
        add(r, "ok", "database", "%s, %lld MiB, %lld events, %lld runs", c->database,
            (long long)(peri_map_int(stats, "bytes", 0) >> 20), (long long)peri_map_int(stats, "events", 0),
            (long long)peri_map_int(stats, "runs", 0));
    peri_value_unref(stats);
    check_flow(r, reader);
    check_watches(r, reader);
    peri_reader_close(reader);
}

static void check_plugins(struct report *r, struct peri_cli *cli)
{
    struct peri_workbench bench = {0};
    struct peri_diag diag;
    struct peri_error err;
    struct peri_value *plugins = NULL;
    peri_diag_init(&diag);
    if (peri_workbench_open(&bench, cli, &diag, &err)) {
        add(r, "fail", "plugins", "%s", err.message);
        peri_diag_finish(&diag);
        return;
    }
    size_t active = 0, alone = 0;
    if (peri_host_plugins(bench.host, &plugins) == PERI_OK) {
        for (size_t i = 0; i < peri_value_count(plugins); i++) {
            struct peri_value *p = peri_list_at(plugins, i);
            const char *state = peri_map_text(p, "state"), *why = peri_map_text(peri_map_at(p, "refusal"), "message");
            if (!why)
                why = peri_map_text(p, "refusal");
            if (!why)
                why = peri_map_text(p, "error");
            alone += peri_streq(state, "active") && peri_streq(peri_map_text(p, "isolation"), "process");
            if (peri_streq(state, "active"))
                active++;
            else
                add(r, peri_streq(state, "failed") ? "fail" : "warn", "plugin", "%s is %s%s%s", peri_map_text(p, "id"),
                    state, why ? ": " : "", why ? why : "");
        }
    }
    add(r, active ? "ok" : "fail", "plugins", "%zu active, %zu of them in a process of their own", active, alone);
    peri_value_unref(plugins);
    size_t before = diag.errors;
    struct peri_rulebook *book = peri_rulebook_create((const char *const *)cli->config.rules);
    if (book && peri_rulebook_load(book, &bench.env, &diag) == PERI_OK)
        add(r, diag.errors ? "fail" : "ok", "rules", "%zu rules in %zu files, %zu errors%s",
            peri_rulebook_rules(book)->count, peri_rulebook_files(book), diag.errors - before,
            diag.errors ? " (`perigee check' shows them)" : "");
    peri_rulebook_destroy(book);
    peri_workbench_close(&bench);
    peri_diag_finish(&diag);
}

static void check_zone(struct report *r, const struct peri_config *c)
{
    struct peri_tz_source source = peri_tz_files();
    struct peri_tz *tz;
    struct peri_error err;
    const char *name = c->timezone ? c->timezone : "Europe/Berlin";
    if (peri_tz_load(&source, name, &tz, &err)) {
        add(r, "fail", "time zones", "%s (is the package tzdata installed?)", err.message);
        return;
    }
    add(r, "ok", "time zones", "%s%s", c->timezone ? "" : "zoneinfo is there; schedules without a zone run in UTC",
        c->timezone ? c->timezone : "");
    peri_tz_destroy(tz);
}

static void check_store_state(struct report *r, const struct peri_value *store)
{
    const char *state = peri_map_text(store, "state"), *reason = peri_map_text(store, "reason");
    const struct peri_value *behind = peri_map_at(store, "behind");
    if (state && !peri_streq(state, "good"))
        add(r, "fail", "store", "%s: %s; %s", state, reason ? reason : "",
            peri_streq(state, "full") ? "make room, the service goes on by itself"
                                      : "nothing is written any more: see `perigee recover' and docs/operations.md");
    if (behind)
        add(r, "fail", "journal",
            "events up to ev-%lld were acknowledged, but at the start none after ev-%lld was stored",
            (long long)peri_map_int(behind, "acknowledged", 0), (long long)peri_map_int(behind, "stored", 0));
}

static void check_circuits(struct report *r, const struct peri_value *circuits)
{
    for (size_t i = 0; i < peri_value_count(circuits); i++) {
        const struct peri_value *k = peri_list_at(circuits, i);
        if (!peri_streq(peri_map_text(k, "state"), "closed"))
            add(r, "warn", "circuit", "%s is not called until %s: %s", peri_map_text(k, "destination"),
                peri_map_text(k, "until"), peri_map_text(peri_map_at(k, "error"), "message"));
    }
}

static void check_crowded(struct report *r, const struct peri_value *crowded)
{
    for (size_t i = 0; i < peri_value_count(crowded); i++) {
        const struct peri_value *c = peri_list_at(crowded, i);
        add(r, "warn", "destination", "%s: %lld calls are under way, %lld wait until one is answered",
            peri_map_text(c, "destination"), (long long)peri_map_int(c, "under_way", 0),
            (long long)peri_map_int(c, "waiting", 0));
    }
}

static void check_dead(struct report *r, const struct peri_value *status)
{
    long long open = peri_map_int(status, "dead_letters", 0), lost = peri_map_int(status, "dead_letters_lost", 0);
    if (lost > 0)
        add(r, "fail", "dead letters", "%lld, and %lld more were not kept: settle them (`perigee dead list')", open,
            lost);
    else if (open > 0)
        add(r, "warn", "dead letters", "%lld wait for somebody (`perigee dead list')", open);
}

/* What the start found, for whoever comes after a night of power cuts. */
static void check_start(struct report *r, const struct peri_value *start)
{
    const char *since = peri_map_text(start, "down_since");
    char down[96] = "";
    if (!start || peri_map_bool(start, "first", false))
        return;
    if (since)
        snprintf(down, sizeof(down), "down for %lld s since %s, ", (long long)peri_map_int(start, "down_ms", 0) / 1000,
            since);
    add(r, "ok", "last start",
        "%s%s stop before; found %lld events unmatched, runs: %lld to go on, %lld waiting (%lld due meanwhile), %lld "
        "queued,"
        " %lld for a person; %lld of schedules' occurrences missed, %lld made up for",
        down, peri_map_bool(start, "clean", false) ? "orderly" : "no orderly",
        (long long)peri_map_int(start, "unmatched", 0), (long long)peri_map_int(start, "resumed", 0),
        (long long)peri_map_int(start, "waiting", 0), (long long)peri_map_int(start, "overdue", 0),
        (long long)peri_map_int(start, "queued", 0), (long long)peri_map_int(start, "for_people", 0),
        (long long)peri_map_int(start, "missed", 0), (long long)peri_map_int(start, "made_up", 0));
}

static void check_accounts(struct report *r, const struct peri_value *accounts)
{
    for (size_t i = 0; i < peri_value_count(accounts); i++) {
        const struct peri_value *a = peri_list_at(accounts, i);
        const char *why = peri_map_text(peri_map_at(a, "error"), "message");
        if (peri_streq(peri_map_text(a, "state"), "needs_attention"))
            add(r, "warn", "account", "%s has to be connected again (`perigee accounts connect %s')%s%s",
                peri_map_text(a, "id"), peri_map_text(a, "id"), why ? ": " : "", why ? why : "");
        else if (why)
            add(r, "warn", "account", "the token of %s could not be renewed (it ends %s): %s", peri_map_text(a, "id"),
                peri_map_text(a, "expires_at") ? peri_map_text(a, "expires_at") : "some time", why);
    }
}

static void check_service(struct report *r, struct peri_cli *cli)
{
    struct peri_client *client;
    struct peri_value *v = NULL, *accounts = NULL;
    struct peri_error err, ignored;
    enum peri_status st = peri_client_open(cli, &client, &err);
    if (st == PERI_OK) {
        st = peri_client_call(client, "GET", "/v1/status", NULL, &v, &err);
        if (st || peri_client_call(client, "GET", "/v1/accounts?limit=1000", NULL, &accounts, &ignored))
            accounts = NULL;
        peri_client_close(client);
    }
    if (st)
        add(r, "warn", "service", "%s", err.message);
    else
        add(r, "ok", "service", "version %s, started %s, %lld rules", peri_map_text(v, "version"),
            peri_map_text(v, "started"), (long long)peri_map_int(v, "rules", 0));
    if (v) {
        int64_t orphans = peri_map_int(v, "orphans", 0);
        check_store_state(r, peri_map_at(v, "store"));
        check_circuits(r, peri_map_at(v, "circuits"));
        check_crowded(r, peri_map_at(v, "crowded"));
        check_dead(r, v);
        check_accounts(r, peri_map_at(accounts, "items"));
        check_start(r, peri_map_at(v, "start"));
        if (orphans > 0)
            add(r, "warn", "runs", "%lld had nobody who went on with them and were taken up again: please report it",
                (long long)orphans);
    }
    peri_value_unref(accounts);
    peri_value_unref(v);
}

/* The interpreter decides which guards of the sandbox matter; all of them are active with every version. */
static void check_lua(struct report *r)
{
    char version[16];
    bool backstop;
    long long patch = 0;
    peri_host_lua(version, &backstop);
    const char *last = strrchr(version, '.');
    bool corrected = last && peri_parse_i64(last + 1, &patch) && patch >= 8;
    add(r, backstop ? "ok" : "warn", "Lua", "%s%s, guards active%s", version,
        corrected ? "" : ": memory faults known in it are fenced off by the sandbox (engine/doc/sandbox.md)",
        backstop ? "" : "; single slow instructions are noticed late: liblua is no shared library of its own");
}

/* The service loads it with its first call; whoever installs it wants to know before. */
static void check_client(struct report *r)
{
    struct peri_error err = {0};
    if (peri_http_client_check(&err))
        add(r, "fail", "libcurl", "%s", err.message);
    else
        add(r, "ok", "libcurl", "outgoing HTTP and mail can be sent");
}

static void check_processes(struct report *r)
{
    struct peri_error err = {0};
    if (peri_host_check_process(&err))
        add(r, "warn", "isolation", "%s; `isolation: process` will not work", err.message);
    else
        add(r, "ok", "isolation", "plugins can have processes of their own");
}

int peri_cmd_doctor(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_column columns[] = {{"state", "", 0}, {"check", "CHECK", 0}, {"detail", "DETAIL", 0}, {0}};
    struct peri_args args;
    struct report r = {peri_value_list(), false};
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (!peri_cli_config(cli)) {
        peri_value_unref(r.rows);
        return PERI_EXIT_NO;
    }
    check_state(&r, &cli->config);
    check_database(&r, &cli->config);
    check_zone(&r, &cli->config);
    check_lua(&r);
    check_client(&r);
    check_processes(&r);
    check_plugins(&r, cli);
    check_service(&r, cli);
    peri_print_list(cli, r.rows, columns, "nothing to check");
    peri_value_unref(r.rows);
    return r.failed ? PERI_EXIT_NO : PERI_EXIT_OK;
}
