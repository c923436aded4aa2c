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

/* What other systems call it, if it is among names. */
static const char *said_elsewhere(const char *word, const char *const *names)
{
    static const char *const said[][2] = {{"on", "trigger"}, {"when", "trigger"}, {"if", "conditions"},
        {"then", "actions"}, {"do", "actions"}, {"steps", "actions"}, {"alias", "name"}, {"title", "name"},
        {"service", "operator"}, {"action", "operator"}, {"call", "operator"}, {"uses", "operator"}, {"data", "params"},
        {"with", "params"}, {"args", "params"}, {"parameters", "params"}, {"wait", "delay"}, {"sleep", "delay"},
        {"repeat", "for_each"}, {"loop", "for_each"}, {"foreach", "for_each"}, {"type", "event"}, {"at", "schedule"},
        {"cron", "schedule"}, {"time", "schedule"}};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        for (size_t k = 0; names[k] && strcmp(said[i][0], word) == 0; k++)
            if (strcmp(said[i][1], names[k]) == 0)
                return names[k];
    return NULL;
}

void peri_rule_unknown_key(
    struct rule_reader *r, const struct peri_node *key, const struct rule_key *table, const char *what)
{
    const char *names[64];
    size_t n = 0;
    struct peri_buf known;
    char hint[160];
    peri_buf_init(&known, 1024);
    (void)peri_buf_printf(&known, "keys of %s:", what);
    for (; table->kind != KEY_END && n < 63; table++) {
        (void)peri_buf_printf(&known, "%s %s", n ? "," : "", table->name);
        names[n++] = table->name;
    }
    names[n] = NULL;
    const char *other = said_elsewhere(key->text, names), *near = other ? other : peri_nearest(key->text, names);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    peri_rule_fault(
        r, key->place, "unknown-key", near ? hint : peri_buf_text(&known), "unknown key \"%.80s\"", key->text);
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

/* What is to be written instead, as far as that can be told. */
static const char *cure(const struct peri_node *node, const char *what, const char *wanted, char text[200])
{
    static const char *const forms[][2] = {
        {"schedule", "write schedule: {at: \"08:30\"}, {cron: \"30 8 * * *\"} or {every: 10m}"},
        {"for_each", "write for_each: {in: \"{{ a list }}\", as: item}"},
        {"trigger", "write trigger: {event: the.Type}"}, {"throttle", "write throttle: {once_within: 1h}"},
        {"a rule", "a rule has name:, trigger: and actions:"}};
    bool empty = node->kind == PERI_NODE_SCALAR && node->type == PERI_NULL, list = strstr(wanted, "a list") != NULL;
    if (node->tag)
        return NULL;
    if (list && empty)
        return "each item stands on a line of its own below it, after '- '";
    if (list)
        return node->kind == PERI_NODE_MAP ? "each item of a list begins with '- '"
                                           : "put it on a line of its own, after '- '";
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strcmp(forms[i][0], what) == 0 && node->kind != PERI_NODE_LIST)
            return forms[i][1];
    if (strcmp(what, "a step") != 0 || node->kind != PERI_NODE_SCALAR || !strchr(node->text, '.') ||
        strchr(node->text, ' '))
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

/* "10 minutes" is 10m. */
static void fix_duration(struct rule_reader *r, const struct peri_node *node)
{
    static const struct {
        const char *word, *unit;
    } units[] = {{"ms", "ms"}, {"millisecond", "ms"}, {"s", "s"}, {"sec", "s"}, {"second", "s"}, {"m", "m"},
        {"min", "m"}, {"minute", "m"}, {"h", "h"}, {"hr", "h"}, {"hour", "h"}, {"d", "d"}, {"day", "d"}, {"w", "w"},
        {"week", "w"}};
    size_t digits = strspn(node->text, "0123456789"), at = digits + strspn(node->text + digits, " ");
    const char *word = node->text + at;
    size_t len = strlen(word);
    if (digits == 0 || digits > 9 || len == 0)
        return;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].word);
        if (strncasecmp(word, units[i].word, n) != 0 || !(len == n || (len == n + 1 && (word[n] | 0x20) == 's')))
            continue;
        char text[32];
        snprintf(text, sizeof(text), "%.*s%s", (int)digits, node->text, units[i].unit);
        peri_diag_fix(r->diag, node->place, node->text, text);
        return;
    }
}

bool peri_rule_duration(
    struct rule_reader *r, const struct peri_node *node, const char *what, int64_t min_ms, int64_t *ret_ms)
{
    struct peri_error err;
    int64_t ms = 0;
    static const char hint[] = "write a duration such as 90s, 10m, 1h30m or 2d";
    if (node->kind != PERI_NODE_SCALAR || node->tag || (node->type != PERI_STRING && node->type != PERI_INT)) {
        peri_rule_fault(r, node->place, "duration", hint, "\"%s\" must be a duration, is %s", what, describe(node));
        return false;
    }
    if (peri_duration_parse(node->text, node->len, &ms, &err) != PERI_OK) {
        peri_rule_fault(r, node->place, "duration", hint, "\"%s\": %s", what, err.message);
        fix_duration(r, node);
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
