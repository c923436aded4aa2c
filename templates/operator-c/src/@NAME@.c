/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions and actions for rules, in C. The code runs in the service's process: a crash here takes the service along.
 * perigee/plugin.h is all there is; it says who owns what. */
#include <ctype.h>
#include <perigee/plugin.h>

static const struct perigee_host_api *host; /* the host's functions: given once, never changed */

static int64_t count_words(const char *text)
{
    int64_t words = 0;
    for (int inside = 0; *text; text++) {
        int space = isspace((unsigned char)*text) != 0;
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

/* {words} */
static enum perigee_status count(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    const char *text = host->value_as_text(host->map_at(params, "text"));
    struct perigee_value *result = host->value_map();
    if (!text || !result || host->map_put(result, "words", host->value_int(count_words(text)))) {
        host->value_unref(result);
        return host->call_fail(call, "failed", "no text or no memory", 0);
    }
    *ret_value = result;
    return PERIGEE_OK;
}

static enum perigee_status is_longer(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    enum perigee_status st = count(state, call, params, ret_holds, ret_value);
    if (st == PERIGEE_OK)
        *ret_holds =
            host->value_as_int(host->map_at(*ret_value, "words")) > host->value_as_int(host->map_at(params, "words"));
    return st;
}

#define TEXT "\"text\": {\"type\": \"string\", \"maxLength\": 100000, \"description\": \"what is counted\"}"

static const struct perigee_operator count_op = {.size = sizeof(count_op),
    .kind = PERIGEE_ACTION,
    .id = "@WORD@.count",
    .description = "Counts the words of a text.",
    .params_schema = "{\"type\": \"object\", \"properties\": {" TEXT "}, \"required\": [\"text\"]}",
    .repeat = 1, /* doing it twice does no harm */
    .run = count};
static const struct perigee_operator longer_op = {.size = sizeof(longer_op),
    .kind = PERIGEE_CONDITION,
    .id = "@WORD@.isLonger",
    .description = "True when a text has more words.",
    .params_schema = "{\"type\": \"object\", \"properties\": {" TEXT
                     ", \"words\": {\"type\": \"integer\", \"minimum\": 0, \"description\": \"more than\"}},"
                     "\"required\": [\"text\", \"words\"]}",
    .run = is_longer};
static const struct perigee_operator *const operators[] = {&count_op, &longer_op, NULL};

PERIGEE_EXPORT int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    host = api;
    plugin->abi = PERIGEE_ABI_VERSION;
    plugin->operators = operators;
    return 0;
}
