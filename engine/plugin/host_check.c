/* SPDX-License-Identifier: Apache-2.0 */
/* Is this folder a plugin that may be loaded, with settings it can work with? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/yaml.h"
#include "plugin/host_check.h"

/* When memory is out, what was read before goes on counting: nobody has revoked anything. */
static void read_policy(
    struct peri_host *host, const char *path, bool out_of_memory, struct peri_policy **policy, struct peri_diag *diag)
{
    struct peri_policy *fresh = NULL;
    enum peri_status st = out_of_memory ? PERI_ENOMEM : peri_policy_load(path, &fresh, diag);
    if (st == PERI_ENOMEM) {
        peri_err(host->options.log, "plugins", "%s can not be read: out of memory", path ? path : "policy.yaml");
        peri_diag_add(diag, (struct peri_place){path ? path : "policy.yaml", 0, 0}, PERI_SEV_ERROR, "unreadable", NULL,
            "could not be read: out of memory");
        return;
    }
    if (st)
        peri_err(host->options.log, "plugins", "%s can not be read: nothing in it counts", path);
    peri_policy_destroy(*policy);
    *policy = fresh;
}

void peri_host_read_policies(struct peri_host *host, struct peri_diag *diag)
{
    char *shipped = host->bundled_path ? peri_asprintf("%s/policy.yaml", host->bundled_path) : NULL;
    read_policy(host, host->policy_file, false, &host->policy, diag);
    read_policy(host, shipped, host->bundled_path && !shipped, &host->shipped, diag);
    free(shipped);
    if (host->policy)
        peri_audit_grants(host);
}

/* --- settings --- */

static bool is_secret(const struct peri_value *v)
{
    return peri_value_is(v, PERI_MAP) && peri_value_count(v) == 1 && peri_map_text(v, "$secret");
}

/* A secret stands for a text nobody may see: the schema is asked about "" instead, and what it says about that text is
 * not counted (see names_secret). */
static struct peri_value *without_secrets(const struct peri_value *v)
{
    struct peri_value *out;
    enum peri_status st = PERI_OK;
    if (is_secret(v))
        return peri_value_str("");
    if (peri_value_is(v, PERI_MAP)) {
        out = peri_value_map();
        for (void *it = peri_map_first(v); out && !st && it; it = peri_map_next(v, it))
            st = peri_map_put(out, peri_map_key(it, NULL), without_secrets(peri_map_item(it)));
    } else if (peri_value_is(v, PERI_LIST)) {
        out = peri_value_list();
        for (size_t i = 0; out && !st && i < peri_value_count(v); i++)
            st = peri_list_push(out, without_secrets(peri_list_at(v, i)));
    } else {
        return peri_value_ref(v);
    }
    if (st) {
        peri_value_unref(out);
        return NULL;
    }
    return out;
}

static bool names_secret(const struct peri_value *v, const char *pointer)
{
    char key[256];
    while (v && *pointer == '/') {
        size_t n = 0;
        for (pointer++; *pointer && *pointer != '/' && n + 1 < sizeof(key); pointer++)
            if (pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                key[n++] = *++pointer == '0' ? '~' : '/';
            else
                key[n++] = *pointer;
        key[n] = '\0';
        long long i;
        if (peri_value_is(v, PERI_LIST))
            v = peri_parse_i64(key, &i) && i >= 0 ? peri_list_at(v, (size_t)i) : NULL;
        else
            v = peri_map_at(v, key);
    }
    return is_secret(v);
}

static struct peri_place settings_place(const struct peri_plugin_settings *s, const char *pointer)
{
    const struct peri_node *node = s->node;
    if (!node)
        return (struct peri_place){.file = "perigee.yaml"};
    const struct peri_node *config = peri_node_get(node, "config", NULL);
    return peri_node_at_pointer(config ? config : node, pointer)->place;
}

/* Memory was out before they were checked: nothing is started with settings that nobody has looked at. */
static void settings_unknown(struct peri_plugin *p)
{
    p->state = PERI_PLUGIN_FAILED;
    peri_error_nomem(&p->error);
}

/* Fills defaults and checks. UNCONFIGURED when nothing was set and only settings are missing. */
static void check_settings(struct peri_plugin *p, const struct peri_plugin_settings *s)
{
    struct peri_host *host = p->host;
    struct peri_value *given = s->config && peri_value_is(s->config, PERI_MAP) ? peri_value_ref(s->config)
                                                                               : peri_value_map(),
                      *plain = NULL;
    struct peri_schema_report report = {0};
    bool nothing = given && peri_value_count(given) == 0, only_missing = true;
    const struct peri_schema *schema = p->manifest->config_schema;
    p->config = given;
    if (!given)
        settings_unknown(p);
    if (!schema || !given)
        return;
    if (peri_schema_defaults(schema, given, &p->config)) {
        p->config = given;
        settings_unknown(p);
        return;
    }
    peri_value_unref(given);
    plain = without_secrets(p->config);
    enum peri_status st = plain ? peri_schema_check(schema, plain, &report) : PERI_ENOMEM;
    if (st == PERI_ENOMEM)
        settings_unknown(p);
    if (st != PERI_EINVAL)
        goto out;
    for (size_t i = 0; i < report.count; i++)
        only_missing = only_missing && !strcmp(report.items[i].keyword, "required");
    if (nothing && only_missing) {
        p->state = PERI_PLUGIN_UNCONFIGURED;
        peri_error_set(&p->error, PERI_ESTATE, "settings.missing", "waits for its settings under plugins.%s.config: %s",
            p->id, report.items[0].message);
        goto out;
    }
    for (size_t i = 0; i < report.count; i++) {
        const struct peri_schema_error *e = &report.items[i];
        if (names_secret(p->config, e->pointer))
            continue;
        if (!p->error.status)
            peri_error_set(
                &p->error, PERI_EINVAL, "settings.invalid", "plugins.%s.config%s: %s", p->id, e->pointer, e->message);
        p->state = PERI_PLUGIN_FAILED;
        if (host->load_diag)
            peri_diag_add(host->load_diag, settings_place(s, e->pointer), PERI_SEV_ERROR, "settings", NULL,
                "plugins.%s.config%s: %s", p->id, e->pointer, e->message);
    }
out:
    peri_value_unref(plain);
    peri_schema_report_finish(&report);
}

static const struct peri_schema *config_schema(const struct peri_host *host, const char *id)
{
    for (size_t i = 0; id && i < host->plugin_count; i++)
        if (peri_streq(host->plugins[i]->id, id))
            return host->plugins[i]->manifest ? host->plugins[i]->manifest->config_schema : NULL;
    return NULL;
}

const struct peri_value *peri_host_config_schema(struct peri_host *host, const char *plugin_id)
{
    const struct peri_schema *schema = config_schema(host, plugin_id);
    return schema ? peri_schema_source(schema) : NULL;
}

void peri_host_check_settings(struct peri_host *host, const char *plugin_id, const struct peri_value *config,
    const struct peri_node *node, struct peri_diag *diag)
{
    const struct peri_schema *schema = config_schema(host, plugin_id);
    const struct peri_plugin_settings settings = {.enabled = true, .config = config, .node = node};
    struct peri_schema_report report = {0};
    struct peri_value *full = NULL, *plain = NULL;
    if (!schema || peri_schema_defaults(schema, config, &full))
        return;
    plain = without_secrets(full);
    if (plain && peri_schema_check(schema, plain, &report) == PERI_EINVAL)
        for (size_t i = 0; i < report.count; i++)
            if (!names_secret(full, report.items[i].pointer))
                peri_diag_add(diag, settings_place(&settings, report.items[i].pointer), PERI_SEV_ERROR, "settings",
                    NULL, "plugins.%s.config%s: %s", plugin_id, report.items[i].pointer, report.items[i].message);
    peri_value_unref(full);
    peri_value_unref(plain);
    peri_schema_report_finish(&report);
}

/* --- limits --- */

/* What the manifest asks for, else the installation's value; at most the policy's cap, or without one ten times the
 * installation's value. */
static int64_t pick(int64_t asked, int64_t set, int64_t standard, int64_t cap)
{
    int64_t base = set > 0 ? set : standard, most = cap > 0 ? cap : base * 10;
    int64_t want = asked > 0 ? asked : base;
    return want < most ? want : most;
}

static void set_limits(struct peri_plugin *p)
{
    const struct peri_limits *set = &p->host->options.limits;
    const struct peri_manifest_limits *asked = &p->manifest->limits;
    struct peri_manifest_limits cap;
    struct peri_limits *to = &p->limits;
    peri_policy_caps(p->host->policy, p->id, &cap);
    to->instructions = pick(asked->instructions, set->instructions, 1000000, cap.instructions);
    to->memory_bytes = (size_t)pick(asked->memory_bytes, (int64_t)set->memory_bytes, 8 << 20, cap.memory_bytes);
    to->wall_ms = pick(asked->wall_ms, set->wall_ms, 30000, cap.wall_ms);
    /* 0 stands for the two defaults: 250 ms for a condition, 1 s for other handlers */
    bool given = asked->running_ms || set->running_ms || cap.running_ms;
    to->running_ms = given ? pick(asked->running_ms, set->running_ms, 1000, cap.running_ms) : 0;
    to->operations_per_second =
        pick(asked->operations_per_second, set->operations_per_second, PERI_HOST_RATE, cap.operations_per_second);
    if (p->bundled && !asked->operations_per_second && !cap.operations_per_second)
        to->operations_per_second = 0; /* came with perigee: not rated */
    to->storage_bytes = pick(asked->storage_bytes, set->storage_bytes, PERI_HOST_STORAGE_BYTES, cap.storage_bytes);
    to->storage_keys = pick(asked->storage_keys, set->storage_keys, PERI_HOST_STORAGE_KEYS, cap.storage_keys);
    to->log_bytes = pick(asked->log_bytes, set->log_bytes, PERI_HOST_LOG_BYTES, cap.log_bytes);
}

static void set_metrics(struct peri_plugin *p)
{
    struct peri_metrics *m = p->host->options.metrics;
    char *labels = m ? peri_asprintf("plugin=\"%s\"", p->id) : NULL;
    if (!labels)
        return;
    p->calls = peri_metrics_counter(m, "plugin_calls_total", labels, "Calls of a plugin's handlers.");
    p->failures = peri_metrics_counter(m, "plugin_failures_total", labels, "Calls that ended with an error.");
    p->limit_ends = peri_metrics_counter(m, "plugin_limit_ends_total", labels, "Calls that were stopped at a limit.");
    p->instructions =
        peri_metrics_counter(m, "plugin_instructions_total", labels, "Lua instructions that a plugin used.");
    p->crashes = peri_metrics_counter(
        m, "plugin_process_losses_total", labels, "Ends of a plugin's own process that nobody asked for.");
    free(labels);
}

/* --- the folder --- */

static void set_failed(struct peri_plugin *p, const struct peri_error *err)
{
    p->state = PERI_PLUGIN_FAILED;
    p->error = *err;
    if (!p->error.status)
        p->error.status = PERI_EINVAL;
}

static bool read_folder(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    struct peri_error err = {0};
    struct peri_diag own, *diag = host->load_diag;
    char *file = peri_asprintf("%s/plugin.json", p->path);
    size_t len = 0;
    bool ok = false;
    peri_diag_init(&own);
    if (peri_package_open(p->path, &p->package, &err)) {
        if (file)
            peri_diag_add(&own, (struct peri_place){.file = file}, PERI_SEV_ERROR, err.code, NULL, "%s", err.message);
        set_failed(p, &err);
        goto out;
    }
    const char *text = peri_package_text(p->package, "plugin.json", &len);
    enum peri_status st = !file   ? PERI_ENOMEM
                          : !text ? PERI_EINVAL
                                  : peri_manifest_parse(file, text, len, &p->manifest, &own);
    if (st) {
        if (st == PERI_ENOMEM)
            peri_error_nomem(&err);
        else if (own.count)
            peri_error_set(&err, PERI_EINVAL, "manifest.invalid", "plugin.json:%d:%d: %s", own.items[0].line,
                own.items[0].column, own.items[0].message);
        else
            peri_error_set(&err, PERI_EINVAL, "manifest.invalid", "plugin.json can not be read");
        set_failed(p, &err);
        goto out;
    }
    if (!peri_package_has(p->package, p->manifest->entrypoint)) {
        peri_error_set(
            &err, PERI_EINVAL, "manifest.entrypoint", "entrypoint %s is not in the folder", p->manifest->entrypoint);
        peri_diag_add(
            &own, (struct peri_place){.file = file}, PERI_SEV_ERROR, "bad-entrypoint", NULL, "%s", err.message);
        set_failed(p, &err);
        goto out;
    }
    ok = true;
out:
    if (diag)
        peri_diag_move(diag, &own);
    peri_diag_finish(&own);
    free(file);
    return ok;
}

/* Until the manifest says better: the folder's name. */
static const char *base_name(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return slash && slash[1] ? slash + 1 : dir;
}

static bool set_names(struct peri_plugin *p, const char *id)
{
    free(p->id);
    free(p->area);
    p->id = peri_strdup(id);
    p->area = peri_asprintf("plugin.%s", id);
    return p->id && p->area;
}

static void decide(struct peri_plugin *p, bool enable)
{
    struct peri_host *host = p->host;
    struct peri_plugin_settings s = {.enabled = true};
    if (host->options.settings && !host->options.settings(host->options.settings_ctx, p->id, &s))
        s = (struct peri_plugin_settings){.enabled = true};
    if (!s.enabled && !enable) {
        p->state = PERI_PLUGIN_DISABLED;
        return;
    }
    p->state = PERI_PLUGIN_LOADING;
    check_settings(p, &s);
    if (!p->config) {
        struct peri_error err = {0};
        peri_error_nomem(&err);
        set_failed(p, &err);
        return;
    }
    struct peri_policy_question q = {.manifest = p->manifest,
        .hash = peri_package_hash(p->package),
        .bundled = p->bundled,
        .approve_all = host->options.approve_all,
        .config = p->config,
        .given = s.config};
    struct peri_error err = {0};
    if (peri_policy_decide(host->policy, host->shipped, &q, &p->grants, &err) && p->state != PERI_PLUGIN_FAILED) {
        p->state = PERI_PLUGIN_BLOCKED;
        p->error = err;
    }
    p->isolated = peri_policy_isolates(host->policy, p->id);
    if (p->isolated && p->manifest->native && p->state == PERI_PLUGIN_LOADING) {
        p->state = PERI_PLUGIN_BLOCKED;
        peri_error_set(&p->error, PERI_EDENIED, "policy.isolation",
            "policy.yaml wants it in a process of its own, which a C plugin can not have");
    }
}

struct peri_plugin *peri_plugin_prepare(struct peri_host *host, const char *dir, bool bundled, bool enable)
{
    struct peri_plugin *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->host = host;
    p->bundled = bundled;
    p->path = peri_strdup(dir);
    if (!p->path || !set_names(p, base_name(dir)))
        goto lost;
    if (!read_folder(p))
        return p;
    if (!set_names(p, p->manifest->id))
        goto lost;
    set_limits(p);
    set_metrics(p);
    decide(p, enable);
    return p;
lost:
    peri_plugin_unref(p);
    return NULL;
}
