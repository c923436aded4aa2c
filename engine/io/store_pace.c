/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_pace.h"

#include "io/store_db.h"

enum peri_status peri_tx_pace_put(
    struct peri_tx *tx, const struct peri_pace_row *row, int64_t now, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st =
        peri_stmt_open(&q, tx->db, "INSERT OR REPLACE INTO pace(bucket,at,run,n,keep) VALUES(?,?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, row->bucket);
    peri_stmt_int(&q, row->at);
    peri_stmt_int(&q, (int64_t)row->run);
    peri_stmt_int(&q, row->n);
    peri_stmt_int(&q, row->keep);
    st = peri_stmt_exec(&q, err);
    if (!st)
        st = peri_stmt_open(&q, tx->db,
            "DELETE FROM pace WHERE (bucket,at,run,n) IN"
            " (SELECT bucket,at,run,n FROM pace INDEXED BY pace_keep WHERE keep<=? LIMIT 4)",
            err);
    if (st)
        return st;
    peri_stmt_int(&q, now);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_reader_pace(struct peri_reader *reader, int64_t now,
    enum peri_status (*fn)(void *arg, const struct peri_pace_row *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st =
        peri_stmt_open(&q, &reader->db, "SELECT bucket,at,run,n,keep FROM pace WHERE keep>? ORDER BY bucket,at", err);
    if (st)
        return st;
    peri_stmt_int(&q, now);
    while (!st && !(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_pace_row r = {.bucket = peri_stmt_get_text(&q, 0),
            .at = peri_stmt_get_int(&q, 1),
            .run = (uint64_t)peri_stmt_get_int(&q, 2),
            .n = (int)peri_stmt_get_int(&q, 3),
            .keep = peri_stmt_get_int(&q, 4)};
        st = fn(arg, &r);
    }
    peri_stmt_close(&q);
    return st;
}

enum peri_status peri_tx_circuit_put(struct peri_tx *tx, const struct peri_circuit_stored *row, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT OR REPLACE INTO circuits(destination,code,message,opened,until,pause) VALUES(?,?,?,?,?,?)", err);
    if (st)
        return st;
    peri_stmt_text(&q, row->destination);
    peri_stmt_text(&q, row->code);
    peri_stmt_text(&q, row->message);
    peri_stmt_int(&q, row->opened_ms);
    peri_stmt_int(&q, row->until_ms);
    peri_stmt_int(&q, row->pause_ms);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_circuit_drop(struct peri_tx *tx, const char *destination, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM circuits WHERE destination=?", err);
    if (st)
        return st;
    peri_stmt_text(&q, destination);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_reader_circuits(struct peri_reader *reader,
    enum peri_status (*fn)(void *arg, const struct peri_circuit_stored *row), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, 0);
    enum peri_status st = peri_stmt_open(
        &q, &reader->db, "SELECT destination,code,message,opened,until,pause FROM circuits LIMIT 10000", err);
    while (!st && !(st = peri_stmt_row(&q, &row, err)) && row) {
        struct peri_circuit_stored r = {.destination = peri_stmt_get_text(&q, 0),
            .code = peri_stmt_get_text(&q, 1),
            .message = peri_stmt_get_text(&q, 2),
            .opened_ms = peri_stmt_get_int(&q, 3),
            .until_ms = peri_stmt_get_int(&q, 4),
            .pause_ms = peri_stmt_get_int(&q, 5)};
        st = fn(arg, &r);
    }
    peri_stmt_close(&q);
    return st;
}
