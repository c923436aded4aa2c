/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of mappings, and the findings that all readers share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "lang/duration.h"
#include "lang/foreign.h"
#include "lang/rule_internal.h"

void peri_rule_nomem(struct rule_reader *r)
{
    r->failed = PERI_ENOMEM;
}

void peri_rule_fault(
    struct rule_reader *r, struct peri_place place, const char *code, const char *hint, const char *fmt, ...)
{
    va_list ap;
    char message[1024];
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    peri_diag_add(r->diag, place, PERI_SEV_ERROR, code, hint, "%s", message);
}

const struct rule_key *peri_rule_find_key(const struct rule_key *table, const char *name)
{
    for (; table->kind != KEY_END; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

const struct peri_node *peri_rule_key_node(const struct peri_node *map, const char *key)
{
    struct peri_node *node = NULL;
    return peri_node_get(map, key, &node) ? node : NULL;
}

void peri_rule_unknown_key(
    struct rule_reader *r, const struct peri_node *key, const struct rule_key *table, const char *what)
{
    const char *names[64];
    size_t n = 0;
    struct peri_buf known;
    char hint[160];
    peri_buf_init(&known, 1024);
    if (strcmp(what, "a step") == 0)
        (void)peri_buf_puts(&known, "what an operator takes stands under params: {name: value}; ");
    (void)peri_buf_printf(&known, "keys of %s:", what);
    for (; table->kind != KEY_END && n < 63; table++) {
        (void)peri_buf_printf(&known, "%s %s", n ? "," : "", table->name);
        names[n++] = table->name;
    }
    names[n] = NULL;
    const char *other = peri_foreign_key(key->text, names), *near = other ? other : peri_nearest(key->text, names);
    const char *known_hint = peri_foreign_key_hint(key->text, what);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    peri_rule_fault(r, key->place, "unknown-key",
        near         ? hint
        : known_hint ? known_hint
                     : peri_buf_text(&known),
        "unknown key \"%.80s\"", key->text);
    if (near && !other) /* what stands below it may have another form too */
        peri_diag_fix(r->diag, key->place, key->text, near);
    peri_buf_finish(&known);
}

size_t peri_rule_check_keys(
    struct rule_reader *r, const struct peri_node *map, const struct rule_key *table, const char *what)
{
    size_t wrong = 0, known = 0;
    for (size_t i = 0; i < map->count; i++)
        known += peri_rule_find_key(table, map->pairs[i].key->text) != NULL;
    if (known == 0 && map->count > 1) { /* something else altogether: one finding is enough */
        peri_rule_unknown_key(r, map->pairs[0].key, table, what);
        return map->count;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key;
        if (peri_rule_find_key(table, key->text))
            continue;
        wrong++;
        peri_rule_unknown_key(r, key, table, what);
    }
    return wrong;
}

void peri_rule_fix_quotes(struct rule_reader *r, const struct peri_node *node)
{
    char *quoted = strpbrk(node->text, "\"\\") ? NULL : peri_asprintf("\"%s\"", node->text);
    if (quoted)
        peri_diag_fix(r->diag, node->place, node->text, quoted);
    free(quoted);
}

void peri_rule_fix_unquote(struct rule_reader *r, const struct peri_node *node)
{
    char *quoted = peri_asprintf("%c%s%c", node->style, node->text, node->style);
    if (quoted && (node->style == '"' || node->style == '\''))
        peri_diag_fix(r->diag, node->place, quoted, node->text);
    free(quoted);
}

static const char *describe(const struct peri_node *node)
{
    bool empty = node->kind == PERI_NODE_SCALAR && node->type == PERI_NULL && node->len == 0;
    return node->tag ? node->tag : empty ? "empty" : peri_node_describe(node);
}

static bool is_word(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && strchr(node->text, '.') && !strchr(node->text, ' ');
}

static const char *cure_list(const struct peri_node *node, const char *what, char text[200])
{
    static const char *const blocks[] = {"actions", "then", "else", "do", "on_error"};
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_NULL)
        return "each item stands on a line of its own below it, after '- '";
    if (node->kind == PERI_NODE_MAP)
        return "each item of a list begins with '- '";
    if (peri_str_starts(node->text, "\xE2\x80\x93 ") || peri_str_starts(node->text, "\xE2\x80\x94 "))
        return "the dash before it is a long one: write '- '";
    if (strcmp(what, "cancel_on") == 0 && is_word(node)) {
        snprintf(text, 200, "write cancel_on: [{event: %.100s}]", node->text);
        return text;
    }
    for (size_t i = 0; is_word(node) && i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (strcmp(blocks[i], what) == 0) {
            snprintf(text, 200, "write %s: [{operator: %.100s, params: {…}}]", what, node->text);
            return text;
        }
    return "put it on a line of its own, after '- '";
}

/* What is to be written instead, as far as that can be told. */
static const char *cure(const struct peri_node *node, const char *what, const char *wanted, char text[200])
{
    static const char *const forms[][2] = {
        {"schedule", "write schedule: {at: \"08:30\"}, {cron: \"30 8 * * *\"} or {every: 10m}"},
        {"for_each", "write for_each: {in: \"{{ a list }}\", as: item}"},
        {"trigger", "write trigger: {event: the.Type}"}, {"throttle", "write throttle: {once_within: 1h}"},
        {"rate_limit", "write rate_limit: {limit: 3, period: 1h}"}, {"retry", "write retry: {maximum_attempts: 3}"},
        {"quiet_hours", "write quiet_hours: {from: \"22:00\", to: \"07:00\"}"},
        {"wait_for", "write wait_for: {event: the.Type, timeout: 1h}"},
        {"emit", "write emit: {event: the.Type, data: {name: value}}"}, {"set", "write set: {name: value}"},
        {"params", "write params: {name: value}"}, {"approve", "write approve: {prompt: \"May it?\", timeout: 1d}"},
        {"a rule", "a rule has name:, trigger: and actions:"}};
    if (node->tag)
        return NULL;
    if (strstr(wanted, "a list"))
        return cure_list(node, what, text);
    if (strcmp(what, "at") == 0 && node->kind == PERI_NODE_LIST)
        return "write a trigger for each time, as a list under triggers:";
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strcmp(forms[i][0], what) == 0 && (node->kind != PERI_NODE_LIST || strcmp(what, "params") == 0))
            return forms[i][1];
    if (strcmp(what, "a step") != 0 || !is_word(node))
        return NULL;
    snprintf(text, 200, "write - operator: %.100s", node->text);
    return text;
}

void peri_rule_wrong_type(struct rule_reader *r, const struct peri_node *node, const char *what, const char *wanted)
{
    bool quotes =
        node->kind == PERI_NODE_SCALAR && node->plain && node->type != PERI_NULL && strstr(wanted, "a string");
    char text[200];
    peri_rule_fault(r, node->place, "wrong-type", quotes ? "put it in quotes" : cure(node, what, wanted, text),
        "\"%s\" must be %s, is %s", what, wanted, describe(node));
    if (quotes)
        peri_rule_fix_quotes(r, node);
}

bool peri_rule_expect(struct rule_reader *r, const struct peri_node *node, enum peri_node_kind kind, const char *what)
{
    if (node->kind == kind && !node->tag)
        return true;
    peri_rule_wrong_type(r, node, what,
        kind == PERI_NODE_MAP    ? "a mapping"
        : kind == PERI_NODE_LIST ? "a list"
                                 : "a single value");
    return false;
}

const char *peri_rule_text(struct rule_reader *r, const struct peri_node *node, const char *what)
{
    if (node->kind != PERI_NODE_SCALAR || node->type != PERI_STRING || node->tag) {
        peri_rule_wrong_type(r, node, what, "a string");
        return NULL;
    }
    if (node->text[strspn(node->text, " \t\r\n")] == '\0') {
        peri_rule_fault(r, node->place, "empty-text", NULL, "\"%s\" is empty", what);
        return NULL;
    }
    return node->text;
}

bool peri_rule_bool(struct rule_reader *r, const struct peri_node *node, const char *what, bool *ret)
{
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_BOOL && !node->tag) {
        *ret = node->text[0] == 't' || node->text[0] == 'T';
        return true;
    }
    static const char *const words[][2] = {{"yes", "true"}, {"no", "false"}, {"on", "true"}, {"off", "false"}};
    const char *word = NULL;
    for (size_t i = 0; node->kind == PERI_NODE_SCALAR && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(node->text, words[i][0]) == 0)
            word = words[i][1];
    peri_rule_fault(r, node->place, "wrong-type", word ? "in YAML 1.2 only true and false are booleans" : NULL,
        "\"%s\" must be true or false, is %s", what, describe(node));
    if (word && node->plain)
        peri_diag_fix(r->diag, node->place, node->text, word);
    else if (strcmp(node->text ? node->text : "", "true") == 0 || strcmp(node->text ? node->text : "", "false") == 0)
        peri_rule_fix_unquote(r, node);
    return false;
}

bool peri_rule_int(
    struct rule_reader *r, const struct peri_node *node, const char *what, int64_t min, int64_t max, int64_t *ret)
{
    struct peri_value *v = NULL;
    if (node->kind != PERI_NODE_SCALAR || node->type != PERI_INT || node->tag ||
        peri_node_value(node, NULL, NULL, &v, NULL) != PERI_OK) {
        peri_rule_fault(r, node->place, "wrong-type", NULL, "\"%s\" must be a whole number, is %s", what,
            node->kind == PERI_NODE_SCALAR && node->type == PERI_REAL ? node->text : describe(node));
        if (node->kind == PERI_NODE_SCALAR && node->len > 0 && strspn(node->text, "0123456789") == node->len)
            peri_rule_fix_unquote(r, node);
        return false;
    }
    int64_t i = peri_value_as_int(v);
    peri_value_unref(v);
    if (i < min || i > max) {
        peri_rule_fault(r, node->place, "out-of-range", NULL, "\"%s\" must be %lld to %lld, is %lld", what,
            (long long)min, (long long)max, (long long)i);
        return false;
    }
    *ret = i;
    return true;
}

/* {minutes: 5} is 5m. */
static bool sum_up(const struct peri_node *map, char ret[32])
{
    static const char *const units[] = {"days", "hours", "minutes", "seconds", "milliseconds"};
    static const char *const letters[] = {"d", "h", "m", "s", "ms"};
    size_t at = 0, used = 0;
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < sizeof(units) / sizeof(units[0]); i++) {
        const struct peri_node *n = peri_node_get(map, units[i], NULL);
        if (!n || n->kind != PERI_NODE_SCALAR || n->type != PERI_INT || n->len > 4)
            continue;
        used++;
        if (strcmp(n->text, "0") != 0)
            at += (size_t)snprintf(ret + at, 32 - at, "%s%s", n->text, letters[i]);
    }
    return at > 0 && used == map->count;
}

bool peri_rule_duration(
    struct rule_reader *r, const struct peri_node *node, const char *what, int64_t min_ms, int64_t *ret_ms)
{
    struct peri_error err;
    int64_t ms = 0;
    char hint[80] = "write a duration such as 90s, 10m, 1h30m or 2d", meant[32];
    bool sure = node->kind == PERI_NODE_SCALAR ? peri_foreign_duration(node->text, meant) : sum_up(node, meant);
    if (sure)
        snprintf(hint, sizeof(hint), "write %s", meant);
    if (node->kind != PERI_NODE_SCALAR || node->tag || (node->type != PERI_STRING && node->type != PERI_INT)) {
        peri_rule_fault(r, node->place, "duration", hint, "\"%s\" must be a duration, is %s", what, describe(node));
        return false;
    }
    if (peri_duration_parse(node->text, node->len, &ms, &err) != PERI_OK) {
        peri_rule_fault(r, node->place, "duration", hint, "\"%s\": %s", what, err.message);
        if (sure)
            peri_diag_fix(r->diag, node->place, node->text, meant);
        return false;
    }
    if (ms < min_ms) {
        char least[64];
        peri_rule_fault(
            r, node->place, "duration", NULL, "\"%s\" must be at least %s", what, peri_duration_format(min_ms, least));
        return false;
    }
    *ret_ms = ms;
    return true;
}

char *peri_rule_dup(struct rule_reader *r, const char *text)
{
    char *copy = peri_strdup(text);
    if (!copy)
        peri_rule_nomem(r);
    return copy;
}

char *peri_rule_path(struct rule_reader *r, const char *fmt, ...)
{
    va_list ap;
    char text[1024];
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text)) { /* 32 levels of short names never come near */
        peri_rule_nomem(r);
        return NULL;
    }
    return peri_rule_dup(r, text);
}

struct peri_place peri_rule_place(const struct rule_reader *r, const struct peri_node *node)
{
    const char *file = node->place.file, *other = r->rule->blueprint_file;
    bool elsewhere = other && file && strcmp(file, other) == 0;
    return (struct peri_place){elsewhere ? other : r->rule->place.file, node->place.line, node->place.column};
}

struct peri_template *peri_rule_template(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_template *t = NULL;
    enum peri_status st = peri_template_compile(node, &r->names, &t, r->diag);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    return st == PERI_OK ? t : NULL;
}
