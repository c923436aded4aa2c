/* SPDX-License-Identifier: Apache-2.0 */
/* `accounts:` of perigee.yaml. One table names every key; what comes out is a description as io/accounts.h wants it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "base/str.h"
#include "io/accounts.h"

enum kind { WORD, TEXT, URL, CHOICE, SCOPES, HOSTS, AUTHORIZE_PARAMS, TOKEN_PARAMS, SECRET, TENANT, POINTER };

static const struct key {
    const char *name;
    enum kind kind;
    const char *choices[3];
} keys[] = {
    {"preset", WORD, {NULL}},
    {"kind", CHOICE, {"oauth2", "key", NULL}},
    {"label", TEXT, {NULL}},
    {"authorize_url", URL, {NULL}},
    {"token_url", URL, {NULL}},
    {"revoke_url", URL, {NULL}},
    {"revoke_style", CHOICE, {"token", "bearer", NULL}},
    {"client_id", TEXT, {NULL}},
    {"client_secret", SECRET, {NULL}},
    {"scopes", SCOPES, {NULL}},
    {"scope_separator", CHOICE, {" ", ",", NULL}},
    {"pkce", CHOICE, {"S256", "none", NULL}},
    {"token_auth", CHOICE, {"basic", "body", "none"}},
    {"token_format", CHOICE, {"form", "json", NULL}},
    {"authorize_params", AUTHORIZE_PARAMS, {NULL}},
    {"token_params", TOKEN_PARAMS, {NULL}},
    {"hosts", HOSTS, {NULL}},
    {"prefix", TEXT, {NULL}},
    {"label_from", POINTER, {NULL}},
    {"issuer", TEXT, {NULL}},
    {"tenant", TENANT, {NULL}},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

struct reader {
    struct peri_diag *diag;
    peri_tag_resolver resolve;
};

static void wrong(struct reader *r, const struct peri_node *node, const char *name, const char *what)
{
    peri_diag_add(r->diag, node->place, PERI_SEV_ERROR, "wrong-value", NULL, "\"%s\" %s", name, what);
}

static bool is_text(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->len > 0 && strlen(node->text) == node->len &&
           (node->type == PERI_STRING || node->type == PERI_INT) && peri_text_is_plain(node->text);
}

/* Loopback only: a code or a token that crosses a network in the clear is anybody's. */
static bool is_here(const char *host)
{
    size_t n = strcspn(host, ":/?");
    return (n == 9 && !strncmp(host, "localhost", n)) || !strncmp(host, "[::1]", 5) ||
           (!strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n);
}

static void check_url(struct reader *r, const char *name, const struct peri_node *node)
{
    const char *url = node->text;
    bool secure = peri_str_starts(url, "https://");
    const char *host = secure ? url + 8 : peri_str_starts(url, "http://") ? url + 7 : NULL;
    size_t n = host ? strcspn(host, "/?") : 0;
    if (!host || n == 0 || strpbrk(url, "# \\") || memchr(host, '@', n))
        wrong(r, node, name, "must be an https URL without a user name or a fragment");
    else if (!secure && !is_here(host))
        peri_diag_add(r->diag, node->place, PERI_SEV_ERROR, "insecure-url", "https://...",
            "\"%s\" must be https: codes and tokens would be read on the way", name);
}

/* scope-token of RFC 6749, 3.3, without the comma that some join scopes with. */
static bool is_scope(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c < 0x21 || *c > 0x7e || strchr("\"\\,", *c))
            return false;
    return *text != '\0';
}

static bool is_host(const char *text)
{
    bool wild = peri_str_starts(text, "*.");
    const char *p = wild ? text + 2 : text, *end = *p == '[' ? strchr(p, ']') : NULL,
               *colon = strchr(end ? end : p, ':');
    size_t n = colon ? (size_t)(colon - p) : strlen(p);
    long long port = 443;
    if (colon && (!peri_parse_i64(colon + 1, &port) || port < 1 || port > 65535))
        return false;
    if (end)
        return !wild && (size_t)(end + 1 - p) == n && strspn(p + 1, "0123456789abcdefABCDEF:.") == n - 2;
    bool ok = n > 0 && n <= 253 && p[0] != '.' && p[0] != '-' && p[n - 1] != '.' && (!wild || memchr(p, '.', n));
    for (size_t i = 0; ok && i < n; i++)
        ok = (unsigned char)p[i] < 0x80 && (isalnum((unsigned char)p[i]) || strchr("-_.", p[i])) &&
             !(p[i] == '.' && p[i + 1] == '.');
    return ok;
}

static void check_list(struct reader *r, const struct key *key, const struct peri_node *node)
{
    bool hosts = key->kind == HOSTS;
    if (node->kind != PERI_NODE_LIST) {
        peri_diag_add(r->diag, node->place, PERI_SEV_ERROR, "wrong-type", NULL, "\"%s\" must be a list, is %s",
            key->name, peri_node_describe(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct peri_node *item = node->items[i];
        if (!is_text(item) || item->tag || !(hosts ? is_host(item->text) : is_scope(item->text)))
            wrong(r, item, key->name,
                hosts ? "names hosts such as api.example.com, *.example.com or 127.0.0.1:8080, without scheme or path"
                      : "holds one scope in each item");
    }
}

static void check_params(struct reader *r, const struct key *key, const struct peri_node *node)
{
    static const char *const ours[] = {"response_type", "client_id", "client_secret", "redirect_uri", "state", "scope",
        "code_challenge", "code_challenge_method", "grant_type", "code", "code_verifier", "refresh_token", NULL};
    if (node->kind != PERI_NODE_MAP) {
        peri_diag_add(r->diag, node->place, PERI_SEV_ERROR, "wrong-type", NULL,
            "\"%s\" must be a mapping of texts, is %s", key->name, peri_node_describe(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct peri_node *name = node->pairs[i].key, *value = node->pairs[i].value;
        for (const char *const *o = ours; *o; o++)
            if (peri_streq(*o, name->text))
                wrong(r, name, key->name, "cannot set what perigee sets itself");
        if (!is_text(value) || value->tag || value->type != PERI_STRING)
            wrong(r, value, key->name, "holds texts; put numbers and the like in quotes");
    }
}

static void check_choice(struct reader *r, const struct key *key, const struct peri_node *node)
{
    char what[120] = "must be ";
    for (size_t i = 0; i < 3 && key->choices[i]; i++) {
        if (node->kind == PERI_NODE_SCALAR && !node->tag && peri_streq(node->text, key->choices[i]))
            return;
        size_t n = strlen(what);
        snprintf(what + n, sizeof(what) - n, "%s\"%s\"", i ? " or " : "", key->choices[i]);
    }
    wrong(r, node, key->name, what);
}

static void check_scalar(struct reader *r, const struct key *key, const struct peri_node *node)
{
    bool env = peri_streq(node->tag, "!env");
    if (node->tag && !env && key->kind != SECRET) {
        peri_diag_add(r->diag, node->place, PERI_SEV_ERROR, "secret-here", NULL,
            "\"%s\" is no secret: use !env, or write it here", key->name);
        return;
    }
    if (!is_text(node)) {
        wrong(r, node, key->name, "must be a text");
        return;
    }
    if (env)
        return;
    if (key->kind == URL)
        check_url(r, key->name, node);
    else if (key->kind == TENANT &&
             node->text[strspn(node->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")])
        wrong(r, node, key->name, "is a directory id, or common, organizations or consumers");
    else if (key->kind == POINTER && node->text[0] != '/')
        wrong(r, node, key->name, "must be a JSON pointer such as /team/name");
    else if (key->kind == SECRET && !node->tag)
        peri_diag_add(r->diag, node->place, PERI_SEV_WARNING, "plain-secret",
            "`perigee secrets set NAME' keeps it, !secret NAME names it", "\"%s\" is written out", key->name);
}

static void check_key(struct reader *r, const struct peri_node *name, const struct peri_node *node)
{
    const char *known[KEYS + 1] = {NULL};
    for (size_t i = 0; i < KEYS; i++) {
        known[i] = keys[i].name;
        if (!peri_streq(keys[i].name, name->text))
            continue;
        if (keys[i].kind == SCOPES || keys[i].kind == HOSTS)
            check_list(r, &keys[i], node);
        else if (keys[i].kind == AUTHORIZE_PARAMS || keys[i].kind == TOKEN_PARAMS)
            check_params(r, &keys[i], node);
        else if (keys[i].kind == CHOICE)
            check_choice(r, &keys[i], node);
        else
            check_scalar(r, &keys[i], node);
        return;
    }
    peri_config_unknown_key(r->diag, name, known);
}

/* What is missing, or does not fit together. */
static void complain(struct reader *r, const struct peri_node *name, const struct peri_node *entry, const char *key,
    const struct peri_error *err)
{
    const struct peri_node *at = key ? peri_node_get(entry, key, NULL) : NULL;
    bool preset = !strcmp(err->code, "unknown-preset"), value = !strcmp(err->code, "wrong-value");
    peri_diag_add(r->diag, at ? at->place : name->place, PERI_SEV_ERROR,
        preset  ? "unknown-preset"
        : value ? "wrong-value"
                : "missing-key",
        NULL, "account %s: %s", name->text, err->message);
}

static void read_account(
    struct reader *r, const struct peri_node *name, const struct peri_node *entry, struct peri_value *to)
{
    struct peri_value *given = NULL, *complete = NULL;
    struct peri_error err = {0};
    const char *key = NULL;
    size_t errors = r->diag->errors;
    bool empty = entry->kind == PERI_NODE_SCALAR && entry->type == PERI_NULL && !entry->tag; /* all is in the preset */
    if (!peri_account_name_ok(name->text)) {
        wrong(r, name, name->text,
            "cannot be the name of an account: lower-case letters, digits, '-', '_' and '.', at "
            "most 60, a letter or digit first");
        return;
    }
    if (entry->kind != PERI_NODE_MAP && !empty) {
        peri_diag_add(r->diag, entry->place, PERI_SEV_ERROR, "wrong-type", NULL, "account %s must be a mapping, is %s",
            name->text, peri_node_describe(entry));
        return;
    }
    for (size_t i = 0; i < entry->count; i++)
        check_key(r, entry->pairs[i].key, entry->pairs[i].value);
    if (r->diag->errors > errors)
        return;
    if (empty)
        given = peri_value_map();
    else if (peri_node_value(entry, r->resolve, NULL, &given, &err)) {
        peri_diag_add(r->diag, entry->place, PERI_SEV_ERROR, "env", NULL, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < entry->count; i++) /* ids of digits are texts all the same */
        if (entry->pairs[i].value->kind == PERI_NODE_SCALAR && entry->pairs[i].value->type == PERI_INT &&
            !entry->pairs[i].value->tag)
            (void)!peri_map_put_text(given, entry->pairs[i].key->text, entry->pairs[i].value->text);
    if (peri_provider_complete(name->text, given, &complete, &key, &err))
        complain(r, name, entry, key, &err);
    else if (peri_map_put(to, name->text, complete))
        r->diag->lost = true;
    peri_value_unref(given);
}

void peri_config_accounts(
    const struct peri_node *map, peri_tag_resolver resolve, struct peri_value **ret, struct peri_diag *diag)
{
    struct reader r = {diag, resolve};
    if (map->kind != PERI_NODE_MAP) {
        peri_diag_add(diag, map->place, PERI_SEV_ERROR, "wrong-type", NULL,
            "\"accounts\" must be a mapping from names of accounts to what their provider is");
        return;
    }
    struct peri_value *all = peri_value_map();
    for (size_t i = 0; all && i < map->count; i++)
        read_account(&r, map->pairs[i].key, map->pairs[i].value, all);
    *ret = all;
}
