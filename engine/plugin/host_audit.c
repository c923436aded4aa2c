/* SPDX-License-Identifier: Apache-2.0 */
/* The trail of what was granted, loaded, refused and switched off. */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_ledger.h"
#include "plugin/host_internal.h"

struct entry {
    char *action, *target;
    struct peri_value *detail;
};

static void drop(void *arg)
{
    struct entry *e = arg;
    free(e->action);
    free(e->target);
    peri_value_unref(e->detail);
    free(e);
}

static enum peri_status write_entry(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct entry *e = arg;
    const char *code = peri_map_text(e->detail, "code");
    struct peri_failure failure = {
        .kind = "plugin", .op = e->target, .code = code, .message = peri_map_text(e->detail, "message")};
    enum peri_status st = peri_tx_audit(tx, "service", e->action, e->target, e->detail, err);
    return st == PERI_OK && code ? peri_tx_failure_put(tx, &failure, err) : st;
}

static void written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_host *host = arg;
    host->commits--;
    if (st)
        peri_warn(host->options.log, "audit", "an entry was not stored: %s", err ? err->message : "");
}

static void unload_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("unload.stored");
    written(arg, st, err);
}

static struct peri_value *detail_of(const struct peri_plugin *p)
{
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? PERI_OK : PERI_ENOMEM;
    if (!st && p->manifest)
        st = peri_map_put_text(v, "version", p->manifest->version);
    if (!st && p->package)
        st = peri_map_put_text(v, "sha256", peri_package_hash(p->package));
    if (!st && p->error.status)
        st = peri_map_put_text(v, "code", p->error.code);
    if (!st && p->error.status)
        st = peri_map_put_text(v, "message", p->error.message);
    if (st) {
        peri_value_unref(v);
        return NULL;
    }
    return v;
}

static void record(struct peri_host *host, const char *action, const char *target, struct peri_value *detail,
    struct peri_event *event);

void peri_host_audit(const struct peri_plugin *p, const char *action)
{
    const char *type = peri_streq(action, "plugin.loaded")   ? "plugin.Loaded"
                       : peri_streq(action, "plugin.failed") ? "plugin.Failed"
                                                             : NULL;
    record(p->host, action, p->id, detail_of(p), type ? peri_host_event(p, type, NULL) : NULL);
}

static struct entry *make_entry(const char *action, const char *target, struct peri_value *detail)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e) {
        peri_value_unref(detail);
        return NULL;
    }
    *e = (struct entry){peri_strdup(action), peri_strdup(target), detail};
    if (e->action && e->target)
        return e;
    drop(e);
    return NULL;
}

void peri_audit_batch(struct peri_batch *batch, const char *action, const char *target, struct peri_value *detail)
{
    struct entry *e = make_entry(action, target, detail);
    if (e)
        (void)!peri_batch_fn(batch, 512, write_entry, e, drop);
}

/* take detail and event (may be NULL) */
static void record(
    struct peri_host *host, const char *action, const char *target, struct peri_value *detail, struct peri_event *event)
{
    struct peri_batch *batch = host->options.ops.submit && !host->closing ? peri_batch_create() : NULL;
    if (!batch) {
        peri_value_unref(detail);
        peri_event_unref(event);
        return;
    }
    peri_audit_batch(batch, action, target, detail);
    if (event)
        (void)!peri_batch_event(batch, event);
    host->commits++;
    if (peri_batch_count(batch) == 0 ||
        host->options.ops.submit(host->options.ops.ctx, batch,
            peri_streq(action, "plugin.unloaded") ? unload_written : written, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
        peri_warn(host->options.log, "audit", "%s of %s was not recorded: the store is busy", action, target);
    }
}

void peri_host_audit_entry(struct peri_host *host, const char *action, const char *target, struct peri_value *detail)
{
    record(host, action, target, detail, NULL);
}

void peri_audit_unloaded(const struct peri_plugin *p, const char *reason)
{
    struct peri_value *v = detail_of(p);
    if (v)
        (void)!peri_map_put_text(v, "reason", reason);
    record(p->host, "plugin.unloaded", p->id, v, peri_host_event(p, "plugin.Unloaded", reason));
}

/* --- grants --- */

/* Rows of kv that no plugin can reach: a plugin's id has no colon. */
static const char grants_owner[] = ":grants";

/* The policy is a file that people may also edit by hand: what changed in it is found by comparing it with what was
 * noted last, so every grant is told once, whoever made it. */
void peri_audit_grants(struct peri_host *host)
{
    struct peri_reader *reader = host->options.ops.submit ? peri_host_reader(host) : NULL;
    struct peri_batch *batch = reader ? peri_batch_create() : NULL;
    const struct peri_value *entries = batch ? peri_policy_entries(host->policy) : NULL;
    struct peri_value *known = NULL;
    if (!batch || peri_reader_kv_list(reader, grants_owner, "", 0, 10000, &known, NULL)) {
        peri_batch_destroy(batch);
        return;
    }
    for (void *it = peri_map_first(entries); it; it = peri_map_next(entries, it)) {
        const char *id = peri_map_key(it, NULL);
        struct peri_value *old = NULL;
        bool same = !peri_reader_kv_get(reader, grants_owner, id, 0, &old, NULL) && old &&
                    peri_value_equal(old, peri_map_item(it));
        peri_value_unref(old);
        if (same)
            continue;
        peri_audit_batch(batch, "policy.granted", id, peri_value_ref(peri_map_item(it)));
        (void)!peri_batch_kv_set(batch, grants_owner, id, peri_value_copy(peri_map_item(it)), 0);
    }
    for (size_t i = 0; i < peri_value_count(known); i++) {
        const char *id = peri_value_text(peri_list_at(known, i));
        if (peri_map_at(entries, id))
            continue;
        peri_audit_batch(batch, "policy.revoked", id, NULL);
        (void)!peri_batch_kv_set(batch, grants_owner, id, NULL, 0);
    }
    peri_value_unref(known);
    host->commits++;
    if (peri_batch_count(batch) == 0 ||
        host->options.ops.submit(host->options.ops.ctx, batch, written, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
    }
}
