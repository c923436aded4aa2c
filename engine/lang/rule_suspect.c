/* SPDX-License-Identifier: Apache-2.0 */
/* What loads, and surely means something else than its author thinks: texts of other template languages, patterns that
 * compare a text with what only looks like an operator, a key that is the same for all events. Warnings only. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lang/foreign.h"
#include "lang/rule_internal.h"

/* An expression may be compiled more than once. */
static void warn_once(
    struct rule_reader *r, struct peri_place place, const char *code, const char *hint, const char *message)
{
    if (!peri_diag_has(r->diag, place, code))
        peri_diag_add(r->diag, place, PERI_SEV_WARNING, code, hint, "%s", message);
}

/* ---- texts ---- */

static void look_at_text(struct rule_reader *r, const struct peri_node *node)
{
    size_t offset = 0;
    const char *hint =
        node->type == PERI_STRING && !node->tag ? peri_foreign_template(node->text, node->len, &offset) : NULL;
    if (hint)
        warn_once(r, peri_node_text_place(node, offset), "foreign-template", hint,
            "this part of the text stays as it is written");
}

void peri_rule_suspect_texts(struct rule_reader *r, const struct peri_node *node, bool sent)
{
    static const char *const texts[] = {"params", "data", "set", "prompt"};
    if (node->kind == PERI_NODE_SCALAR && sent)
        look_at_text(r, node);
    for (size_t i = 0; node->kind == PERI_NODE_LIST && i < node->count; i++)
        peri_rule_suspect_texts(r, node->items[i], sent);
    for (size_t i = 0; node->kind == PERI_NODE_MAP && i < node->count; i++) {
        bool begins = sent;
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
            begins = begins || strcmp(texts[k], node->pairs[i].key->text) == 0;
        peri_rule_suspect_texts(r, node->pairs[i].value, begins);
    }
}

/* ---- patterns ---- */

static void look_at_alternative(struct rule_reader *r, const struct peri_node *node)
{
    static const char message[] = "this is compared as a text, letter by letter";
    const char *text = node->text, *number = text + strspn(text, "<>= ");
    char hint[160];
    bool letters = false;
    for (const char *c = text; *c; c++)
        letters = letters || isalpha((unsigned char)*c);
    if (node->type != PERI_STRING || node->tag)
        return;
    if (strstr(text, "{{"))
        warn_once(r, node->place, "pattern-text",
            "templates are not filled in here: compare in a condition, event.a == event.b", message);
    else if (number > text && strchr("<>", text[0]) && *number && strspn(number, "0123456789.-") == strlen(number)) {
        snprintf(hint, sizeof(hint), "write {numeric: [\"%.*s\", %.60s]}", (int)strspn(text, "<>="), text, number);
        warn_once(r, node->place, "pattern-text", hint, message);
    } else if (strcmp(text, "*") == 0) {
        warn_once(r, node->place, "pattern-text", "any value is {exists: true}", message);
    } else if (letters && strchr(text, '*')) {
        snprintf(hint, sizeof(hint), "write {wildcard: \"%.100s\"}", text);
        warn_once(r, node->place, "pattern-text", hint, message);
    }
}

void peri_rule_suspect_match(struct rule_reader *r, const struct peri_node *match)
{
    for (size_t i = 0; match->kind == PERI_NODE_MAP && i < match->count; i++) {
        const struct peri_node *key = match->pairs[i].key, *value = match->pairs[i].value;
        char hint[120];
        if (peri_str_starts(key->text, "event.")) {
            snprintf(hint, sizeof(hint), "a pattern begins in the payload: write %.80s", key->text + 6);
            peri_diag_add(r->diag, key->place, PERI_SEV_WARNING, "pattern-field", hint,
                "this looks for a field \"%.80s\"", key->text);
        }
        for (size_t k = 0; value->kind == PERI_NODE_LIST && k < value->count; k++)
            if (value->items[k]->kind == PERI_NODE_SCALAR)
                look_at_alternative(r, value->items[k]);
        peri_rule_suspect_match(r, value);
    }
}

/* ---- the rest ---- */

void peri_rule_suspect_key(struct rule_reader *r, const struct peri_node *node)
{
    char hint[160] = "write \"{{ event.room }}\", with the field that tells one from the other";
    if (peri_str_starts(node->text, "event."))
        snprintf(hint, sizeof(hint), "write \"{{ %.100s }}\"", node->text);
    warn_once(r, node->place, "constant-key", hint, "this key is the same for all events");
}

void peri_rule_suspect_member(struct rule_reader *r, const char *root, const char *field, struct peri_place place)
{
    static const char *const trigger[] = {"id", "event_id", "type", "source", "subject", "external_id", "time",
        "received", "scheduled_at", "late_ms", "kind", "key", "reason", "since", "count", "until", "events", "named",
        "found", NULL};
    char hint[80] = "";
    if (strcmp(root, "now") == 0) {
        warn_once(r, place, "undeclared-field", "write now | date('%H', 'Europe/Berlin') | number",
            "now is a text such as 2026-01-05T09:00:00.000Z and has no fields");
    } else if (strcmp(root, "trigger") == 0) {
        for (size_t i = 0; trigger[i]; i++)
            if (strcmp(trigger[i], field) == 0)
                return;
        const char *near = peri_nearest(field, trigger);
        if (near)
            snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
        warn_once(r, place, "undeclared-field",
            near ? hint : "the payload is event.x; trigger has id, type, source, subject, time and received",
            "trigger has no such field");
    }
}

void peri_rule_suspect_expression(struct rule_reader *r, size_t offset, const char *hint, const char *message)
{
    if (r->text_node)
        warn_once(r, peri_node_text_place(r->text_node, r->text_offset + offset), "never-works", hint, message);
}
