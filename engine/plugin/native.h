/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_NATIVE_H
#define PERI_PLUGIN_NATIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "data/value.h"
#include "perigee/plugin.h"

/* Shared objects that speak include/perigee/plugin.h: what one offers, as copies of its structs in which members that
 * it is too old to have are zero. */
struct peri_native {
    void *object;
    struct perigee_plugin plugin;
    struct perigee_operator *operators;
    size_t operator_count;
    struct perigee_webhook *webhooks;
    size_t webhook_count;
    struct perigee_job *jobs;
    size_t job_count;
    struct perigee_connector connector; /* zero: none */
    struct perigee_channel channel;     /* type NULL: none */
    bool listening;                     /* listen was called, unlisten was not */
    _Atomic bool stays;                 /* threads of its own may still run its code: it is never unmapped */
};

/* Is this file one that could be loaded here? Codes: native.load, native.format, native.arch. */
enum peri_status peri_native_check_file(const char *path, struct peri_error *err) PERI_MUST_CHECK;
/* Who is told "load", "init", "offer" before each. */
struct peri_native_watch {
    void (*said)(void *arg, const char *stage);
    void *arg;
};
/* Loads it, agrees on a version, runs its init. self goes to the plugin; watch may be NULL. Codes: those of check_file,
 * native.library, native.symbol, native.entry, native.version, native.init, native.operator (a registration that makes
 * no sense). */
enum peri_status peri_native_open(const char *path, struct perigee_self *self, const struct peri_native_watch *watch,
    struct peri_native **ret, struct peri_error *err) PERI_MUST_CHECK;
/* unlisten where it listens, unload, dlclose. */
void peri_native_close(struct peri_native *native);

/* Tries all that in a process of its own, which is this program: `program plugins probe --json path`. Also codes
 * native.crashed and native.hangs. Blocks for up to the time that is given. */
enum peri_status peri_native_probe(
    const char *program, const char *path, int timeout_ms, struct peri_error *err) PERI_MUST_CHECK;
/* What happens there: tells its stages and how it ended on the standard output as it was, with what the plugin prints
 * sent to the standard error. True: it loads. */
bool peri_native_probe_here(const char *path);

/* The functions that plugins are given (native_api.c). */
extern const struct perigee_host_api peri_native_api;

#endif
