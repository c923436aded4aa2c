/* SPDX-License-Identifier: Apache-2.0 */
#include "data/plain_secret.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* Endings of keys, without case, dashes and underlines. */
static const char *const keys[] = {"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey",
    "secretkey", "privatekey", "authorization", "credential", "credentials"};

/* How providers begin theirs, and at least how many characters of a key follow. */
static const struct {
    const char *prefix;
    size_t more;
} forms[] = {{"sk_live_", 16}, {"rk_live_", 16}, {"whsec_", 16}, {"ghp_", 30}, {"gho_", 30}, {"github_pat_", 30},
    {"glpat-", 16}, {"xoxb-", 20}, {"xoxp-", 20}, {"AKIA", 16}, {"AIza", 30}, {"SG.", 30}, {"sk-", 32}, {"Bearer ", 16},
    {"Basic ", 12}, {"-----BEGIN PRIVATE KEY", 0}, {"-----BEGIN RSA PRIVATE KEY", 0}, {"-----BEGIN EC PRIVATE KEY", 0}};

static bool is_key(const char *key)
{
    char plain[64];
    size_t n = 0;
    for (; *key && n < sizeof(plain) - 1; key++)
        if (*key != '-' && *key != '_' && *key != '.')
            plain[n++] = (char)tolower((unsigned char)*key);
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (peri_str_ends(plain, keys[i]))
            return true;
    return false;
}

static bool has_form(const char *text)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i].prefix), more = 0;
        if (strncmp(text, forms[i].prefix, n) != 0)
            continue;
        while (isalnum((unsigned char)text[n + more]) || (text[n + more] && strchr("-_.=/+", text[n + more])))
            more++;
        if (more >= forms[i].more)
            return true;
    }
    return false;
}

/* Something that only its owner should know: one word that is long enough, no template. */
static bool is_plain(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->type == PERI_STRING && !node->tag && !strstr(node->text, "{{");
}

static void warn(const struct peri_node *node, const char *key, const char *instead, struct peri_diag *diag)
{
    if (key)
        peri_diag_add(diag, node->place, PERI_SEV_WARNING, "plain-secret", instead,
            "\"%.80s\" looks like a secret written out", key);
    else
        peri_diag_add(
            diag, node->place, PERI_SEV_WARNING, "plain-secret", instead, "this looks like a secret written out");
}

void peri_plain_secrets(const struct peri_node *root, const char *instead, struct peri_diag *diag)
{
    if (is_plain(root) && has_form(root->text))
        warn(root, NULL, instead, diag);
    for (size_t i = 0; root->kind == PERI_NODE_LIST && i < root->count; i++)
        peri_plain_secrets(root->items[i], instead, diag);
    for (size_t i = 0; root->kind == PERI_NODE_MAP && i < root->count; i++) {
        const struct peri_pair *p = &root->pairs[i];
        bool word = is_plain(p->value) && p->value->len >= 8 && !strchr(p->value->text, ' ');
        if (word && is_key(p->key->text) && !has_form(p->value->text))
            warn(p->value, p->key->text, instead, diag);
        else
            peri_plain_secrets(p->value, instead, diag);
    }
}
