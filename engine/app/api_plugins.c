/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/reload.h"
#include "app/call_view.h"
#include "base/str.h"

static struct peri_value *items(struct peri_value *list)
{
    struct peri_value *doc = list ? peri_value_map() : NULL;
    if (doc && peri_map_put_ref(doc, "items", list)) {
        peri_value_unref(doc);
        doc = NULL;
    }
    peri_value_unref(list);
    return doc;
}

static void list_plugins(struct peri_api_op *op)
{
    struct peri_value *list = NULL;
    peri_api_take_answer(op, 200, peri_host_plugins(op->service->host, &list) == PERI_OK ? items(list) : NULL);
}

static void show_plugin(struct peri_api_op *op)
{
    struct peri_value *list = NULL;
    if (peri_host_plugins(op->service->host, &list)) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    for (size_t i = 0; i < peri_value_count(list); i++) {
        if (peri_streq(peri_map_text(peri_list_at(list, i), "id"), op->params[0])) {
            peri_api_answer(op, 200, peri_list_at(list, i));
            peri_value_unref(list);
            return;
        }
    }
    peri_value_unref(list);
    peri_api_problem(op, 404, "there is no plugin \"%.200s\"", op->params[0]);
}

static void set_plugin(struct peri_api_op *op, bool enabled)
{
    struct peri_error err;
    enum peri_status st = peri_host_set_enabled(op->service->host, op->params[0], enabled, &err);
    if (st)
        peri_api_error(op, st, &err);
    else
        show_plugin(op);
}

static void enable_plugin(struct peri_api_op *op)
{
    set_plugin(op, true);
}

static void disable_plugin(struct peri_api_op *op)
{
    set_plugin(op, false);
}

static void reloaded(void *arg)
{
    struct peri_api_op *op = arg;
    if (op->service->ready)
        peri_reload(op->service->reload, NULL, NULL); /* operators may have come or gone */
    show_plugin(op);
}

static void reload_plugin(struct peri_api_op *op)
{
    struct peri_error err;
    enum peri_status st = peri_host_reload(op->service->host, op->params[0], reloaded, op, &err);
    if (st)
        peri_api_error(op, st, &err);
}

static void list_operators(struct peri_api_op *op)
{
    struct peri_value *list = NULL;
    peri_api_take_answer(op, 200, peri_host_operators(op->service->host, NULL, &list) == PERI_OK ? items(list) : NULL);
}

static void show_operator(struct peri_api_op *op)
{
    struct peri_value *v = NULL;
    if (peri_host_operators(op->service->host, op->params[0], &v) == PERI_OK)
        peri_api_take_answer(op, 200, v);
    else
        peri_api_problem(op, 404, "there is no operator \"%.200s\"", op->params[0]);
}

static void called(void *arg, const struct peri_call_result *result)
{
    peri_api_take_answer(arg, 200, peri_call_value(result));
}

static void call_operator(struct peri_api_op *op)
{
    struct peri_value *empty = peri_value_map(), *given = peri_map_at(op->body, "params");
    struct peri_error err;
    struct peri_call call = {.operator_id = op->params[0], .params = given ? given : empty};
    enum peri_status st = empty ? peri_host_call(op->service->host, &call, called, op, &err) : peri_error_nomem(&err);
    peri_value_unref(empty);
    if (st)
        peri_api_error(op, st, &err);
}

const struct peri_api_route peri_api_plugins[] = {
    {"GET", "/v1/plugins", list_plugins, false, false},
    {"GET", "/v1/plugins/{}", show_plugin, false, false},
    {"POST", "/v1/plugins/{}/enable", enable_plugin, false, true},
    {"POST", "/v1/plugins/{}/disable", disable_plugin, false, true},
    {"POST", "/v1/plugins/{}/reload", reload_plugin, false, true},
    {"GET", "/v1/operators", list_operators, false, false},
    {"GET", "/v1/operators/{}", show_operator, false, false},
    {"POST", "/v1/operators/{}/call", call_operator, false, true},
    {0},
};
