/* SPDX-License-Identifier: Apache-2.0 */
/* The trigger `webhook`. Who may call it must be said: an address that anybody can find out is no proof. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "lang/rule_internal.h"
#include "lang/webhook.h"

const struct rule_key peri_rule_webhook_keys[] = {{"path", KEY_KNOWN}, {"methods", KEY_KNOWN}, {"token", KEY_KNOWN},
    {"signature", KEY_KNOWN}, {"open", KEY_KNOWN}, {"local_only", KEY_KNOWN}, {"headers", KEY_KNOWN},
    {"delivery_id", KEY_KNOWN}, {"max_bytes", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_webhook_token_keys[] = {
    {"secret", KEY_KNOWN}, {"header", KEY_KNOWN}, {"query", KEY_KNOWN}, {NULL, KEY_END}};
const struct rule_key peri_rule_webhook_signature_keys[] = {{"as", KEY_KNOWN}, {"secret", KEY_KNOWN},
    {"header", KEY_KNOWN}, {"algorithm", KEY_KNOWN}, {"encoding", KEY_KNOWN}, {"prefix", KEY_KNOWN},
    {"tolerance", KEY_KNOWN}, {NULL, KEY_END}};

#define PROOF_HINT                                                                                                     \
    "say who may call it: token: !secret NAME, signature: {as: github, secret: !secret NAME}, or open: true for "      \
    "anybody who knows the address"

const char *peri_webhook_method_at(size_t i)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return i < sizeof(methods) / sizeof(methods[0]) ? methods[i] : NULL;
}

void peri_webhook_destroy(struct peri_webhook *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->header_count; i++)
        free(w->headers[i]);
    free(w->path);
    free(w->secret);
    free(w->header);
    free(w->query);
    free(w->prefix);
    free(w->delivery_id);
    free(w);
}

/* ---- the path ---- */

/* "a/b-c" gives "webhook.a.b-c". */
static void read_path(
    struct rule_reader *r, const struct peri_node *node, struct peri_webhook *w, struct peri_trigger *t)
{
    static const char hint[] = "letters, digits, - and _ in parts divided by /, such as github/push";
    const char *path = peri_rule_text(r, node, "path");
    if (!path)
        return;
    bool good = strlen(path) <= PERI_WEBHOOK_PATH_MAX;
    for (const char *p = path; good && *p; p++)
        good = isalnum((unsigned char)*p) || *p == '-' || *p == '_' || (*p == '/' && p > path && p[1] && p[-1] != '/');
    if (!good) {
        peri_rule_fault(r, node->place, "webhook-path", hint, "\"%.80s\" cannot be the path of a webhook", path);
        if (path[0] == '/' && path[1] && strlen(path) < 60)
            peri_diag_fix(r->diag, node->place, path, path + 1);
        return;
    }
    w->path = peri_rule_dup(r, path);
    t->event = peri_rule_path(r, "webhook.%s", path);
    for (char *p = t->event; p && *p; p++)
        if (*p == '/')
            *p = '.';
}

static void read_methods(struct rule_reader *r, const struct peri_node *node, struct peri_webhook *w)
{
    const char *words[16];
    size_t n = 0;
    for (const char *m; (m = peri_webhook_method_at(n)); n++)
        words[n] = m;
    words[n] = NULL;
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "methods"))
        return;
    if (node->count == 0)
        peri_rule_fault(r, node->place, "empty-list", NULL, "\"methods\" is empty");
    w->methods = 0;
    for (size_t i = 0; i < node->count; i++) {
        int word = peri_rule_word(r, node->items[i], "methods", words);
        w->methods |= word >= 0 ? 1u << word : 0;
    }
}

/* ---- who may call ---- */

static char *read_secret(struct rule_reader *r, const struct peri_node *node, const char *what)
{
    if (node->kind == PERI_NODE_SCALAR && node->tag && strcmp(node->tag, "!secret") == 0)
        return peri_rule_dup(r, node->text);
    peri_rule_fault(r, node->place, "webhook-secret", "`perigee secrets set NAME' keeps it, !secret NAME names it",
        "\"%s\" must be !secret NAME", what);
    return NULL;
}

/* The name of a header, in lower case; NULL when wrong. */
static char *read_header(struct rule_reader *r, const struct peri_node *node, const char *what)
{
    const char *text = peri_rule_text(r, node, what);
    bool good = text && strlen(text) <= 100;
    for (const char *p = text; good && *p; p++)
        good = isalnum((unsigned char)*p) || *p == '-' || *p == '_';
    if (text && !good)
        peri_rule_fault(r, node->place, "bad-name", "such as X-Webhook-Token", "\"%.80s\" is no header", text);
    char *copy = good ? peri_rule_dup(r, text) : NULL;
    for (char *p = copy; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

static void read_token(struct rule_reader *r, const struct peri_node *node, struct peri_webhook *w)
{
    const struct peri_node *n, *header, *query;
    w->proof = PERI_WEBHOOK_TOKEN;
    if (node->kind != PERI_NODE_MAP) {
        w->secret = read_secret(r, node, "token");
        return;
    }
    if (peri_rule_check_keys(r, node, peri_rule_webhook_token_keys, "token") > 0)
        return;
    if ((n = peri_node_get(node, "secret", NULL)))
        w->secret = read_secret(r, n, "secret");
    else
        peri_rule_fault(r, node->place, "missing-key", "secret: !secret NAME", "\"token\" needs \"secret\"");
    header = peri_node_get(node, "header", NULL);
    query = peri_node_get(node, "query", NULL);
    if (header && query)
        peri_rule_fault(r, peri_rule_key_node(node, "query")->place, "conflicting-keys", NULL,
            "the token stands in a header or in the query");
    else if (header)
        w->header = read_header(r, header, "header");
    else if (query && peri_rule_text(r, query, "query"))
        w->query = peri_rule_dup(r, query->text);
}

static void preset(struct rule_reader *r, int as, struct peri_webhook *w)
{
    static const char *const headers[] = {NULL, "x-hub-signature-256", "stripe-signature", "x-slack-signature"};
    static const char *const prefixes[] = {NULL, "sha256=", NULL, "v0="};
    static const enum peri_webhook_proof proofs[] = {
        PERI_WEBHOOK_HMAC, PERI_WEBHOOK_HMAC, PERI_WEBHOOK_STRIPE, PERI_WEBHOOK_SLACK};
    w->proof = proofs[as];
    w->header = headers[as] ? peri_rule_dup(r, headers[as]) : NULL;
    w->prefix = prefixes[as] ? peri_rule_dup(r, prefixes[as]) : NULL;
}

static void read_details(struct rule_reader *r, const struct peri_node *node, int as, struct peri_webhook *w)
{
    static const char *const algorithms[] = {"sha256", "sha1", NULL}, *const encodings[] = {"hex", "base64", NULL};
    static const char *const of_hmac[] = {"header", "algorithm", "encoding", "prefix"};
    const struct peri_node *n;
    for (size_t i = 0; as > 0 && i < 4; i++)
        if ((n = peri_rule_key_node(node, of_hmac[i])))
            peri_rule_fault(
                r, n->place, "misplaced-key", "as: hmac lets it be said", "\"%s\" is fixed by \"as\"", n->text);
    n = peri_rule_key_node(node, "tolerance");
    if (n && w->proof != PERI_WEBHOOK_STRIPE && w->proof != PERI_WEBHOOK_SLACK)
        peri_rule_fault(r, n->place, "misplaced-key", NULL, "this signature has no time that could be old");
    else if (n)
        (void)peri_rule_duration(r, peri_node_get(node, "tolerance", NULL), "tolerance", 1000, &w->tolerance_ms);
    if (as > 0)
        return;
    if ((n = peri_node_get(node, "header", NULL)))
        w->header = read_header(r, n, "header");
    else
        peri_rule_fault(
            r, node->place, "missing-key", "header: X-Signature", "\"signature\" needs \"header\", or \"as\"");
    if ((n = peri_node_get(node, "algorithm", NULL)))
        w->sha1 = peri_rule_word(r, n, "algorithm", algorithms) == 1;
    if ((n = peri_node_get(node, "encoding", NULL)))
        w->base64 = peri_rule_word(r, n, "encoding", encodings) == 1;
    if ((n = peri_node_get(node, "prefix", NULL)) && peri_rule_text(r, n, "prefix"))
        w->prefix = peri_rule_dup(r, n->text);
}

static void read_signature(struct rule_reader *r, const struct peri_node *node, struct peri_webhook *w)
{
    static const char *const ways[] = {"hmac", "github", "stripe", "slack", NULL};
    const struct peri_node *n;
    int as = 0;
    w->proof = PERI_WEBHOOK_HMAC;
    if (!peri_rule_expect(r, node, PERI_NODE_MAP, "signature") ||
        peri_rule_check_keys(r, node, peri_rule_webhook_signature_keys, "signature") > 0)
        return;
    if ((n = peri_node_get(node, "as", NULL)) && (as = peri_rule_word(r, n, "as", ways)) < 0)
        return;
    preset(r, as, w);
    if ((n = peri_node_get(node, "secret", NULL)))
        w->secret = read_secret(r, n, "secret");
    else
        peri_rule_fault(r, node->place, "missing-key", "secret: !secret NAME", "\"signature\" needs \"secret\"");
    read_details(r, node, as, w);
}

static void read_proof(struct rule_reader *r, const struct peri_node *map, struct peri_webhook *w)
{
    static const char *const ways[] = {"token", "signature", "open"};
    const struct peri_node *found = NULL;
    for (size_t i = 0; i < 3; i++) {
        const struct peri_node *key = peri_rule_key_node(map, ways[i]);
        if (key && found) {
            peri_rule_fault(r, key->place, "conflicting-keys", NULL,
                "a webhook has one of token, signature, open, not both \"%s\" and \"%s\"", found->text, key->text);
            return;
        }
        found = key ? key : found;
    }
    if (!found) {
        peri_rule_fault(r, map->place, "webhook-unprotected", PROOF_HINT, "nothing says who may call this webhook");
        return;
    }
    const struct peri_node *value = peri_node_get(map, found->text, NULL);
    bool open = false;
    if (strcmp(found->text, "token") == 0)
        read_token(r, value, w);
    else if (strcmp(found->text, "signature") == 0)
        read_signature(r, value, w);
    else if (peri_rule_bool(r, value, "open", &open) && !open)
        peri_rule_fault(r, value->place, "webhook-unprotected", PROOF_HINT, "nothing says who may call this webhook");
}

/* ---- what becomes the event ---- */

static void read_headers(struct rule_reader *r, const struct peri_node *node, struct peri_webhook *w)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "headers"))
        return;
    if (node->count > PERI_WEBHOOK_HEADERS) {
        peri_rule_fault(r, node->place, "too-many", NULL, "more than %d headers", PERI_WEBHOOK_HEADERS);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        char *name = read_header(r, node->items[i], "headers");
        static const char *const kept[] = {"authorization", "cookie", "proxy-authorization"};
        for (size_t k = 0; name && k < sizeof(kept) / sizeof(kept[0]); k++)
            if (strcmp(kept[k], name) == 0)
                peri_rule_fault(r, node->items[i]->place, "webhook-secret", "the event is stored as it is",
                    "the header \"%s\" holds what only its owner should know", node->items[i]->text);
        if (name)
            w->headers[w->header_count++] = name;
    }
}

static void write_spec(struct rule_reader *r, const struct peri_node *map, struct peri_webhook *w)
{
    struct peri_buf out;
    peri_buf_init(&out, PERI_RULE_MAX_TEXT);
    for (const struct rule_key *k = peri_rule_webhook_keys + 1; k->kind != KEY_END; k++) {
        const struct peri_node *n = peri_node_get(map, k->name, NULL);
        if (!n)
            continue;
        (void)peri_buf_printf(&out, "%s: ", k->name);
        peri_rule_write_node(&out, n, NULL);
        (void)peri_buf_putc(&out, '\n');
    }
    if (out.failed == PERI_ENOMEM)
        peri_rule_nomem(r);
    peri_sha256_hex(peri_buf_text(&out), out.len, w->spec);
    peri_buf_finish(&out);
}

void peri_rule_read_webhook(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t)
{
    const struct peri_node *n;
    struct peri_webhook *w = t->webhook = calloc(1, sizeof(*w));
    t->kind = PERI_TRIGGER_EVENT;
    t->event_place = peri_rule_place(r, map);
    if (!w) {
        peri_rule_nomem(r);
        return;
    }
    *w = (struct peri_webhook){
        .methods = 1u << 1, .max_bytes = PERI_WEBHOOK_BYTES, .tolerance_ms = PERI_WEBHOOK_TOLERANCE_MS};
    if (map->kind != PERI_NODE_MAP) {
        peri_rule_fault(r, map->place, "wrong-type", "webhook: {path: doorbell, token: !secret doorbell}",
            "\"webhook\" must be a mapping, is %s", peri_node_describe(map));
        return;
    }
    if (peri_rule_check_keys(r, map, peri_rule_webhook_keys, "a webhook") > 0)
        return;
    if ((n = peri_node_get(map, "path", NULL)))
        read_path(r, n, w, t);
    else
        peri_rule_fault(r, map->place, "missing-key", "path: doorbell is called as /hooks/rules/doorbell",
            "a webhook needs \"path\"");
    read_proof(r, map, w);
    if ((n = peri_node_get(map, "methods", NULL)))
        read_methods(r, n, w);
    if ((n = peri_node_get(map, "local_only", NULL)))
        (void)peri_rule_bool(r, n, "local_only", &w->local_only);
    if ((n = peri_node_get(map, "headers", NULL)))
        read_headers(r, n, w);
    if ((n = peri_node_get(map, "delivery_id", NULL)))
        w->delivery_id = read_header(r, n, "delivery_id");
    if ((n = peri_node_get(map, "max_bytes", NULL)))
        (void)peri_rule_int(r, n, "max_bytes", 1, PERI_WEBHOOK_BYTES_MAX, &w->max_bytes);
    write_spec(r, map, w);
}
