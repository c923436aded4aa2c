/* SPDX-License-Identifier: Apache-2.0 */
/* Findings in the form of a compiler: place, what is wrong, the line, a caret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/paths.h"
#include "base/str.h"
#include "data/json.h"

static const char *const severities[] = {"error", "warning", "note"};
static const char *const colours[] = {"\033[1;31m", "\033[1;35m", "\033[1;36m"};

static bool put_fix(struct peri_value *v, const struct peri_finding *f)
{
    if (!f->fix.from)
        return true;
    struct peri_value *fix = peri_value_map();
    if (fix && peri_map_put_int(fix, "line", f->fix.line) == PERI_OK &&
        peri_map_put_int(fix, "column", f->fix.column) == PERI_OK &&
        peri_map_put_text(fix, "from", f->fix.from) == PERI_OK && peri_map_put_text(fix, "to", f->fix.to) == PERI_OK)
        return peri_map_put(v, "fix", fix) == PERI_OK;
    peri_value_unref(fix);
    return false;
}

struct peri_value *peri_finding_value(const struct peri_finding *f)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "file", f->file) == PERI_OK && peri_map_put_int(v, "line", f->line) == PERI_OK &&
        peri_map_put_int(v, "column", f->column) == PERI_OK &&
        peri_map_put_text(v, "severity", severities[f->severity]) == PERI_OK &&
        peri_map_put_text(v, "code", f->code) == PERI_OK && peri_map_put_text(v, "message", f->message) == PERI_OK &&
        peri_map_put(v, "hint", f->hint ? peri_value_str(f->hint) : peri_value_null()) == PERI_OK && put_fix(v, f))
        return v;
    peri_value_unref(v);
    return NULL;
}

/* One file is read once for all its findings: they come sorted by file. */
struct source {
    char *file, *text;
    size_t len;
};

static void source_open(struct source *s, const char *file)
{
    if (peri_streq(s->file, file))
        return;
    free(s->file);
    free(s->text);
    s->text = NULL;
    s->file = peri_strdup(file);
    if (peri_path_read(file, 4 << 20, &s->text, &s->len, NULL))
        s->text = NULL;
}

static void print_source(FILE *out, struct source *s, const struct peri_finding *f)
{
    if (f->line < 1 || !peri_path_is_file(f->file)) /* opening a FIFO would wait for a writer */
        return;
    source_open(s, f->file);
    if (!s->text)
        return;
    const char *line = s->text, *end = s->text + s->len;
    for (int n = 1; n < f->line; n++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line)
            return;
        line++;
    }
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    size_t len = stop ? (size_t)(stop - line) : (size_t)(end - line);
    if (len > 400)
        return;
    fprintf(out, "  %5d | ", f->line);
    for (size_t i = 0; i < len; i++)
        fputc((unsigned char)line[i] < 0x20 ? ' ' : line[i], out);
    fputs("\n        | ", out);
    for (int i = 1; i < f->column; i++)
        fputc(' ', out);
    fputs("^\n", out);
}

static void print_finding(FILE *out, bool colour, struct source *s, const struct peri_finding *f)
{
    if (f->line > 0)
        fprintf(out, "%s:%d:%d: ", f->file, f->line, f->column);
    else
        fprintf(out, "%s: ", f->file);
    fprintf(out, "%s%s:%s %s [%s]\n", colour ? colours[f->severity] : "", severities[f->severity],
        colour ? "\033[0m" : "", f->message, f->code);
    print_source(out, s, f);
    if (f->hint)
        fprintf(out, "        = %s\n", f->hint);
}

void peri_print_findings(struct peri_cli *cli, struct peri_diag *diag, bool to_stdout)
{
    FILE *out = to_stdout ? stdout : stderr;
    struct source source = {0};
    peri_diag_sort(diag);
    for (size_t i = 0; i < diag->count; i++) {
        if (!cli->json || !to_stdout) {
            print_finding(out, to_stdout ? cli->colour_out : cli->colour_err, &source, &diag->items[i]);
            continue;
        }
        struct peri_value *v = peri_finding_value(&diag->items[i]);
        char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
        if (text)
            puts(text);
        free(text);
        peri_value_unref(v);
    }
    if (diag->lost)
        fprintf(stderr, "perigee: out of memory: findings are missing\n");
    free(source.file);
    free(source.text);
}
