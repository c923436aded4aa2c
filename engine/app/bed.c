/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bed.h"

#include "io/store_data.h"

#define LOOK_EVERY 64 /* turns of the loop, at the real clock */

static enum peri_status post(void *ctx, void (*fn)(void *arg), void *arg)
{
    return peri_loop_post(ctx, fn, arg);
}

enum peri_status peri_bed_store(struct peri_loop *loop, struct peri_log *log, struct peri_clock clock,
    struct peri_store **ret_store, struct peri_reader **ret_reader, struct peri_error *err)
{
    struct peri_store_options options = {
        .path = ":memory:", .log = log, .clock = clock, .post = post, .post_ctx = loop};
    enum peri_status st = peri_store_open(&options, ret_store, err);
    return st ? st : peri_store_reader(*ret_store, ret_reader, err);
}

void peri_bed_drain(struct peri_loop *loop)
{
    for (int i = 0; loop && i < 3; i++)
        peri_loop_once(loop, 0);
}

/* ---- coming to rest ---- */

static int64_t real_ms(void)
{
    struct peri_clock system = peri_clock_system();
    return peri_clock_mono(&system).ns / 1000000;
}

enum peri_status peri_bed_settle(struct peri_loop *loop, const struct peri_bed_rest *rest, struct peri_error *err)
{
    int64_t end = 0;
    for (size_t i = 0; !rest->quiet(rest->ctx); i++) {
        peri_loop_once(loop, 5);
        if (i % LOOK_EVERY != 0)
            continue;
        int64_t now = real_ms();
        end = end ? end : now + rest->at_most_ms;
        if (now > end)
            return peri_error_set(err, PERI_ETIMEOUT, rest->code, "the %s did not come to rest within %lld s",
                rest->who, (long long)(rest->at_most_ms / 1000));
    }
    return PERI_OK;
}

/* ---- writing ---- */

void peri_bed_written(void *write, enum peri_status st, const struct peri_error *err)
{
    struct peri_bed_write *w = write;
    w->done = true;
    w->st = st;
    if (err)
        w->err = *err;
}

enum peri_status peri_bed_wait(struct peri_loop *loop, const struct peri_bed_write *write, struct peri_error *err)
{
    while (!write->done)
        peri_loop_once(loop, 5);
    if (write->st)
        *err = write->err;
    return write->st;
}

enum peri_status peri_bed_submit(
    struct peri_loop *loop, struct peri_pipeline *pipeline, struct peri_batch *batch, struct peri_error *err)
{
    struct peri_bed_write write = {0};
    enum peri_status st = peri_pipeline_submit(pipeline, batch, peri_bed_written, &write, err);
    if (st)
        peri_batch_destroy(batch);
    return st ? st : peri_bed_wait(loop, &write, err);
}

struct put {
    const struct peri_value *entities;
    bool remove;
};

static enum peri_status put_all(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct put *put = arg;
    enum peri_status st = PERI_OK;
    for (void *it = peri_map_first(put->entities); it && st == PERI_OK; it = peri_map_next(put->entities, it)) {
        const struct peri_value *list = peri_map_item(it);
        for (size_t i = 0; st == PERI_OK && i < peri_value_count(list); i++) {
            const struct peri_value *item = peri_list_at(list, i);
            st = put->remove ? peri_tx_entity_delete(tx, peri_map_key(it, NULL), peri_value_text(item), NULL, err)
                             : peri_tx_entity_put(tx, peri_map_key(it, NULL), item, NULL, NULL, err);
        }
    }
    return st;
}

enum peri_status peri_bed_put(
    struct peri_store *store, const struct peri_value *entities, bool remove, struct peri_error *err)
{
    struct put put = {entities, remove};
    return entities ? peri_store_run(store, put_all, &put, err) : PERI_OK;
}

enum peri_status peri_bed_lend(struct peri_secrets *secrets, const struct peri_value *map, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (void *it = peri_map_first(map); it && st == PERI_OK; it = peri_map_next(map, it)) {
        const char *text = peri_value_text(peri_map_item(it));
        st = peri_secrets_lend(secrets, peri_map_key(it, NULL), text ? text : "", err);
    }
    return st;
}

enum peri_status peri_bed_keep_message(struct peri_value *list, const char *plugin, const struct peri_value *message)
{
    struct peri_value *copy = peri_value_copy(message);
    if (copy && peri_map_put_text(copy, "channel", plugin) == PERI_OK)
        return peri_list_push(list, copy);
    peri_value_unref(copy);
    return PERI_ENOMEM;
}
