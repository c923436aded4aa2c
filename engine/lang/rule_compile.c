/* SPDX-License-Identifier: Apache-2.0 */
/* The stored form of a rule: its tree as one line of flow YAML. Texts are double-quoted with everything escaped that a
 * YAML reader might break or refuse, scalars that are no texts stay as they were written, tags stay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "lang/rule_internal.h"

static bool is_plain_code(unsigned c)
{
    return (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') ||
           (c >= 0xA0 && c <= 0xD7FF && c != 0x2028 && c != 0x2029) || (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF) ||
           (c >= 0x10000 && c <= 0x10FFFF);
}

static void write_text(struct peri_buf *out, const char *text, size_t len)
{
    (void)peri_buf_putc(out, '"');
    for (size_t at = 0; at < len && !out->failed;) {
        unsigned code;
        size_t n = peri_utf8_decode(text + at, len - at, &code);
        if (is_plain_code(code))
            (void)peri_buf_append(out, text + at, n);
        else if (code == '"' || code == '\\')
            (void)peri_buf_printf(out, "\\%c", (int)code);
        else if (code == '\n')
            (void)peri_buf_puts(out, "\\n");
        else
            (void)peri_buf_printf(out, "\\u%04X", code);
        at += n;
    }
    (void)peri_buf_putc(out, '"');
}

static void write_child(struct peri_buf *out, const struct peri_node *node, const struct rule_edit *edit)
{
    if (!edit || edit->node != node) {
        peri_rule_write_node(out, node, edit);
    } else if (edit->how == RULE_EDIT_REPLACE && edit->number) {
        (void)peri_buf_puts(out, edit->text);
    } else if (edit->how == RULE_EDIT_REPLACE) {
        write_text(out, edit->text, strlen(edit->text));
    } else if (edit->how == RULE_EDIT_ALWAYS) {
        (void)peri_buf_puts(out, "\"true\"");
    } else {
        (void)peri_buf_puts(out, "{\"not\": ");
        peri_rule_write_node(out, node, NULL);
        (void)peri_buf_putc(out, '}');
    }
}

void peri_rule_write_node(struct peri_buf *out, const struct peri_node *node, const struct rule_edit *edit)
{
    bool map = node->kind == PERI_NODE_MAP, first = true;
    if (node->kind == PERI_NODE_SCALAR) {
        if (node->tag)
            (void)peri_buf_printf(out, "%s ", node->tag);
        if (node->tag || node->type == PERI_STRING)
            write_text(out, node->text, node->len);
        else
            (void)peri_buf_puts(out, node->type == PERI_NULL ? "null" : node->text);
        return;
    }
    (void)peri_buf_putc(out, map ? '{' : '[');
    for (size_t i = 0; i < node->count && !out->failed; i++) {
        const struct peri_node *child = map ? node->pairs[i].value : node->items[i];
        if (edit && edit->node == child && edit->how == RULE_EDIT_DROP)
            continue;
        if (!first)
            (void)peri_buf_puts(out, ", ");
        first = false;
        if (map) {
            write_text(out, node->pairs[i].key->text, node->pairs[i].key->len);
            (void)peri_buf_puts(out, ": ");
        }
        write_child(out, child, edit);
    }
    (void)peri_buf_putc(out, map ? '}' : ']');
}

void peri_rule_write_text(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_buf out;
    peri_buf_init(&out, PERI_RULE_MAX_TEXT);
    peri_rule_write_node(&out, node, NULL);
    if (out.failed == PERI_ELIMIT) {
        peri_rule_fault(r, node->place, "too-large", "split it into several rules", "the rule is larger than %d KiB",
            PERI_RULE_MAX_TEXT / 1024);
        peri_buf_finish(&out);
        return;
    }
    r->rule->text = out.failed ? NULL : peri_strndup(peri_buf_text(&out), out.len); /* a buffer has room to spare */
    if (r->rule->text)
        peri_sha256_hex(r->rule->text, out.len, r->rule->hash);
    else
        peri_rule_nomem(r);
    peri_buf_finish(&out);
}

enum peri_status peri_rule_from_text(
    const char *text, size_t len, const struct peri_rule_env *env, struct peri_rule **ret, struct peri_error *err)
{
    struct peri_rule_env quiet = env ? *env : (struct peri_rule_env){0};
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    quiet.operator_facts = NULL;
    quiet.check_lua = NULL;
    quiet.stored = true;
    peri_diag_init(&diag);
    enum peri_status st = peri_rules_load_text("stored rule", text, len, &quiet, &list, &diag);
    if (st == PERI_OK && list.count == 1)
        *ret = peri_rule_ref(list.items[0]);
    else if (st == PERI_ENOMEM)
        peri_error_nomem(err);
    else
        st = peri_error_set(err, PERI_EINVAL, "rule", "the stored rule cannot be read: %s",
            diag.count > 0 ? diag.items[0].message : "it is not one rule");
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return st;
}
