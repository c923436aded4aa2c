/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/blueprint_diff.h"
#include "app/blueprint_files.h"
#include "app/commands.h"
#include "app/paths.h"
#include "app/rulebook.h"
#include "base/str.h"
#include "lang/rule_lines.h"

enum { PATH };

static const struct argp_option options[] = {
    {"path", PERI_OPTION(PATH), "PATH", 0, "diff: the path by which rules name the blueprint, when neither file has it",
        1},
    {0},
};

static const struct peri_usage_text usage = {"list | show PATH | diff OLD NEW | expand RULE",
    "Blueprints, and the rules that are made of them. `list' names those in the rule folders; `show' says what one "
    "asks "
    "for. `diff' says what becomes of the rules when the file NEW takes the place of OLD: one of them is the "
    "blueprint, by "
    "its path or file, the other any file. `expand' prints a rule as it is made, which loads without the blueprint.\v"
    "diff: exit code 1 when something changes. In front of an input or rule stand + (new), - (gone), ~ (changed), = "
    "(the "
    "same), ! (would not load).",
    options, 0, 3};

/* ---- what all need ---- */

struct desk {
    struct peri_workbench bench;
    struct peri_diag diag;
    struct peri_rulebook *book;
};

static int open_desk(struct peri_cli *cli, struct desk *d)
{
    struct peri_error err = {0};
    memset(d, 0, sizeof(*d));
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    peri_diag_init(&d->diag);
    if (peri_workbench_open(&d->bench, cli, &d->diag, &err)) {
        peri_diag_finish(&d->diag);
        return peri_cli_fail_error(cli, &err);
    }
    d->book = peri_rulebook_create((const char *const *)cli->config.rules);
    if (d->book && peri_rulebook_load(d->book, &d->bench.env, &d->diag) == PERI_OK)
        return PERI_EXIT_OK;
    peri_rulebook_destroy(d->book);
    peri_workbench_close(&d->bench);
    peri_diag_finish(&d->diag);
    return peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
}

static void close_desk(struct desk *d)
{
    peri_rulebook_destroy(d->book);
    peri_workbench_close(&d->bench);
    peri_diag_finish(&d->diag);
}

/* The path of a file below its rule folder, or NULL. borrow */
static const char *path_of(const struct peri_cli *cli, const char *file)
{
    for (size_t i = 0; cli->config.rules[i]; i++) {
        const char *root = cli->config.rules[i];
        size_t n = strlen(root);
        while (n > 1 && root[n - 1] == '/')
            n--;
        if (strncmp(root, file, n) == 0 && file[n] == '/')
            return file + n + 1;
    }
    return NULL;
}

/* ---- list ---- */

static struct peri_value *users_of(const struct desk *d, const char *path)
{
    const struct peri_rule_list *rules = peri_rulebook_rules(d->book);
    struct peri_value *list = peri_value_list();
    bool good = list != NULL;
    for (size_t i = 0; good && i < rules->count; i++)
        if (path && peri_streq(rules->items[i]->blueprint, path))
            good = peri_list_push(list, peri_value_str(rules->items[i]->id)) == PERI_OK;
    if (good)
        return list;
    peri_value_unref(list);
    return NULL;
}

static bool push(const struct peri_cli *cli, struct desk *d, const char *file, struct peri_value *rows)
{
    struct peri_diag diag;
    peri_diag_init(&diag);
    const char *path = path_of(cli, file);
    struct peri_value *about = peri_blueprint_describe(file, &d->bench.env, &diag), *row = peri_value_map(),
                      *users = users_of(d, path);
    const char *name = peri_map_text(about, "name");
    bool good = row && users && peri_map_put_text(row, "path", path ? path : file) == PERI_OK &&
                peri_map_put_text(row, "name", name ? name : "") == PERI_OK &&
                peri_map_put_int(row, "inputs", (int64_t)peri_value_count(peri_map_at(about, "inputs"))) == PERI_OK &&
                peri_map_put_int(row, "errors", (int64_t)diag.errors) == PERI_OK &&
                peri_map_put_ref(row, "rules", users) == PERI_OK && peri_map_put_text(row, "file", file) == PERI_OK &&
                peri_list_push(rows, peri_value_ref(row)) == PERI_OK;
    peri_value_unref(about);
    peri_value_unref(row);
    peri_value_unref(users);
    peri_diag_finish(&diag);
    return good;
}

static int list(struct peri_cli *cli, const struct peri_args *args)
{
    static const struct peri_column columns[] = {{"path", "PATH", 60}, {"name", "NAME", 40}, {"inputs", "INPUTS", 0},
        {"errors", "ERRORS", 0}, {"rules", "RULES", 60}, {0}};
    struct desk d;
    int code = open_desk(cli, &d);
    if (code)
        return code;
    struct peri_value *rows = peri_value_list();
    const char *file;
    bool good = rows != NULL;
    for (size_t i = 0; good && (file = peri_rulebook_file_at(d.book, i)); i++)
        if (peri_blueprint_file_is(file))
            good = push(cli, &d, file, rows);
    if (good)
        peri_print_list(cli, rows, columns, "no blueprints");
    peri_value_unref(rows);
    close_desk(&d);
    return good ? PERI_EXIT_OK : peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
}

/* ---- show ---- */

/* The file that a word means: a path of rules, else a file as it is. malloc'ed; NULL after a message. */
static char *file_of(struct peri_cli *cli, const struct desk *d, const char *word)
{
    char near[PERI_BLUEPRINT_NEAR], *file = NULL;
    struct peri_error err = {0};
    if (peri_blueprint_find_file(&d->bench.env, "", word, &file, near, &err) == PERI_OK)
        return file;
    if (peri_path_is_file(word))
        return peri_strdup(word);
    if (near[0])
        (void)peri_cli_fail(cli, PERI_EXIT_NO, "there is no blueprint \"%s\" (did you mean \"%s\"?)", word, near);
    else
        (void)peri_cli_fail(cli, PERI_EXIT_NO, "there is no blueprint and no file \"%s\"", word);
    return NULL;
}

static void print_about(const struct peri_value *v)
{
    static const char *const keys[] = {"name", "description", "author", "version", "homepage"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (peri_map_text(v, keys[i]))
            printf("%s: %s\n", keys[i], peri_map_text(v, keys[i]));
    const struct peri_value *inputs = peri_map_at(v, "inputs"), *rules = peri_map_at(v, "rules");
    for (size_t i = 0; i < peri_value_count(inputs); i++) {
        const struct peri_value *x = peri_list_at(inputs, i);
        const char *about = peri_map_text(x, "description");
        char *text = peri_blueprint_input_text(x);
        printf("%s  %-14s %s%s%s\n", i ? "" : "inputs:\n", peri_map_text(x, "name"), text ? text : "",
            about ? "  # " : "", about ? about : "");
        free(text);
    }
    for (size_t i = 0; i < peri_value_count(rules); i++)
        printf("%s  %s\n", i ? "" : "rules:\n", peri_value_text(peri_list_at(rules, i)));
}

static int show(struct peri_cli *cli, const struct peri_args *args)
{
    struct desk d;
    struct peri_diag diag;
    int code = open_desk(cli, &d);
    if (code)
        return code;
    char *file = file_of(cli, &d, args->words[0]);
    peri_diag_init(&diag);
    struct peri_value *v = file ? peri_blueprint_describe(file, &d.bench.env, &diag) : NULL;
    struct peri_value *users = v ? users_of(&d, path_of(cli, file)) : NULL;
    code = PERI_EXIT_NO;
    if (v && users && peri_map_put_ref(v, "rules", users) == PERI_OK) {
        code = PERI_EXIT_OK;
        if (cli->json)
            peri_print_json(v);
        else
            print_about(v);
    }
    peri_print_findings(cli, &diag, false);
    peri_value_unref(v);
    peri_value_unref(users);
    peri_diag_finish(&diag);
    free(file);
    close_desk(&d);
    return code;
}

/* ---- diff ---- */

static int compare(struct peri_cli *cli, const struct peri_args *args)
{
    struct desk d;
    struct peri_error err = {0};
    int code = open_desk(cli, &d);
    if (code)
        return code;
    char *old = file_of(cli, &d, args->words[0]), *new = old ? file_of(cli, &d, args->words[1]) : NULL;
    const char *path = args->value[PATH] ? args->value[PATH] : old ? path_of(cli, old) : NULL;
    if (!path && new)
        path = path_of(cli, new);
    code = PERI_EXIT_NO;
    if (old && new && !path) {
        code = peri_cli_usage(cli, "blueprints",
            "neither file lies in a rule folder: --path says by which path rules name the blueprint");
    } else if (old && new) {
        struct peri_value *doc = peri_blueprint_compare(&d.bench, path, old, new, &err);
        code =
            doc ? (peri_map_bool(doc, "changed", false) ? PERI_EXIT_NO : PERI_EXIT_OK) : peri_cli_fail_error(cli, &err);
        if (doc && cli->json)
            peri_print_json(doc);
        else if (doc)
            peri_blueprint_compare_print(cli, doc);
        peri_value_unref(doc);
    }
    free(old);
    free(new);
    close_desk(&d);
    return code;
}

/* ---- expand ---- */

static int expand(struct peri_cli *cli, const struct peri_args *args)
{
    struct desk d;
    int code = open_desk(cli, &d);
    if (code)
        return code;
    const struct peri_rule_list *rules = peri_rulebook_rules(d.book);
    const struct peri_rule *rule = NULL;
    for (size_t i = 0; i < rules->count && !rule; i++)
        if (peri_streq(rules->items[i]->id, args->words[0]))
            rule = rules->items[i];
    char *text = rule ? peri_rule_lines(rule->text, strlen(rule->text), true) : NULL;
    if (!rule)
        code = peri_cli_fail(
            cli, PERI_EXIT_NO, "there is no rule \"%s\" (`perigee rules list' names them)", args->words[0]);
    else if (!text)
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    else if (cli->json) {
        struct peri_value *v = peri_value_map();
        if (v && peri_map_put_text(v, "id", rule->id) == PERI_OK &&
            peri_map_put_text(v, "blueprint", rule->blueprint) == PERI_OK &&
            peri_map_put_text(v, "text", text) == PERI_OK)
            peri_print_json(v);
        peri_value_unref(v);
    } else {
        fputs(text, stdout);
    }
    free(text);
    close_desk(&d);
    return code;
}

int peri_cmd_blueprints(struct peri_cli *cli, int argc, char **argv)
{
    static const struct peri_verb verbs[] = {{"list", list, 0, 0, ""}, {"show", show, 1, 1, "PATH"},
        {"diff", compare, 2, 2, "OLD and NEW"}, {"expand", expand, 1, 1, "RULE"}, {0}};
    struct peri_args args;
    peri_cli_parse(cli, argc, argv, &usage, &args);
    return peri_cli_verb(cli, "blueprints", verbs, &args);
}
