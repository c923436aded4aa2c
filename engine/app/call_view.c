/* SPDX-License-Identifier: Apache-2.0 */
#include "app/call_view.h"

struct peri_value *peri_error_value(const struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "code", err->code) == PERI_OK &&
        peri_map_put_text(v, "message", err->message) == PERI_OK &&
        peri_map_put_bool(v, "retryable", err->retryable) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

static struct peri_value *usage_value(const struct peri_usage *usage)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_int(v, "instructions", usage->instructions) == PERI_OK &&
        peri_map_put_int(v, "memory_bytes", (int64_t)usage->memory_bytes) == PERI_OK &&
        peri_map_put_int(v, "wall_us", usage->wall_us) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_call_value(const struct peri_call_result *result)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_bool(v, "ok", result->status == PERI_OK) : PERI_ENOMEM;
    if (st == PERI_OK && result->status != PERI_OK)
        st = peri_map_put(v, "error", peri_error_value(&result->error));
    else if (st == PERI_OK)
        st = peri_map_put(v, "result", result->value ? peri_value_ref(result->value) : peri_value_null());
    if (st == PERI_OK && result->status == PERI_OK && result->is_condition) {
        struct peri_value *answer = peri_value_map();
        st = answer ? peri_map_put_bool(answer, "holds", result->holds) : PERI_ENOMEM;
        if (st == PERI_OK)
            st = peri_map_put_ref(answer, "compared", peri_map_at(v, "result"));
        if (st == PERI_OK)
            st = peri_map_put_ref(v, "result", answer);
        peri_value_unref(answer);
    }
    if (st == PERI_OK)
        st = peri_map_put(v, "usage", usage_value(&result->usage));
    if (st == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}
