/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_NATIVE_H
#define PERI_PLUGIN_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "data/value.h"

/* Shared objects that speak include/perigee/plugin.h. */
struct peri_native;

/* dlopen (RTLD_NOW | RTLD_LOCAL), version agreement, init. Codes: native.load, native.entry, native.version,
 * native.init, native.operator (a registration that makes no sense). */
enum peri_status peri_native_open(const char *path, struct peri_native **ret, struct peri_error *err) PERI_MUST_CHECK;
/* unload, dlclose. */
void peri_native_close(struct peri_native *native);

size_t peri_native_count(const struct peri_native *native);
struct peri_native_operator {
    const char *id, *description, *params_schema; /* params_schema: JSON text or NULL */
    bool is_condition, repeat;
};
void peri_native_operator(const struct peri_native *native, size_t i, struct peri_native_operator *ret);

/* What else it offers. intercepts: NULL-ended, borrowed, or NULL. */
struct peri_native_more {
    bool health, before, after;
    const char *const *intercepts;
};
struct peri_native_more peri_native_more(const struct peri_native *native);
struct peri_native_env;
enum peri_native_hook { PERI_NATIVE_HEALTH, PERI_NATIVE_BEFORE, PERI_NATIVE_AFTER };
/* Runs one of them; action: for BEFORE and AFTER. PERI_EINVAL and the reason: not well, or a veto. */
enum peri_status peri_native_ask(struct peri_native *native, enum peri_native_hook hook,
    const struct peri_native_env *env, const struct peri_value *action, struct peri_error *err) PERI_MUST_CHECK;

/* What a running handler may ask for; the host's part (host_native.c). user is handed back. */
struct peri_native_env {
    const struct peri_value *config, *event;
    const char *rule, *run, *key;
    int64_t now_ms;
    enum peri_status (*query)(
        void *user, const struct peri_value *request, struct peri_value **ret, struct peri_error *err);
    enum peri_status (*get)(
        void *user, const char *type, const char *id, struct peri_value **ret, struct peri_error *err);
    enum peri_status (*put)(void *user, const char *type, const struct peri_value *fields, char *id, size_t id_size,
        struct peri_error *err);
    enum peri_status (*remove)(void *user, const char *type, const char *id, struct peri_error *err);
    enum peri_status (*emit)(void *user, const char *type, const struct peri_value *data, struct peri_error *err);
    void (*log)(void *user, int level, const char *text);
    void *user;
};
/* Runs operator i. *ret_value (new reference or NULL) and *ret_holds on success. */
enum peri_status peri_native_run(struct peri_native *native, size_t i, const struct peri_native_env *env,
    const struct peri_value *params, bool *ret_holds, struct peri_value **ret_value,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
