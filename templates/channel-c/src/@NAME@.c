/* SPDX-License-Identifier: Apache-2.0 */
/* Sends the messages of rules that name the channel type "@WORD@". The code runs in the service's process: a crash here
 * takes the service along. perigee/plugin.h is all there is; it says who owns what. */
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>

static const struct perigee_host_api *host; /* the host's functions: given once, never changed */

static const char *text_at(const struct perigee_value *map, const char *key)
{
    return host->value_as_text(host->map_at(map, key));
}

/* Another name for what is there already; nothing is copied. 0 on success. */
static int put(struct perigee_value *map, const char *key, const struct perigee_value *item)
{
    return item ? host->map_put(map, key, host->value_ref(item)) : 0;
}

static int put_text(struct perigee_value *map, const char *key, const char *text)
{
    return text ? host->map_put(map, key, host->value_text(text)) : 0;
}

/* The setting `token` is a secret: a handle that can be put into a header, never be read. */
static struct perigee_value *headers_for(struct perigee_call *call, const char *key)
{
    struct perigee_value *headers = host->value_map();
    const char *token = text_at(host->map_at(host->call_config(call), "token"), "$secret");
    struct perigee_value *secret = token ? host->value_map() : NULL;
    int bad = !headers || put_text(headers, "Idempotency-Key", key);
    if (!bad && secret)
        bad = put_text(secret, "$secret", token) || put_text(secret, "prefix", "Bearer ") ||
              put(headers, "Authorization", secret);
    host->value_unref(secret);
    if (!bad)
        return headers;
    host->value_unref(headers);
    return NULL;
}

/* What the server's answer means for the rule: may it try again, and may the message have been sent? */
static enum perigee_status refused(struct perigee_call *call, const struct perigee_value *answer)
{
    char code[40], message[60];
    int status = (int)host->value_as_int(host->map_at(answer, "status"));
    const char *after = text_at(host->map_at(answer, "headers"), "retry-after");
    long long seconds = 0;
    snprintf(code, sizeof(code), "@WORD@.http_%d", status);
    snprintf(message, sizeof(message), "the server answered %d", status);
    host->call_fail(call, code, message, status == 429 || status >= 500);
    if (after && sscanf(after, "%lld", &seconds) != 1)
        seconds = 0;
    host->call_fail_more(call, status >= 500 && status != 503, seconds * 1000);
    return PERIGEE_FAILED;
}

/* {ok, messageId?} of the server's {id?} */
static enum perigee_status accepted(
    struct perigee_call *call, const struct perigee_value *answer, struct perigee_value **ret_value)
{
    const char *body = text_at(answer, "body");
    struct perigee_value *json = body ? host->value_json(body, strlen(body)) : NULL;
    struct perigee_value *result = host->value_map();
    int bad = !result || host->map_put(result, "ok", host->value_bool(1)) ||
              put(result, "messageId", host->map_at(json, "id"));
    host->value_unref(json);
    if (!bad) {
        *ret_value = result;
        return PERIGEE_OK;
    }
    host->value_unref(result);
    return host->call_fail(call, "@WORD@.memory", "out of memory", 1);
}

/* The rest of send: the answer is there, or call_error says why not; returning PERIGEE_FAILED passes that on. */
static enum perigee_status was_sent(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *answer, int *ret_holds, struct perigee_value **ret_value)
{
    if (!answer)
        return PERIGEE_FAILED;
    if (host->value_as_int(host->map_at(answer, "status")) >= 300)
        return refused(call, answer);
    return accepted(call, answer, ret_value);
}

static enum perigee_status send(void *state, struct perigee_call *call, const struct perigee_value *message,
    int *ret_holds, struct perigee_value **ret_value)
{
    if (!text_at(message, "to"))
        return host->call_fail(call, "@WORD@.no_recipient", "the message has no recipient (to)", 0);
    struct perigee_value *request = host->value_map(), *body = host->value_map();
    struct perigee_value *headers = headers_for(call, text_at(message, "idempotency_key"));
    int bad = !request || !body || !headers || put(body, "to", host->map_at(message, "to")) ||
              put(body, "subject", host->map_at(message, "subject")) ||
              put(body, "body", host->map_at(message, "body")) ||
              put(request, "url", host->map_at(host->call_config(call), "url")) || put(request, "json", body) ||
              put(request, "headers", headers);
    enum perigee_status st = bad ? host->call_fail(call, "@WORD@.memory", "out of memory", 1)
                                 : host->http(call, request, was_sent, NULL, NULL);
    host->value_unref(request);
    host->value_unref(body);
    host->value_unref(headers);
    return st; /* PERIGEE_PENDING: was_sent goes on */
}

static enum perigee_status was_found(void *state, struct perigee_call *call, void *user,
    const struct perigee_value *answer, int *ret_holds, struct perigee_value **ret_value)
{
    int64_t status = host->value_as_int(host->map_at(answer, "status"));
    if (!answer)
        return PERIGEE_FAILED;
    if (status == 404)
        return PERIGEE_NOT_FOUND; /* it never arrived: it is sent now */
    return status >= 300 ? refused(call, answer) : accepted(call, answer, ret_value);
}

/* What became of an earlier attempt with the same key? */
static enum perigee_status lookup(void *state, struct perigee_call *call, const struct perigee_value *message,
    int *ret_holds, struct perigee_value **ret_value)
{
    char url[1024];
    const char *base = text_at(host->call_config(call), "url"), *key = text_at(message, "idempotency_key");
    if (!key || snprintf(url, sizeof(url), "%s/%s", base, key) >= (int)sizeof(url))
        return host->call_fail(call, "@WORD@.url", "the address is too long", 0);
    struct perigee_value *request = host->value_map(), *headers = headers_for(call, NULL);
    int bad = !request || !headers || put_text(request, "url", url) || put(request, "headers", headers);
    enum perigee_status st = bad ? host->call_fail(call, "@WORD@.memory", "out of memory", 1)
                                 : host->http(call, request, was_found, NULL, NULL);
    host->value_unref(request);
    host->value_unref(headers);
    return st;
}

static const struct perigee_channel channel = {
    .size = sizeof(channel), .type = "@WORD@", .delivery = PERIGEE_LOOKUP, .send = send, .lookup = lookup};

PERIGEE_EXPORT int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    host = api;
    if (!PERIGEE_PLUGIN_HAS(plugin, channel) || !PERIGEE_HAS(api, http)) {
        snprintf(message, message_size, "it needs a perigee whose plugins in C may be channels");
        return 1;
    }
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->channel = &channel;
    return 0;
}
