/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/paths.h"
#include "app/plugin_audit.h"
#include "app/plugin_new.h"
#include "app/plugin_test.h"
#include "app/workbench.h"
#include "base/str.h"
#include "data/json.h"
#include "data/yaml.h"
#include "plugin/manifest.h"
#include "plugin/native.h"
#include "plugin/package.h"
#include "plugin/policy.h"

enum { HOSTS_MAX = 32 }; /* of one approval */
enum { YES, SETTINGS, HOST, ISOLATION, TYPE, LANG, FOLDER, UNUSED, ACTION, LIMIT, SPEC };

static const struct argp_option options[] = {
    {"yes", PERI_OPTION(YES), 0, 0, "approve: without asking", 0},
    {"settings", PERI_OPTION(SETTINGS), "FILE", 0,
        "check: also validates these settings (YAML or JSON) against the configSchema", 0},
    {"host", PERI_OPTION(HOST), "HOST[:PORT],...", 0, "approve: also lets it reach these hosts, even private ones", 0},
    {"isolation", PERI_OPTION(ISOLATION), "process|none", 0,
        "approve: run it in a process of its own, or (none) in the service's sandbox; default: as it is. test: the "
        "same for "
        "what specs load",
        0},
    {"type", PERI_OPTION(TYPE), "TYPE", 0, "new: operator, connector or channel", 0},
    {"lang", PERI_OPTION(LANG), "LANG", 0, "new: lua (the default) or c", 0},
    {"dir", PERI_OPTION(FOLDER), "DIR", 0, "new: makes the plugin's folder in DIR (default: the current folder)", 0},
    {"spec", PERI_OPTION(SPEC), "FILE", 0, "test: runs this file of specs for the plugin in DIR, and nothing else", 0},
    {"unused", PERI_OPTION(UNUSED), 0, 0, "audit: permissions that were granted and never used", 0},
    {"action", PERI_OPTION(ACTION), "PREFIX", 0, "audit: entries whose action begins so (plugin.outbound)", 0},
    {"limit", PERI_OPTION(LIMIT), "N", 0, "audit: at most N entries (default 50)", 0},
    {0},
};
static const struct peri_usage_text usage = {"list | show ID | new NAME | check DIR | test DIR | probe FILE.so | "
                                             "approve ID | revoke ID | enable ID | disable ID | reload ID | "
                                             "audit [ID]",
    "Plugin packages. `new' makes the folder of a plugin that works, to be changed. `check' validates a package: "
    "manifest, files, Lua, operators. `test' runs its specs "
    "(spec/*_spec.lua, with busted), which load it into the sandbox on a clock of their own, and then its examples "
    "(examples.json). `probe' loads the shared "
    "object of a C plugin and runs its init, as the service does in a process of its own before it loads it itself, "
    "and "
    "prints what came of it. `approve' shows what it "
    "asks for "
    "(on an update, what "
    "changed), asks on a terminal, and writes the operator's policy file. enable, disable and reload need the service. "
    "`audit' "
    "shows what was granted, loaded, refused, called outside and stopped.",
    options, 0, 2};

static const struct peri_column columns[] = {{"id", "ID", 0}, {"version", "VERSION", 0}, {"type", "TYPE", 0},
    {"state", "STATE", 0}, {"description", "DESCRIPTION", 60}, {"refusal.message", "WHY NOT", 100}, {0}};

/* All packages, from the service when it runs (it knows their state), else loaded here. NULL after a message. */
static struct peri_value *fetch(struct peri_cli *cli, int *ret_code)
{
    struct peri_client *client;
    struct peri_error err;
    struct peri_value *doc = NULL, *rows = NULL;
    *ret_code = PERI_EXIT_NO;
    if (!peri_cli_config(cli))
        return NULL;
    if (cli->plugin_count == 0 && !cli->approve_all && peri_client_open(cli, &client, &err) == PERI_OK) {
        if (peri_client_call(client, "GET", "/v1/plugins", NULL, &doc, &err) == PERI_OK)
            rows = peri_value_ref(peri_map_at(doc, "items"));
        peri_value_unref(doc);
        peri_client_close(client);
    }
    if (rows)
        return rows;
    struct peri_workbench bench = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    if (peri_workbench_open(&bench, cli, &diag, &err)) {
        *ret_code = peri_cli_fail_error(cli, &err);
    } else {
        if (peri_host_plugins(bench.host, &rows))
            rows = NULL;
        peri_workbench_close(&bench);
    }
    peri_print_findings(cli, &diag, false);
    peri_diag_finish(&diag);
    return rows;
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    int code;
    struct peri_value *rows = fetch(cli, &code);
    if (!rows)
        return code;
    peri_print_list(cli, rows, columns, "no plugins");
    peri_value_unref(rows);
    return PERI_EXIT_OK;
}

static const struct peri_value *find(const struct peri_value *rows, const char *id)
{
    for (size_t i = 0; i < peri_value_count(rows); i++)
        if (peri_streq(peri_map_text(peri_list_at(rows, i), "id"), id))
            return peri_list_at(rows, i);
    return NULL;
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    int code;
    struct peri_value *rows = fetch(cli, &code);
    if (!rows)
        return code;
    const struct peri_value *p = find(rows, args->words[0]);
    code = PERI_EXIT_OK;
    if (!p)
        code = peri_cli_fail(
            cli, PERI_EXIT_NO, "there is no plugin \"%s\" (`perigee plugins list' names them)", args->words[0]);
    else if (cli->json)
        peri_print_json(p);
    else
        peri_print_record(p);
    peri_value_unref(rows);
    return code;
}

/* Opens the package and reads its manifest; findings of the manifest go to diag. */
static enum peri_status open_package(const char *dir, struct peri_package **ret_package,
    struct peri_manifest **ret_manifest, struct peri_diag *diag, struct peri_error *err)
{
    size_t len;
    enum peri_status st = peri_package_open(dir, ret_package, err);
    if (st)
        return st;
    const char *text = peri_package_text(*ret_package, "plugin.json", &len);
    char *file = peri_path_join(dir, "plugin.json");
    if (!text || !file)
        st = peri_error_set(err, PERI_ENOTFOUND, "package.manifest", "%s has no plugin.json", dir);
    else
        st = peri_manifest_parse(file, text, len, ret_manifest, diag);
    if (st == PERI_EINVAL && diag->errors)
        peri_error_set(err, st, "package.manifest", "%s is not a valid manifest", file);
    free(file);
    if (st)
        peri_package_destroy(*ret_package);
    return st;
}

static void check_settings(const char *file, const struct peri_manifest *manifest, struct peri_diag *diag)
{
    static const char *const tags[] = {"!secret", "!env", NULL};
    struct peri_yaml_doc *doc;
    struct peri_value *value = NULL;
    struct peri_schema_report report = {0};
    struct peri_error err;
    if (peri_yaml_load(file, tags, &doc, diag))
        return;
    struct peri_place place = {file, 0, 0};
    if (doc->count != 1 || peri_node_value(doc->roots[0], NULL, NULL, &value, &err))
        peri_diag_add(diag, place, PERI_SEV_ERROR, "settings", NULL, "must hold one mapping of settings without tags");
    else if (manifest->config_schema && peri_schema_check(manifest->config_schema, value, &report))
        for (size_t i = 0; i < report.count; i++)
            peri_diag_add(diag, peri_node_at_pointer(doc->roots[0], report.items[i].pointer)->place, PERI_SEV_ERROR,
                "settings", NULL, "%s%s%s", report.items[i].pointer, report.items[i].pointer[0] ? " " : "",
                report.items[i].message);
    peri_schema_report_finish(&report);
    peri_value_unref(value);
    peri_yaml_destroy(doc);
}

/* Loads the package for real, with what it asks for granted. */
static void check_loading(struct peri_cli *cli, const char *dir, const char *id, struct peri_diag *diag)
{
    struct peri_workbench bench = {.leave_bundled = true};
    struct peri_error err;
    struct peri_value *rows = NULL;
    const char *only[] = {dir, NULL};
    char **configured = cli->config.plugin_path;
    bool approve = cli->approve_all;
    cli->config.plugin_path = (char **)(uintptr_t)only;
    cli->approve_all = true;
    if (peri_workbench_open(&bench, cli, diag, &err) == PERI_OK) {
        const struct peri_value *p = peri_host_plugins(bench.host, &rows) == PERI_OK ? find(rows, id) : NULL;
        const char *state = peri_map_text(p, "state"), *why = peri_map_text(peri_map_at(p, "error"), "message");
        if (!why)
            why = peri_map_text(peri_map_at(p, "refusal"), "message");
        if (!p || !(peri_streq(state, "active") || peri_streq(state, "unconfigured")))
            peri_diag_add(diag, (struct peri_place){dir, 0, 0}, PERI_SEV_ERROR, "plugin-load", NULL, "%s",
                why ? why : "it does not load");
        peri_value_unref(rows);
        peri_workbench_close(&bench);
    } else {
        peri_diag_add(diag, (struct peri_place){dir, 0, 0}, PERI_SEV_ERROR, "plugin-load", NULL, "%s", err.message);
    }
    cli->config.plugin_path = configured;
    cli->approve_all = approve;
}

static int check(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_package *package;
    struct peri_manifest *manifest = NULL;
    struct peri_diag diag;
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    peri_diag_init(&diag);
    char *dir = realpath(args->words[0], NULL);
    if (!dir)
        return peri_cli_fail(cli, PERI_EXIT_NO, "cannot read %s: %s", args->words[0], strerror(errno));
    enum peri_status st = open_package(dir, &package, &manifest, &diag, &err);
    if (st == PERI_OK) {
        if (args->value[SETTINGS])
            check_settings(args->value[SETTINGS], manifest, &diag);
        check_loading(cli, dir, manifest->id, &diag);
        if (diag.errors == 0)
            printf(cli->json ? "{\"id\":\"%s\",\"version\":\"%s\",\"ok\":true,\"sha256\":\"%s\"}\n"
                             : "%s %s: good\nsha256 %s\n",
                manifest->id, manifest->version, peri_package_hash(package));
        peri_manifest_destroy(manifest);
        peri_package_destroy(package);
    } else if (diag.errors == 0) {
        peri_diag_add(&diag, (struct peri_place){dir, 0, 0}, PERI_SEV_ERROR, err.code, NULL, "%s", err.message);
    }
    peri_print_findings(cli, &diag, true);
    bool bad = diag.errors > 0;
    peri_diag_finish(&diag);
    free(dir);
    return bad ? PERI_EXIT_NO : PERI_EXIT_OK;
}

/* What the service does to a C plugin in a process of its own, before it loads it itself. */
static int probe(struct peri_cli *cli, const struct peri_args *args)
{
    return peri_native_probe_here(args->words[0]) ? PERI_EXIT_OK : PERI_EXIT_NO;
}

static int make(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_error err;
    char *folder = NULL;
    if (!args->value[TYPE])
        return peri_cli_usage(cli, "plugins", "say --type operator, --type connector or --type channel");
    struct peri_plugin_plan plan = {args->words[0], args->value[TYPE], args->value[LANG] ? args->value[LANG] : "lua",
        args->value[FOLDER] ? args->value[FOLDER] : "."};
    enum peri_status st = peri_plugin_new(&plan, &folder, &err);
    if (st == PERI_EINVAL)
        return peri_cli_usage(cli, "plugins", "%s", err.message);
    if (st)
        return peri_cli_fail_error(cli, &err);
    const char *shown = peri_str_starts(folder, "./") ? folder + 2 : folder;
    if (cli->json) {
        struct peri_value *v = peri_value_map();
        if (v && !peri_map_put_text(v, "id", plan.id) && !peri_map_put_text(v, "path", shown))
            peri_print_json(v);
        peri_value_unref(v);
    } else {
        printf("%s is there. Next: README.md in it, %sthen `perigee plugins test %s'\n", shown,
            peri_streq(plan.lang, "c") ? "build it, " : "", shown);
    }
    free(folder);
    return PERI_EXIT_OK;
}

static int test(struct peri_cli *cli, const struct peri_args *args)
{
    const char *isolation = args->value[ISOLATION];
    if (isolation && strcmp(isolation, "process") && strcmp(isolation, "none"))
        return peri_cli_usage(cli, "plugins", "--isolation is process or none");
    return peri_plugin_test(cli, args->words[0], args->value[SPEC], isolation);
}

static void print_permissions(const char *title, const struct peri_value *list)
{
    if (peri_value_count(list) == 0)
        return;
    printf("%s\n", title);
    for (size_t i = 0; i < peri_value_count(list); i++)
        printf("  %s\n", peri_value_text(peri_list_at(list, i)));
}

static bool confirmed(const struct peri_args *args)
{
    char line[16] = "";
    if (args->value[YES])
        return true;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "perigee: not a terminal: say --yes to approve\n");
        return false;
    }
    fputs("Approve? [y/N] ", stdout);
    fflush(stdout);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* Cuts the text at its commas; false when there are too many. */
static bool split_hosts(char *text, const char *ret_hosts[HOSTS_MAX + 1])
{
    size_t count = 0;
    while (text && *text) {
        size_t len = strcspn(text, ",");
        char *next = text[len] ? text + len + 1 : NULL;
        text[len] = '\0';
        if (count == HOSTS_MAX)
            return false;
        if (len)
            ret_hosts[count++] = text;
        text = next;
    }
    ret_hosts[count] = NULL;
    return true;
}

static int approve_with(struct peri_cli *cli, const struct peri_args *args, struct peri_policy *policy,
    struct peri_package *package, struct peri_manifest *manifest, const char *const *hosts)
{
    struct peri_value *preview = NULL;
    struct peri_error err;
    struct passwd *pw = getpwuid(getuid());
    struct peri_clock clock = peri_clock_system();
    if (peri_policy_preview(policy, manifest, peri_package_hash(package), &preview))
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (!cli->json) {
        printf("%s %s\nsha256 %s\n", manifest->id, manifest->version, peri_package_hash(package));
        print_permissions("asks for:", peri_map_at(preview, "permissions"));
        if (peri_map_bool(preview, "known", false)) {
            print_permissions("new since it was approved:", peri_map_at(preview, "added"));
            print_permissions("no longer asked for:", peri_map_at(preview, "removed"));
        }
        print_permissions("mind:", peri_map_at(preview, "warnings"));
    }
    int code = PERI_EXIT_NO;
    if (confirmed(args)) {
        struct peri_approval approval = {manifest, peri_package_hash(package), hosts, args->value[ISOLATION],
            pw ? pw->pw_name : "unknown", peri_clock_wall_ms(&clock)};
        if (peri_policy_approve(cli->config.policy, &approval, &err))
            code = peri_cli_fail_error(cli, &err);
        else if (cli->json)
            peri_print_json(preview), code = PERI_EXIT_OK;
        else
            printf("approved in %s\n", cli->config.policy), code = PERI_EXIT_OK;
    }
    peri_value_unref(preview);
    return code;
}

static int approve_package(struct peri_cli *cli, const struct peri_args *args, struct peri_policy *policy,
    struct peri_package *package, struct peri_manifest *manifest)
{
    const char *hosts[HOSTS_MAX + 1] = {NULL};
    char *text = peri_strdup(args->value[HOST] ? args->value[HOST] : "");
    int code;
    if (!text)
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    else if (!split_hosts(text, hosts))
        code = peri_cli_fail(cli, PERI_EXIT_USAGE, "--host: more than %d hosts", HOSTS_MAX);
    else
        code = approve_with(cli, args, policy, package, manifest, hosts);
    free(text);
    return code;
}

/* The running service takes up an approval or a revocation at once. */
static void tell_service(struct peri_cli *cli, const char *id)
{
    struct peri_client *client;
    struct peri_value *body = peri_value_map(), *answer = NULL;
    struct peri_error err;
    char *path = peri_asprintf("/v1/plugins/%s/reload", id);
    if (body && path && peri_client_open(cli, &client, &err) == PERI_OK) {
        enum peri_status st = peri_client_call(client, "POST", path, body, &answer, &err);
        if (st == PERI_OK && !cli->json)
            printf("the service has reloaded it: %s\n", peri_map_text(answer, "state"));
        else if (st != PERI_OK && st != PERI_EIO)
            fprintf(stderr, "perigee: the service did not reload it: %s\n", err.message);
        peri_client_close(client);
    }
    peri_value_unref(answer);
    peri_value_unref(body);
    free(path);
}

static int approve(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_policy *policy;
    struct peri_package *package;
    struct peri_manifest *manifest = NULL;
    struct peri_diag diag;
    struct peri_error err;
    int code;
    struct peri_value *rows = fetch(cli, &code);
    if (!rows)
        return code;
    const struct peri_value *p = find(rows, args->words[0]);
    if (!p) {
        peri_value_unref(rows);
        return peri_cli_fail(cli, PERI_EXIT_NO, "there is no plugin \"%s\" in the plugin folders", args->words[0]);
    }
    const char *isolation = args->value[ISOLATION];
    if (isolation && strcmp(isolation, "process") && strcmp(isolation, "none")) {
        peri_value_unref(rows);
        return peri_cli_usage(cli, "plugins", "--isolation is process or none");
    }
    peri_diag_init(&diag);
    if (open_package(peri_map_text(p, "path"), &package, &manifest, &diag, &err)) {
        peri_print_findings(cli, &diag, false);
        code = peri_cli_fail_error(cli, &err);
    } else {
        if (peri_path_make(cli->config.state_dir, &err) || peri_policy_load(cli->config.policy, &policy, &diag)) {
            peri_print_findings(cli, &diag, false);
            code = PERI_EXIT_NO;
        } else {
            code = approve_package(cli, args, policy, package, manifest);
            peri_policy_destroy(policy);
        }
        peri_manifest_destroy(manifest);
        peri_package_destroy(package);
    }
    peri_diag_finish(&diag);
    peri_value_unref(rows);
    if (code == PERI_EXIT_OK)
        tell_service(cli, args->words[0]);
    return code;
}

static int revoke_plugin(struct peri_cli *cli, const struct peri_args *args)
{
    struct peri_error err;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (peri_policy_revoke(cli->config.policy, args->words[0], &err))
        return peri_cli_fail_error(cli, &err);
    tell_service(cli, args->words[0]);
    return PERI_EXIT_OK;
}

static int change(struct peri_cli *cli, const char *id, const char *verb)
{
    struct peri_value *body = peri_value_map(), *answer = NULL;
    char *path = peri_asprintf("/v1/plugins/%s/%s", id, verb);
    int code = body && path ? peri_cli_change(cli, "POST", path, body, NULL, NULL, &answer) : PERI_EXIT_INTERNAL;
    if (code == PERI_EXIT_OK && cli->json)
        peri_print_json(answer);
    else if (code == PERI_EXIT_OK)
        printf("%s: %s\n", id, peri_map_text(answer, "state"));
    peri_value_unref(body);
    peri_value_unref(answer);
    free(path);
    return code;
}

static int enable(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "enable");
}

static int disable(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "disable");
}

static int reload(struct peri_cli *cli, const struct peri_args *args)
{
    return change(cli, args->words[0], "reload");
}

static int audit(struct peri_cli *cli, const struct peri_args *args)
{
    long long limit;
    if (!peri_cli_number(cli, "--limit", args->value[LIMIT], 1, 1000, 50, &limit))
        return PERI_EXIT_USAGE;
    const char *id = args->count ? args->words[0] : NULL;
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    if (!args->value[UNUSED])
        return peri_plugin_audit(cli, id, args->value[ACTION], (size_t)limit);
    int code;
    struct peri_value *rows = fetch(cli, &code);
    if (rows)
        code = peri_plugin_unused(cli, rows, id);
    peri_value_unref(rows);
    return code;
}

int peri_cmd_plugins(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "ID"},
        {"new", make, 1, 1, "NAME"}, {"check", check, 1, 1, "DIR"}, {"test", test, 1, 1, "DIR"},
        {"probe", probe, 1, 1, "FILE.so"}, {"approve", approve, 1, 1, "ID"}, {"revoke", revoke_plugin, 1, 1, "ID"},
        {"enable", enable, 1, 1, "ID"}, {"disable", disable, 1, 1, "ID"}, {"reload", reload, 1, 1, "ID"},
        {"audit", audit, 0, 1, "[ID]"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "plugins", verbs, &args);
}
