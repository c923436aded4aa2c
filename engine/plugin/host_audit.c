/* SPDX-License-Identifier: Apache-2.0 */
/* The trail of what was loaded, refused and switched off. */
#include <stdlib.h>

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

void peri_host_audit(const struct peri_plugin *p, const char *action)
{
    peri_host_audit_entry(p->host, action, p->id, detail_of(p));
}

void peri_host_audit_entry(struct peri_host *host, const char *action, const char *target, struct peri_value *detail)
{
    struct entry *e = host->options.ops.submit && !host->closing ? calloc(1, sizeof(*e)) : NULL;
    if (!e) {
        peri_value_unref(detail);
        return;
    }
    *e = (struct entry){peri_strdup(action), peri_strdup(target), detail};
    struct peri_batch *batch = e->action && e->target ? peri_batch_create() : NULL;
    if (!batch) {
        drop(e);
        return;
    }
    host->commits++;
    if (peri_batch_fn(batch, 512, write_entry, e, drop) ||
        host->options.ops.submit(host->options.ops.ctx, batch, written, host) != PERI_OK) {
        host->commits--;
        peri_batch_destroy(batch);
        peri_warn(host->options.log, "audit", "%s of %s was not recorded: the store is busy", action, target);
    }
}
