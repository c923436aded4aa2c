/* SPDX-License-Identifier: Apache-2.0 */
/* A C plugin that is good, or bad in the way that MOCK says. */
#if MOCK == 4
#define perigee_plugin_init mock_other_name
#endif
#include <perigee/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct perigee_host_api *host;

static enum perigee_status is_more(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    int64_t n = host->value_as_int(host->map_at(params, "n"));
    *ret_holds = n > 5;
    *ret_value = host->value_map();
    host->map_put(*ret_value, "actual", host->value_int(n));
    return PERIGEE_OK;
}

static enum perigee_status note(void *state, struct perigee_call *call, const struct perigee_value *params,
    int *ret_holds, struct perigee_value **ret_value)
{
    char id[128];
    const char *what = host->value_as_text(host->map_at(params, "what"));
    if (what && !strcmp(what, "fail"))
        return host->call_fail(call, "mock.no", "no", 1);
    if (what && !strcmp(what, "silent"))
        return PERIGEE_FAILED;
    host->log(call, PERIGEE_INFO, "noted");
    enum perigee_status st =
        host->data_put(call, what && !strcmp(what, "contact") ? "contact" : "task", params, id, sizeof(id));
    if (st == PERIGEE_OK)
        st = host->emit(call, "mock.Noted", params);
    if (st != PERIGEE_OK)
        return st;
    *ret_value = host->value_map();
    host->map_put(*ret_value, "id", host->value_text(id));
    return PERIGEE_OK;
}

static const struct perigee_operator more_op = {.size = sizeof(more_op),
    .kind = PERIGEE_CONDITION,
    .id = "mock.more",
    .description = "more than 5",
    .params_schema = "{\"type\":\"object\",\"required\":[\"n\"]}",
    .run = is_more};
static const struct perigee_operator note_op = {
    .size = sizeof(note_op), .kind = PERIGEE_ACTION, .id = "mock.note", .repeat = 1, .run = note};
static const struct perigee_operator nameless_op = {.size = sizeof(nameless_op), .kind = PERIGEE_ACTION, .run = note};
/* As built with the first header of the version, and with one that is yet to come. */
static const struct perigee_operator old_op = {.size = offsetof(struct perigee_operator, lookup),
    .kind = PERIGEE_CONDITION,
    .id = "mock.old",
    .run = is_more,
    .lookup = note /* behind its end: not there */};
static const struct perigee_operator small_op = {.size = offsetof(struct perigee_operator, run), .id = "mock.small"};
static const struct {
    struct perigee_operator op;
    void *more;
} new_op = {{.size = sizeof(new_op), .kind = PERIGEE_ACTION, .id = "mock.new", .run = note}, (void *)&old_op};
static const struct perigee_operator *const sizes[] = {&old_op, &new_op.op, NULL};
static const struct perigee_operator *const too_small[] = {&small_op, NULL};
static const struct perigee_operator *const operators[] = {&more_op, &note_op, NULL};
static const struct perigee_operator *const nameless[] = {&nameless_op, NULL};

#if MOCK == 5
static const char *const watched[] = {"w.*", NULL};

static enum perigee_status is_well(void *state, struct perigee_call *call)
{
    return host->call_fail(call, "mock.ill", "a sore throat", 0);
}

static enum perigee_status may_run(void *state, struct perigee_call *call, const struct perigee_value *action)
{
    int64_t n = host->value_as_int(host->map_at(host->map_at(action, "params"), "n"));
    return n > 3 ? host->call_fail(call, "mock.much", "too much", 0) : PERIGEE_OK;
}
#endif

#if MOCK == 10
extern int mock_nobody_has_this(void);
#endif
#if MOCK == 13
__attribute__((constructor)) static void at_load(void)
{
    raise(SIGILL);
}
#endif

int perigee_plugin_init(
    const struct perigee_host_api *api, struct perigee_plugin *plugin, char *message, size_t message_size)
{
    host = api;
    plugin->abi = MOCK == 1 ? 99 : PERIGEE_ABI_VERSION;
    plugin->operators = MOCK == 3 ? nameless : MOCK == 11 ? sizes : MOCK == 12 ? too_small : operators;
#if MOCK == 5
    if (PERIGEE_PLUGIN_HAS(plugin, intercepts)) {
        plugin->health = is_well;
        plugin->before = may_run;
        plugin->intercepts = watched;
    }
#endif
#if MOCK == 6
    fprintf(stderr, "mock: nothing works\n");
    abort();
#elif MOCK == 15
    if (plugin->self) /* not where it is only tried */
        abort();
#elif MOCK == 7
    raise(SIGSEGV);
#elif MOCK == 8
    exit(3);
#elif MOCK == 9
    for (;;)
        pause();
#elif MOCK == 10
    mock_nobody_has_this();
#elif MOCK == 14
    static const struct perigee_channel channel = {.size = sizeof(channel), .type = "fax"};
    plugin->channel = &channel;
#endif
    if (MOCK == 2)
        snprintf(message, message_size, "no coffee");
    return MOCK == 2;
}
