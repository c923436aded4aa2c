/* SPDX-License-Identifier: Apache-2.0 */
/* Reading perigee.yaml. One table names every scalar: where it stands, what it may be, where it goes. */
#include "app/config.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "app/zones.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/duration.h"
#include "lang/tz.h"

enum kind { INTEGER, DURATION, NUMBER, TEXT, PATH, ZONE, LEVEL, FORMAT, BUS }; /* texts from TEXT on */

struct key {
    const char *path;
    enum kind kind;
    size_t offset;
    const char *fallback;
};

#define AT(member) offsetof(struct peri_config, member)

static const struct key keys[] = {
    {"state_dir", PATH, AT(state_dir), NULL},
    {"policy", PATH, AT(policy), NULL},
    {"timezone", ZONE, AT(timezone), NULL},
    {"bus", BUS, AT(bus), "local"},
    {"location.latitude", NUMBER, AT(latitude), NULL},
    {"location.longitude", NUMBER, AT(longitude), NULL},
    {"http.listen", TEXT, AT(http.listen), "127.0.0.1:8420"},
    {"http.token", TEXT, AT(http.token), NULL},
    {"http.public_url", TEXT, AT(http.public_url), NULL},
    {"http.tls.cert", PATH, AT(http.tls_cert), NULL},
    {"http.tls.key", PATH, AT(http.tls_key), NULL},
    {"http.max_body_bytes", INTEGER, AT(http.max_body_bytes), "8388608"},
    {"log.level", LEVEL, AT(log.level), "info"},
    {"log.format", FORMAT, AT(log.format), "text"},
    {"limits.instructions", INTEGER, AT(limits.instructions), "0"},
    {"limits.running_ms", INTEGER, AT(limits.running_ms), "0"},
    {"limits.wall_ms", INTEGER, AT(limits.wall_ms), "0"},
    {"limits.memory_bytes", INTEGER, AT(limits.memory_bytes), "0"},
    {"limits.max_event_bytes", INTEGER, AT(limits.max_event_bytes), "65536"},
    {"limits.workers", INTEGER, AT(limits.workers), "2"},
    {"limits.max_backlog", INTEGER, AT(limits.max_backlog), "50000"},
    {"limits.max_live_runs", INTEGER, AT(limits.max_live_runs), "100000"},
    {"limits.source_rate", INTEGER, AT(limits.source_rate), "0"},
    {"limits.source_burst", INTEGER, AT(limits.source_burst), "0"},
    {"retention.events", DURATION, AT(retention.events_ms), "14d"},
    {"retention.runs", DURATION, AT(retention.runs_ms), "30d"},
    {"retention.audit", DURATION, AT(retention.audit_ms), "365d"},
    {"retention.max_events", INTEGER, AT(retention.max_events), "5000000"},
    {"retention.max_runs", INTEGER, AT(retention.max_runs), "0"},
    {"retention.max_audit", INTEGER, AT(retention.max_audit), "1000000"},
    {"retention.max_messages", INTEGER, AT(retention.max_messages), "1000000"},
    {"retention.max_bytes", INTEGER, AT(retention.max_bytes), "0"},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* Numbers that are bounded on both sides; the others are not negative. */
static const struct range {
    const char *path;
    int64_t min, max;
} ranges[] = {
    {"location.latitude", -90, 90},
    {"location.longitude", -180, 180},
    {"http.max_body_bytes", 1024, 1 << 30},
    {"limits.max_event_bytes", 1024, 16 << 20},
    {"limits.workers", 1, 64},
    {"limits.max_backlog", 1, 10000000},
    {"limits.max_live_runs", 1, 100000000},
    {"limits.source_rate", 0, 1000000},
    {"limits.source_burst", 0, 10000000},
};

static const char *const top_keys[] = {"state_dir", "rules", "plugin_path", "policy", "timezone", "location", "http",
    "log", "limits", "retention", "channels", "plugins", "accounts", "privacy", "bus", NULL};
static const char *const tags[] = {"!secret", "!env", NULL};

struct loader {
    struct peri_config *config;
    struct peri_diag *diag;
};

static char **text_slot(struct peri_config *config, const struct key *key)
{
    return (char **)((char *)config + key->offset);
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (peri_streq(text, *words))
            return true;
    return false;
}

/* NULL, or what would be right. */
static const char *check_range(const struct key *key, double n, char why[128])
{
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const struct range *r = &ranges[i];
        if (!peri_streq(r->path, key->path) || (n >= (double)r->min && n <= (double)r->max))
            continue;
        snprintf(why, 128, "must lie between %lld and %lld", (long long)r->min, (long long)r->max);
        return why;
    }
    return NULL;
}

static bool is_zone(const char *name)
{
    struct peri_tz_source files = peri_tz_files();
    struct peri_tz *tz = NULL;
    struct peri_error err;
    bool found = peri_tz_load(&files, name, &tz, &err) == PERI_OK;
    peri_tz_destroy(tz);
    return found;
}

/* Stores the text of a scalar; on a mistake says what would be right. base is the file that relative paths start from.
 */
static const char *store(
    struct peri_config *config, const struct key *key, const char *text, const char *base, char why[128])
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL},
                             *const formats[] = {"text", "json", NULL}, *const buses[] = {"local", NULL};
    void *slot = (char *)config + key->offset;
    long long i;
    char *end;
    switch (key->kind) {
    case INTEGER:
        if (!peri_parse_i64(text, &i) || i < 0)
            return "must be a whole number that is not negative";
        *(int64_t *)slot = i;
        return check_range(key, (double)i, why);
    case DURATION:
        if (peri_duration_parse(text, strlen(text), (int64_t *)slot, NULL))
            return "must be a duration such as 14d, 12h or 30m";
        return NULL;
    case NUMBER:
        *(double *)slot = strtod(text, &end);
        if (end == text || *end || !isfinite(*(double *)slot))
            return "must be a number";
        return check_range(key, *(double *)slot, why);
    case ZONE:
        if (!is_zone(text))
            return "must be a time zone such as Europe/Berlin";
        break;
    case LEVEL:
        if (!one_of(text, levels))
            return "must be debug, info, warn or error";
        break;
    case FORMAT:
        if (!one_of(text, formats))
            return "must be text or json";
        break;
    case BUS:
        if (!one_of(text, buses))
            return "must be local (other buses are not supported by this version)";
        break;
    case TEXT:
    case PATH:
        if (!*text)
            return "must not be empty";
        break;
    }
    free(*(char **)slot);
    *(char **)slot = key->kind == PATH ? peri_path_beside(base, text) : peri_strdup(text);
    config->lost = config->lost || !*(char **)slot;
    return NULL;
}

static void finding(
    struct loader *l, const struct peri_node *node, const char *code, const char *hint, const char *text)
{
    peri_diag_add(l->diag, node->place, PERI_SEV_ERROR, code, hint, "%s", text);
}

/* !env NAME reads the environment, !secret stays a name that only the plugin host opens. */
static enum peri_status resolve_tag(
    void *ctx, const struct peri_node *node, struct peri_value **ret, struct peri_error *err)
{
    if (peri_streq(node->tag, "!env")) {
        const char *text = getenv(node->text);
        if (!text)
            return peri_error_set(err, PERI_EINVAL, "env", "the environment has no variable %s", node->text);
        *ret = peri_value_str(text);
    } else {
        *ret = peri_value_map();
        if (*ret && peri_map_put_text(*ret, "$secret", node->text)) {
            peri_value_unref(*ret);
            *ret = NULL;
        }
    }
    return *ret ? PERI_OK : peri_error_nomem(err);
}

static void read_scalar(struct loader *l, const struct key *key, const struct peri_node *node)
{
    const char *text = node->text;
    char why[128];
    if (node->kind != PERI_NODE_SCALAR || (node->type == PERI_NULL && !node->tag)) {
        peri_diag_add(l->diag, node->place, PERI_SEV_ERROR, "wrong-type", NULL, "\"%s\" must be a single value, is %s",
            key->path, peri_node_describe(node));
        return;
    }
    if (node->tag && peri_streq(node->tag, "!env"))
        text = getenv(node->text);
    else if (node->tag) {
        finding(l, node, "secret-here", NULL,
            "!secret works in the settings of plugins and accounts only; use !env or a credential file here");
        return;
    }
    if (!text) {
        peri_diag_add(
            l->diag, node->place, PERI_SEV_ERROR, "env", NULL, "the environment has no variable %s", node->text);
        return;
    }
    const char *wrong = store(l->config, key, text, l->config->file, why);
    if (wrong)
        peri_diag_add(l->diag, node->place, PERI_SEV_ERROR, "wrong-value", NULL, "\"%s\" %s", key->path, wrong);
}

void peri_config_unknown_key(struct peri_diag *diag, const struct peri_node *key, const char *const *known)
{
    const char *near = peri_nearest(key->text, known);
    char *hint = near ? peri_asprintf("did you mean \"%s\"?", near) : NULL;
    struct peri_buf all;
    peri_buf_init(&all, 1024);
    for (size_t i = 0; known[i]; i++)
        peri_buf_printf(&all, "%s%s", i ? ", " : "", known[i]);
    peri_diag_add(diag, key->place, PERI_SEV_ERROR, "unknown-key", hint, "unknown key \"%s\" (here: %s)", key->text,
        peri_buf_text(&all));
    peri_buf_finish(&all);
    free(hint);
}

static void unknown_key(struct loader *l, const struct peri_node *key, const char *const *known)
{
    peri_config_unknown_key(l->diag, key, known);
}

/* {source: events a second} */
static void read_sources(struct loader *l, const struct peri_node *map)
{
    struct peri_config *c = l->config;
    if (map->kind != PERI_NODE_MAP) {
        finding(l, map, "wrong-type", NULL, "\"limits.sources\" must be a mapping of sources to events a second");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *value = map->pairs[i].value;
        long long n;
        if (value->kind != PERI_NODE_SCALAR || value->tag || !peri_parse_i64(value->text, &n) || n < 0 || n > 1000000) {
            finding(l, value, "wrong-value", NULL, "events a second must be a whole number from 0 (any) to 1000000");
            continue;
        }
        char *source = peri_strdup(map->pairs[i].key->text);
        if (!source || !peri_vec_grow(&c->limits.sources, &c->limits.source_cap, c->limits.source_count + 1,
                           sizeof(*c->limits.sources))) {
            free(source);
            c->lost = true;
            return;
        }
        c->limits.sources[c->limits.source_count++] = (struct peri_source_limit){source, n};
    }
}

/* A section of scalars: every key "prefix.name" of the table. */
static void read_section(struct loader *l, const char *prefix, const struct peri_node *map)
{
    const char *known[KEY_COUNT + 2];
    char names[KEY_COUNT][32];
    size_t n = 0, plen = strlen(prefix);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strncmp(keys[i].path, prefix, plen) != 0 || keys[i].path[plen] != '.')
            continue;
        const char *rest = keys[i].path + plen + 1;
        snprintf(names[n], sizeof(names[n]), "%.*s", (int)strcspn(rest, "."), rest);
        if (n == 0 || strcmp(names[n - 1], names[n]) != 0) {
            known[n] = names[n];
            n++;
        }
    }
    if (peri_streq(prefix, "limits"))
        known[n++] = "sources";
    known[n] = NULL;
    if (map->kind != PERI_NODE_MAP) {
        peri_diag_add(l->diag, map->place, PERI_SEV_ERROR, "wrong-type", NULL, "\"%s\" must be a mapping, is %s",
            prefix, peri_node_describe(map));
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        char path[96];
        snprintf(path, sizeof(path), "%s.%s", prefix, map->pairs[i].key->text);
        const struct key *key = NULL;
        for (size_t k = 0; k < KEY_COUNT; k++)
            if (peri_streq(keys[k].path, path))
                key = &keys[k];
        if (key)
            read_scalar(l, key, map->pairs[i].value);
        else if (peri_streq(path, "http.tls"))
            read_section(l, path, map->pairs[i].value);
        else if (peri_streq(path, "limits.sources"))
            read_sources(l, map->pairs[i].value);
        else
            unknown_key(l, map->pairs[i].key, known);
    }
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static bool list_add(char ***list, char *item)
{
    size_t n = 0;
    while (*list && (*list)[n])
        n++;
    char **grown = item ? realloc(*list, (n + 2) * sizeof(**list)) : NULL;
    if (!grown) {
        free(item);
        return false;
    }
    grown[n] = item;
    grown[n + 1] = NULL;
    *list = grown;
    return true;
}

/* take item */
static void list_keep(struct peri_config *c, char ***list, char *item)
{
    c->lost = !list_add(list, item) || c->lost;
}

static void read_folders(struct loader *l, const char *name, const struct peri_node *node, char ***list)
{
    if (node->kind == PERI_NODE_SCALAR) {
        list_keep(l->config, list, peri_path_beside(l->config->file, node->text));
        return;
    }
    if (node->kind != PERI_NODE_LIST) {
        peri_diag_add(
            l->diag, node->place, PERI_SEV_ERROR, "wrong-type", NULL, "\"%s\" must be a list of folders", name);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind == PERI_NODE_SCALAR)
            list_keep(l->config, list, peri_path_beside(l->config->file, node->items[i]->text));
        else
            finding(l, node->items[i], "wrong-type", NULL, "a folder must be a text");
    }
}

static void read_plugin(struct loader *l, const struct peri_node *id, const struct peri_node *entry)
{
    static const char *const known[] = {"enabled", "config", NULL};
    struct peri_config *c = l->config;
    if (entry->kind != PERI_NODE_MAP) {
        finding(l, entry, "wrong-type", NULL, "a plugin's entry must be a mapping with \"enabled\" and \"config\"");
        return;
    }
    if (!peri_vec_grow(&c->plugins, &c->plugin_cap, c->plugin_count + 1, sizeof(*c->plugins))) {
        c->lost = true;
        return;
    }
    struct peri_config_plugin *p = &c->plugins[c->plugin_count++];
    p->id = peri_strdup(id->text);
    c->lost = c->lost || !p->id;
    p->enabled = true;
    p->node = entry;
    for (size_t i = 0; i < entry->count; i++) {
        const struct peri_node *key = entry->pairs[i].key, *value = entry->pairs[i].value;
        struct peri_error err;
        if (peri_streq(key->text, "enabled") && value->kind == PERI_NODE_SCALAR && value->type == PERI_BOOL)
            p->enabled = peri_streq(value->text, "true");
        else if (peri_streq(key->text, "enabled"))
            finding(l, value, "wrong-type", NULL, "\"enabled\" must be true or false");
        else if (!peri_streq(key->text, "config"))
            unknown_key(l, key, known);
        else {
            p->node = value;
            if (peri_node_value(value, resolve_tag, NULL, &p->config, &err))
                finding(l, value, err.code, NULL, err.message);
        }
    }
}

static bool is_word(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->type == PERI_STRING && !node->tag && node->len > 0;
}

/* A text, or {subject, body}. */
static bool check_fallback(struct loader *l, const struct peri_node *node)
{
    static const char *const known[] = {"subject", "body", NULL};
    bool good = is_word(node) || (node->kind == PERI_NODE_MAP && peri_node_get(node, "body", NULL));
    for (size_t i = 0; good && node->kind == PERI_NODE_MAP && i < node->count; i++) {
        good = is_word(node->pairs[i].value);
        if (!one_of(node->pairs[i].key->text, known)) {
            unknown_key(l, node->pairs[i].key, known);
            return false;
        }
    }
    if (!good)
        finding(l, node, "wrong-type", NULL, "\"fallback\" must be a text, or {subject, body} of texts");
    return good;
}

/* {sms: twilio} or {sms: {plugin: twilio, fallback: "..."}} */
static bool check_channels(struct loader *l, const struct peri_node *map)
{
    static const char *const known[] = {"plugin", "fallback", NULL};
    bool good = true;
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *value = map->pairs[i].value;
        bool fits = is_word(value) || value->kind == PERI_NODE_MAP;
        for (size_t k = 0; fits && value->kind == PERI_NODE_MAP && k < value->count; k++) {
            const struct peri_node *key = value->pairs[k].key, *item = value->pairs[k].value;
            if (!one_of(key->text, known)) {
                unknown_key(l, key, known);
                good = false;
            } else if (peri_streq(key->text, "fallback")) {
                good = check_fallback(l, item) && good;
            } else {
                fits = is_word(item);
            }
        }
        if (!fits)
            finding(l, value, "wrong-type", NULL, "a channel is a plugin id, or {plugin, fallback}");
        good = good && fits;
    }
    return good;
}

static void read_top(struct loader *l, const struct peri_node *key, const struct peri_node *value)
{
    struct peri_error err;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (peri_streq(keys[i].path, key->text)) {
            read_scalar(l, &keys[i], value);
            return;
        }
    }
    if (peri_streq(key->text, "rules"))
        read_folders(l, "rules", value, &l->config->rules);
    else if (peri_streq(key->text, "plugin_path"))
        read_folders(l, "plugin_path", value, &l->config->plugin_path);
    else if (peri_streq(key->text, "channels")) {
        if (value->kind != PERI_NODE_MAP)
            finding(l, value, "wrong-type", NULL, "\"channels\" must be a mapping from a channel type to a plugin id");
        else if (!check_channels(l, value))
            return;
        else if (peri_node_value(value, NULL, NULL, &l->config->channels, &err))
            finding(l, value, err.code, NULL, err.message);
    } else if (peri_streq(key->text, "accounts")) {
        peri_config_accounts(value, resolve_tag, &l->config->accounts, l->diag);
    } else if (peri_streq(key->text, "privacy")) {
        peri_config_privacy(value, &l->config->personal, l->diag);
    } else if (peri_streq(key->text, "plugins")) {
        if (value->kind != PERI_NODE_MAP)
            finding(l, value, "wrong-type", NULL, "\"plugins\" must be a mapping from plugin ids to their settings");
        for (size_t i = 0; value->kind == PERI_NODE_MAP && i < value->count; i++)
            read_plugin(l, value->pairs[i].key, value->pairs[i].value);
    } else if (peri_streq(key->text, "http") || peri_streq(key->text, "log") || peri_streq(key->text, "limits") ||
               peri_streq(key->text, "retention") || peri_streq(key->text, "location"))
        read_section(l, key->text, value);
    else
        unknown_key(l, key, top_keys);
}

static void read_environment(struct loader *l)
{
    char why[128];
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char name[96] = "PERIGEE_";
        size_t n = strlen(name);
        for (const char *p = keys[i].path; *p && n + 1 < sizeof(name); p++)
            name[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        name[n] = '\0';
        const char *text = getenv(name);
        if (!text || !*text)
            continue;
        const char *wrong = store(l->config, &keys[i], text, NULL, why);
        struct peri_place place = {"environment", 0, 0};
        if (wrong)
            peri_diag_add(l->diag, place, PERI_SEV_ERROR, "wrong-value", NULL, "%s %s", name, wrong);
    }
}

/* Finds the file; *ret_file stays NULL when none was asked for and none exists. */
static enum peri_status find_file(const struct peri_config_flags *flags, char **ret_file, struct peri_diag *diag)
{
    const char *asked = flags->config ? flags->config : getenv("PERIGEE_CONFIG");
    if (asked && *asked) {
        *ret_file = peri_strdup(asked);
        if (flags->text || peri_path_is_file(asked))
            return *ret_file ? PERI_OK : PERI_ENOMEM;
        peri_diag_add(diag, (struct peri_place){asked, 0, 0}, PERI_SEV_ERROR, "no-file", NULL,
            "there is no such configuration file");
        return PERI_EINVAL;
    }
    char *folder = peri_path_config();
    char *file = peri_path_join(folder, "perigee.yaml");
    free(folder);
    if (!file)
        return PERI_ENOMEM;
    if (peri_path_is_file(file))
        *ret_file = file;
    else
        free(file);
    return PERI_OK;
}

static void fill_defaults(struct peri_config *c)
{
    char why[128];
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (keys[i].fallback)
            (void)store(c, &keys[i], keys[i].fallback, NULL, why);
}

static void finish_paths(struct peri_config *c, const struct peri_config_flags *flags)
{
    if (flags->state_dir) {
        free(c->state_dir);
        c->state_dir = peri_strdup(flags->state_dir);
    }
    if (!c->state_dir)
        c->state_dir = peri_path_state();
    c->database = peri_path_join(c->state_dir, "perigee.db");
    if (!c->policy)
        c->policy = peri_path_join(c->state_dir, "policy.yaml");
    bool only_flags = flags->rules && flags->rules[0];
    if (only_flags) {
        free_list(c->rules);
        c->rules = NULL;
    }
    for (size_t i = 0; only_flags && flags->rules[i]; i++)
        list_keep(c, &c->rules, peri_strdup(flags->rules[i]));
    if (!c->rules) {
        char *folder = peri_path_config();
        list_keep(c, &c->rules, peri_path_join(folder, "rules"));
        free(folder);
        list_keep(c, &c->rules, peri_path_bundled_rules());
    }
    for (size_t i = 0; flags->plugins && flags->plugins[i]; i++)
        list_keep(c, &c->plugin_path, peri_strdup(flags->plugins[i]));
    if (!c->plugin_path) {
        char *folder = peri_path_config();
        list_keep(c, &c->plugin_path, peri_path_join(folder, "plugins"));
        free(folder);
    }
}

enum peri_status peri_config_load(
    const struct peri_config_flags *flags, struct peri_config *config, struct peri_diag *diag)
{
    memset(config, 0, sizeof(*config));
    config->flags = *flags;
    config->latitude = config->longitude = NAN;
    struct loader l = {config, diag};
    size_t errors = diag->errors;
    fill_defaults(config);
    enum peri_status st = find_file(flags, &config->file, diag);
    if (st == PERI_OK && config->file)
        st = flags->text ? peri_yaml_parse(config->file, flags->text, flags->text_len, tags, &config->doc, diag)
                         : peri_yaml_load(config->file, tags, &config->doc, diag);
    if (st == PERI_OK && config->doc && config->doc->count > 0) {
        const struct peri_node *root = config->doc->roots[0];
        if (root->kind != PERI_NODE_MAP)
            finding(&l, root, "wrong-type", NULL, "the configuration must be a mapping of keys");
        for (size_t i = 0; root->kind == PERI_NODE_MAP && i < root->count; i++)
            read_top(&l, root->pairs[i].key, root->pairs[i].value);
    }
    read_environment(&l);
    finish_paths(config, flags);
    if (!config->http.tls_cert != !config->http.tls_key)
        peri_diag_add(diag, (struct peri_place){config->file ? config->file : "environment", 0, 0}, PERI_SEV_ERROR,
            "tls", NULL, "\"http.tls\" needs both \"cert\" and \"key\"");
    bool lost = config->lost || diag->lost || !config->state_dir || !config->database || !config->policy;
    if (st == PERI_OK && diag->errors == errors && !lost)
        return PERI_OK;
    if (diag->errors == errors) /* a setting less would be another service */
        peri_diag_add(diag, (struct peri_place){"perigee.yaml", 0, 0}, PERI_SEV_ERROR, "unreadable", NULL,
            "the configuration could not be read: out of memory");
    peri_config_finish(config);
    return lost ? PERI_ENOMEM : PERI_EINVAL;
}

void peri_config_finish(struct peri_config *c)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (keys[i].kind >= TEXT)
            free(*text_slot(c, &keys[i]));
    for (size_t i = 0; i < c->plugin_count; i++) {
        free(c->plugins[i].id);
        peri_value_unref(c->plugins[i].config);
    }
    for (size_t i = 0; i < c->limits.source_count; i++)
        free((char *)(uintptr_t)c->limits.sources[i].source);
    free(c->limits.sources);
    free(c->plugins);
    free_list(c->rules);
    free_list(c->plugin_path);
    free(c->database);
    peri_value_unref(c->channels);
    peri_value_unref(c->accounts);
    peri_value_unref(c->personal);
    peri_yaml_destroy(c->doc);
    free(c->file);
    if (c->former)
        peri_config_finish(c->former);
    free(c->former);
    memset(c, 0, sizeof(*c));
}

bool peri_config_settings(void *config, const char *plugin_id, struct peri_plugin_settings *ret)
{
    struct peri_config *c = config;
    for (size_t i = 0; i < c->plugin_count; i++) {
        if (!peri_streq(c->plugins[i].id, plugin_id))
            continue;
        *ret = (struct peri_plugin_settings){c->plugins[i].enabled, c->plugins[i].config, c->plugins[i].node};
        return true;
    }
    return false;
}

const char *peri_config_channel(void *config, const char *type)
{
    const struct peri_value *v = peri_map_at(((struct peri_config *)config)->channels, type);
    return peri_value_is(v, PERI_MAP) ? peri_map_text(v, "plugin") : peri_value_text(v);
}

const struct peri_value *peri_config_fallback(void *config, const char *type)
{
    return peri_map_at(peri_map_at(((struct peri_config *)config)->channels, type), "fallback");
}

const char *peri_config_scalar(const struct peri_config *a, const struct peri_config *b, size_t i, bool *ret_differs)
{
    if (i >= KEY_COUNT)
        return NULL;
    const char *x = (const char *)a + keys[i].offset, *y = (const char *)b + keys[i].offset;
    *ret_differs = keys[i].kind >= TEXT ? !peri_streq(*(char *const *)x, *(char *const *)y)
                                        : memcmp(x, y, keys[i].kind == NUMBER ? sizeof(double) : sizeof(int64_t)) != 0;
    return keys[i].path;
}
