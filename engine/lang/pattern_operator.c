/* SPDX-License-Identifier: Apache-2.0 */
/* Alternatives of a leaf: values, and one function for each operator. */
#include "lang/foreign.h"
#include "lang/pattern_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/casefold.h"

void *pattern_alloc(struct pattern_compile *c, size_t size)
{
    void *p = peri_arena_alloc(c->pattern->arena, size);
    if (!p)
        c->nomem = true;
    return p;
}

void pattern_find_fault(
    struct pattern_compile *c, const struct peri_node *node, const char *code, const char *hint, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    peri_diag_add(c->diag, node->place, PERI_SEV_ERROR, code, hint, "%s", message);
}

static bool is_string(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->type == PERI_STRING && !node->tag;
}

static bool is_number(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && (node->type == PERI_INT || node->type == PERI_REAL) && !node->tag;
}

/* {equals-ignore-case: x} around a value. */
static const struct peri_node *inside_fold(const struct peri_node *node)
{
    if (node->kind == PERI_NODE_MAP && node->count == 1 && !node->tag &&
        strcmp(node->pairs[0].key->text, "equals-ignore-case") == 0)
        return node->pairs[0].value;
    return NULL;
}

static bool slice(struct pattern_compile *c, const char *s, size_t len, bool fold, struct pattern_slice *ret)
{
    char *copy = pattern_alloc(c, fold ? PERI_FOLD_ROOM(len) : len + 1);
    if (!copy)
        return false;
    if (fold)
        len = peri_fold(s, len, copy);
    else
        memcpy(copy, s, len);
    *ret = (struct pattern_slice){copy, len};
    return true;
}

bool pattern_number_text(struct pattern_compile *c, const struct peri_node *node, char **ret)
{
    const char *s = node->text;
    bool minus = *s == '-';
    s += *s == '+' || *s == '-';
    size_t room = node->len + 32;
    char *out = pattern_alloc(c, room);
    if (!out)
        return false;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o')) {
        snprintf(out, room, "%s%llu", minus ? "-" : "", strtoull(s + 2, NULL, s[1] == 'x' ? 16 : 8));
    } else if (s[0] == '.' && !isdigit((unsigned char)s[1])) {
        pattern_find_fault(c, node, "pattern-value", NULL, "%s is no number that an event can hold", node->text);
        return false;
    } else {
        while (s[0] == '0' && isdigit((unsigned char)s[1]))
            s++;
        size_t whole = strcspn(s, ".");
        bool bare = s[whole] == '.' && !isdigit((unsigned char)s[whole + 1]);
        snprintf(out, room, "%s%s%.*s%s", minus ? "-" : "", s[0] == '.' ? "0" : "", (int)whole, s,
            s + whole + (bare ? 1 : 0));
    }
    *ret = out;
    return true;
}

static bool read_number(struct pattern_compile *c, const struct peri_node *node, struct pattern_number *ret)
{
    char *text;
    if (!pattern_number_text(c, node, &text))
        return false;
    *ret = pattern_number_read(text, strlen(text));
    return true;
}

static bool compile_scalar(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    if (node->tag) {
        pattern_find_fault(c, node, "pattern-value", NULL, "%s has no place in a pattern", node->tag);
        return false;
    }
    switch (node->type) {
    case PERI_NULL:
        ret->kind = TEST_NULL;
        return true;
    case PERI_BOOL:
        ret->kind = tolower((unsigned char)node->text[0]) == 't' ? TEST_TRUE : TEST_FALSE;
        return true;
    case PERI_INT:
    case PERI_REAL:
        ret->kind = TEST_NUMBER;
        return read_number(c, node, &ret->number);
    default:
        ret->kind = TEST_STRING;
        return slice(c, node->text, node->len, false, &ret->text);
    }
}

static bool want_string(struct pattern_compile *c, const struct peri_node *node, const char *op)
{
    if (is_string(node))
        return true;
    pattern_find_fault(c, node, "pattern-value", is_number(node) ? "put it in quotes" : NULL,
        "%s takes a string, here is %s", op, peri_node_describe(node));
    return false;
}

/* prefix, suffix: a string or {equals-ignore-case: string}. */
static bool compile_affix(struct pattern_compile *c, const struct peri_node *node, const char *name,
    enum pattern_test_kind kind, struct pattern_test *ret)
{
    const struct peri_node *inner = inside_fold(node);
    ret->kind = kind;
    ret->fold = inner != NULL;
    if (inner)
        node = inner;
    return want_string(c, node, name) && slice(c, node->text, node->len, ret->fold, &ret->text);
}

static bool compile_prefix(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    return compile_affix(c, node, "prefix", TEST_PREFIX, ret);
}

static bool compile_suffix(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    return compile_affix(c, node, "suffix", TEST_SUFFIX, ret);
}

static bool compile_fold(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    ret->kind = TEST_STRING;
    ret->fold = true;
    return want_string(c, node, "equals-ignore-case") && slice(c, node->text, node->len, true, &ret->text);
}

/* Cuts text at its stars; \* and \\ become the character. The pieces share one copy. */
static bool cut_wildcard(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *test)
{
    size_t stars = 0;
    for (size_t i = 0; i < node->len; i++)
        stars += node->text[i] == '*';
    test->parts = pattern_alloc(c, (stars + 1) * sizeof(*test->parts));
    char *copy = pattern_alloc(c, node->len + 1), *piece = copy;
    if (!test->parts || !copy)
        return false;
    for (size_t i = 0;; i++) {
        char ch = node->text[i];
        if (i == node->len || ch == '*') {
            if (!slice(c, piece, (size_t)(copy - piece), test->fold, &test->parts[test->count++]))
                return false;
            if (i == node->len)
                return true;
            if (i + 1 < node->len && node->text[i + 1] == '*') {
                pattern_find_fault(c, node, "pattern-wildcard", "write one star for any run of characters",
                    "two stars in a row at character %zu", peri_utf8_length(node->text, i) + 1);
                return false;
            }
            piece = copy;
            continue;
        }
        if (ch == '\\') {
            char next = i + 1 < node->len ? node->text[i + 1] : '\0';
            if (next != '*' && next != '\\') {
                pattern_find_fault(c, node, "pattern-wildcard", "\\* is a star and \\\\ a backslash",
                    "a backslash at character %zu that escapes neither a star nor a backslash",
                    peri_utf8_length(node->text, i) + 1);
                return false;
            }
            ch = next;
            i++;
        }
        *copy++ = ch;
    }
}

static bool compile_wildcard(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    const struct peri_node *inner = inside_fold(node);
    ret->kind = TEST_WILDCARD;
    ret->fold = inner != NULL;
    if (inner)
        node = inner;
    return want_string(c, node, "wildcard") && cut_wildcard(c, node, ret);
}

static bool compile_exists(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    ret->kind = TEST_EXISTS;
    if (node->kind != PERI_NODE_SCALAR || node->type != PERI_BOOL || node->tag) {
        pattern_find_fault(
            c, node, "pattern-value", NULL, "exists takes true or false, here is %s", peri_node_describe(node));
        return false;
    }
    ret->exists = tolower((unsigned char)node->text[0]) == 't';
    return true;
}

static bool compile_regex(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    struct peri_error err;
    ret->kind = TEST_REGEX;
    if (!want_string(c, node, "regex"))
        return false;
    struct pattern_regex *keep = pattern_alloc(c, sizeof(*keep));
    if (!keep)
        return false;
    enum peri_status st = peri_regex_compile(node->text, node->len, &ret->regex, &err);
    if (st == PERI_ENOMEM)
        c->nomem = true;
    else if (st != PERI_OK)
        pattern_find_fault(c, node, "pattern-regex", NULL, "malformed regular expression, %s", err.message);
    if (st != PERI_OK)
        return false;
    keep->regex = ret->regex;
    keep->next = c->pattern->regexes;
    c->pattern->regexes = keep;
    return true;
}

static bool cidr_fault(struct pattern_compile *c, const struct peri_node *node, const char *why)
{
    pattern_find_fault(c, node, "pattern-cidr", "for example 10.0.0.0/8 or 2001:db8::/32",
        "\"%s\" is no block of addresses: %s", node->text, why);
    return false;
}

static bool compile_cidr(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    ret->kind = TEST_CIDR;
    if (!want_string(c, node, "cidr"))
        return false;
    char address[INET6_ADDRSTRLEN];
    const char *slash = memchr(node->text, '/', node->len);
    if (!slash)
        return cidr_fault(c, node, "a slash and the length of the network are missing");
    size_t len = (size_t)(slash - node->text), digits = node->len - len - 1;
    if (len >= sizeof(address) || memchr(node->text, '\0', node->len))
        return cidr_fault(c, node, "malformed address");
    memcpy(address, node->text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, ret->net) == 1)
        ret->net_bytes = 4;
    else if (inet_pton(AF_INET6, address, ret->net) == 1)
        ret->net_bytes = 16;
    else
        return cidr_fault(c, node, "malformed address");
    for (size_t i = 1; i <= digits; i++) {
        if (!isdigit((unsigned char)slash[i]) || digits > 3)
            return cidr_fault(c, node, "the length of the network must be a number");
        ret->net_bits = ret->net_bits * 10 + (unsigned)(slash[i] - '0');
    }
    if (!digits || ret->net_bits > ret->net_bytes * 8 || (digits > 1 && slash[1] == '0'))
        return cidr_fault(c, node,
            ret->net_bytes == 4 ? "the length of the network goes from 0 to 32"
                                : "the length of the network goes from 0 to 128");
    return true;
}

static bool numeric_fault(struct pattern_compile *c, const struct peri_node *node, const char *why)
{
    pattern_find_fault(
        c, node, "pattern-numeric", "for example [\"=\", 5], [\">\", 0] or [\">=\", 0, \"<\", 10]", "%s", why);
    return false;
}

/* One comparison at item i of the list. */
static bool numeric_bound(struct pattern_compile *c, const struct peri_node *node, size_t i, struct pattern_test *ret)
{
    const struct peri_node *op = node->items[i], *value = i + 1 < node->count ? node->items[i + 1] : NULL;
    const char *name = is_string(op) ? op->text : "";
    bool low = name[0] == '>', high = name[0] == '<', equal = strcmp(name, "=") == 0;
    bool open = (low || high) && !name[1];
    if (!equal && !open && strcmp(name, "<=") != 0 && strcmp(name, ">=") != 0)
        return numeric_fault(c, op, "numeric takes one of = < <= > >= and then a number");
    if (!value)
        return numeric_fault(c, op, "a number is missing after the comparison");
    if (!is_number(value))
        return numeric_fault(c, value,
            is_string(value) ? "a number is expected after the comparison, without quotes"
                             : "a number is expected after the comparison");
    if ((equal || low) && i > 0)
        return numeric_fault(
            c, op, equal ? "= stands alone" : "the lower bound (> or >=) comes first, then one upper bound");
    if ((equal || high) && i + 2 < node->count)
        return numeric_fault(
            c, node->items[i + 2], equal ? "= stands alone" : "nothing may follow the upper bound (< or <=)");
    struct pattern_number n;
    if (!read_number(c, value, &n))
        return false;
    if (!n.fits)
        return numeric_fault(c, value, "the number has more digits than a double can hold");
    if (low || equal) {
        ret->low = n.value;
        ret->low_open = open;
    }
    if (high || equal) {
        ret->high = n.value;
        ret->high_open = open;
    }
    return true;
}

static bool compile_numeric(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    ret->kind = TEST_NUMERIC;
    ret->low = -INFINITY;
    ret->high = INFINITY;
    if (node->kind != PERI_NODE_LIST || node->tag)
        return numeric_fault(c, node, "numeric takes a list of comparisons");
    if (!node->count)
        return numeric_fault(c, node, "numeric needs a comparison");
    for (size_t i = 0; i < node->count; i += 2)
        if (!numeric_bound(c, node, i, ret))
            return false;
    if (node->count == 4 && ret->low >= ret->high)
        return numeric_fault(c, node->items[3], "the upper bound must be above the lower one");
    return true;
}

/* One thing that anything-but rules out: a value, or the argument of one of its operators. */
static bool compile_named(
    struct pattern_compile *c, const struct peri_node *node, const char *op, struct pattern_test *ret)
{
    bool ok;
    if (!op) {
        ret->kind = TEST_STRING;
        return compile_scalar(c, node, ret);
    }
    if (strcmp(op, "wildcard") == 0)
        return compile_wildcard(c, node, ret);
    if (strcmp(op, "equals-ignore-case") == 0)
        return compile_fold(c, node, ret);
    ok = compile_affix(c, node, op, op[0] == 'p' ? TEST_PREFIX : TEST_SUFFIX, ret);
    if (ok && !ret->text.len) {
        pattern_find_fault(c, node, "pattern-value", NULL, "an empty %s would rule out every string", op);
        return false;
    }
    return ok;
}

static bool compile_named_list(
    struct pattern_compile *c, const struct peri_node *node, const char *op, struct pattern_test *ret)
{
    const struct peri_node *const *items = (const struct peri_node *const *)node->items;
    size_t count = node->count;
    if (node->kind != PERI_NODE_LIST) {
        items = &node;
        count = 1;
    }
    if (!count) {
        pattern_find_fault(c, node, "pattern-empty", NULL, "anything-but needs at least one value");
        return false;
    }
    ret->tests = pattern_alloc(c, count * sizeof(*ret->tests));
    if (!ret->tests)
        return false;
    for (size_t i = 0; i < count; i++, ret->count++) {
        if (!op && !is_string(items[i]) && !is_number(items[i])) {
            pattern_find_fault(c, items[i], "pattern-value",
                "a string, a number, a list of one kind, or prefix, suffix, equals-ignore-case or wildcard",
                "anything-but does not take %s", peri_node_describe(items[i]));
            return false;
        }
        if (!op && is_string(items[i]) != is_string(items[0])) {
            pattern_find_fault(
                c, items[i], "pattern-value", NULL, "anything-but takes only strings or only numbers in one list");
            return false;
        }
        if (!compile_named(c, items[i], op, &ret->tests[i]))
            return false;
    }
    return true;
}

static bool compile_none_of(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    static const char *const inner[] = {"prefix", "suffix", "equals-ignore-case", "wildcard", NULL};
    ret->kind = TEST_NONE_OF;
    if (node->kind != PERI_NODE_MAP || node->tag)
        return compile_named_list(c, node, NULL, ret);
    if (node->count != 1) {
        pattern_find_fault(c, node, "pattern-operator", "use all: [...] to combine several",
            "anything-but takes one operator, here are %zu", node->count);
        return false;
    }
    const struct peri_node *key = node->pairs[0].key;
    for (size_t i = 0; inner[i]; i++)
        if (strcmp(key->text, inner[i]) == 0)
            return compile_named_list(c, node->pairs[0].value, inner[i], ret);
    const char *near = peri_nearest(key->text, inner);
    char hint[128];
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    pattern_find_fault(c, key, "pattern-operator", near ? hint : "here: prefix, suffix, equals-ignore-case, wildcard",
        "unknown operator \"%s\" in anything-but", key->text);
    return false;
}

static bool compile_all_of(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    bool ok = true;
    ret->kind = TEST_ALL_OF;
    if (node->kind != PERI_NODE_LIST || node->tag) {
        pattern_find_fault(
            c, node, "pattern-value", NULL, "all takes a list of conditions, here is %s", peri_node_describe(node));
        return false;
    }
    if (!node->count) {
        pattern_find_fault(c, node, "pattern-empty", NULL, "all needs at least one condition");
        return false;
    }
    ret->tests = pattern_alloc(c, node->count * sizeof(*ret->tests));
    if (!ret->tests)
        return false;
    for (size_t i = 0; i < node->count; i++) {
        ok &= pattern_compile_test(c, node->items[i], &ret->tests[i]);
        if (ok && ret->tests[i].kind == TEST_EXISTS && !ret->tests[i].exists) {
            pattern_find_fault(c, node->items[i], "pattern-value", "write it as an alternative beside all",
                "exists: false has no value that the other conditions could hold for");
            ok = false;
        }
    }
    ret->count = node->count;
    return ok;
}

static const struct op {
    const char *name;
    bool (*compile)(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret);
} operators[] = {
    {"prefix", compile_prefix},
    {"suffix", compile_suffix},
    {"equals-ignore-case", compile_fold},
    {"wildcard", compile_wildcard},
    {"anything-but", compile_none_of},
    {"numeric", compile_numeric},
    {"exists", compile_exists},
    {"cidr", compile_cidr},
    {"all", compile_all_of},
    {"regex", compile_regex},
};

#define OPERATOR_COUNT (sizeof(operators) / sizeof(operators[0]))

static const struct op *find(const char *name)
{
    for (size_t i = 0; i < OPERATOR_COUNT; i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return NULL;
}

bool pattern_is_operator(const char *name)
{
    return find(name) != NULL;
}

static bool unknown_operator(struct pattern_compile *c, const struct peri_node *key)
{
    const char *names[OPERATOR_COUNT + 1] = {NULL};
    for (size_t i = 0; i < OPERATOR_COUNT; i++)
        names[i] = operators[i].name;
    const char *sign = NULL, *other = peri_foreign_pattern(key->text, &sign);
    const char *near = other || sign ? NULL : peri_nearest(key->text, names);
    char hint[160];
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    else if (sign)
        snprintf(hint, sizeof(hint), "write {numeric: [\"%s\", 5]}", sign);
    pattern_find_fault(c, key, "pattern-operator",
        other ? other
        : near || sign
            ? hint
            : "here: prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists, cidr, all, regex",
        "unknown operator \"%s\"", key->text);
    return false;
}

bool pattern_compile_test(struct pattern_compile *c, const struct peri_node *node, struct pattern_test *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (node->kind == PERI_NODE_SCALAR)
        return compile_scalar(c, node, ret);
    if (node->kind == PERI_NODE_LIST) {
        pattern_find_fault(
            c, node, "pattern-list", "list the alternatives in one list", "a list inside a list of alternatives");
        return false;
    }
    if (!node->count) {
        pattern_find_fault(c, node, "pattern-empty", NULL, "an empty mapping is no alternative");
        return false;
    }
    const struct op *op = find(node->pairs[0].key->text);
    if (!op)
        return unknown_operator(c, node->pairs[0].key);
    if (node->count > 1) {
        pattern_find_fault(c, node->pairs[1].key, "pattern-operator",
            "write {all: [...]} when both must hold, two alternatives when one is enough",
            "an alternative has one operator, here are %zu", node->count);
        return false;
    }
    return op->compile(c, node->pairs[0].value, ret);
}
