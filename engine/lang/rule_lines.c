/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/rule_lines.h"

#include <string.h>

#include "lang/rule_internal.h"

#define WIDTH 100 /* a value that fits in a line stands in one */

/* May the text stand without quotes? Only what no reader could take for something else. */
static bool is_plain(const struct peri_node *node)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "nan", "inf"};
    if (node->tag || node->len == 0 || !strchr(letters, node->text[0]) ||
        strspn(node->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./ ") != node->len ||
        node->text[node->len - 1] == ' ')
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(words[i], node->text) == 0)
            return false;
    return true;
}

static void put_scalar(struct peri_buf *out, const struct peri_node *node)
{
    if (node->type == PERI_STRING && is_plain(node))
        (void)peri_buf_append(out, node->text, node->len);
    else
        peri_rule_write_node(out, node, NULL);
}

static void put_flow(struct peri_buf *out, const struct peri_node *node)
{
    bool map = node->kind == PERI_NODE_MAP;
    if (node->kind == PERI_NODE_SCALAR) {
        put_scalar(out, node);
        return;
    }
    (void)peri_buf_putc(out, map ? '{' : '[');
    for (size_t i = 0; i < node->count; i++) {
        if (i)
            (void)peri_buf_puts(out, ", ");
        if (map) {
            put_scalar(out, node->pairs[i].key);
            (void)peri_buf_puts(out, ": ");
        }
        put_flow(out, map ? node->pairs[i].value : node->items[i]);
    }
    (void)peri_buf_putc(out, map ? '}' : ']');
}

static void put_block(struct peri_buf *out, const struct peri_node *node, int indent, bool origin);

/* Behind "key:" or "-": in the line when it is short, else below. */
static void put_value(struct peri_buf *out, const struct peri_node *node, int indent, bool item)
{
    struct peri_buf flow;
    peri_buf_init(&flow, PERI_RULE_MAX_TEXT * 2);
    put_flow(&flow, node);
    /* a step or condition with several keys reads better in lines */
    bool fits = node->kind == PERI_NODE_SCALAR || node->count == 0 ||
                ((int)flow.len + indent <= WIDTH && !(item && node->kind == PERI_NODE_MAP && node->count > 2));
    if (flow.failed) {
        out->failed = flow.failed;
    } else if (fits) {
        (void)peri_buf_printf(out, " %s\n", peri_buf_text(&flow));
    } else if (item && node->kind == PERI_NODE_MAP) {
        (void)peri_buf_putc(out, ' ');
        put_block(out, node, indent, true);
    } else {
        (void)peri_buf_putc(out, '\n');
        for (int i = 0; i < indent; i++)
            (void)peri_buf_putc(out, ' ');
        put_block(out, node, indent, true);
    }
    peri_buf_finish(&flow);
}

/* The first line's indentation is there already. */
static void put_block(struct peri_buf *out, const struct peri_node *node, int indent, bool origin)
{
    bool map = node->kind == PERI_NODE_MAP, first = true;
    for (size_t i = 0; i < node->count && !out->failed; i++) {
        if (map && !origin && strcmp(node->pairs[i].key->text, "expanded_from") == 0)
            continue;
        for (int k = 0; !first && k < indent; k++)
            (void)peri_buf_putc(out, ' ');
        first = false;
        if (map) {
            put_scalar(out, node->pairs[i].key);
            (void)peri_buf_putc(out, ':');
        } else {
            (void)peri_buf_putc(out, '-');
        }
        put_value(out, map ? node->pairs[i].value : node->items[i], indent + 2, !map);
    }
}

char *peri_rule_lines(const char *text, size_t len, bool origin)
{
    static const char *const tags[] = {"!secret", "!input", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    struct peri_buf out;
    char *made = NULL;
    peri_diag_init(&diag);
    peri_buf_init(&out, PERI_RULE_MAX_TEXT * 4);
    if (peri_yaml_parse("stored rule", text, len, tags, &doc, &diag) == PERI_OK && doc->count == 1 &&
        doc->roots[0]->kind == PERI_NODE_MAP) {
        put_block(&out, doc->roots[0], 0, origin);
        made = out.failed ? NULL : peri_buf_take(&out, NULL);
    }
    peri_buf_finish(&out);
    peri_yaml_destroy(doc);
    peri_diag_finish(&diag);
    return made;
}
