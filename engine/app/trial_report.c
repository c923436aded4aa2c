/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"

static bool passed(const struct peri_trial_result *r)
{
    return r->diag.errors == 0;
}

static void print_text(struct peri_trial_report *report, struct peri_trial_result *r)
{
    bool colour = report->cli->colour_out;
    const struct peri_trial_result *before = report->count > 1 ? r - 1 : NULL;
    if (!before || !peri_streq(before->file, r->file))
        puts(r->file);
    if (passed(r)) {
        printf("  %sok%s    %s\n", colour ? "\033[32m" : "", colour ? "\033[0m" : "", r->name);
        return;
    }
    printf("  %sFAIL%s  %s\n", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "", r->name);
    peri_print_findings(report->cli, &r->diag, true);
}

/* A YAML double-quoted text is a JSON one. */
static void print_quoted(const char *key, const char *text)
{
    struct peri_buf out;
    peri_buf_init(&out, 1 << 16);
    if (peri_json_write_string(&out, text, strlen(text)) == PERI_OK)
        printf("  %s: %s\n", key, peri_buf_text(&out));
    peri_buf_finish(&out);
}

/* The description ends at a '#', which begins a directive. */
static void print_tap_name(const char *file, const char *name)
{
    printf("%s: ", file);
    for (; *name; name++) {
        if (*name == '#' || *name == '\\')
            putchar('\\');
        putchar(*name == '\n' ? ' ' : *name);
    }
    putchar('\n');
}

static void print_tap(struct peri_trial_report *report, const struct peri_trial_result *r)
{
    if (report->count == 1)
        puts("TAP version 13");
    printf("%sok %zu - ", passed(r) ? "" : "not ", report->count);
    print_tap_name(r->file, r->name);
    if (passed(r))
        return;
    const struct peri_finding *f = &r->diag.items[0];
    puts("  ---");
    print_quoted("message", f->message);
    print_quoted("file", f->file);
    printf("  line: %d\n  column: %d\n", f->line, f->column);
    for (size_t i = 1; i < r->diag.count; i++) {
        if (i == 1)
            puts("  more:");
        printf("  - ");
        print_quoted("message", r->diag.items[i].message);
    }
    puts("  ...");
}

static void print_json(const struct peri_trial_result *r)
{
    struct peri_value *v = peri_value_map(), *failures = peri_value_list();
    bool good = v && failures && peri_map_put_text(v, "file", r->file) == PERI_OK &&
                peri_map_put_text(v, "name", r->name) == PERI_OK && peri_map_put_int(v, "line", r->line) == PERI_OK &&
                peri_map_put_bool(v, "ok", passed(r)) == PERI_OK && peri_map_put_int(v, "ms", r->us / 1000) == PERI_OK;
    for (size_t i = 0; good && i < r->diag.count; i++)
        good = peri_list_push(failures, peri_finding_value(&r->diag.items[i])) == PERI_OK;
    good = good && peri_map_put_ref(v, "failures", failures) == PERI_OK;
    char *text = good ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (text)
        puts(text);
    free(text);
    peri_value_unref(failures);
    peri_value_unref(v);
}

/* Only errors make a test fail; the rest is not about the test. */
static void keep_errors(struct peri_diag *diag, struct peri_diag *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct peri_finding *f = &from->items[i];
        if (f->severity == PERI_SEV_ERROR)
            peri_diag_add(diag, (struct peri_place){f->file, f->line, f->column}, f->severity, f->code, f->hint, "%s",
                f->message);
    }
    peri_diag_finish(from);
    peri_diag_sort(diag);
}

void peri_trial_report_add(
    struct peri_trial_report *report, const char *file, const char *name, int line, int64_t us, struct peri_diag *diag)
{
    if (!peri_vec_grow(&report->items, &report->cap, report->count + 1, sizeof(*report->items))) {
        report->lost = true;
        report->failed++;
        peri_diag_finish(diag);
        return;
    }
    struct peri_trial_result *r = &report->items[report->count++];
    *r = (struct peri_trial_result){.file = peri_strdup(file), .name = peri_strdup(name), .line = line, .us = us};
    keep_errors(&r->diag, diag);
    report->failed += !passed(r);
    report->lost = report->lost || !r->file || !r->name || r->diag.lost;
    if (report->lost)
        return;
    if (report->style == PERI_TRIAL_TAP)
        print_tap(report, r);
    else if (report->style == PERI_TRIAL_JSON)
        print_json(r);
    else
        print_text(report, r);
}

void peri_trial_report_end(const struct peri_trial_report *report)
{
    int64_t us = 0;
    for (size_t i = 0; i < report->count; i++)
        us += report->items[i].us;
    if (report->style == PERI_TRIAL_TAP) {
        if (report->count == 0)
            puts("TAP version 13");
        printf("1..%zu\n", report->count);
    }
    if (report->count == 0)
        fputs("perigee: no tests found\n", stderr);
    else if (report->style == PERI_TRIAL_TEXT && report->failed)
        printf("%zu of %zu tests failed, %lld ms\n", report->failed, report->count, (long long)(us / 1000));
    else if (report->style == PERI_TRIAL_TEXT)
        printf("%zu test%s passed, %lld ms\n", report->count, &"s"[report->count == 1], (long long)(us / 1000));
    if (report->lost)
        fputs("perigee: out of memory: results are missing\n", stderr);
}

/* ---- JUnit ---- */

static void xml_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '<' || c == '>' || c == '&' || c == '"')
            fprintf(f, "&#%d;", c);
        else if (c >= 0x20 || c == '\n' || c == '\t')
            fputc(c, f);
        else
            fputc(' ', f);
    }
}

static void xml_attribute(FILE *f, const char *name, const char *text)
{
    fprintf(f, " %s=\"", name);
    xml_text(f, text);
    fputc('"', f);
}

static void xml_case(FILE *f, const struct peri_trial_result *r)
{
    fputs("    <testcase", f);
    xml_attribute(f, "name", r->name);
    xml_attribute(f, "classname", r->file);
    fprintf(f, " time=\"%.6f\"", (double)r->us / 1e6);
    if (passed(r)) {
        fputs("/>\n", f);
        return;
    }
    fputs(">\n      <failure", f);
    xml_attribute(f, "message", r->diag.items[0].message);
    fputs(">", f);
    for (size_t i = 0; i < r->diag.count; i++) {
        const struct peri_finding *e = &r->diag.items[i];
        xml_text(f, e->file);
        fprintf(f, ":%d:%d: ", e->line, e->column);
        xml_text(f, e->message);
        fputc('\n', f);
    }
    fputs("</failure>\n    </testcase>\n", f);
}

/* Tests of one file follow each other. */
static size_t xml_suite(FILE *f, const struct peri_trial_report *report, size_t from)
{
    size_t end = from, failed = 0;
    int64_t us = 0;
    for (; end < report->count && peri_streq(report->items[end].file, report->items[from].file); end++) {
        failed += !passed(&report->items[end]);
        us += report->items[end].us;
    }
    fputs("  <testsuite", f);
    xml_attribute(f, "name", report->items[from].file);
    fprintf(f, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"%.6f\">\n", end - from, failed,
        (double)us / 1e6);
    for (size_t i = from; i < end; i++)
        xml_case(f, &report->items[i]);
    fputs("  </testsuite>\n", f);
    return end;
}

enum peri_status peri_trial_report_junit(
    const struct peri_trial_report *report, const char *path, struct peri_error *err)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return peri_error_set(err, PERI_EIO, NULL, "%s: %s", path, strerror(errno));
    fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%zu\" failures=\"%zu\">\n",
        report->count, report->failed);
    for (size_t i = 0; i < report->count;)
        i = xml_suite(f, report, i);
    fputs("</testsuites>\n", f);
    bool bad = ferror(f);
    if (fclose(f) != 0 || bad)
        return peri_error_set(err, PERI_EIO, NULL, "%s: cannot write", path);
    return PERI_OK;
}

void peri_trial_report_finish(struct peri_trial_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->items[i].file);
        free(report->items[i].name);
        peri_diag_finish(&report->items[i].diag);
    }
    free(report->items);
}
