/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_internal.h"
#include "io/store_runs.h"

/* Sets of rules that heard a type: their texts stay as long as verdicts may name them. */

enum peri_status peri_tx_heard(struct peri_tx *tx, const char *hash, uint64_t seq, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db,
        "INSERT INTO heard(hash,last) VALUES(?,?) ON CONFLICT DO UPDATE SET last=max(last,excluded.last)", err);
    if (st)
        return st;
    peri_stmt_text(&q, hash);
    peri_stmt_int(&q, (int64_t)seq);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_tx_verdicts_put(struct peri_tx *tx, uint64_t seq, const char *verdicts, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open(&q, tx->db, "INSERT INTO verdicts(seq,data) VALUES(?,?)", err);
    if (st)
        return st;
    peri_stmt_int(&q, (int64_t)seq);
    peri_stmt_text(&q, verdicts);
    return peri_stmt_exec(&q, err);
}

enum peri_status peri_store_drop_rulesets(struct peri_db *db, struct peri_error *err)
{
    return peri_db_exec(db,
        "DELETE FROM heard WHERE last<(SELECT ifnull(min(seq),9223372036854775807) FROM events);"
        "DELETE FROM rulesets WHERE NOT EXISTS(SELECT 1 FROM runs INDEXED BY runs_rule WHERE rule=rulesets.rule"
        " AND id BETWEEN rulesets.first AND rulesets.last AND rhash=rulesets.hash)"
        " AND hash NOT IN (SELECT hash FROM heard)"
        " AND hash NOT IN (SELECT json_extract(j.value,'$[1]') FROM heard h JOIN rulesets r ON r.hash=h.hash,"
        " json_each(CASE WHEN json_valid(r.text) THEN r.text ELSE '[]' END) j)",
        err);
}
