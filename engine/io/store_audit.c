/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the audit trail; peri_tx_audit is in store_meta.c. */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "io/store_data.h"
#include "io/store_db.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000

bool peri_audit_id_parse(const char *text, uint64_t *ret)
{
    long long n;
    if (!text || !peri_str_starts(text, "au-") || !peri_parse_i64(text + 3, &n) || n <= 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static enum peri_status form(struct peri_stmt *q, struct peri_value **ret, struct peri_error *err)
{
    char id[32];
    struct peri_value *map = peri_value_map(), *detail = NULL;
    snprintf(id, sizeof(id), "au-%" PRId64, peri_stmt_get_int(q, 0));
    enum peri_status st = peri_stmt_json(q, 5, &detail, err);
    if (!st)
        st = map ? peri_map_put_text(map, "id", id) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_time(map, "time", peri_stmt_get_int(q, 1));
    if (!st)
        st = peri_map_put_text(map, "actor", peri_stmt_get_text(q, 2));
    if (!st)
        st = peri_map_put_text(map, "action", peri_stmt_get_text(q, 3));
    if (!st && peri_stmt_get_text(q, 4))
        st = peri_map_put_text(map, "target", peri_stmt_get_text(q, 4));
    if (!st && detail)
        st = peri_map_put_ref(map, "detail", detail);
    peri_value_unref(detail);
    if (st)
        peri_value_unref(map);
    else
        *ret = map;
    return st;
}

enum peri_status peri_reader_audit(
    struct peri_reader *reader, const struct peri_audit_filter *f, struct peri_value **ret_list, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = true;
    struct peri_value *list = peri_value_list();
    if (!list)
        return peri_error_nomem(err);
    peri_db_limit(&reader->db, PERI_READ_NS);
    enum peri_status st = f->target ? peri_stmt_open(&q, &reader->db,
                                          "SELECT seq,ts,actor,action,target,detail FROM audit WHERE target=?1"
                                          " AND seq<?2 AND (?3 IS NULL OR substr(action,1,length(?3))=?3)"
                                          " ORDER BY seq DESC LIMIT ?4",
                                          err)
                                    : peri_stmt_open(&q, &reader->db,
                                          "SELECT seq,ts,actor,action,target,detail FROM audit WHERE ?1 IS NULL"
                                          " AND seq<?2 AND (?3 IS NULL OR substr(action,1,length(?3))=?3)"
                                          " ORDER BY seq DESC LIMIT ?4",
                                          err);
    if (!st) {
        peri_stmt_text(&q, f->target);
        peri_stmt_int(&q, f->before && f->before < INT64_MAX ? (int64_t)f->before : INT64_MAX);
        peri_stmt_text(&q, f->action);
        peri_stmt_int(&q, f->limit == 0 ? LIST_DEFAULT : f->limit > LIST_MAX ? LIST_MAX : (int64_t)f->limit);
        while (!st && row) {
            struct peri_value *v = NULL;
            st = peri_stmt_row(&q, &row, err);
            if (!st && row)
                st = form(&q, &v, err);
            if (v)
                st = peri_list_push(list, v);
        }
        peri_stmt_close(&q);
    }
    if (st)
        peri_value_unref(list);
    else
        *ret_list = list;
    return st;
}
