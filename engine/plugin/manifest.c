/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.json is checked twice: as JSON (a file that only YAML would accept is refused) and as YAML, whose tree knows
 * the place of every node. Checks run over the JSON value and name what they dislike by pointer; the tree turns the
 * pointer into a line and a column. */
#include "plugin/manifest_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "data/semver.h"
#include "data/yaml.h"
#include "lang/glob.h"
#include "plugin/package.h"

#define MANIFEST_BYTES (256 * 1024)

struct peri_place peri_manifest_place(const struct peri_manifest_reader *r, const char *pointer)
{
    if (!r->root)
        return (struct peri_place){.file = r->file};
    return peri_node_at_pointer(r->root, pointer)->place;
}

/* --- words --- */

static const char *const type_names[] = {"operator", "connector", "channel", NULL};

const char *peri_plugin_type_name(enum peri_plugin_type type)
{
    return type_names[type];
}

static bool lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool peri_plugin_id_ok(const char *id)
{
    size_t n = id ? strlen(id) : 0;
    if (n < 3 || n > 128 || !lower_alnum(id[0]) || !lower_alnum(id[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!lower_alnum(id[i]) && id[i] != '.' && id[i] != '-')
            return false;
    return true;
}

static const struct {
    const char *plural, *singular;
} plurals[] = {
    {"calls", "call"},
    {"tasks", "task"},
    {"contacts", "contact"},
    {"messages", "message"},
    {"voicemails", "voicemail"},
    {"places", "place"},
    {"emails", "email"},
    {"conversations", "conversation"},
    {"calendar_events", "calendar_event"},
    {"calendarEvents", "calendar_event"},
    {"presences", "presence"},
};

const char *peri_entity_type_singular(const char *type)
{
    for (size_t i = 0; i < sizeof(plurals) / sizeof(plurals[0]); i++)
        if (!strcmp(type, plurals[i].plural))
            return plurals[i].singular;
    return type;
}

/* --- permissions --- */

static bool word_ok(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-' && *s != '.')
            return false;
    return true;
}

static enum peri_status check_type(const char *arg, struct peri_error *err)
{
    if (!strcmp(arg, "*") || word_ok(arg))
        return PERI_OK;
    return peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" is no name of a type", arg);
}

static enum peri_status check_word(const char *arg, struct peri_error *err)
{
    return word_ok(arg) ? PERI_OK : peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" is no name", arg);
}

static enum peri_status check_path(const char *arg, struct peri_error *err)
{
    if (arg[0] != '/' || strstr(arg, "/../") || peri_str_ends(arg, "/.."))
        return peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" is no absolute path without \"..\"", arg);
    return PERI_OK;
}

static enum peri_status check_event(const char *arg, struct peri_error *err)
{
    return peri_glob_check(arg, err);
}

static enum peri_status check_host(const char *arg, struct peri_error *err)
{
    size_t n = strlen(arg);
    if (arg[0] == '{') {
        if (peri_str_starts(arg, "{config.") && n > 9 && arg[n - 1] == '}' && !memchr(arg + 8, '}', n - 9))
            return PERI_OK;
        return peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" must be {config.KEY}", arg);
    }
    if (arg[0] == '[') { /* IPv6 */
        const char *end = strchr(arg, ']');
        if (end && strspn(arg + 1, "0123456789abcdefABCDEF:.") == (size_t)(end - arg - 1))
            return PERI_OK;
        return peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" is no address", arg);
    }
    const char *p = peri_str_starts(arg, "*.") ? arg + 2 : arg;
    const char *colon = strchr(p, ':');
    size_t len = colon ? (size_t)(colon - p) : strlen(p);
    bool ok = len > 0 && len <= 253 && p[0] != '.' && p[0] != '-';
    for (size_t i = 0; ok && i < len; i++)
        ok = isalnum((unsigned char)p[i]) || p[i] == '-' || p[i] == '_' ||
             (p[i] == '.' && i + 1 < len && p[i + 1] != '.');
    if (ok && colon) {
        long long port;
        ok = peri_parse_i64(colon + 1, &port) && port >= 1 && port <= 65535;
    }
    if (!ok)
        return peri_error_set(err, PERI_EINVAL, NULL,
            "\"%s\" is no host: a name, \"*.\" and a name, or an address, without scheme or path", arg);
    return PERI_OK;
}

static const struct permission_kind {
    const char *name; /* ends in ':' when an argument follows */
    enum peri_status (*check)(const char *arg, struct peri_error *err);
} permission_kinds[] = {
    {"network:outbound:", check_host},
    {"network:inbound", NULL},
    {"filesystem:read:", check_path},
    {"event:publish:", check_event},
    {"event:subscribe:", check_event},
    {"data:read:", check_type},
    {"data:write:", check_type},
    {"storage:read", NULL},
    {"storage:write", NULL},
    {"scheduler:read", NULL},
    {"scheduler:write", NULL},
    {"operators:call", NULL},
    {"actions:intercept", NULL},
    {"channels:send:", check_type},
    {"accounts:", check_word},
    {"secrets:mtls", NULL},
    {"contacts:read", NULL},
};
#define PERMISSION_KINDS (sizeof(permission_kinds) / sizeof(permission_kinds[0]))

enum peri_status peri_permission_check(const char *permission, struct peri_error *err)
{
    const char *names[PERMISSION_KINDS + 1];
    if (!peri_text_is_plain(permission)) /* it is read on a terminal by who approves it */
        return peri_error_set(err, PERI_EINVAL, NULL, "a permission holds a control character");
    for (size_t i = 0; i < PERMISSION_KINDS; i++) {
        const struct permission_kind *kind = &permission_kinds[i];
        names[i] = kind->name;
        if (!kind->check && !strcmp(permission, kind->name))
            return PERI_OK;
        if (kind->check && peri_str_starts(permission, kind->name)) {
            enum peri_status st = kind->check(permission + strlen(kind->name), err);
            if (st)
                peri_error_prefix(err, "permission \"%s\"", permission);
            return st;
        }
    }
    names[PERMISSION_KINDS] = NULL;
    const char *near = peri_nearest(permission, names);
    return peri_error_set(err, PERI_EINVAL, NULL, "\"%s\" is no permission%s%s%s", permission,
        near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

/* --- keys --- */

static const char *describe(const struct peri_value *v)
{
    static const char *const words[] = {"null", "a boolean", "a number", "a number", "a string", "a list", "an object"};
    return words[peri_value_type(v)];
}

bool peri_manifest_want(struct peri_manifest_reader *r, const struct peri_value *v, enum peri_type type,
    const char *pointer, const char *what)
{
    if (peri_value_is(v, type))
        return true;
    static const char *const words[] = {
        "null", "a boolean", "an integer", "a number", "a string", "a list", "an object"};
    FINDING(r, pointer, "bad-type", NULL, "%s must be %s, is %s", what, words[type], describe(v));
    return false;
}

static bool key_known(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (!strcmp(key, *known))
            return true;
    return false;
}

void peri_manifest_keys(
    struct peri_manifest_reader *r, const struct peri_value *map, const char *pointer, const char *const *known)
{
    for (void *it = peri_map_first(map); it; it = peri_map_next(map, it)) {
        const char *key = peri_map_key(it, NULL);
        if (key_known(key, known))
            continue;
        struct peri_place place = peri_manifest_place(r, pointer);
        struct peri_node *key_node = NULL;
        if (r->root && peri_node_get(peri_node_at_pointer(r->root, pointer), key, &key_node) && key_node)
            place = key_node->place;
        const char *near = peri_nearest(key, known);
        char *hint = near ? peri_asprintf("did you mean \"%s\"?", near) : NULL;
        peri_diag_add(r->diag, place, PERI_SEV_ERROR, "unknown-key", hint, "unknown key \"%s\"", key);
        free(hint);
    }
}

static const char *required_text(struct peri_manifest_reader *r, const char *key)
{
    const struct peri_value *v = peri_map_at(r->doc, key);
    char pointer[64];
    snprintf(pointer, sizeof(pointer), "/%s", key);
    if (!v) {
        FINDING(r, "", "missing-key", NULL, "\"%s\" is missing", key);
        return NULL;
    }
    if (!peri_manifest_want(r, v, PERI_STRING, pointer, key))
        return NULL;
    if (!*peri_value_text(v)) {
        FINDING(r, pointer, "empty", NULL, "\"%s\" is empty", key);
        return NULL;
    }
    return peri_value_text(v);
}

static char *optional_text(struct peri_manifest_reader *r, const char *key)
{
    const struct peri_value *v = peri_map_at(r->doc, key);
    char pointer[64];
    snprintf(pointer, sizeof(pointer), "/%s", key);
    return peri_strdup(v && peri_manifest_want(r, v, PERI_STRING, pointer, key) ? peri_value_text(v) : "");
}

static void read_head(struct peri_manifest_reader *r)
{
    struct peri_manifest *m = r->m;
    const char *s = required_text(r, "id");
    if (s && !peri_plugin_id_ok(s))
        FINDING(r, "/id", "bad-id", NULL,
            "id \"%s\" must be 3 to 128 lower-case letters, digits, dots and dashes, beginning and ending with a "
            "letter or digit",
            s);
    else if (s && strcmp(s, "rules") == 0)
        FINDING(r, "/id", "bad-id", "put something before it, such as org.example.rules",
            "the id \"%s\" is taken: /hooks/rules are the webhooks of rules", s);
    m->id = peri_strdup(s ? s : "");
    m->name = peri_strdup((s = required_text(r, "name")) ? s : "");
    s = required_text(r, "version");
    if (s && !peri_semver_ok(s))
        FINDING(r, "/version", "bad-version", "for example 1.0.0", "version \"%s\" is not a semantic version", s);
    m->version = peri_strdup(s ? s : "");
    if ((s = required_text(r, "type"))) {
        size_t i = 0;
        while (type_names[i] && strcmp(type_names[i], s))
            i++;
        if (type_names[i])
            m->type = (enum peri_plugin_type)i;
        else
            FINDING(r, "/type", "bad-value", "one of: operator, connector, channel", "unknown type \"%s\"", s);
    }
    m->description = optional_text(r, "description");
    m->author = optional_text(r, "author");
    m->homepage = optional_text(r, "homepage");
    m->license = optional_text(r, "license");
}

static void read_api_version(struct peri_manifest_reader *r)
{
    const char *s = required_text(r, "apiVersion");
    int major = -1, minor = -1, used = 0;
    if (!s)
        return;
    if (!isdigit((unsigned char)s[0]) || strlen(s) > 9 || sscanf(s, "%d.%d%n", &major, &minor, &used) != 2 || s[used] ||
        minor < 0)
        FINDING(r, "/apiVersion", "bad-version", "for example \"1.0\"", "apiVersion \"%s\" is not MAJOR.MINOR", s);
    else if (major != PERI_API_MAJOR || minor > PERI_API_MINOR)
        FINDING(r, "/apiVersion", "api-version", NULL, "apiVersion %s is not offered: this perigee speaks %d.%d%s", s,
            PERI_API_MAJOR, PERI_API_MINOR,
            major > PERI_API_MAJOR || (major == PERI_API_MAJOR && minor > PERI_API_MINOR)
                ? ", so it is too old for this plugin"
                : "");
}

static void read_entrypoint(struct peri_manifest_reader *r)
{
    const char *s = required_text(r, "entrypoint");
    if (!s)
        return;
    if (!peri_package_path_ok(s, &r->m->entrypoint))
        FINDING(r, "/entrypoint", "bad-entrypoint", "for example \"./init.lua\"",
            "entrypoint \"%s\" must be a file inside the plugin's folder", s);
    else if (!peri_str_ends(s, ".lua") && !peri_str_ends(s, ".so"))
        FINDING(r, "/entrypoint", "bad-entrypoint", NULL, "entrypoint \"%s\" must end in .lua or .so", s);
    r->m->native = peri_str_ends(s, ".so");
}

static void read_permissions(struct peri_manifest_reader *r)
{
    const struct peri_value *list = peri_map_at(r->doc, "permissions");
    if (list && !peri_manifest_want(r, list, PERI_LIST, "/permissions", "permissions"))
        list = NULL;
    size_t n = peri_value_count(list);
    r->m->permissions = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; r->m->permissions && i < n; i++) {
        char pointer[64];
        struct peri_error err = {0};
        snprintf(pointer, sizeof(pointer), "/permissions/%zu", i);
        const struct peri_value *v = peri_list_at(list, i);
        if (!peri_manifest_want(r, v, PERI_STRING, pointer, "a permission"))
            continue;
        const char *s = peri_value_text(v);
        if (peri_permission_check(s, &err)) {
            FINDING(r, pointer, "bad-permission", NULL, "%s", err.message);
            continue;
        }
        if (!key_known(s, (const char *const *)r->m->permissions))
            r->m->permissions[r->m->permission_count++] = peri_strdup(s);
    }
}

static void read_schema(struct peri_manifest_reader *r)
{
    const struct peri_value *schema = peri_map_at(r->doc, "configSchema");
    struct peri_error err = {0};
    if (!schema || !peri_manifest_want(r, schema, PERI_MAP, "/configSchema", "configSchema"))
        return;
    if (peri_schema_compile(schema, &r->m->config_schema, &err))
        FINDING(r, "/configSchema", "bad-schema", NULL, "configSchema: %s", err.message);
}

static void read_all(struct peri_manifest_reader *r)
{
    static const char *const known[] = {"id", "name", "version", "type", "apiVersion", "entrypoint", "permissions",
        "configSchema", "relationships", "load", "events", "limits", "mtlsSecrets", "author", "description", "homepage",
        "license", "$schema", NULL};
    peri_manifest_keys(r, r->doc, "", known);
    read_head(r);
    read_api_version(r);
    read_entrypoint(r);
    read_permissions(r);
    read_schema(r);
    peri_manifest_read_limits(r);
    peri_manifest_read_relations(r);
    peri_manifest_read_events(r);
}

/* Nothing of it was lost: a permission less would be another plugin. */
static bool whole(const struct peri_manifest *m)
{
    const char *const texts[] = {m->id, m->name, m->version, m->description, m->author, m->homepage, m->license};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!texts[i])
            return false;
    for (size_t i = 0; m->permissions && i < m->permission_count; i++)
        if (!m->permissions[i])
            return false;
    return m->permissions != NULL;
}

/* "line 3, column 7: text" of the JSON reader, as a finding at that place. */
static void syntax_finding(const char *file, const struct peri_error *err, struct peri_diag *diag)
{
    int line = 0, column = 0, used = 0;
    const char *text = err->message;
    if (sscanf(text, "line %d, column %d: %n", &line, &column, &used) >= 2 && used > 0)
        text += used;
    peri_diag_add(
        diag, (struct peri_place){file, line, column}, PERI_SEV_ERROR, "json-syntax", NULL, "not valid JSON: %s", text);
}

/* A name that goes on behind a NUL would be read by a person as another than by us. */
static bool holds_nul(const struct peri_value *v, int depth)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (text && memchr(text, 0, len))
        return true;
    for (size_t i = 0; depth > 0 && peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        if (holds_nul(peri_list_at(v, i), depth - 1))
            return true;
    for (void *it = depth > 0 && peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; it; it = peri_map_next(v, it)) {
        const char *key = peri_map_key(it, &len);
        if (memchr(key, 0, len) || holds_nul(peri_map_item(it), depth - 1))
            return true;
    }
    return false;
}

enum peri_status peri_manifest_parse(
    const char *file, const char *text, size_t len, struct peri_manifest **ret, struct peri_diag *diag)
{
    static const char *const no_tags[] = {NULL};
    struct peri_error err = {0};
    struct peri_value *doc = NULL;
    struct peri_yaml_doc *tree = NULL;
    struct peri_diag ignored;
    size_t before = diag->errors;
    enum peri_status st = len > MANIFEST_BYTES
                              ? peri_error_set(&err, PERI_EINVAL, NULL,
                                    "plugin.json has %zu bytes, at most %d are allowed", len, MANIFEST_BYTES)
                              : peri_json_parse_strict(text, len, &doc, &err);
    if (st == PERI_ENOMEM)
        return st;
    if (!st && holds_nul(doc, PERI_JSON_DEPTH)) {
        peri_value_unref(doc);
        st = peri_error_set(&err, PERI_EINVAL, NULL, "a text must not hold a NUL character (\\u0000)");
    }
    if (st) {
        syntax_finding(file, &err, diag);
        return PERI_EINVAL;
    }
    peri_diag_init(&ignored);
    if (peri_yaml_parse(file, text, len, no_tags, &tree, &ignored))
        tree = NULL; /* JSON that YAML dislikes: findings without lines */
    struct peri_manifest_reader r = {
        .file = file, .root = tree && tree->count ? tree->roots[0] : NULL, .diag = diag, .doc = doc};
    struct peri_manifest *m = r.m = calloc(1, sizeof(*m));
    if (m) {
        m->source = doc;
        if (peri_manifest_want(&r, doc, PERI_MAP, "", "plugin.json"))
            read_all(&r);
    } else {
        peri_value_unref(doc);
    }
    peri_yaml_destroy(tree);
    peri_diag_finish(&ignored);
    if (!m || diag->lost || diag->errors > before || !whole(m)) {
        bool wrong = m && diag->errors > before;
        peri_manifest_destroy(m);
        return wrong ? PERI_EINVAL : PERI_ENOMEM;
    }
    *ret = m;
    return PERI_OK;
}

void peri_manifest_destroy(struct peri_manifest *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->permission_count; i++)
        free(m->permissions[i]);
    free(m->permissions);
    free(m->id);
    free(m->name);
    free(m->version);
    free(m->entrypoint);
    free(m->description);
    free(m->author);
    free(m->homepage);
    free(m->license);
    peri_schema_destroy(m->config_schema);
    for (size_t i = 0; i < m->relation_count; i++) {
        free(m->relations[i].id);
        peri_range_destroy(m->relations[i].range);
    }
    free(m->relations);
    for (size_t i = 0; i < m->event_count; i++) {
        free(m->events[i].name);
        peri_schema_destroy(m->events[i].schema);
    }
    free(m->events);
    peri_value_unref(m->source);
    free(m);
}
