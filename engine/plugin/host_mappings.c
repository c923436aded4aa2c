/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers do with mappings: the source is always the plugin itself. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/store_mappings.h"
#include "plugin/grants.h"
#include "plugin/host_internal.h"

#define BULK_MAX 1000

struct change {
    struct peri_value *mapping; /* with its source; NULL: type and key are deleted */
    char *source, *type, *key;
};

static void drop(void *arg)
{
    struct change *c = arg;
    peri_value_unref(c->mapping);
    free(c->source);
    free(c->type);
    free(c->key);
    free(c);
}

static enum peri_status apply(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct change *c = arg;
    struct peri_mapping m;
    if (!c->mapping)
        return peri_tx_mapping_delete_key(tx, c->source, c->type, c->key, err);
    enum peri_status st = peri_mapping_read(c->mapping, &m, err);
    return st ? st : peri_tx_mapping_put(tx, &m, NULL, err);
}

static enum peri_status may_map(struct peri_job *job, struct peri_error *err)
{
    if (!peri_grants_uses(job->plugin->grants, "storage:write"))
        return peri_job_denied(job, "storage:write", "", err);
    enum peri_status st = peri_job_may_change(job, "change its mappings", err);
    if (!st)
        st = peri_job_spend(job, err);
    return st ? st : peri_job_batch(job, err);
}

static enum peri_status check_count(struct peri_job *job, size_t more, struct peri_error *err)
{
    struct peri_reader *reader = peri_job_reader(job);
    int64_t count = 0;
    enum peri_status st = reader ? peri_reader_mapping_count(reader, job->plugin->id, &count, err) : PERI_OK;
    if (!st && count + (int64_t)more > PERI_HOST_MAPPINGS)
        st = peri_error_set(
            err, PERI_ELIMIT, "limit.mappings", "a plugin keeps at most %d mappings", PERI_HOST_MAPPINGS);
    return st;
}

/* Is the external id another key's? Found out here, the handler can do something about it. */
static enum peri_status check_free(struct peri_job *job, const struct peri_mapping *m, struct peri_error *err)
{
    struct peri_reader *reader = peri_job_reader(job);
    struct peri_value *list = NULL;
    struct peri_mapping_filter filter = {
        .source = m->source, .type = m->type, .external_id = m->external_id, .limit = 1};
    enum peri_status st = reader ? peri_reader_mappings(reader, &filter, &list, err) : PERI_OK;
    const char *key = peri_map_text(peri_list_at(list, 0), "key");
    if (!st && key && strcmp(key, m->key))
        st = peri_error_set(err, PERI_EEXIST, "mapping.conflict", "%s %s is mapped to %s already, not to %s", m->type,
            m->external_id, key, m->key);
    peri_value_unref(list);
    return st;
}

static enum peri_status add(struct peri_job *job, const struct peri_value *mapping, struct peri_error *err)
{
    struct peri_mapping m;
    struct change *c = calloc(1, sizeof(*c));
    if (c)
        c->mapping = peri_value_copy(mapping);
    if (!c || !c->mapping || peri_map_put_text(c->mapping, "source", job->plugin->id)) {
        if (c)
            drop(c);
        return peri_error_nomem(err);
    }
    enum peri_status st = peri_mapping_read(c->mapping, &m, err);
    if (!st)
        st = check_free(job, &m, err);
    if (st) {
        drop(c);
        return st;
    }
    return peri_batch_fn(job->batch, 512, apply, c, drop) ? peri_error_nomem(err) : PERI_OK;
}

enum peri_status peri_job_map(struct peri_job *job, const struct peri_value *mappings, struct peri_error *err)
{
    size_t n = peri_value_count(mappings);
    enum peri_status st = may_map(job, err);
    if (!st && n > BULK_MAX)
        st = peri_error_set(err, PERI_EINVAL, "bad_argument", "at most %d mappings at once", BULK_MAX);
    if (!st)
        st = check_count(job, n, err);
    for (size_t i = 0; !st && i < n; i++)
        st = add(job, peri_list_at(mappings, i), err);
    return st;
}

enum peri_status peri_job_unmap(struct peri_job *job, const char *type, const char *key, struct peri_error *err)
{
    enum peri_status st = may_map(job, err);
    if (st)
        return st;
    struct change *c = calloc(1, sizeof(*c));
    if (!c)
        return peri_error_nomem(err);
    c->source = peri_strdup(job->plugin->id);
    c->type = peri_strdup(type);
    c->key = peri_strdup(key);
    if (!c->source || !c->type || !c->key) {
        drop(c);
        return peri_error_nomem(err);
    }
    return peri_batch_fn(job->batch, 128, apply, c, drop) ? peri_error_nomem(err) : PERI_OK;
}

enum peri_status peri_job_mappings(
    struct peri_job *job, const struct peri_value *request, struct peri_value **ret, struct peri_error *err)
{
    if (!peri_grants_uses(job->plugin->grants, "storage:read"))
        return peri_job_denied(job, "storage:read", "", err);
    enum peri_status st = peri_job_spend(job, err);
    if (st)
        return st;
    struct peri_reader *reader = peri_job_reader(job);
    const char *after = peri_map_text(request, "after");
    struct peri_mapping_filter filter = {.source = job->plugin->id,
        .type = peri_map_text(request, "type"),
        .key = peri_map_text(request, "key"),
        .external_id = peri_map_text(request, "external_id"),
        .limit = (size_t)peri_map_int(request, "limit", 100)};
    if (after && !peri_mapping_id_parse(after, &filter.after))
        return peri_error_set(err, PERI_EINVAL, "bad_argument", "after must be the id of a mapping");
    if (reader)
        return peri_reader_mappings(reader, &filter, ret, err);
    *ret = peri_value_list();
    return *ret ? PERI_OK : peri_error_nomem(err);
}
