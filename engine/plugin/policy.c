/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "data/yaml.h"
#include "plugin/grants.h"

struct peri_policy {
    struct peri_value *plugins; /* id -> entry, checked */
};

/* --- reading --- */

static void unknown_key(const struct peri_node *key, const char *const *known, struct peri_diag *diag)
{
    const char *near = peri_nearest(key->text, known);
    char *hint = near ? peri_asprintf("did you mean \"%s\"?", near) : NULL;
    peri_diag_add(diag, key->place, PERI_SEV_ERROR, "unknown-key", hint, "unknown key \"%s\"", key->text);
    free(hint);
}

static bool known_key(const char *key, const char *const *known)
{
    while (*known && strcmp(*known, key))
        known++;
    return *known != NULL;
}

static void check_texts(const struct peri_node *list, const char *what, bool permissions, struct peri_diag *diag)
{
    struct peri_error err = {0};
    if (list->kind != PERI_NODE_LIST) {
        peri_diag_add(diag, list->place, PERI_SEV_ERROR, "bad-type", NULL, "%s must be a list, is %s", what,
            peri_node_describe(list));
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct peri_node *item = list->items[i];
        if (item->kind != PERI_NODE_SCALAR || item->type != PERI_STRING)
            peri_diag_add(diag, item->place, PERI_SEV_ERROR, "bad-type", NULL, "%s must hold texts, not %s", what,
                peri_node_describe(item));
        else if (permissions && peri_permission_check(item->text, &err))
            peri_diag_add(diag, item->place, PERI_SEV_ERROR, "bad-permission", NULL, "%s", err.message);
    }
}

static void check_caps(const struct peri_node *caps, struct peri_diag *diag)
{
    if (caps->kind != PERI_NODE_MAP) {
        peri_diag_add(diag, caps->place, PERI_SEV_ERROR, "bad-type", NULL, "limits must be a mapping, is %s",
            peri_node_describe(caps));
        return;
    }
    for (size_t i = 0; i < caps->count; i++) {
        const struct peri_node *key = caps->pairs[i].key, *value = caps->pairs[i].value;
        struct peri_manifest_limits limits;
        int64_t most;
        long long n;
        if (!peri_limit_at(&limits, key->text, &most))
            unknown_key(key, peri_limit_names, diag);
        else if (value->kind != PERI_NODE_SCALAR || !peri_parse_i64(value->text, &n) || n < 1 || n > most)
            peri_diag_add(diag, value->place, PERI_SEV_ERROR, "out-of-range", NULL,
                "%s must be a number between 1 and %lld", key->text, (long long)most);
    }
}

static void check_isolation(const struct peri_node *value, struct peri_diag *diag)
{
    if (value->kind != PERI_NODE_SCALAR || (strcmp(value->text, "process") && strcmp(value->text, "none")))
        peri_diag_add(diag, value->place, PERI_SEV_ERROR, "bad-isolation", NULL, "isolation must be process or none");
}

static void check_entry(const struct peri_pair *pair, struct peri_diag *diag)
{
    static const char *const known[] = {
        "version", "sha256", "permissions", "hosts", "approved", "by", "bundled", "limits", "isolation", NULL};
    const struct peri_node *entry = pair->value;
    if (!peri_plugin_id_ok(pair->key->text))
        peri_diag_add(
            diag, pair->key->place, PERI_SEV_ERROR, "bad-id", NULL, "\"%s\" is no plugin id", pair->key->text);
    if (entry->kind != PERI_NODE_MAP) {
        peri_diag_add(diag, entry->place, PERI_SEV_ERROR, "bad-type", NULL, "an entry must be a mapping, is %s",
            peri_node_describe(entry));
        return;
    }
    for (size_t i = 0; i < entry->count; i++) {
        const struct peri_node *key = entry->pairs[i].key, *value = entry->pairs[i].value;
        if (!known_key(key->text, known))
            unknown_key(key, known, diag);
        else if (!strcmp(key->text, "permissions") || !strcmp(key->text, "hosts"))
            check_texts(value, key->text, !strcmp(key->text, "permissions"), diag);
        else if (!strcmp(key->text, "limits"))
            check_caps(value, diag);
        else if (!strcmp(key->text, "isolation"))
            check_isolation(value, diag);
        else if (!strcmp(key->text, "bundled") ? value->type != PERI_BOOL : value->kind != PERI_NODE_SCALAR)
            peri_diag_add(diag, value->place, PERI_SEV_ERROR, "bad-type", NULL, "%s can not be %s", key->text,
                peri_node_describe(value));
    }
}

static void check_root(const struct peri_node *root, struct peri_diag *diag)
{
    static const char *const known[] = {"plugins", NULL};
    if (root->kind != PERI_NODE_MAP) {
        peri_diag_add(diag, root->place, PERI_SEV_ERROR, "bad-type", NULL, "a policy is a mapping, this is %s",
            peri_node_describe(root));
        return;
    }
    for (size_t i = 0; i < root->count; i++) {
        const struct peri_node *value = root->pairs[i].value;
        if (!known_key(root->pairs[i].key->text, known))
            unknown_key(root->pairs[i].key, known, diag);
        else if (value->kind == PERI_NODE_MAP)
            for (size_t k = 0; k < value->count; k++)
                check_entry(&value->pairs[k], diag);
        else if (value->type != PERI_NULL)
            peri_diag_add(diag, value->place, PERI_SEV_ERROR, "bad-type", NULL, "plugins must be a mapping, is %s",
                peri_node_describe(value));
    }
}

/* Every scalar as its text, so that `version: 1.10` or a hash of digits is not read as a number. */
static struct peri_value *entry_value(const struct peri_node *node)
{
    struct peri_value *v;
    enum peri_status st = PERI_OK;
    if (node->kind == PERI_NODE_SCALAR)
        return node->type == PERI_BOOL ? peri_value_bool(!strcmp(node->text, "true") || !strcmp(node->text, "True") ||
                                                         !strcmp(node->text, "TRUE"))
                                       : peri_value_strn(node->text, node->len);
    v = node->kind == PERI_NODE_LIST ? peri_value_list() : peri_value_map();
    for (size_t i = 0; v && !st && i < node->count; i++)
        st = node->kind == PERI_NODE_LIST
                 ? peri_list_push(v, entry_value(node->items[i]))
                 : peri_map_put(v, node->pairs[i].key->text, entry_value(node->pairs[i].value));
    if (st) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

enum peri_status peri_policy_load(const char *path, struct peri_policy **ret, struct peri_diag *diag)
{
    static const char *const no_tags[] = {NULL};
    struct peri_yaml_doc *doc = NULL;
    size_t before = diag->errors;
    enum peri_status st = PERI_OK;
    struct peri_policy *policy = calloc(1, sizeof(*policy));
    if (!policy)
        return PERI_ENOMEM;
    if (path && (access(path, F_OK) == 0 || errno != ENOENT)) {
        st = peri_yaml_load(path, no_tags, &doc, diag);
        if (!st && doc->count) {
            check_root(doc->roots[0], diag);
            const struct peri_node *plugins =
                diag->errors > before ? NULL : peri_node_get(doc->roots[0], "plugins", NULL);
            if (plugins && plugins->kind == PERI_NODE_MAP && !(policy->plugins = entry_value(plugins)))
                st = PERI_ENOMEM; /* not an empty policy: it may narrow what a plugin gets */
        }
        peri_yaml_destroy(doc);
    }
    if (!st && !policy->plugins && !(policy->plugins = peri_value_map()))
        st = PERI_ENOMEM;
    if (st || diag->errors > before || diag->lost) {
        peri_policy_destroy(policy);
        return st == PERI_ENOMEM ? st : PERI_EINVAL;
    }
    *ret = policy;
    return PERI_OK;
}

void peri_policy_destroy(struct peri_policy *policy)
{
    if (!policy)
        return;
    peri_value_unref(policy->plugins);
    free(policy);
}

const struct peri_value *peri_policy_entries(const struct peri_policy *policy)
{
    return policy->plugins;
}

void peri_policy_caps(const struct peri_policy *policy, const char *plugin_id, struct peri_manifest_limits *ret)
{
    const struct peri_value *caps = policy ? peri_map_at(peri_map_at(policy->plugins, plugin_id), "limits") : NULL;
    *ret = (struct peri_manifest_limits){0};
    for (const char *const *name = peri_limit_names; *name; name++) {
        const char *text = peri_map_text(caps, *name);
        int64_t most;
        long long n;
        if (text && peri_parse_i64(text, &n))
            *peri_limit_at(ret, *name, &most) = n;
    }
}

bool peri_policy_isolates(const struct peri_policy *policy, const char *plugin_id)
{
    const struct peri_value *entry = policy ? peri_map_at(policy->plugins, plugin_id) : NULL;
    return peri_streq(peri_map_text(entry, "isolation"), "process");
}

/* --- deciding --- */

static bool list_has(const struct peri_value *list, const char *text)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), text))
            return true;
    return false;
}

static const struct peri_value *entry_of(const struct peri_policy *policy, const char *id)
{
    return policy ? peri_map_at(policy->plugins, id) : NULL;
}

static enum peri_status refuse(const struct peri_manifest *m, const char *code, const char *why, struct peri_error *err)
{
    return peri_error_set(err, PERI_EDENIED, code, "%s; to allow it type: perigee plugins approve %s", why, m->id);
}

/* The operator's own entry for a plugin that did not come with the installation. */
static enum peri_status check_approved(
    const struct peri_value *entry, const struct peri_policy_question *q, struct peri_error *err)
{
    const struct peri_manifest *m = q->manifest;
    if (!entry)
        return refuse(m, "policy.not-approved", "nobody has approved this plugin", err);
    const struct peri_value *granted = peri_map_at(entry, "permissions");
    for (size_t i = 0; i < m->permission_count; i++) {
        if (list_has(granted, m->permissions[i]))
            continue;
        char *why = peri_asprintf("it now asks for %s, which was not approved", m->permissions[i]);
        enum peri_status st = refuse(m, "policy.new-permission", why ? why : "it asks for more than was approved", err);
        free(why);
        return st;
    }
    if (!peri_streq(peri_map_text(entry, "sha256"), q->hash))
        return refuse(m, "policy.changed", "its files have changed since it was approved", err);
    return PERI_OK;
}

enum peri_status peri_policy_decide(const struct peri_policy *policy, const struct peri_policy *shipped,
    const struct peri_policy_question *q, struct peri_grants **ret, struct peri_error *err)
{
    const struct peri_manifest *m = q->manifest;
    const struct peri_value *own = entry_of(policy, m->id), *ship = q->bundled ? entry_of(shipped, m->id) : NULL;
    bool trusted = ship && peri_map_bool(ship, "bundled", false);
    if (!trusted && !q->approve_all) {
        enum peri_status st = check_approved(own, q, err);
        if (st)
            return st;
    }
    const struct peri_value *narrow = trusted ? peri_map_at(ship, "permissions") : NULL;
    const struct peri_value *narrower = own && !q->approve_all ? peri_map_at(own, "permissions") : NULL;
    struct peri_grants *grants = peri_grants_create();
    if (!grants)
        return peri_error_nomem(err);
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < m->permission_count; i++) {
        const char *p = m->permissions[i];
        if ((narrow && !list_has(narrow, p)) || (narrower && !list_has(narrower, p)))
            continue;
        st = peri_grants_add(grants, p, q->config, q->given);
    }
    const struct peri_value *hosts = own ? peri_map_at(own, "hosts") : NULL;
    for (size_t i = 0; !st && i < peri_value_count(hosts); i++)
        st = peri_grants_add_host(grants, peri_value_text(peri_list_at(hosts, i)), true);
    if (st) {
        peri_grants_destroy(grants);
        return peri_error_nomem(err);
    }
    *ret = grants;
    return PERI_OK;
}
