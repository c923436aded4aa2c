/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a plugin's state or opens its shared object, and finds out what it offers. Runs on a worker. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/rule.h"
#include "plugin/host_build.h"
#include "plugin/native_call.h"

#define DESCRIPTION_MAX 4096
#define WEB_PATH_MAX 512
#define PROBE_MS 15000

static bool id_ok(const char *id)
{
    size_t n = strlen(id);
    if (n == 0 || n > 128 || !isalnum((unsigned char)id[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)id[i]) && id[i] != '.' && id[i] != '_' && id[i] != '-')
            return false;
    return true;
}

/* An empty Lua table is a list or a map as the schema needs it. */
static bool wants_list(const char *key)
{
    static const char *const lists[] = {"required", "enum", "examples", NULL};
    for (const char *const *k = lists; *k; k++)
        if (!strcmp(key, *k))
            return true;
    return false;
}

static struct peri_value *settled(const struct peri_value *v, const char *key, const char *type, int depth)
{
    bool empty = (peri_value_is(v, PERI_MAP) || peri_value_is(v, PERI_LIST)) && !peri_value_count(v);
    if (empty && !strcmp(key, "default"))
        return type && !strcmp(type, "array") ? peri_value_list() : peri_value_map();
    if (empty)
        return wants_list(key) ? peri_value_list() : peri_value_map();
    if (!peri_value_is(v, PERI_MAP) || depth > 32)
        return peri_value_ref(v);
    struct peri_value *out = peri_value_map();
    for (void *it = peri_map_first(v); out && it; it = peri_map_next(v, it)) {
        const char *name = peri_map_key(it, NULL);
        if (peri_map_put(out, name, settled(peri_map_item(it), name, peri_map_text(v, "type"), depth + 1))) {
            peri_value_unref(out);
            return NULL;
        }
    }
    return out;
}

enum peri_status peri_plugin_add_operator(
    struct peri_plugin *p, const struct peri_op_plan *plan, struct peri_error *err)
{
    struct peri_op_def def = {.native = plan->native};
    const char *kind = plan->is_condition ? "condition" : "action";
    if (!strcmp(plan->id, PERI_RULE_LUA))
        return peri_error_set(
            err, PERI_EINVAL, "plugin.operator", "\"%s\" is the operator of rules' scripts", plan->id);
    if (!id_ok(plan->id))
        return peri_error_set(err, PERI_EINVAL, "plugin.operator",
            "\"%s\" is no id for a%s %s: letters, digits, dots, dashes and underscores", plan->id,
            plan->is_condition ? "" : "n", kind);
    if (plan->description && strlen(plan->description) > DESCRIPTION_MAX)
        return peri_error_set(err, PERI_ELIMIT, "plugin.operator", "the description of %s has more than %d bytes",
            plan->id, DESCRIPTION_MAX);
    for (size_t i = 0; i < p->op_count; i++)
        if (!strcmp(p->ops[i].id, plan->id))
            return peri_error_set(err, PERI_EEXIST, "plugin.operator", "\"%s\" is defined twice", plan->id);
    if (plan->params) {
        struct peri_value *schema = settled(plan->params, "", NULL, 0);
        enum peri_status st = schema ? peri_schema_compile(schema, &def.schema, err) : peri_error_nomem(err);
        peri_value_unref(schema);
        if (st) {
            peri_error_prefix(err, "params of %s", plan->id);
            return st;
        }
    }
    def.id = peri_strdup(plan->id);
    def.description = peri_strdup(plan->description ? plan->description : "");
    def.channel = peri_strdup(plan->channel);
    if (!def.id || !def.description || (plan->channel && !def.channel) ||
        !peri_vec_grow(&p->ops, &p->op_cap, p->op_count + 1, sizeof(*p->ops))) {
        free(def.id);
        free(def.description);
        free(def.channel);
        peri_schema_destroy(def.schema);
        return peri_error_nomem(err);
    }
    def.owner = p;
    def.asks = plan->asks;
    def.public = (struct peri_operator){
        .id = def.id,
        .description = def.description,
        .plugin = p->id,
        .is_condition = plan->is_condition,
        .params = def.schema,
        .delivery = plan->delivery,
    };
    p->ops[p->op_count++] = def;
    return PERI_OK;
}

enum peri_status peri_plugin_add_connector(
    struct peri_plugin *p, bool sync, bool execute, const struct peri_value *params, struct peri_error *err)
{
    char *ids[] = {peri_asprintf("%s.sync", p->id), peri_asprintf("%s.execute", p->id)};
    struct peri_op_plan plans[] = {{.id = ids[0],
                                       .description = "Fetches what is new.",
                                       .delivery = PERI_DELIVERY_REPEAT,
                                       .native = PERI_NATIVE_SYNC},
        {.id = ids[1],
            .description = "Does something in the connected system.",
            .params = params,
            .native = PERI_NATIVE_EXECUTE}};
    enum peri_status st = ids[0] && ids[1] ? PERI_OK : peri_error_nomem(err);
    if (!st && sync)
        st = peri_plugin_add_operator(p, &plans[0], err);
    if (!st && execute)
        st = peri_plugin_add_operator(p, &plans[1], err);
    p->has_sync = sync && !st;
    free(ids[0]);
    free(ids[1]);
    return st;
}

enum peri_status peri_plugin_add_webhook(
    struct peri_plugin *p, const char *at, const char *const *methods, struct peri_error *err)
{
    struct peri_web_def def = {0};
    size_t n = 0;
    while (methods[n])
        n++;
    if (at[0] != '/' || strlen(at) > WEB_PATH_MAX || !peri_text_is_plain(at))
        return peri_error_set(err, PERI_EINVAL, "plugin.package",
            "webhooks: a path begins with / and has at most %d bytes and no control characters", WEB_PATH_MAX);
    for (size_t i = 0; i < n; i++) /* it becomes a header of an answer */
        if (!*methods[i] || strspn(methods[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(methods[i]))
            return peri_error_set(
                err, PERI_EINVAL, "plugin.package", "webhooks[\"%s\"]: methods are words in capitals: \"POST\"", at);
    def.path = peri_strdup(at);
    def.methods = calloc(n + 1, sizeof(char *));
    bool ok = def.path && def.methods && peri_vec_grow(&p->webs, &p->web_cap, p->web_count + 1, sizeof(*p->webs));
    for (size_t i = 0; ok && i < n; i++)
        ok = (def.methods[i] = peri_strdup(methods[i])) != NULL;
    if (ok) {
        p->webs[p->web_count++] = def;
        return PERI_OK;
    }
    for (char **m = def.methods; m && *m; m++)
        free(*m);
    free(def.methods);
    free(def.path);
    return peri_error_nomem(err);
}

/* A shared object that crashes while it is loaded takes the service with it. It is tried by another process first; what
 * goes well there may still not go well here. So its name is written down, and the next start leaves it out instead of
 * dying again; whoever says reload tries it once more. */
static bool crashed_before(const struct peri_plugin *p)
{
    char line[256] = "", own[256];
    FILE *in = p->host->crumb_old ? fopen(p->host->crumb_old, "re") : NULL;
    if (!in)
        return false;
    bool read = fgets(line, sizeof(line), in) != NULL;
    fclose(in);
    snprintf(own, sizeof(own), "%s %s", p->id, peri_package_hash(p->package));
    bool its = read && !strcmp(line, own);
    if (its && p->candidate) /* once more, by somebody's word */
        unlink(p->host->crumb_old);
    return its && !p->candidate;
}

void peri_crumb_keep(struct peri_host *host)
{
    if (host->crumb && host->crumb_old)
        (void)!rename(host->crumb, host->crumb_old);
}

static enum peri_status open_native(struct peri_plugin *p, const char *path, struct peri_error *err)
{
    const char *crumb = p->host->crumb;
    if (crashed_before(p))
        return peri_error_set(err, PERI_ESTATE, "native.crashed",
            "the service ended while %s was being loaded; it is left out until `perigee plugins reload %s`", p->id,
            p->id);
    const char *program = p->bundled ? NULL : p->host->probe_program; /* what came with perigee was tried */
    enum peri_status st = program ? peri_native_probe(program, path, PROBE_MS, err) : PERI_OK;
    if (st)
        return st;
    FILE *out = crumb ? fopen(crumb, "we") : NULL;
    if (out) {
        fprintf(out, "%s %s", p->id, peri_package_hash(p->package));
        fclose(out);
    }
    p->self = peri_self_create(p);
    st = p->self ? peri_native_open(path, p->self, NULL, &p->native, err) : peri_error_nomem(err);
    if (out)
        unlink(crumb);
    return st;
}

enum peri_status peri_plugin_build(struct peri_plugin *p, struct peri_error *err)
{
    enum peri_status st;
    if (!p->manifest->native) {
        st = peri_lua_build(p, err);
        return st ? st : peri_lua_describe(p, err);
    }
    char *path = peri_asprintf("%s/%s", p->path, p->manifest->entrypoint);
    if (!path)
        return peri_error_nomem(err);
    st = open_native(p, path, err);
    free(path);
    return st ? st : peri_native_offer(p, err);
}

enum peri_status peri_plugin_rebuild(struct peri_plugin *p, struct peri_error *err)
{
    return peri_lua_build(p, err);
}
