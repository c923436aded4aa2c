/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TEST_HOSTILE_SUITE_H
#define PERI_TEST_HOSTILE_SUITE_H

/* The plugins of tests/hostile and tests/benign, each through the whole host with the limits that a plugin gets: none
 * hangs, crashes, leaks or outgrows its caps, each ends with the code that it names, and after each one a good plugin
 * answers as ever.
 *
 * The first lines of a file say what is tried:
 *   -- try: PLACE WHAT        PLACE: load, action, condition, webhook, channel; WHAT: ok, a status, or the codes that
 *                             are right, divided by |. Several are tried in order.
 *   -- try: repeat N WHAT     the action once more, at most N times, until it comes to that
 *   -- result: JSON           of the last call
 *   -- permissions: A B C
 *   -- secret: NAME           which the manifest names and which is set */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>

#include "host_rig.h"

#include "base/buf.h"
#include "base/str.h"
#include "plugin/host_internal.h"

#define MAX_PLUGINS 400
#define INSTRUCTIONS 1000000
#define MEMORY_CAP ((size_t)10 << 20) /* 8 MiB, the host's reserve, and what an arena rounds up */

static int wrong; /* tries that came to something else */

static const char GOOD[] =
    "return { conditions = { ['good.check'] = { evaluate = function(p) return p.n == #('x'):rep(p.n) end } },\n"
    "  actions = { ['good.ping'] = { execute = function() return ('%s-%d'):format(('pong'):upper(), math.floor(7.9)) "
    "end },\n"
    "    ['good.send'] = { execute = function(p, ctx) return ctx.send(p.type, { body = 'x' }) end } } }\n";

struct suspect {
    char name[64];
    char *text;
};

static char *read_whole(const char *path)
{
    struct peri_buf buf;
    char chunk[8192];
    size_t n;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    peri_buf_init(&buf, 1 << 20);
    while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0)
        assert_int_equal(peri_buf_append(&buf, chunk, n), PERI_OK);
    fclose(in);
    char *text = peri_buf_take(&buf, NULL);
    peri_buf_finish(&buf);
    return text;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct suspect *)a)->name, ((const struct suspect *)b)->name);
}

static size_t read_folder(const char *folder, struct suspect *list)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!peri_str_ends(e->d_name, ".lua"))
            continue;
        char *path = peri_asprintf("%s/%s", folder, e->d_name);
        assert_true(n < MAX_PLUGINS);
        snprintf(list[n].name, sizeof(list[n].name), "%.*s", (int)strlen(e->d_name) - 4, e->d_name);
        list[n++].text = read_whole(path);
        free(path);
    }
    closedir(dir);
    qsort(list, n, sizeof(*list), by_name);
    return n;
}

/* Ids of plugins have dashes. */
static const char *folder_of(const char *name)
{
    static char folder[64];
    snprintf(folder, sizeof(folder), "%s", name);
    for (char *p = folder; *p; p++)
        *p = *p == '_' ? '-' : *p;
    return folder;
}

/* The next line "-- key: value" from *at on, without its key; false when there is none. */
static bool next_line(const char **at, const char *key, char *value, size_t size)
{
    char lead[32];
    snprintf(lead, sizeof(lead), "-- %s: ", key);
    for (const char *p = *at; p && peri_str_starts(p, "--"); p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (!peri_str_starts(p, lead))
            continue;
        p += strlen(lead);
        snprintf(value, size, "%.*s", (int)strcspn(p, "\n"), p);
        *at = strchr(p, '\n') + 1;
        return true;
    }
    return false;
}

static void install(struct rig *rig, const struct suspect *s)
{
    char words[512] = "", list[1024] = "", secret[64] = "", more[128] = "", *save = NULL;
    const char *at = s->text;
    if (next_line(&at, "permissions", words, sizeof(words)))
        for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s\"%s\"", *list ? "," : "", word);
    char all[1100];
    snprintf(all, sizeof(all), "[%s]", list);
    at = s->text;
    if (next_line(&at, "secret", secret, sizeof(secret))) {
        struct peri_error err;
        snprintf(more, sizeof(more), ",\"mtlsSecrets\":[\"%s\"]", secret);
        assert_int_equal(peri_secrets_set(rig->secrets, secret, "tomato", 6, &err), PERI_OK);
    }
    rig_plugin(rig, folder_of(s->name), all, more, s->text);
}

/* --- what is tried --- */

struct web_result {
    bool done;
    int status;
    bool leaks;
};

static void web_done(void *arg, const struct peri_webhook_response *r)
{
    struct web_result *w = arg;
    w->done = true;
    w->status = r->status;
    w->leaks = r->body && r->body_len && memmem(r->body, r->body_len, "tomato", 6);
}

static int try_webhook(struct rig *rig, const char *name)
{
    char id[100];
    struct web_result w = {0};
    snprintf(id, sizeof(id), "test.%s", folder_of(name));
    struct peri_webhook_request r = {.plugin_id = id,
        .path = "/go",
        .method = "POST",
        .url = "http://x/",
        .query = "",
        .body = "",
        .remote = "192.0.2.1"};
    peri_host_webhook(rig->host, &r, web_done, &w);
    rig_wait(rig, &w.done);
    assert_false(w.leaks);
    return w.status;
}

/* Code of the plugin's error, "ok" when it is active. */
static void state_of(struct rig *rig, const char *name, char *code, size_t size)
{
    char id[100];
    struct peri_value *rows = NULL;
    snprintf(id, sizeof(id), "test.%s", folder_of(name));
    snprintf(code, size, "not there");
    assert_int_equal(peri_host_plugins(rig->host, &rows), PERI_OK);
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        const struct peri_value *p = peri_list_at(rows, i);
        const char *why = peri_map_text(peri_map_at(p, "error"), "code");
        if (peri_streq(peri_map_text(p, "id"), id))
            snprintf(code, size, "%s", peri_streq(peri_map_text(p, "state"), "active") ? "ok" : why ? why : "no code");
    }
    peri_value_unref(rows);
}

static struct rig_answer call(struct rig *rig, const char *id, const char *params)
{
    return rig_call_with(rig, (struct peri_call){.operator_id = id}, params);
}

static bool is_one_of(const char *code, const char *codes)
{
    size_t len = strlen(code);
    for (const char *p = codes; *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == len && strncmp(p, code, len) == 0)
            return true;
    return false;
}

/* Within twice the budget, by what was counted: instructions, bytes, processor time. */
static void check_usage(const struct rig_answer *a, const char *place, const char *name)
{
    const struct peri_usage *usage = &a->usage;
    bool counted = !strcmp(a->error.code, "limit.instructions") && strcmp(place, "channel");
    if (counted && usage->instructions < INSTRUCTIONS)
        fail_msg("%s: ended after %lld instructions", name, (long long)usage->instructions);
    int64_t running_us = strcmp(place, "condition") ? PERI_HOST_HANDLER_MS * 1000 : PERI_HOST_CONDITION_MS * 1000;
    if (usage->memory_bytes > MEMORY_CAP)
        fail_msg("%s: has %zu bytes", name, usage->memory_bytes);
    if (usage->instructions > 2 * INSTRUCTIONS)
        fail_msg("%s: used %lld instructions", name, (long long)usage->instructions);
    if (usage->running_us > 2 * running_us)
        fail_msg("%s: used %lld us", name, (long long)usage->running_us);
}

static struct rig_answer try_call(struct rig *rig, const char *place, const char *name)
{
    char id[100], params[100] = "{}";
    snprintf(id, sizeof(id), "%s.go", name);
    if (!strcmp(place, "channel")) {
        snprintf(id, sizeof(id), "good.send");
        snprintf(params, sizeof(params), "{\"type\":\"%s\"}", name);
    }
    struct rig_answer a = call(rig, id, params);
    check_usage(&a, place, name);
    for (const char *p = a.error.message; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
            fail_msg("%s: its error paints the terminal", name);
    return a;
}

static void try_one(struct rig *rig, const struct suspect *s, const char *line, char *result, size_t size)
{
    char place[32], what[200], code[64];
    int times = 1;
    if (sscanf(line, "repeat %d %199s", &times, what) == 2)
        snprintf(place, sizeof(place), "action");
    else if (sscanf(line, "%31s %199s", place, what) != 2)
        fail_msg("%s: cannot read \"try: %s\"", s->name, line);
    if (!strcmp(place, "load")) {
        state_of(rig, s->name, code, sizeof(code));
    } else if (!strcmp(place, "webhook")) {
        snprintf(code, sizeof(code), "%d", try_webhook(rig, s->name));
    } else {
        do {
            struct rig_answer a = try_call(rig, place, s->name);
            snprintf(code, sizeof(code), "%s", a.status ? a.error.code : "ok");
            snprintf(result, size, "%.4095s", a.status ? a.error.message : a.text);
        } while (--times > 0 && !is_one_of(code, what));
    }
    if (!is_one_of(code, what)) {
        print_message("%s: %s: %s (%s)\n", s->name, line, code, result);
        wrong++;
    }
}

static void try_all(struct rig *rig, const struct suspect *s)
{
    char line[256], result[4200] = "";
    const char *at = s->text;
    bool some = false;
    while (next_line(&at, "try", line, sizeof(line))) {
        some = true;
        try_one(rig, s, line, result, sizeof(result));
    }
    if (!some)
        fail_msg("%s: has no line \"-- try:\"", s->name);
    at = s->text;
    if (next_line(&at, "result", line, sizeof(line)))
        assert_string_equal(result, line);
    struct rig_answer good = call(rig, "good.ping", "{}");
    assert_string_equal(good.text, "\"PONG-7\"");
    good = call(rig, "good.check", "{\"n\":3}");
    assert_true(good.holds);
}

static void isolate(struct rig *rig, const struct suspect *list, size_t n)
{
    struct peri_buf policy;
    peri_buf_init(&policy, 1 << 20);
    peri_buf_puts(&policy, "plugins:\n");
    for (size_t i = 0; i < n; i++)
        peri_buf_printf(&policy, "  test.%s: {isolation: process}\n", folder_of(list[i].name));
    files_put(&rig->files, "policy.yaml", peri_buf_text(&policy));
    peri_buf_finish(&policy);
    rig->options.cell_program = TEST_CELL;
}

/* Every active one but the good one has a process. */
static void check_isolated(struct rig *rig)
{
    struct peri_value *rows = NULL;
    size_t alone = 0;
    assert_int_equal(peri_host_plugins(rig->host, &rows), PERI_OK);
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        const struct peri_value *p = peri_list_at(rows, i);
        bool good = peri_streq(peri_map_text(p, "id"), "test.good");
        assert_string_equal(peri_map_text(p, "isolation"), good ? "none" : "process");
        if (!good && peri_streq(peri_map_text(p, "state"), "active"))
            assert_true(peri_map_int(p, "pid", 0) > 0);
        alone += !good;
    }
    assert_true(alone > 20);
    peri_value_unref(rows);
}

/* process: each plugin in a process of its own. */
static void run_folder(const char *folder, size_t least, bool process)
{
    struct rig rig;
    static struct suspect list[MAX_PLUGINS];
    size_t n = read_folder(folder, list);
    assert_true(n >= least);
    rig_init(&rig);
    struct peri_log_options lo = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .level = PERI_LOG_INFO};
    struct peri_log *log = peri_log_create(&lo);
    rig.options.log = log;
    rig_plugin(&rig, "good", "[\"channels:send:*\"]", "", GOOD);
    for (size_t i = 0; i < n; i++)
        install(&rig, &list[i]);
    if (process)
        isolate(&rig, list, n);
    rig_load(&rig);
    if (process)
        check_isolated(&rig);
    for (size_t i = 0; i < n; i++)
        try_all(&rig, &list[i]);
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < n; i++)
        free(list[i].text);
    rig_finish(&rig); /* their stop handlers run, also the endless one */
    peri_log_destroy(log);
    close(lo.fd);
}

#endif
