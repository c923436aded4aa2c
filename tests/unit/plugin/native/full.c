/* SPDX-License-Identifier: Apache-2.0 */
/* A C plugin that offers everything: operators that answer later from a thread, a channel that keeps what it sends in a
 * file, and a connector. */
#include <perigee/plugin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct perigee_host_api *host;
static struct perigee_self *self;
static pthread_t listener;
static atomic_int dropped, done_ok, done_bad, stop_listening;
static perigee_token kept; /* of a call that nobody answers */

static const char *text_of(const struct perigee_value *v, const char *key)
{
    return host->value_as_text(host->map_at(v, key));
}

static struct perigee_value *one(const char *key, struct perigee_value *item)
{
    struct perigee_value *v = host->value_map();
    host->map_put(v, key, item);
    return v;
}

/* --- operators --- */

struct later {
    perigee_token token;
    char how[32];
};

static void *answer(void *arg)
{
    struct later *later = arg;
    if (!strcmp(later->how, "fail"))
        host->complete_error(self, later->token, "full.no", "not today", 0, 0);
    else if (!strcmp(later->how, "unknown"))
        host->complete_error(self, later->token, "full.lost", "who knows", 0, 1);
    else
        host->complete(self, later->token, strcmp(later->how, "false") != 0, one("how", host->value_text(later->how)));
    if (!strcmp(later->how, "twice") &&
        host->complete(self, later->token, 1, one("how", host->value_text("again"))) == PERIGEE_OK)
        abort();
    free(later);
    return NULL;
}

static void drop(void *user)
{
    atomic_fetch_add(&dropped, 1);
}

/* The first time there is no such file: it is made. */
static int has_been_here(struct perigee_call *call)
{
    const char *file = text_of(host->call_config(call), "file");
    FILE *mark = file && access(file, F_OK) ? fopen(file, "w") : NULL;
    if (mark)
        fclose(mark);
    return !mark;
}

/* how: yes, false, fail, unknown, twice; at-once: answers before it returns; never; second: the first time never;
 * forgets: says PENDING for nothing */
static enum perigee_status later(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    struct later *l;
    pthread_t thread;
    perigee_token token;
    const char *how = text_of(params, "how");
    if (!strcmp(how, "forgets"))
        return PERIGEE_PENDING;
    enum perigee_status st = host->defer(call, &token, drop, NULL);
    if (st != PERIGEE_PENDING)
        return st;
    if (!strcmp(how, "never") || (!strcmp(how, "second") && !has_been_here(call))) {
        kept = token;
        return PERIGEE_PENDING;
    }
    if (!strcmp(how, "changes-its-mind"))
        return host->call_fail(call, "full.mind", "after all not", 0);
    l = malloc(sizeof(*l));
    l->token = token;
    snprintf(l->how, sizeof(l->how), "%s", how);
    if (!strcmp(how, "at-once")) {
        answer(l);
    } else {
        pthread_create(&thread, NULL, answer, l);
        pthread_detach(thread);
    }
    return PERIGEE_PENDING;
}

static enum perigee_status look(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    *ret_value = host->value_map();
    host->map_put(*ret_value, "dropped", host->value_int(atomic_load(&dropped)));
    host->map_put(*ret_value, "stored", host->value_int(atomic_load(&done_ok)));
    host->map_put(*ret_value, "refused", host->value_int(atomic_load(&done_bad)));
    host->map_put(*ret_value, "late", host->value_int(kept ? (int64_t)host->complete(self, kept, 1, NULL) : -1));
    return PERIGEE_OK;
}

/* {url, token?}: what the server said, after something was written that the answer can see. */
static enum perigee_status fetched(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *reply, int *ret_holds, struct perigee_value **ret_value)
{
    struct perigee_value *count = NULL;
    if (!reply)
        return PERIGEE_FAILED;
    host->storage_get(call, "fetches", &count);
    *ret_value = host->value_map();
    host->map_put(*ret_value, "status", host->value_ref(host->map_at(reply, "status")));
    host->map_put(*ret_value, "body", host->value_ref(host->map_at(reply, "body")));
    host->map_put(*ret_value, "fetches", count ? count : host->value_null());
    return PERIGEE_OK;
}

static enum perigee_status fetch(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    struct perigee_value *old = NULL, *request = host->value_map(), *headers = host->value_map();
    int64_t n = host->storage_get(call, "fetches", &old) == PERIGEE_OK ? host->value_as_int(old) : 0;
    struct perigee_value *next = host->value_int(n + 1);
    const struct perigee_value *token = host->map_at(params, "token");
    host->map_put(request, "url", host->value_ref(host->map_at(params, "url")));
    if (!token)
        token = host->map_at(host->call_config(call), "token");
    if (token)
        host->map_put(headers, "X-Token", host->value_ref(token));
    host->map_put(request, "headers", headers);
    enum perigee_status st = host->storage_set(call, "fetches", next, 0);
    if (st == PERIGEE_OK)
        st = host->http(call, request, fetched, NULL, NULL);
    host->value_unref(old);
    host->value_unref(next);
    host->value_unref(request);
    return st;
}

static enum perigee_status relayed(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *reply, int *ret_holds, struct perigee_value **ret_value)
{
    const struct perigee_value *err = host->call_error(call);
    *ret_value = err ? one("code", host->value_ref(host->map_at(err, "code"))) : one("got", host->value_ref(reply));
    return PERIGEE_OK;
}

/* {operator, params} or {to, body}: through another plugin. */
static enum perigee_status relay(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const char *id = text_of(params, "operator");
    return id ? host->invoke(call, id, host->map_at(params, "params"), relayed, NULL, NULL)
              : host->send(call, "full", params, relayed, NULL, NULL);
}

static enum perigee_status plan(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    return host->schedule_set(call, "tick", params);
}

static enum perigee_status push_items(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value);

/* --- the channel: a line for each message in the file that the settings name --- */

static const char *log_file(struct perigee_call *call)
{
    return text_of(host->call_config(call), "file");
}

static enum perigee_status deliver(void *state, struct perigee_call *call, const struct perigee_value *message,
    int *ret_holds, struct perigee_value **ret_value)
{
    FILE *out = fopen(log_file(call), "a");
    const char *body = text_of(message, "body");
    if (!out)
        return host->call_fail(call, "full.file", "the file can not be written", 1);
    fprintf(out, "%s %s\n", text_of(message, "idempotency_key"), body);
    fclose(out);
    if (body && !strcmp(body, "hang")) {
        perigee_token token;
        return host->defer(call, &token, drop, NULL);
    }
    *ret_value = one("messageId", host->value_text("m-1"));
    return PERIGEE_OK;
}

static enum perigee_status find(void *state, struct perigee_call *call, const struct perigee_value *message,
    int *ret_holds, struct perigee_value **ret_value)
{
    char line[512];
    const char *key = text_of(message, "idempotency_key");
    int found = 0;
    FILE *in = fopen(log_file(call), "r");
    while (in && fgets(line, sizeof(line), in))
        found = found || (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ' ');
    if (in)
        fclose(in);
    if (!found)
        return PERIGEE_NOT_FOUND;
    *ret_value = one("since", host->value_ref(host->map_at(message, "since")));
    return PERIGEE_OK;
}

static enum perigee_status incoming(void *state, struct perigee_call *call, const struct perigee_value *request,
    int *ret_holds, struct perigee_value **ret_value)
{
    struct perigee_value *heard = host->value_map();
    host->map_put(heard, "body", host->value_ref(host->map_at(request, "body")));
    enum perigee_status st = host->emit(call, "full.Incoming", heard);
    *ret_value = one("message", heard);
    host->map_put(*ret_value, "status", host->value_int(202));
    return st;
}

static enum perigee_status hook(void *state, struct perigee_call *call, const struct perigee_value *request,
    int *ret_holds, struct perigee_value **ret_value)
{
    *ret_value = one("json", host->value_ref(host->map_at(request, "json")));
    return host->emit(call, "full.Hook", host->map_at(request, "json"));
}

/* --- the connector --- */

/* "n" becomes an entity and an event, "bad" nothing that could be stored, "no" a refusal. */
static enum perigee_status map(void *state, struct perigee_call *call, const struct perigee_value *item, int *ret_holds,
    struct perigee_value **ret_value)
{
    char text[512];
    const char *name = host->value_as_text(item);
    if (!name)
        return host->call_fail(call, "full.item", "an item is a text", 0);
    if (!strcmp(name, "no"))
        return host->call_fail(call, "full.item", "not this one", 0);
    snprintf(text, sizeof(text),
        "{\"entities\": [{\"type\": \"%s\", \"source\": \"full\", \"externalId\": \"%s\", \"name\": \"%s\"}],"
        "\"events\": [{\"type\": \"full.Item\", \"id\": \"item-%s\", \"data\": {\"name\": \"%s\"}}]}",
        strcmp(name, "bad") ? "thing" : "secretthing", name, name, name, name);
    *ret_value = host->value_json(text, strlen(text));
    return PERIGEE_OK;
}

static enum perigee_status sync_all(void *state, struct perigee_call *call, const struct perigee_value *options,
    int *ret_holds, struct perigee_value **ret_value)
{
    *ret_value = host->value_list();
    host->list_push(*ret_value, host->value_text("a"));
    host->list_push(*ret_value, host->value_text("b"));
    return PERIGEE_OK;
}

static enum perigee_status execute(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    *ret_value = one("did", host->value_ref(host->map_at(params, "what")));
    return PERIGEE_OK;
}

static void stored(void *user, enum perigee_status status)
{
    atomic_fetch_add(status == PERIGEE_OK ? &done_ok : &done_bad, 1);
}

/* A line of the fifo that the settings name is an item. */
static void *listen_to(void *arg)
{
    char *path = arg, line[256];
    while (!atomic_load(&stop_listening)) {
        FILE *in = fopen(path, "r");
        while (in && fgets(line, sizeof(line), in)) {
            line[strcspn(line, "\n")] = '\0';
            if (*line)
                host->push(self, host->value_text(line), stored, NULL);
        }
        if (in)
            fclose(in);
    }
    free(path);
    return NULL;
}

static char *fifo_path;
static int listens;

static enum perigee_status listen_on(void *state, struct perigee_call *call)
{
    const char *path = text_of(host->call_config(call), "fifo");
    if (!path)
        return PERIGEE_OK;
    if (access(path, R_OK))
        return host->call_fail(call, "full.fifo", "there is no such fifo", 0);
    fifo_path = strdup(path);
    atomic_store(&stop_listening, 0);
    listens = !pthread_create(&listener, NULL, listen_to, strdup(path));
    return PERIGEE_OK;
}

static void unlisten(void *state)
{
    atomic_store(&stop_listening, 1);
    if (listens) {
        FILE *wake = fopen(fifo_path, "w");
        if (wake)
            fclose(wake);
        pthread_join(listener, NULL);
    }
    free(fifo_path);
    fifo_path = NULL;
    listens = 0;
}

static enum perigee_status push_items(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const struct perigee_value *items = host->map_at(params, "items");
    for (size_t i = 0; i < host->value_count(items); i++)
        if (host->push(self, host->value_ref(host->list_at(items, i)), stored, NULL) != PERIGEE_OK)
            return host->call_fail(call, "full.push", "not taken", 0);
    return PERIGEE_OK;
}

/* --- life --- */

static enum perigee_status start(void *state, struct perigee_call *call)
{
    const char *broken = text_of(host->call_config(call), "broken");
    if (broken)
        return host->call_fail(call, "full.start", broken, 0);
    host->log(call, PERIGEE_INFO, "full has started");
    return host->subscribe(call, "full.Heard", 1);
}

static enum perigee_status stop(void *state, struct perigee_call *call)
{
    host->log(call, PERIGEE_INFO, "full has stopped");
    return PERIGEE_OK;
}

static enum perigee_status on_event(void *state, struct perigee_call *call, const struct perigee_value *event,
    int *ret_holds, struct perigee_value **ret_value)
{
    return host->emit(call, "full.Echo", host->map_at(event, "data"));
}

static enum perigee_status tick(void *state, struct perigee_call *call, const struct perigee_value *due, int *ret_holds,
    struct perigee_value **ret_value)
{
    return host->emit(call, "full.Tick", host->map_at(due, "data"));
}

#define OP(name, what, fn, ...)                                                                                        \
    static const struct perigee_operator name = {                                                                      \
        .size = sizeof(name), .kind = what, .id = "full." #name, .run = fn, __VA_ARGS__}
OP(laters, PERIGEE_ACTION, later, .repeat = 0);
OP(repeats, PERIGEE_ACTION, later, .repeat = 1);
OP(holds, PERIGEE_CONDITION, later, .repeat = 0);
OP(looks, PERIGEE_ACTION, look, .repeat = 1);
OP(fetches, PERIGEE_ACTION, fetch, .repeat = 1);
OP(relays, PERIGEE_ACTION, relay, .repeat = 1);
OP(plans, PERIGEE_ACTION, plan, .repeat = 1);
OP(pushes, PERIGEE_ACTION, push_items, .repeat = 1);
static const struct perigee_operator *const operators[] = {
    &laters, &repeats, &holds, &looks, &fetches, &relays, &plans, &pushes, NULL};
static const struct perigee_channel channel = {.size = sizeof(channel),
    .type = "full",
    .delivery = PERIGEE_LOOKUP,
    .send = deliver,
    .lookup = find,
    .incoming = incoming};
static const struct perigee_connector connector = {.size = sizeof(connector),
    .sync = sync_all,
    .sync_every_ms = 3600000,
    .map = map,
    .listen = listen_on,
    .unlisten = unlisten,
    .execute = execute,
    .execute_schema = "{\"type\": \"object\", \"required\": [\"what\"]}"};
static const struct perigee_webhook webhook = {.size = sizeof(webhook), .path = "/hook", .handle = hook};
static const struct perigee_webhook *const webhooks[] = {&webhook, NULL};
static const struct perigee_job job = {.size = sizeof(job), .name = "tick", .run = tick};
static const struct perigee_job *const jobs[] = {&job, NULL};

PERIGEE_EXPORT int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    host = api;
    if (!PERIGEE_PLUGIN_HAS(plugin, event) || !PERIGEE_HAS(api, self_config)) {
        snprintf(message, message_size, "this perigee is too old");
        return 1;
    }
    self = plugin->self;
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->operators = operators;
    plugin->channel = &channel;
    plugin->connector = &connector;
    plugin->webhooks = webhooks;
    plugin->jobs = jobs;
    plugin->start = start;
    plugin->stop = stop;
    plugin->event = on_event;
    return 0;
}
