/* SPDX-License-Identifier: Apache-2.0 */
/* Brings in tickets. The code runs in the service's process: a crash here takes the service along. perigee/plugin.h is
 * all there is; it says who owns what, and which function may be called from which thread. */
#include <perigee/plugin.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NEWEST "newest" /* storage: the id of the last ticket that was fetched */

static const struct perigee_host_api *host; /* the host's functions: given once, never changed */
static struct perigee_self *self;           /* for what is called outside of a call */

static const char *text_at(const struct perigee_value *map, const char *key)
{
    return host->value_as_text(host->map_at(map, key));
}

static int put(struct perigee_value *map, const char *key, const struct perigee_value *item)
{
    return item ? host->map_put(map, key, host->value_ref(item)) : 0;
}

static int put_text(struct perigee_value *map, const char *key, const char *text)
{
    return host->map_put(map, key, host->value_text(text));
}

static enum perigee_status no_memory(struct perigee_call *call)
{
    return host->call_fail(call, "@WORD@.memory", "out of memory", 1);
}

/* --- what a ticket means --- */

/* A list of one. take item */
static struct perigee_value *list_of(struct perigee_value *item)
{
    struct perigee_value *list = host->value_list();
    if (list && !host->list_push(list, item))
        return list;
    if (!list)
        host->value_unref(item);
    host->value_unref(list);
    return NULL;
}

/* {entities, events}: stored together, in one transaction. The same source and externalId are the same entity, the same
 * id is the same event. */
static enum perigee_status map(void *state, struct perigee_call *call, const struct perigee_value *ticket,
    int *ret_holds, struct perigee_value **ret_value)
{
    char id[128];
    const char *given = text_at(ticket, "id"), *status = text_at(ticket, "status");
    if (!given || snprintf(id, sizeof(id), "ticket-%s", given) >= (int)sizeof(id))
        return host->call_fail(call, "@WORD@.ticket", "a ticket has an id of at most 100 characters", 0);
    struct perigee_value *entity = host->value_map(), *event = host->value_map(), *data = host->value_map();
    struct perigee_value *mapped = host->value_map();
    const struct perigee_value *title = host->map_at(ticket, "title");
    int bad = !entity || !event || !data || !mapped || put_text(entity, "type", "ticket") ||
              put_text(entity, "source", "@WORD@") || put_text(entity, "externalId", given) ||
              put(entity, "title", title) || put_text(entity, "status", status ? status : "open") ||
              put_text(event, "type", "@WORD@.Ticket") || put_text(event, "id", id) || put_text(data, "id", given) ||
              put(data, "title", title) || put(event, "data", data);
    if (!bad)
        bad = host->map_put(mapped, "entities", list_of(host->value_ref(entity))) ||
              host->map_put(mapped, "events", list_of(host->value_ref(event)));
    host->value_unref(entity);
    host->value_unref(event);
    host->value_unref(data);
    *ret_value = mapped;
    return bad ? no_memory(call) : PERIGEE_OK;
}

/* --- fetching --- */

static enum perigee_status fetched(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *answer, int *ret_holds, struct perigee_value **ret_value)
{
    if (!answer)
        return PERIGEE_FAILED; /* as call_error says */
    const char *body = text_at(answer, "body");
    int64_t status = host->value_as_int(host->map_at(answer, "status"));
    struct perigee_value *tickets = status == 200 && body ? host->value_json(body, strlen(body)) : NULL;
    size_t n = host->value_count(tickets);
    if (host->value_type(tickets) != PERIGEE_LIST) {
        host->value_unref(tickets);
        return host->call_fail(call, "@WORD@.answer", "the server did not answer with a list of tickets", 1);
    }
    *ret_value = tickets; /* each goes through map */
    const struct perigee_value *newest = n ? host->map_at(host->list_at(tickets, n - 1), "id") : NULL;
    return newest ? host->storage_set(call, NEWEST, newest, 0) : PERIGEE_OK;
}

static enum perigee_status sync_tickets(void *state, struct perigee_call *call, const struct perigee_value *options,
    int *ret_holds, struct perigee_value **ret_value)
{
    const struct perigee_value *url = host->map_at(host->call_config(call), "url");
    struct perigee_value *newest = NULL;
    if (!url)
        return PERIGEE_OK;
    if (host->storage_get(call, NEWEST, &newest) == PERIGEE_FAILED)
        return PERIGEE_FAILED;
    struct perigee_value *request = host->value_map(), *query = host->value_map();
    int bad =
        !request || !query || put(request, "url", url) || put(query, "after", newest) || put(request, "query", query);
    enum perigee_status st = bad ? no_memory(call) : host->http(call, request, fetched, NULL, NULL);
    host->value_unref(request);
    host->value_unref(query);
    host->value_unref(newest);
    return st; /* PERIGEE_PENDING: fetched goes on */
}

static enum perigee_status execute(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    *ret_value = host->value_map();
    if (!*ret_value || host->map_put(*ret_value, "ok", host->value_bool(1)))
        return no_memory(call);
    return host->storage_set(call, NEWEST, NULL, 0);
}

/* --- listening --- */

static struct {
    pthread_t thread;
    int fd, wake[2]; /* a byte in wake ends the thread */
    int runs;
} listener = {.fd = -1, .wake = {-1, -1}};

/* A sender on a datagram socket hears nothing back. One that could be answered would be answered here: what is stored
 * is stored, what is not must be sent again. */
static void stored(void *user, enum perigee_status status)
{
    if (status != PERIGEE_OK)
        host->self_log(self, PERIGEE_WARN, "a ticket was lost");
}

static void *listen_to(void *arg)
{
    char ticket[65536];
    struct pollfd fds[2] = {{listener.fd, POLLIN, 0}, {listener.wake[0], POLLIN, 0}};
    while (poll(fds, 2, -1) >= 0 && !fds[1].revents) {
        ssize_t n = fds[0].revents ? recv(listener.fd, ticket, sizeof(ticket), MSG_DONTWAIT) : -1;
        struct perigee_value *item = n > 0 ? host->value_json(ticket, (size_t)n) : NULL;
        if (n > 0 && !item)
            host->self_log(self, PERIGEE_WARN, "what came in is no JSON");
        if (item && host->push(self, item, stored, NULL) != PERIGEE_OK)
            stored(NULL, PERIGEE_FAILED);
    }
    return NULL;
}

static void unlisten(void *state)
{
    if (listener.runs && write(listener.wake[1], "", 1) == 1)
        pthread_join(listener.thread, NULL);
    listener.runs = 0;
    int *fds[] = {&listener.fd, &listener.wake[0], &listener.wake[1]};
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static enum perigee_status listen_at(void *state, struct perigee_call *call)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = text_at(host->call_config(call), "socket");
    if (!path)
        return PERIGEE_OK;
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    unlink(path); /* of a service that was killed */
    listener.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (listener.fd < 0 || bind(listener.fd, (struct sockaddr *)&at, sizeof(at)) || pipe(listener.wake))
        return host->call_fail(call, "@WORD@.socket", "the socket can not be made", 0);
    listener.runs = !pthread_create(&listener.thread, NULL, listen_to, NULL);
    return listener.runs ? PERIGEE_OK : no_memory(call);
}

static const struct perigee_connector connector = {.size = sizeof(connector),
    .sync = sync_tickets,
    .sync_every_ms = 10 * 60 * 1000,
    .map = map,
    .listen = listen_at,
    .unlisten = unlisten,
    .execute = execute,
    .execute_schema = "{\"type\": \"object\", \"properties\": {\"command\": {\"enum\": [\"forget\"]}}, \"required\": "
                      "[\"command\"], \"additionalProperties\": false}"};

/* Called twice, first in a process of its own: nothing is begun here. */
PERIGEE_EXPORT int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    host = api;
    if (!PERIGEE_PLUGIN_HAS(plugin, connector) || !PERIGEE_HAS(api, push)) {
        snprintf(message, message_size, "it needs a perigee whose plugins in C may be connectors");
        return 1;
    }
    self = plugin->self;
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->connector = &connector;
    return 0;
}
