/* SPDX-License-Identifier: Apache-2.0 */
#include "app/plugin_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/call_view.h"
#include "app/paths.h"
#include "app/spec_package.h"
#include "app/spec_talk.h"
#include "app/workbench.h"
#include "base/str.h"
#include "data/json.h"

#define MAX_EXAMPLES ((size_t)1 << 20) /* bytes */
/* The specs' process finds its ends of the two pipes here. */
#define SPEC_READS 8
#define SPEC_WRITES 9
#define TEXT_OF(number) TEXT(number)
#define TEXT(number) #number

/* ---- the specs ---- */

/* A program of $PATH; NULL when there is none. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t len = strcspn(p, ":");
        char *file = peri_asprintf("%.*s/%s", (int)len, p, name);
        if (file && len && access(file, X_OK) == 0)
            return file;
        free(file);
        p += len + (p[len] == ':');
    }
    return NULL;
}

static bool has_specs(const char *dir)
{
    char *path = peri_path_join(dir, "spec");
    DIR *folder = path ? opendir(path) : NULL;
    bool found = false;
    struct dirent *entry;
    while (folder && !found && (entry = readdir(folder)))
        found = peri_str_ends(entry->d_name, "_spec.lua");
    if (folder)
        closedir(folder);
    free(path);
    return found;
}

static bool set_environment(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *share = peri_path_share();
    const char *own = getenv("LUA_PATH");
    char *lua_path = share ? peri_asprintf("%s/lua/?.lua;%s/lua/?/init.lua;%s", share, share, own ? own : ";") : NULL;
    exe[n > 0 ? n : 0] = '\0';
    bool good = lua_path && setenv("LUA_PATH", lua_path, 1) == 0 &&
                setenv("PERIGEE_BIN", n > 0 ? exe : "perigee", 1) == 0 &&
                setenv("PERIGEE_SPEC_READS", "/dev/fd/" TEXT_OF(SPEC_READS), 1) == 0 &&
                setenv("PERIGEE_SPEC_WRITES", "/dev/fd/" TEXT_OF(SPEC_WRITES), 1) == 0;
    free(lua_path);
    free(share);
    return good;
}

struct pipes {
    int to[2], from[2]; /* to the specs, from them */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_pipes(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->to[i]);
        close_fd(&p->from[i]);
    }
}

static bool open_pipes(struct pipes *p)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}};
    if (pipe2(p->to, O_CLOEXEC) == 0 && pipe2(p->from, O_CLOEXEC) == 0)
        return true;
    close_pipes(p);
    return false;
}

/* Starts busted in dir. With JSON its words go to standard error. */
static bool start_busted(const struct peri_cli *cli, const char *dir, const char *spec, const char *lua,
    const char *busted, const struct pipes *pipes, pid_t *ret_pid)
{
    char *argv[] = {(char *)(uintptr_t)lua, (char *)(uintptr_t)busted, (char *)(uintptr_t) "--output=testkit.report",
        (char *)(uintptr_t) "--pattern=_spec", (char *)(uintptr_t)(spec ? spec : "spec"), NULL};
    posix_spawn_file_actions_t actions;
    if (!set_environment() || posix_spawn_file_actions_init(&actions))
        return false;
    fflush(stdout);
    bool good = posix_spawn_file_actions_addchdir_np(&actions, dir) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, pipes->to[0], SPEC_READS) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, pipes->from[1], SPEC_WRITES) == 0 &&
                (!cli->json || posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO) == 0) &&
                posix_spawn(ret_pid, lua, &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return good;
}

/* Exit code of busted; -1 when it could not be started. In between its specs are served. */
static int run_busted(
    const struct peri_cli *cli, const char *dir, const char *spec, const char *lua, const char *busted)
{
    struct pipes pipes;
    struct peri_error err;
    char *folder = NULL;
    pid_t pid;
    int status = 0;
    if (!open_pipes(&pipes))
        return -1;
    bool good =
        peri_spec_folder_make(&folder, &err) == PERI_OK && start_busted(cli, dir, spec, lua, busted, &pipes, &pid);
    close_fd(&pipes.to[0]);
    close_fd(&pipes.from[1]);
    FILE *in = fdopen(pipes.from[0], "r"), *out = fdopen(pipes.to[1], "w");
    if (good && in && out) {
        void (*before)(int) = signal(SIGPIPE, SIG_IGN);
        void (*interrupt)(int) = signal(SIGINT, SIG_IGN); /* it ends busted, and that ends this */
        char *here = getcwd(NULL, 0);
        good = here && chdir(dir) == 0; /* a spec's folders are seen from there */
        if (good)
            peri_spec_talk(in, out, folder);
        good = here && chdir(here) == 0 && good;
        free(here);
        (void)signal(SIGINT, interrupt);
        (void)signal(SIGPIPE, before);
    }
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    while (good && waitpid(pid, &status, 0) < 0)
        good = errno == EINTR;
    peri_spec_folder_remove(folder);
    return good && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool specs_pass(struct peri_cli *cli, const char *dir, const char *spec)
{
    bool good = false;
    char *lua = find_program("lua5.4"), *busted = find_program("busted");
    if (!lua || !busted)
        peri_cli_fail(cli, PERI_EXIT_NO,
            "%s is not installed: the specs need lua5.4 and busted (Debian: apt install lua5.4 lua-busted)",
            lua ? "busted" : "lua5.4");
    else if (run_busted(cli, dir, spec, lua, busted) == 0)
        good = true;
    else if (spec)
        peri_cli_fail(cli, PERI_EXIT_NO, "%s does not pass", spec);
    else
        peri_cli_fail(cli, PERI_EXIT_NO, "the specs in %s/spec do not pass", dir);
    free(lua);
    free(busted);
    return good;
}

/* ---- the examples ---- */

struct examples {
    struct peri_value *doc;
    const struct peri_value *config, *list; /* in doc, or NULL */
};

static enum peri_status read_examples(const char *dir, struct examples *ret, struct peri_error *err)
{
    char *path = peri_path_join(dir, "examples.json"), *text = NULL;
    size_t len;
    enum peri_status st = path ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK && !peri_path_is_file(path))
        goto out;
    if (st == PERI_OK)
        st = peri_path_read(path, MAX_EXAMPLES, &text, &len, err);
    if (st == PERI_OK && (st = peri_json_parse_strict(text, len, &ret->doc, err)))
        peri_error_prefix(err, "%s", path);
    if (st)
        goto out;
    ret->config = peri_map_at(ret->doc, "config");
    ret->list = peri_map_at(ret->doc, "examples");
    size_t keys = (ret->config != NULL) + (ret->list != NULL);
    if ((ret->config && !peri_value_is(ret->config, PERI_MAP)) || !peri_value_is(ret->list, PERI_LIST) ||
        peri_value_count(ret->doc) != keys)
        st = peri_error_set(err, PERI_EINVAL, "plugin.examples",
            "%s: must be {\"config\": {settings}, \"examples\": [{\"operator\", \"params\", ...}]}", path);
out:
    free(path);
    free(text);
    return st;
}

/* The plugin's settings are those of its examples: what somebody has configured here is no part of a test. */
static bool example_settings(void *ctx, const char *plugin_id, struct peri_plugin_settings *ret)
{
    const struct examples *examples = ctx;
    *ret = (struct peri_plugin_settings){.enabled = true, .config = examples->config};
    return examples->config != NULL;
}

/* What is wrong with the answer ({ok, result | error}), or NULL; malloc'ed. */
static char *difference(const struct peri_value *example, const struct peri_value *answer)
{
    static const char *const names[] = {"holds", "compared", "result"};
    const char *code = peri_map_text(example, "error"), *got = peri_map_text(peri_map_at(answer, "error"), "code");
    const struct peri_value *result = peri_map_at(answer, "result");
    if (got && !peri_streq(code, got))
        return peri_asprintf("failed: %s [%s]", peri_map_text(peri_map_at(answer, "error"), "message"), got);
    if (code && !got)
        return peri_asprintf("should fail with the code %s", code);
    for (size_t i = 0; i < 3; i++) {
        const struct peri_value *wanted = peri_map_at(example, names[i]);
        const struct peri_value *actual = i < 2 ? peri_map_at(result, names[i]) : result;
        if (!wanted || peri_value_equal(wanted, actual))
            continue;
        char *a = peri_json_text(actual, PERI_JSON_SORTED), *w = peri_json_text(wanted, PERI_JSON_SORTED);
        char *text = peri_asprintf("%s is %s, not %s", names[i], a ? a : "?", w ? w : "?");
        free(a);
        free(w);
        return text;
    }
    return NULL;
}

struct waiting {
    bool done;
    struct peri_value *answer;
};

static void called(void *arg, const struct peri_call_result *result)
{
    struct waiting *w = arg;
    w->answer = peri_call_value(result);
    w->done = true;
}

/* NULL: as it should be. */
static char *run_example(struct peri_workbench *bench, const struct peri_value *example)
{
    static const char *const known[] = {
        "name", "operator", "params", "event", "result", "holds", "compared", "error", NULL};
    struct waiting w = {0};
    struct peri_error err;
    const char *id = peri_map_text(example, "operator");
    const struct peri_value *data = peri_map_at(example, "event"), *params = peri_map_at(example, "params");
    for (void *it = peri_map_first(example); it; it = peri_map_next(example, it)) {
        const char *key = peri_map_key(it, NULL), *const *k = known;
        while (*k && !peri_streq(*k, key))
            k++;
        if (!*k)
            return peri_asprintf("unknown key \"%s\"", key);
    }
    if (!id || !peri_host_operator(bench->host, id))
        return id ? peri_asprintf("the plugin has no operator of this id") : peri_strdup("\"operator\" is missing");
    struct peri_value *empty = params ? NULL : peri_value_map();
    struct peri_event *event = NULL;
    if (data && peri_call_event(data, peri_clock_wall_ms(&bench->clock), &event, &err)) {
        peri_value_unref(empty);
        return peri_strdup(err.message);
    }
    struct peri_call call = {.operator_id = id, .params = params ? params : empty, .event = event};
    enum peri_status st = peri_host_call(bench->host, &call, called, &w, &err);
    if (st) {
        struct peri_call_result failed = {.status = st, .error = err};
        called(&w, &failed);
    }
    while (!w.done)
        peri_loop_once(bench->loop, 1000);
    char *wrong = w.answer ? difference(example, w.answer) : peri_strdup("out of memory");
    peri_value_unref(w.answer);
    peri_value_unref(empty);
    if (event)
        peri_event_unref(event);
    return wrong;
}

/* Says how it went: "ok 1 - garden.water" or a JSON object a line. */
static void tell(const struct peri_cli *cli, size_t n, const struct peri_value *example, const char *wrong)
{
    const char *id = peri_map_text(example, "operator"), *name = peri_map_text(example, "name");
    if (cli->json) {
        struct peri_value *row = peri_value_map();
        if (row && !peri_map_put_bool(row, "ok", !wrong) && !peri_map_put_int(row, "example", (int64_t)n) &&
            (!id || !peri_map_put_text(row, "operator", id)) && (!name || !peri_map_put_text(row, "name", name)) &&
            (!wrong || !peri_map_put_text(row, "message", wrong)))
            peri_print_json(row);
        peri_value_unref(row);
        return;
    }
    printf("%s %zu - examples.json: %s%s%s\n", wrong ? "not ok" : "ok", n, id ? id : "?", name ? ", " : "",
        name ? name : "");
    if (wrong)
        printf("# %s\n", wrong);
}

static const struct peri_value *only_plugin(struct peri_workbench *bench, struct peri_value **ret_rows)
{
    *ret_rows = NULL;
    return peri_host_plugins(bench->host, ret_rows) == PERI_OK ? peri_list_at(*ret_rows, 0) : NULL;
}

/* Loaded as the service loads it, with what it asks for granted. */
static bool loads(struct peri_cli *cli, struct peri_workbench *bench, bool has_config)
{
    struct peri_value *rows;
    const struct peri_value *p = only_plugin(bench, &rows);
    const char *state = peri_map_text(p, "state"), *why = peri_map_text(peri_map_at(p, "error"), "message");
    bool good = peri_streq(state, "active");
    if (!good && peri_streq(state, "unconfigured"))
        why = "it needs settings: give them as \"config\" in examples.json";
    if (!good)
        peri_cli_fail(cli, PERI_EXIT_NO, "the plugin does not load: %s", why ? why : "no plugin.json");
    else if (!cli->json)
        printf("# %s %s loads into the sandbox%s\n", peri_map_text(p, "id"), peri_map_text(p, "version"),
            has_config ? " with the settings of examples.json" : "");
    peri_value_unref(rows);
    return good;
}

static bool run_examples(struct peri_cli *cli, const char *dir, const struct examples *examples)
{
    struct peri_workbench bench = {
        .leave_bundled = true, .empty = true, .settings = example_settings, .settings_ctx = (void *)examples};
    struct peri_diag diag;
    struct peri_error err;
    const char *only[] = {dir, NULL};
    size_t bad = 0;
    peri_diag_init(&diag);
    char **configured = cli->config.plugin_path;
    cli->config.plugin_path = (char **)(uintptr_t)only;
    cli->approve_all = true;
    enum peri_status st = peri_workbench_open(&bench, cli, &diag, &err);
    cli->config.plugin_path = configured;
    peri_print_findings(cli, &diag, false);
    peri_diag_finish(&diag);
    if (st) {
        peri_cli_fail_error(cli, &err);
        return false;
    }
    bool good = loads(cli, &bench, examples->config != NULL);
    for (size_t i = 0; good && i < peri_value_count(examples->list); i++) {
        const struct peri_value *example = peri_list_at(examples->list, i);
        char *wrong = run_example(&bench, example);
        tell(cli, i + 1, example, wrong);
        bad += wrong != NULL;
        free(wrong);
    }
    peri_workbench_close(&bench);
    return good && bad == 0;
}

/* One file, wherever it lies; the examples are of no concern then. */
static int test_spec(struct peri_cli *cli, const char *dir, const char *spec)
{
    char *path = realpath(dir, NULL), *file = realpath(spec, NULL);
    bool good = path && file;
    if (!good)
        peri_cli_fail(cli, PERI_EXIT_NO, "cannot read %s: %s", path ? spec : dir, strerror(errno));
    good = good && specs_pass(cli, path, file);
    free(path);
    free(file);
    return good ? PERI_EXIT_OK : PERI_EXIT_NO;
}

int peri_plugin_test(struct peri_cli *cli, const char *dir, const char *spec, const char *isolation)
{
    struct examples examples = {0};
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (isolation && setenv("PERIGEE_SPEC_ISOLATION", isolation, 1))
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (spec)
        return test_spec(cli, dir, spec);
    char *path = realpath(dir, NULL);
    if (!path)
        return peri_cli_fail(cli, PERI_EXIT_NO, "cannot read %s: %s", dir, strerror(errno));
    bool specs = has_specs(path), good = true;
    if (read_examples(path, &examples, &err)) {
        good = false;
        peri_cli_fail_error(cli, &err);
    }
    if (specs && !specs_pass(cli, path, NULL))
        good = false;
    else if (!specs && !cli->json)
        printf("# no specs (spec/*_spec.lua)\n");
    if (good && !run_examples(cli, path, &examples))
        good = false;
    peri_value_unref(examples.doc);
    free(path);
    return good ? PERI_EXIT_OK : PERI_EXIT_NO;
}
