/* SPDX-License-Identifier: Apache-2.0 */
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

/* The functions of the host: the state that every handler is given. */
struct data_plugin {
    const struct perigee_host_api *host;
};

static const char *text_of(const struct perigee_host_api *host, const struct perigee_value *map, const char *key)
{
    return host->value_as_text(host->map_at(map, key));
}

static enum perigee_status no_memory(const struct perigee_host_api *host, struct perigee_call *call)
{
    return host->call_fail(call, "out_of_memory", "out of memory", 1);
}

/* A new map {key: text}, or NULL. */
static struct perigee_value *map_of(const struct perigee_host_api *host, const char *key, const char *text)
{
    struct perigee_value *map = host->value_map();
    if (map && host->map_put(map, key, host->value_text(text))) {
        host->value_unref(map);
        return NULL;
    }
    return map;
}

/* --- data.query --- */

static enum perigee_status run_query(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const struct perigee_host_api *host = ((struct data_plugin *)state)->host;
    struct perigee_value *items = NULL;
    (void)ret_holds;
    enum perigee_status st = host->data_query(call, params, &items); /* the parameters are a query as they are */
    if (st != PERIGEE_OK)
        return st;
    struct perigee_value *result = host->value_map();
    int64_t count = (int64_t)host->value_count(items);
    if (!result) {
        host->value_unref(items);
        return no_memory(host, call);
    }
    if (host->map_put(result, "items", items) || host->map_put(result, "count", host->value_int(count))) {
        host->value_unref(result);
        return no_memory(host, call);
    }
    *ret_value = result;
    return PERIGEE_OK;
}

/* --- data.update --- */

/* The entity with this external id; *ret stays NULL when there is none. */
static enum perigee_status by_external_id(const struct perigee_host_api *host, struct perigee_call *call,
    const struct perigee_value *params, struct perigee_value **ret)
{
    const char *source = text_of(host, params, "source");
    struct perigee_value *items = NULL, *where = map_of(host, "externalId", text_of(host, params, "externalId"));
    struct perigee_value *request = map_of(host, "type", text_of(host, params, "type"));
    int failed = !where || !request || (source && host->map_put(where, "source", host->value_text(source)));
    if (request && where)
        failed = host->map_put(request, "where", host->value_ref(where)) || failed;
    if (request)
        failed = host->map_put(request, "limit", host->value_int(2)) || failed;
    enum perigee_status st = failed ? no_memory(host, call) : host->data_query(call, request, &items);
    if (st == PERIGEE_OK && host->value_count(items) > 1)
        st = host->call_fail(call, "ambiguous", "several entities have this external id: say the source too", 0);
    if (st == PERIGEE_OK && host->value_count(items) == 1)
        *ret = host->value_ref(host->list_at(items, 0));
    host->value_unref(items);
    host->value_unref(where);
    host->value_unref(request);
    return st;
}

static enum perigee_status find(const struct perigee_host_api *host, struct perigee_call *call,
    const struct perigee_value *params, struct perigee_value **ret)
{
    const char *id = text_of(host, params, "id");
    if (!id && !text_of(host, params, "externalId"))
        return host->call_fail(call, "bad_params", "say which entity: id or externalId", 0);
    if (!id)
        return by_external_id(host, call, params, ret);
    enum perigee_status st = host->data_get(call, text_of(host, params, "type"), id, ret);
    return st == PERIGEE_NOT_FOUND ? PERIGEE_OK : st;
}

/* Copies the members of from into to; null removes nothing here, the result shows it as absent. */
static int merge(
    const struct perigee_host_api *host, struct perigee_value *to, const struct perigee_value *from, int keep_null)
{
    void *cursor = NULL;
    const char *key;
    struct perigee_value *item;
    while (from && host->map_next(from, &cursor, &key, &item))
        if ((keep_null || host->value_type(item) != PERIGEE_NULL) && host->map_put(to, key, host->value_ref(item)))
            return -1;
    return 0;
}

/* Members of before that set does not name. */
static int keep_others(const struct perigee_host_api *host, struct perigee_value *to,
    const struct perigee_value *before, const struct perigee_value *set)
{
    void *cursor = NULL;
    const char *key;
    struct perigee_value *item;
    while (before && host->map_next(before, &cursor, &key, &item))
        if (!host->map_at(set, key) && host->map_put(to, key, host->value_ref(item)))
            return -1;
    return 0;
}

static enum perigee_status store(const struct perigee_host_api *host, struct perigee_call *call,
    const struct perigee_value *params, const struct perigee_value *before, struct perigee_value **ret_value)
{
    static const char *const names[] = {"id", "source", "externalId"};
    const struct perigee_value *set = host->map_at(params, "set");
    struct perigee_value *patch = host->value_map(), *after = host->value_map();
    char id[128];
    int failed = !patch || !after || merge(host, patch, set, 1);
    for (size_t i = 0; !failed && i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = text_of(host, params, names[i]);
        if (text)
            failed = host->map_put(patch, names[i], host->value_text(text));
    }
    const char *known = text_of(host, before, "id");
    if (!failed && known)
        failed = host->map_put(patch, "id", host->value_text(known));
    enum perigee_status st =
        failed ? no_memory(host, call) : host->data_put(call, text_of(host, params, "type"), patch, id, sizeof(id));
    if (st == PERIGEE_OK && (keep_others(host, after, before, set) || merge(host, after, patch, 0) ||
                                host->map_put(after, "id", host->value_text(id)) ||
                                host->map_put(after, "type", host->value_text(text_of(host, params, "type")))))
        st = no_memory(host, call);
    host->value_unref(patch);
    if (st == PERIGEE_OK)
        *ret_value = after;
    else
        host->value_unref(after);
    return st;
}

static enum perigee_status run_update(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const struct perigee_host_api *host = ((struct data_plugin *)state)->host;
    struct perigee_value *before = NULL;
    (void)ret_holds;
    enum perigee_status st = find(host, call, params, &before);
    if (st == PERIGEE_OK && !before && !host->value_as_bool(host->map_at(params, "create"))) {
        char text[300];
        const char *id = text_of(host, params, "id");
        snprintf(text, sizeof(text), "there is no %.60s %.180s", text_of(host, params, "type"),
            id ? id : text_of(host, params, "externalId"));
        st = host->call_fail(call, "not_found", text, 0);
    }
    if (st == PERIGEE_OK)
        st = store(host, call, params, before, ret_value);
    host->value_unref(before);
    return st;
}

/* --- registration --- */

static const struct perigee_operator query = {
    .size = sizeof(struct perigee_operator),
    .kind = PERIGEE_ACTION,
    .id = "data.query",
    .description = "Looks up entities, so that a rule can go through them.",
    .params_schema =
        "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"type\"], \"properties\": {"
        "\"type\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"call, task, contact, ...\"},"
        "\"where\": {\"type\": \"object\", \"description\": \"conditions on fields\"},"
        "\"order\": {\"type\": \"string\", \"description\": \"field or -field\"},"
        "\"limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000, \"default\": 100, \"description\": "
        "\"how many at most\"},"
        "\"offset\": {\"type\": \"integer\", \"minimum\": 0, \"description\": \"leave out the first ones\"}}}",
    .repeat = 1,
    .run = run_query,
};

static const struct perigee_operator update = {
    .size = sizeof(struct perigee_operator),
    .kind = PERIGEE_ACTION,
    .id = "data.update",
    .description = "Changes fields of an entity.",
    .params_schema =
        "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"type\", \"set\"], \"properties\": {"
        "\"type\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"call, task, contact, ...\"},"
        "\"id\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 120, \"description\": \"which one\"},"
        "\"externalId\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"or its id where it comes from\"},"
        "\"source\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"who gave the external id\"},"
        "\"set\": {\"type\": \"object\", \"minProperties\": 1, \"description\": \"fields and their new values; null "
        "removes\"},"
        "\"create\": {\"type\": \"boolean\", \"default\": false, \"description\": \"make the entity when there is "
        "none\"}}}",
    .repeat = 1,
    .run = run_update,
};

static const struct perigee_operator *const operators[] = {&query, &update, NULL};

int perigee_plugin_init(
    const struct perigee_host_api *host, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    static struct data_plugin data; /* one for the process: the host opens a plugin once */
    if (host->abi_min > PERIGEE_ABI_VERSION || host->abi_max < PERIGEE_ABI_VERSION) {
        snprintf(message, message_size, "needs plugin ABI %u", PERIGEE_ABI_VERSION);
        return -1;
    }
    data.host = host;
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->operators = operators;
    plugin->state = &data;
    return 0;
}
