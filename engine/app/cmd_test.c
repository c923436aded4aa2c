/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/paths.h"
#include "app/trial_cover.h"
#include "app/trial_mutate.h"
#include "app/trial_report.h"
#include "app/trial_update.h"
#include "app/zones.h"
#include "base/str.h"
#include "base/vec.h"

enum { TAP, JUNIT, FILTER, COVERAGE, MUTATE, UPDATE, YES };

static const struct argp_option options[] = {
    {"tap", PERI_OPTION(TAP), 0, 0, "prints the results in the Test Anything Protocol", 0},
    {"junit", PERI_OPTION(JUNIT), "FILE", 0, "writes the results as JUnit XML too", 0},
    {"filter", PERI_OPTION(FILTER), "TEXT", 0, "only the tests whose name holds this text", 0},
    {"coverage", PERI_OPTION(COVERAGE), 0, 0,
        "tells which conditions were never true or never false, and which branches were never taken", 0},
    {"mutate", PERI_OPTION(MUTATE), 0, 0,
        "takes away or turns round one condition, field of a match, key, mode, throttle or if after the other, moves "
        "one bound or throttle, and tells what no test notices",
        0},
    {"update", PERI_OPTION(UPDATE), 0, 0,
        "writes what happened into the test files, in place of what was expected, after showing it and asking", 0},
    {"yes", PERI_OPTION(YES), 0, 0, "with --update: does not ask", 0},
    {0},
};

static const struct peri_usage_text usage = {"[PATH...]",
    "Runs tests of rules: files named *.test.yaml, with a clock that stands still until the test moves it, an empty "
    "store and the installed "
    "plugins. Nothing is sent, and neither the service nor its data is touched. PATH is such a file or a folder of "
    "them; without one "
    "the configured rule folders are searched.\v"
    "Exit code 1 when a test failed or cannot be read, when there is none, or when --mutate found what no test "
    "notices. With --json, one test a line: {file, name, line, ok, ms, failures}; then with --coverage one rule a "
    "line: {rule, file, outcomes, outcomes_seen, branches, branches_seen, not_covered}, with --mutate one change a "
    "line: {file, line, column, rule, path, change, to, noticed, by}.",
    options, 0, PERI_ARGS_MAX - 1};

#define MAX_FOLDER_DEPTH 8

struct paths {
    char **items;
    size_t count, cap;
};

static bool is_test_file(const char *name)
{
    return name[0] != '.' && (peri_str_ends(name, ".test.yaml") || peri_str_ends(name, ".test.yml"));
}

static bool add_path(struct paths *paths, char *path)
{
    if (!path || !peri_vec_grow(&paths->items, &paths->cap, paths->count + 1, sizeof(*paths->items))) {
        free(path);
        return false;
    }
    paths->items[paths->count++] = path;
    return true;
}

static bool find_files(struct paths *paths, const char *folder, int depth)
{
    struct dirent **names = NULL;
    bool good = true;
    int n = depth < MAX_FOLDER_DEPTH ? scandir(folder, &names, NULL, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        char *path = names[i]->d_name[0] == '.' ? NULL : peri_path_join(folder, names[i]->d_name);
        if (path && peri_path_is_dir(path))
            good = find_files(paths, path, depth + 1) && good;
        else if (path && is_test_file(names[i]->d_name))
            good = add_path(paths, peri_strdup(path)) && good;
        free(path);
        free(names[i]);
    }
    free(names);
    return good;
}

/* False after a message. */
static bool find_all(struct peri_cli *cli, const struct peri_args *args, struct paths *paths)
{
    bool good = true;
    for (size_t i = 0; i < args->count && good; i++) {
        if (peri_path_is_dir(args->words[i]))
            good = find_files(paths, args->words[i], 0);
        else
            good = add_path(paths, peri_strdup(args->words[i]));
    }
    for (char **folder = args->count ? NULL : cli->config.rules; folder && *folder && good; folder++)
        if (peri_path_is_dir(*folder))
            good = find_files(paths, *folder, 0);
    if (!good)
        (void)peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    return good;
}

static int64_t now_us(void)
{
    struct peri_clock clock = peri_clock_system();
    return peri_clock_mono(&clock).ns / 1000;
}

static void run_case(struct peri_trial_bed *bed, struct peri_trial_case *trial, struct peri_trial_report *report)
{
    struct peri_diag diag;
    int64_t start = now_us();
    peri_diag_init(&diag);
    peri_trial_run(bed, trial, &diag);
    peri_trial_report_add(report, bed->file->path, trial->name, trial->place.line, now_us() - start, &diag);
}

/* What one call of the command does with each file. */
struct session {
    struct peri_cli *cli;
    const char *filter;
    struct peri_trial_bed *bed; /* of one file after the other */
    struct peri_trial_report report;
    struct peri_trial_cover *cover; /* NULL: not asked for */
    struct peri_mutations *mutations;
    bool update, yes;
};

static enum peri_status run_cases(struct session *s, struct peri_trial_bed *bed, struct peri_error *err)
{
    size_t failed = s->report.failed;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; i < bed->file->case_count; i++)
        if (!s->filter || strstr(bed->file->cases[i].name, s->filter))
            run_case(bed, &bed->file->cases[i], &s->report);
    if (s->cover && peri_trial_cover_rules(s->cover, &bed->rules))
        st = peri_error_nomem(err);
    bed->cover = NULL;
    if (st == PERI_OK && s->mutations && s->report.failed == failed) /* what fails already notices nothing more */
        st = peri_trial_mutate(bed, s->mutations, err);
    return st;
}

/* --update: runs the tests unseen and writes what they should have expected. */
static enum peri_status update_file(struct session *s, const char *path, struct peri_error *err)
{
    struct peri_trial_file *file = NULL;
    struct peri_trial_edits edits = {0};
    struct peri_trial_bed *bed = calloc(1, sizeof(*bed));
    struct peri_tz_source tz = peri_tz_files();
    struct peri_diag diag;
    bool written = false;
    peri_diag_init(&diag);
    enum peri_status st = bed ? peri_trial_read(path, &tz, &file, &diag) : peri_error_nomem(err);
    if (st == PERI_OK) {
        bed->edits = &edits;
        edits.doc = file->doc;
        st = peri_trial_bed_open(bed, s->cli, file, &diag, err);
    }
    bool bad = st == PERI_EINVAL && diag.errors > 0; /* the run that follows tells */
    for (size_t i = 0; st == PERI_OK && i < file->case_count; i++)
        if (!s->filter || strstr(file->cases[i].name, s->filter))
            peri_trial_run(bed, &file->cases[i], &diag);
    if (st == PERI_OK) {
        peri_trial_bed_close(bed);
        st = peri_trial_edits_apply(&edits, path, s->yes, &written, err);
    }
    peri_trial_edits_finish(&edits);
    peri_diag_finish(&diag);
    peri_trial_file_destroy(file);
    free(bed);
    return bad ? PERI_OK : st;
}

static enum peri_status run_file(struct session *s, const char *path, struct peri_error *err)
{
    struct peri_trial_file *file = NULL;
    struct peri_trial_bed *bed = s->bed;
    struct peri_tz_source tz = peri_tz_files();
    struct peri_diag diag;
    int64_t start = now_us();
    peri_diag_init(&diag);
    enum peri_status st = peri_trial_read(path, &tz, &file, &diag);
    if (st == PERI_OK) {
        bed->cover = s->cover;
        st = peri_trial_bed_open(bed, s->cli, file, &diag, err);
    }
    bool bad = st == PERI_EINVAL && diag.errors > 0;
    if (bad) { /* one failed test that stands for all that could not be run */
        peri_trial_report_add(&s->report, path, "can be read", 0, now_us() - start, &diag);
        st = PERI_OK;
    }
    peri_diag_finish(&diag); /* plugins that wait for settings are no business of a test */
    if (st == PERI_OK && !bad) {
        st = run_cases(s, bed, err);
        peri_trial_bed_leave(bed);
    }
    peri_trial_file_destroy(file);
    return st;
}

static enum peri_trial_style style_of(const struct peri_cli *cli, const struct peri_args *args)
{
    return cli->json ? PERI_TRIAL_JSON : args->value[TAP] ? PERI_TRIAL_TAP : PERI_TRIAL_TEXT;
}

/* All files; then what is told of all of them together. Returns the exit code. */
static int run_all(struct session *s, const struct paths *paths, const char *junit)
{
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    size_t unnoticed = 0;
    for (size_t i = 0; i < paths->count && st == PERI_OK; i++) {
        if (s->update)
            st = update_file(s, paths->items[i], &err);
        if (st == PERI_OK)
            st = run_file(s, paths->items[i], &err);
    }
    if (st)
        return peri_cli_fail_error(s->cli, &err);
    peri_trial_report_end(&s->report);
    if (s->cover)
        peri_trial_cover_print(s->cover, s->cli);
    if (s->mutations)
        unnoticed = peri_mutations_print(s->mutations, s->cli);
    if (junit && peri_trial_report_junit(&s->report, junit, &err))
        return peri_cli_fail_error(s->cli, &err);
    return s->report.failed || s->report.count == 0 || unnoticed ? PERI_EXIT_NO : PERI_EXIT_OK;
}

int peri_cmd_test(struct peri_cli *cli, int argc, char **argv)
{
    struct peri_args args;
    struct paths paths = {0};
    struct peri_mutations mutations = {0};
    peri_cli_parse(cli, argc, argv, &usage, &args);
    if (args.value[TAP] && (args.value[COVERAGE] || args.value[MUTATE]))
        return peri_cli_usage(cli, "test", "--tap cannot tell of --coverage and --mutate");
    if (args.value[UPDATE] && style_of(cli, &args) != PERI_TRIAL_TEXT)
        return peri_cli_usage(cli, "test", "--update shows what it changes: it does not go with --json or --tap");
    if (!peri_cli_config(cli))
        return PERI_EXIT_NO;
    struct session s = {.cli = cli,
        .filter = args.value[FILTER],
        .report = {.cli = cli, .style = style_of(cli, &args)},
        .cover = args.value[COVERAGE] ? peri_trial_cover_create() : NULL,
        .mutations = args.value[MUTATE] ? &mutations : NULL,
        .update = args.value[UPDATE] != NULL,
        .yes = args.value[YES] != NULL};
    int code = find_all(cli, &args, &paths) ? PERI_EXIT_OK : PERI_EXIT_INTERNAL;
    if (code == PERI_EXIT_OK && !(s.bed = calloc(1, sizeof(*s.bed))))
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (code == PERI_EXIT_OK && args.value[COVERAGE] && !s.cover)
        code = peri_cli_fail(cli, PERI_EXIT_INTERNAL, "out of memory");
    if (code == PERI_EXIT_OK)
        code = run_all(&s, &paths, args.value[JUNIT]);
    for (size_t i = 0; i < paths.count; i++)
        free(paths.items[i]);
    free(paths.items);
    if (s.bed)
        peri_trial_bed_close(s.bed);
    free(s.bed);
    peri_trial_report_finish(&s.report);
    peri_trial_cover_destroy(s.cover);
    peri_mutations_finish(&mutations);
    return code;
}
