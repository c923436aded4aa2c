/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/codes.h"
#include "app/commands.h"
#include "app/fix.h"
#include "app/paths.h"
#include "app/rulebook.h"
#include "app/sarif.h"
#include "app/workbench.h"
#include "base/str.h"
#include "data/json.h"
#include "lang/rule_schema.h"
#include "lang/rule_warn.h"

enum { EXPLAIN, CODES, SARIF, SCHEMA, FIX };

static const struct argp_option options[] = {
    {"explain", PERI_OPTION(EXPLAIN), "CODE", 0, "what the code of a finding means, with an example", 1},
    {"codes", PERI_OPTION(CODES), 0, 0, "lists all codes", 1},
    {"sarif", PERI_OPTION(SARIF), 0, 0, "prints the findings as a SARIF 2.1.0 document", 1},
    {"schema", PERI_OPTION(SCHEMA), 0, 0, "prints the JSON Schema of rule files, with the parameters of all operators",
        1},
    {"fix", PERI_OPTION(FIX), 0, 0,
        "mends in the files what is certain: near misses of names, missing quotes, tabs, yes for true, 10 minutes for "
        "10m",
        1},
    {0},
};

static const struct peri_usage_text usage = {"[PATH...]",
    "Validates the configuration, plugin manifests, Lua syntax and rules in one pass, and prints every finding with "
    "its place. "
    "PATH is a rule file or a folder of them; without one the configured rule folders are read.\v"
    "Exit code 1 when there is an error; warnings alone give 0. With --json, one finding a line: {file, line, column, "
    "severity, code, message, hint}.",
    options, 0, PERI_ARGS_MAX - 1};

/* ---- codes ---- */

static void print_example(const char *title, const char *text)
{
    printf("\n%s:\n    ", title);
    for (; *text; text++)
        fputs(*text == '\n' ? "\n    " : (char[]){*text, '\0'}, stdout);
    putchar('\n');
}

static struct peri_value *code_value(const struct peri_code *c)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "code", c->code) == PERI_OK && peri_map_put_text(v, "title", c->title) == PERI_OK &&
        peri_map_put_text(v, "text", c->text) == PERI_OK &&
        peri_map_put_text(v, "example", peri_example_name(c->example)) == PERI_OK &&
        peri_map_put_text(v, "before", c->before) == PERI_OK && peri_map_put_text(v, "after", c->after) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static int explain(struct peri_cli *cli, const char *word)
{
    const struct peri_code *c = peri_code_find(word);
    if (!c) {
        const char *near = peri_code_nearest(word);
        if (near)
            return peri_cli_fail(cli, PERI_EXIT_NO, "there is no code \"%s\" (did you mean \"%s\"?)", word, near);
        return peri_cli_fail(cli, PERI_EXIT_NO, "there is no code \"%s\" (`perigee check --codes' lists them)", word);
    }
    if (cli->json) {
        struct peri_value *v = code_value(c);
        if (!v)
            return PERI_EXIT_INTERNAL;
        peri_print_json(v);
        peri_value_unref(v);
        return PERI_EXIT_OK;
    }
    printf("%s: %s\n\n%s\n", c->code, c->title, c->text);
    if (c->before) {
        print_example(c->example == PERI_EXAMPLE_SHELL ? "Instead of" : "Wrong", c->before);
        print_example(c->example == PERI_EXAMPLE_SHELL ? "Try" : "Right", c->after);
    }
    return PERI_EXIT_OK;
}

static int list_codes(struct peri_cli *cli)
{
    static const struct peri_column columns[] = {{"code", "CODE", 0}, {"title", "MEANING", 0}, {0}};
    struct peri_value *list = peri_value_list();
    const struct peri_code *c;
    bool good = list != NULL;
    for (size_t i = 0; good && (c = peri_code_at(i)); i++)
        good = peri_list_push(list, code_value(c)) == PERI_OK;
    if (good)
        peri_print_list(cli, list, columns, "no codes");
    peri_value_unref(list);
    return good ? PERI_EXIT_OK : PERI_EXIT_INTERNAL;
}

/* ---- checking ---- */

struct counts {
    size_t rules, files;
};

static void check_paths(const struct peri_args *args, struct peri_diag *diag)
{
    for (size_t i = 0; i < args->count; i++) {
        const char *path = args->words[i];
        bool there = access(path, R_OK) == 0;
        if (!there || (!peri_path_is_file(path) && !peri_path_is_dir(path)))
            peri_diag_add(diag, (struct peri_place){path, 0, 0}, PERI_SEV_ERROR, "no-file", NULL, "%s",
                there ? "this is neither a file nor a folder" : "cannot read this file or folder");
    }
}

static enum peri_status warn_of(
    struct peri_workbench *bench, const struct peri_rule_list *rules, struct peri_diag *diag)
{
    struct peri_event_types types;
    enum peri_status st = peri_event_types_of(bench->host, &types);
    if (st)
        return st;
    peri_rules_warn(rules->items, rules->count, types.items, diag);
    peri_event_types_finish(&types);
    return PERI_OK;
}

/* ---- mending ---- */

static void tell_fix(void *ctx, const struct peri_finding *f)
{
    struct peri_cli *cli = ctx;
    if (!cli->json) {
        printf(
            "%s:%d:%d: fixed: %s -> %s [%s]\n", f->file, f->fix.line, f->fix.column, f->fix.from, f->fix.to, f->code);
        return;
    }
    struct peri_value *v = peri_finding_value(f);
    char *text =
        v && peri_map_put_text(v, "severity", "fixed") == PERI_OK ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(v);
}

/* Each file that a proposed change is in. */
static enum peri_status fix_files(
    struct peri_workbench *bench, struct peri_diag *diag, size_t *ret_count, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    *ret_count = 0;
    peri_diag_sort(diag);
    for (size_t i = 0; st == PERI_OK && i < diag->count; i++) {
        const struct peri_finding *f = &diag->items[i];
        bool first = true;
        for (size_t k = i; k > 0 && first && peri_streq(diag->items[k - 1].file, f->file); k--)
            first = !diag->items[k - 1].fix.from;
        if (!f->fix.from || !first || !(peri_str_ends(f->file, ".yaml") || peri_str_ends(f->file, ".yml")))
            continue;
        size_t n = 0;
        st = peri_fix_file(f->file, &bench->env, tell_fix, bench->cli, &n, err);
        *ret_count += n;
    }
    return st;
}

/* Mends first when asked to, and reports what is left. */
static enum peri_status check_all(struct peri_workbench *bench, struct peri_args *args, struct peri_diag *diag,
    struct counts *ret, struct peri_error *err)
{
    args->words[args->count] = NULL;
    struct peri_rulebook *book =
        peri_rulebook_create(args->count ? args->words : (const char *const *)bench->cli->config.rules);
    struct peri_diag found;
    peri_error_clear(err);
    peri_diag_init(&found);
    enum peri_status st = book ? PERI_OK : PERI_ENOMEM;
    check_paths(args, diag);
    if (st == PERI_OK)
        st = peri_rulebook_load(book, &bench->env, &found);
    if (st == PERI_OK && args->value[FIX]) {
        size_t fixed = 0;
        st = fix_files(bench, &found, &fixed, err);
        peri_diag_finish(&found);
        if (st == PERI_OK)
            st = peri_rulebook_load(book, &bench->env, &found);
    }
    peri_diag_move(diag, &found);
    if (st == PERI_OK)
        st = warn_of(bench, peri_rulebook_rules(book), diag);
    if (st == PERI_OK)
        *ret = (struct counts){peri_rulebook_rules(book)->count, peri_rulebook_files(book)};
    peri_rulebook_destroy(book);
    return st;
}

/* False when memory is out. */
static bool print_sarif(struct peri_diag *diag)
{
    struct peri_value *log = peri_sarif_of(diag);
    if (log)
        peri_print_json(log);
    peri_value_unref(log);
    return log && !diag->lost;
}

static int print_schema(struct peri_cli *cli, struct peri_workbench *bench)
{
    struct peri_value *schema = peri_rule_schema(&bench->env);
    char *text = schema ? peri_json_text(schema, cli->json ? PERI_JSON_COMPACT : PERI_JSON_INDENT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(schema);
    return text ? PERI_EXIT_OK : PERI_EXIT_INTERNAL;
}

int peri_cmd_check(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct peri_workbench bench = {0};
    struct counts counts = {0};
    struct peri_error err;
    struct peri_diag diag;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (args.value[EXPLAIN])
        return explain(cli, args.value[EXPLAIN]);
    if (args.value[CODES])
        return list_codes(cli);
    peri_diag_init(&diag);
    enum peri_status st = PERI_OK;
    cli->config_loaded = peri_config_load(&cli->flags, &cli->config, &diag) == PERI_OK;
    if (cli->config_loaded && peri_workbench_open(&bench, cli, &diag, &err)) {
        peri_diag_finish(&diag);
        return peri_cli_fail_error(cli, &err);
    }
    if (cli->config_loaded)
        peri_config_check_plugins(&cli->config, bench.host, &diag);
    if (cli->config_loaded && args.value[SCHEMA]) {
        int code = print_schema(cli, &bench);
        peri_workbench_close(&bench);
        peri_diag_finish(&diag);
        return code;
    }
    if (cli->config_loaded)
        st = check_all(&bench, &args, &diag, &counts, &err);
    if (cli->config_loaded)
        peri_workbench_close(&bench);
    size_t errors = diag.errors, others = diag.count - (diag.errors < diag.count ? diag.errors : diag.count);
    if (st == PERI_OK && args.value[SARIF])
        st = print_sarif(&diag) ? PERI_OK : PERI_ENOMEM;
    else
        peri_print_findings(cli, &diag, true);
    peri_diag_finish(&diag);
    if (st && st != PERI_ENOMEM)
        return peri_cli_fail_error(cli, &err);
    if (st)
        return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (!cli->json)
        fprintf(stderr, "%zu rule%s in %zu file%s: %zu error%s, %zu warning%s\n", counts.rules, &"s"[counts.rules == 1],
            counts.files, &"s"[counts.files == 1], errors, &"s"[errors == 1], others, &"s"[others == 1]);
    return errors ? PERI_EXIT_NO : PERI_EXIT_OK;
}
