/* SPDX-License-Identifier: Apache-2.0 */
/* Branches of runs: rows exist only while a branch is under way. */
#include "io/store_db.h"
#include "io/store_runs.h"

enum peri_status peri_tx_track_put(struct peri_tx *tx, uint64_t run, int track, const char *pos, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "INSERT OR REPLACE INTO tracks(run,t,pos) VALUES(?,?,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_int(&q, track);
    peri_stmt_text(&q, pos);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_track_drop(struct peri_tx *tx, uint64_t run, int track, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM tracks WHERE run=? AND t=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    peri_stmt_int(&q, track);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_tracks_drop(struct peri_tx *tx, uint64_t run, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "DELETE FROM tracks WHERE run=?", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_reader_tracks(struct peri_reader *reader, uint64_t run,
    enum peri_status (*fn)(void *arg, int track, const char *pos), void *arg, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = peri_stmt_open(&q, &reader->db, "SELECT t,pos FROM tracks WHERE run=? ORDER BY t", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)run);
    while (!(st = peri_stmt_row(&q, &row, err)) && row)
        if ((st = fn(arg, (int)peri_stmt_get_int(&q, 0), peri_stmt_get_text(&q, 1))))
            break;
    peri_stmt_close(&q);
    return st;
}
