/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, records and JSON on standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "app/cli.h"
#include "base/str.h"
#include "data/json.h"

#define MAX_COLUMNS 16

/* The display width of UTF-8 text (wcwidth), control characters counted as one. */
static int width_of(const char *text)
{
    int width = 0;
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        unsigned code;
        i += peri_utf8_decode(text + i, len - i, &code);
        int w = peri_code_steers(code) ? -1 : wcwidth((wchar_t)code);
        width += w < 0 ? 1 : w;
    }
    return width;
}

/* Prints text in one line, cut to max columns with an ellipsis. */
static int put_cell(const char *text, int max)
{
    int width = 0;
    size_t len = strlen(text);
    bool cut = max > 0 && width_of(text) > max;
    for (size_t i = 0; i < len;) {
        unsigned code;
        size_t n = peri_utf8_decode(text + i, len - i, &code);
        int w = peri_code_steers(code) ? -1 : wcwidth((wchar_t)code);
        if (w < 0) {
            w = 1;
            if (cut && width + 1 > max - 1)
                break;
            putchar(' ');
        } else {
            if (cut && width + w > max - 1)
                break;
            fwrite(text + i, 1, n, stdout);
        }
        width += w;
        i += n;
    }
    if (cut) {
        fputs("…", stdout);
        width++;
    }
    return width;
}

static const struct peri_value *dotted(const struct peri_value *row, const char *path)
{
    while (row && *path) {
        size_t n = strcspn(path, ".");
        row = peri_map_atn(row, path, n);
        path += n + (path[n] == '.');
    }
    return row;
}

/* Text of a value for people; the caller frees. */
static char *cell_text(const struct peri_value *v)
{
    if (!v || peri_value_is(v, PERI_NULL))
        return peri_strdup("");
    const char *text = peri_value_text(v);
    if (text)
        return peri_strdup(text);
    if (peri_value_is(v, PERI_LIST)) {
        struct peri_buf buf;
        peri_buf_init(&buf, 1 << 16);
        bool plain = true;
        for (size_t i = 0; i < peri_value_count(v) && plain; i++) {
            const char *item = peri_value_text(peri_list_at(v, i));
            plain = item != NULL;
            if (item)
                peri_buf_printf(&buf, "%s%s", i ? ", " : "", item);
        }
        if (plain)
            return peri_buf_take(&buf, NULL);
        peri_buf_finish(&buf);
    }
    return peri_json_text(v, PERI_JSON_COMPACT);
}

static size_t count_columns(const struct peri_column *columns)
{
    size_t n = 0;
    while (columns[n].key && n < MAX_COLUMNS)
        n++;
    return n;
}

static void put_padding(int n)
{
    for (; n > 0; n--)
        putchar(' ');
}

void peri_print_table(const struct peri_value *rows, const struct peri_column *columns, const char *none)
{
    size_t n = count_columns(columns), count = peri_value_count(rows);
    if (count == 0) {
        fprintf(stderr, "%s\n", none);
        return;
    }
    char **cells = calloc(n * count, sizeof(*cells));
    int widths[MAX_COLUMNS];
    if (!cells)
        return;
    for (size_t c = 0; c < n; c++)
        widths[c] = width_of(columns[c].title);
    for (size_t r = 0; r < count; r++) {
        for (size_t c = 0; c < n; c++) {
            char *text = cell_text(dotted(peri_list_at(rows, r), columns[c].key));
            cells[r * n + c] = text ? text : peri_strdup("?");
            int w = width_of(cells[r * n + c]);
            if (columns[c].max_width && w > columns[c].max_width)
                w = columns[c].max_width;
            if (w > widths[c])
                widths[c] = w;
        }
    }
    for (size_t c = 0; c < n; c++) {
        int w = put_cell(columns[c].title, 0);
        put_padding(c + 1 < n ? widths[c] - w + 2 : 0);
    }
    putchar('\n');
    for (size_t r = 0; r < count; r++) {
        for (size_t c = 0; c < n; c++) {
            int w = put_cell(cells[r * n + c], columns[c].max_width);
            put_padding(c + 1 < n ? widths[c] - w + 2 : 0);
            free(cells[r * n + c]);
        }
        putchar('\n');
    }
    free(cells);
}

static void print_json(const struct peri_value *v, enum peri_json_style style)
{
    char *text = peri_json_text(v, style);
    puts(text ? text : "null");
    free(text);
}

void peri_print_json_lines(const struct peri_value *list)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        print_json(peri_list_at(list, i), PERI_JSON_COMPACT);
}

void peri_print_json(const struct peri_value *v)
{
    print_json(v, isatty(STDOUT_FILENO) ? PERI_JSON_INDENT : PERI_JSON_COMPACT);
}

void peri_print_line(const char *text)
{
    put_cell(text ? text : "", 0);
    putchar('\n');
}

void peri_print_record(const struct peri_value *map)
{
    int width = 0;
    for (void *it = peri_map_first(map); it; it = peri_map_next(map, it)) {
        int w = width_of(peri_map_key(it, NULL));
        width = w > width ? w : width;
    }
    for (void *it = peri_map_first(map); it; it = peri_map_next(map, it)) {
        char *text = cell_text(peri_map_item(it));
        put_cell(peri_map_key(it, NULL), 0);
        printf(":%*s ", width - width_of(peri_map_key(it, NULL)), "");
        put_cell(text ? text : "", 0);
        putchar('\n');
        free(text);
    }
}

void peri_print_list(
    struct peri_cli *cli, const struct peri_value *rows, const struct peri_column *columns, const char *none)
{
    if (cli->json)
        peri_print_json_lines(rows);
    else
        peri_print_table(rows, columns, none);
}
