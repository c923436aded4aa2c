/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/failpoint.h"
#include "base/id.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_copy.h"
#include "io/store_internal.h"
#include "io/store_runs.h"

/* Row by row from a damaged database into a new one of the same schema, whose indexes are thereby new as well. A table
 * is read in order of its key. Where that ends in damage, the next key that can be reached is searched: first in steps
 * that double, then by halving, so that a damaged page costs its own rows and no others. Tables whose key begins with a
 * text are read from both ends instead.
 *
 * A row whose checksum or JSON is wrong counts as lost. Marks of duplicates and terms of entities are made anew from
 * their events and entities. */

#define COMMIT_ROWS 5000
#define TELL_ROWS 1000
#define COLUMNS_MAX 64

struct table {
    char name[64];
    bool without_rowid;
    int count, crc, body, params, result;
    char *columns[COLUMNS_MAX];
    char *key;   /* first column of the primary key */
    bool number; /* it is an integer */
    char *order; /* "run,n,attempt" */
    char *insert;
    int64_t saved, lost;
    bool unknown; /* nobody can say how many are lost */
};

struct rescue {
    const struct peri_copy_options *options;
    struct peri_db from, to;
    struct peri_value *tables;
    int64_t saved, lost, paused, open_rows, dedupe_mark;
    bool unknown;
};

/* ---- tables ---- */

static void table_finish(struct table *t)
{
    for (int i = 0; i < t->count; i++)
        free(t->columns[i]);
    free(t->key);
    free(t->order);
    free(t->insert);
}

static int find_column(const struct table *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->columns[i], name) == 0)
            return i;
    return -1;
}

static bool append(char **text, const char *separator, const char *more)
{
    char *grown = *text ? peri_asprintf("%s%s%s", *text, separator, more) : peri_strdup(more);
    if (!grown)
        return false;
    free(*text);
    *text = grown;
    return true;
}

static enum peri_status read_columns(struct rescue *r, struct table *t, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, &r->to, "SELECT name,type FROM pragma_table_info(?) ORDER BY cid", err);
    if (st)
        return st;
    peri_stmt_text(&q, t->name);
    while (!(st = peri_stmt_row(&q, &row, err)) && row && t->count < COLUMNS_MAX) {
        if ((st = peri_stmt_dup(&q, 0, &t->columns[t->count], err)))
            break;
        t->count++;
    }
    peri_stmt_close(&q);
    if (!st)
        st = peri_stmt_open(
            &q, &r->to, "SELECT name,type='INTEGER' FROM pragma_table_info(?) WHERE pk>0 ORDER BY pk", err);
    if (st)
        return st;
    peri_stmt_text(&q, t->name);
    while (!(st = peri_stmt_row(&q, &row, err)) && row) {
        const char *name = peri_stmt_get_text(&q, 0);
        if (!t->key && name) {
            t->key = peri_strdup(name);
            t->number = peri_stmt_get_int(&q, 1) != 0;
        }
        if (!t->key || !append(&t->order, ",", name)) {
            st = peri_error_nomem(err);
            break;
        }
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status table_init(
    struct rescue *r, struct table *t, const char *name, bool without_rowid, struct peri_error *err)
{
    *t = (struct table){.without_rowid = without_rowid};
    snprintf(t->name, sizeof(t->name), "%s", name);
    enum peri_status st = read_columns(r, t, err);
    if (st)
        return st;
    char *marks = NULL, *names = NULL;
    bool ok = t->order != NULL;
    for (int i = 0; ok && i < t->count; i++)
        ok = append(&names, ",", t->columns[i]) && append(&marks, ",", "?");
    t->insert = ok ? peri_asprintf("INSERT OR IGNORE INTO %s(%s) VALUES(%s)", t->name, names, marks) : NULL;
    free(marks);
    free(names);
    t->crc = find_column(t, "crc");
    t->body = find_column(t, "body");
    t->params = find_column(t, "req");
    t->result = find_column(t, "out");
    return t->insert ? PERI_OK : peri_error_nomem(err);
}

static char *select_text(const struct table *t, const char *what, const char *rest)
{
    char *names = NULL;
    bool ok = true;
    for (int i = 0; !what && ok && i < t->count; i++)
        ok = append(&names, ",", t->columns[i]);
    /* Never by way of an index of a rowid table: it may be what is damaged, or lead to other rows. */
    char *sql = ok ? peri_asprintf("SELECT %s FROM %s%s %s", what ? what : names, t->name,
                         t->without_rowid ? "" : " NOT INDEXED", rest)
                   : NULL;
    free(names);
    return sql;
}

/* ---- one row ---- */

static bool json_is_whole(const struct table *t, struct peri_stmt *q)
{
    static const struct {
        const char *table, *column;
    } json[] = {{"events", "ext"}, {"runs", "pos"}, {"runs", "vars"}, {"verdicts", "data"}, {"entities", "attrs"},
        {"kv", "value"}, {"outbox", "message"}};
    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        int column = strcmp(json[i].table, t->name) == 0 ? find_column(t, json[i].column) : -1;
        struct peri_value *value = NULL;
        struct peri_error err;
        if (column >= 0 && peri_stmt_json(q, column, &value, &err) == PERI_ECORRUPT)
            return false;
        peri_value_unref(value);
    }
    return true;
}

static bool row_is_whole(const struct table *t, struct peri_stmt *q)
{
    if (t->crc >= 0 && t->body >= 0) {
        const char *body = peri_stmt_get_text(q, t->body);
        if (!body || peri_crc32c(body, peri_stmt_get_bytes(q, t->body)) != (uint32_t)peri_stmt_get_int(q, t->crc))
            return false;
    } else if (t->crc >= 0 && t->params >= 0 && t->result >= 0) {
        if (peri_step_crc(peri_stmt_get_text(q, t->params), peri_stmt_get_text(q, t->result)) !=
            (uint32_t)peri_stmt_get_int(q, t->crc))
            return false;
    }
    return json_is_whole(t, q);
}

/* The new database gets an id and a state of its own. */
static bool is_passed_over(const struct table *t, struct peri_stmt *q)
{
    static const char *const own[] = {"instance", "clean", "probe", "flow"};
    const char *key = strcmp(t->name, "meta") == 0 ? peri_stmt_get_text(q, find_column(t, "k")) : NULL;
    for (size_t i = 0; key && i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i], key) == 0)
            return true;
    return false;
}

static enum peri_status remake_duplicate(
    struct rescue *r, const struct table *t, struct peri_stmt *row, struct peri_error *err)
{
    const char *id = peri_stmt_get_text(row, find_column(t, "xid"));
    int64_t seq = peri_stmt_get_int(row, find_column(t, "seq"));
    const char *source = peri_stmt_get_text(row, find_column(t, "src"));
    if (!id || !source || seq <= r->dedupe_mark)
        return PERI_OK;
    return peri_dedupe_put(&r->to, source, id, seq, err);
}

static enum peri_status remake_terms(
    struct rescue *r, const struct table *t, struct peri_stmt *row, struct peri_error *err)
{
    struct peri_tx tx = {.db = &r->to};
    struct peri_value *attrs = NULL;
    enum peri_status st = peri_stmt_json(row, find_column(t, "attrs"), &attrs, err);
    if (!st)
        st = peri_entity_terms_add(&tx, peri_stmt_get_text(row, find_column(t, "type")), attrs,
            peri_stmt_get_int(row, find_column(t, "rid")), err);
    peri_value_unref(attrs);
    return st;
}

static enum peri_status commit_page(struct rescue *r, struct peri_error *err)
{
    r->open_rows = 0;
    return peri_db_exec(&r->to, "COMMIT; BEGIN", err);
}

/* *ret_new: the row was not there yet. */
static enum peri_status save_row(
    struct rescue *r, struct table *t, struct peri_stmt *row, bool *ret_new, struct peri_error *err)
{
    struct peri_stmt q;
    enum peri_status st = peri_stmt_open_text(&q, &r->to, t->insert, err);
    if (st)
        return st;
    for (int i = 0; i < t->count; i++)
        sqlite3_bind_value(q.raw, i + 1, sqlite3_column_value(row->raw, i));
    st = peri_stmt_exec(&q, err);
    *ret_new = !st && peri_db_changes(&r->to) > 0;
    if (*ret_new && strcmp(t->name, "events") == 0)
        st = remake_duplicate(r, t, row, err);
    if (*ret_new && strcmp(t->name, "entities") == 0)
        st = remake_terms(r, t, row, err);
    if (!st && ++r->open_rows >= COMMIT_ROWS)
        st = commit_page(r, err);
    return st;
}

/* ---- one table ---- */

struct pass {
    int64_t seen; /* rows that were read: saved, lost or passed over */
    int64_t last; /* key of the last one */
    bool broken;  /* it ended in damage */
};

static enum peri_status take_row(
    struct rescue *r, struct table *t, struct peri_stmt *row, struct pass *pass, struct peri_error *err)
{
    bool is_new = false;
    int64_t key = t->number ? peri_stmt_get_int(row, find_column(t, t->key)) : 0;
    enum peri_status st = PERI_OK;
    if (is_passed_over(t, row)) {
        pass->seen++;
    } else if (!row_is_whole(t, row)) {
        pass->seen++;
        t->lost++;
    } else {
        st = save_row(r, t, row, &is_new, err);
        pass->seen += is_new;
        t->saved += is_new;
    }
    pass->last = key;
    if (is_new && t->saved % TELL_ROWS == 0 && r->options->progress &&
        !r->options->progress(r->options->ctx, t->name, t->saved, 0))
        return peri_error_set(err, PERI_ETIMEOUT, "interrupted", "given up: nothing was written");
    return st;
}

/* Reads from `from` on (number keys), or everything forwards or backwards. Errors of the source end the pass, errors of
 * the copy are returned. */
static enum peri_status read_pass(
    struct rescue *r, struct table *t, int64_t from, bool backwards, struct pass *ret, struct peri_error *err)
{
    struct peri_stmt q = {0};
    struct peri_error ignored;
    *ret = (struct pass){.last = from};
    char *rest = t->number ? peri_asprintf("WHERE %s>=? ORDER BY %s", t->key, t->order)
                           : peri_asprintf("ORDER BY %s%s", t->key, backwards ? " DESC" : "");
    char *sql = rest ? select_text(t, NULL, rest) : NULL;
    enum peri_status st = sql ? PERI_OK : peri_error_nomem(err);
    if (!st && peri_stmt_open_text(&q, &r->from, sql, &ignored))
        ret->broken = true;
    if (!st && !ret->broken && t->number)
        peri_stmt_int(&q, from);
    while (!st && !ret->broken) {
        bool row = false;
        ret->broken = peri_stmt_row(&q, &row, &ignored) != PERI_OK;
        if (ret->broken || !row)
            break;
        st = take_row(r, t, &q, ret, err);
    }
    peri_stmt_close(&q);
    free(rest);
    free(sql);
    return st;
}

enum reach { REACHED, NOTHING_MORE, BROKEN };

/* Can a row at or after this key be reached? */
static enum reach reach(struct rescue *r, const struct table *t, int64_t at, int64_t *ret_key)
{
    struct peri_stmt q = {0};
    struct peri_error err;
    bool row = false;
    char *rest = peri_asprintf("WHERE %s>=? ORDER BY %s LIMIT 1", t->key, t->key);
    char *sql = rest ? select_text(t, t->key, rest) : NULL;
    bool broken = !sql || peri_stmt_open_text(&q, &r->from, sql, &err) != PERI_OK;
    if (!broken) {
        peri_stmt_int(&q, at);
        broken = peri_stmt_row(&q, &row, &err) != PERI_OK;
        if (!broken && row)
            *ret_key = peri_stmt_get_int(&q, 0);
    }
    peri_stmt_close(&q);
    free(rest);
    free(sql);
    return broken ? BROKEN : row ? REACHED : NOTHING_MORE;
}

/* The first key behind `from` from which the table can be read again. *ret_key: the first row there. */
static enum reach reach_behind(struct rescue *r, const struct table *t, int64_t from, int64_t *ret_at, int64_t *ret_key)
{
    int64_t low = from, high = from, step = 1;
    enum reach found = BROKEN;
    while (found == BROKEN) {
        if (step > (INT64_MAX >> 1) - from)
            return BROKEN;
        low = high;
        high = from + step;
        step *= 2;
        found = reach(r, t, high, ret_key);
    }
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2, key;
        enum reach there = reach(r, t, middle, &key);
        if (there == BROKEN) {
            low = middle;
            continue;
        }
        high = middle;
        found = there;
        if (there == REACHED)
            *ret_key = key;
    }
    *ret_at = high;
    return found;
}

/* Over the damage at `from`. False: nothing more can be read. */
static bool skip(struct rescue *r, struct table *t, int64_t from, int64_t *ret_from)
{
    int64_t key = from, at = from;
    switch (reach(r, t, from, &key)) {
    case NOTHING_MORE:
        return false;
    case REACHED: /* the place is right, the row itself is not */
        t->lost++;
        t->unknown = t->unknown || t->without_rowid;
        *ret_from = key + 1;
        return true;
    case BROKEN:
        break;
    }
    enum reach there = reach_behind(r, t, from, &at, &key);
    if (there == BROKEN || t->without_rowid)
        t->unknown = true;
    else
        t->lost += (there == REACHED ? key : at) - (from > 0 ? from : 1); /* numbers begin with 1 */
    *ret_from = at;
    return there == REACHED;
}

static enum peri_status save_by_number(struct rescue *r, struct table *t, struct peri_error *err)
{
    int64_t from = 0;
    struct pass pass;
    for (;;) {
        enum peri_status st = read_pass(r, t, from, false, &pass, err);
        if (st || !pass.broken)
            return st;
        /* A key with several rows is read once more from its beginning, before it is given up. */
        int64_t next = pass.seen && pass.last < INT64_MAX ? pass.last + !t->without_rowid : from;
        if (pass.seen > 0 && next > from) {
            from = next;
            continue;
        }
        if (!skip(r, t, next, &from))
            return PERI_OK;
    }
}

static enum peri_status save_by_text(struct rescue *r, struct table *t, struct peri_error *err)
{
    struct pass pass;
    enum peri_status st = read_pass(r, t, 0, false, &pass, err);
    if (st || !pass.broken)
        return st;
    t->unknown = true;
    return read_pass(r, t, 0, true, &pass, err);
}

static enum peri_status report(struct rescue *r, const struct table *t, struct peri_error *err)
{
    struct peri_value *row = peri_value_map();
    bool bad = !row || peri_map_put_text(row, "table", t->name) || peri_map_put_int(row, "saved", t->saved) ||
               (!t->unknown && peri_map_put_int(row, "lost", t->lost)) ||
               peri_map_put_bool(row, "complete", !t->unknown && t->lost == 0);
    r->saved += t->saved;
    r->lost += t->lost;
    r->unknown = r->unknown || t->unknown;
    if (bad) {
        peri_value_unref(row);
        return peri_error_nomem(err);
    }
    return peri_list_push(r->tables, row) ? peri_error_nomem(err) : PERI_OK;
}

static enum peri_status save_table(struct rescue *r, const char *name, bool without_rowid, struct peri_error *err)
{
    struct table t;
    enum peri_status st = table_init(r, &t, name, without_rowid, err);
    if (!st)
        st = t.number ? save_by_number(r, &t, err) : save_by_text(r, &t, err);
    if (!st)
        st = report(r, &t, err);
    table_finish(&t);
    return st;
}

struct name_list {
    char names[64][64];
    bool without_rowid[64];
    size_t count;
};

/* meta first: the mark of duplicates is needed for events. */
static enum peri_status list_tables(struct rescue *r, struct name_list *list, struct peri_error *err)
{
    struct peri_stmt q;
    bool row = false;
    enum peri_status st = peri_stmt_open(&q, &r->to,
        "SELECT name,wr FROM pragma_table_list WHERE schema='main' AND type='table' AND name NOT LIKE 'sqlite%'"
        " AND name NOT IN('dedupe','entity_terms','flow') ORDER BY name<>'meta',name",
        err);
    if (st)
        return st;
    while (!(st = peri_stmt_row(&q, &row, err)) && row && list->count < 64) {
        snprintf(list->names[list->count], sizeof(list->names[0]), "%s", peri_stmt_get_text(&q, 0));
        list->without_rowid[list->count++] = peri_stmt_get_int(&q, 1) != 0;
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status save_tables(struct rescue *r, struct peri_error *err)
{
    struct name_list *list = calloc(1, sizeof(*list));
    enum peri_status st = list ? list_tables(r, list, err) : peri_error_nomem(err);
    for (size_t i = 0; !st && i < list->count; i++) {
        st = save_table(r, list->names[i], list->without_rowid[i], err);
        if (!st && i == 0)
            st = peri_db_meta_int(&r->to, "dedupe_mark", 0, &r->dedupe_mark, err);
    }
    free(list);
    return st;
}

/* ---- afterwards ---- */

/* Nobody knows what the lost rows would have said, so no run goes on by itself. `paused.<id>` remembers its state. */
static enum peri_status pause_runs(struct rescue *r, struct peri_error *err)
{
    enum peri_status st = peri_db_exec(&r->to,
        "INSERT OR REPLACE INTO meta(k,v) SELECT 'paused.run-'||id, max(state,1) FROM runs WHERE state<10 AND state "
        "NOT IN(5,6);"
        "UPDATE runs SET state=5 WHERE state<10 AND state NOT IN(5,6)",
        err);
    return st ? st : peri_db_int(&r->to, "SELECT count(*) FROM runs WHERE state=5", 0, &r->paused, err);
}

static enum peri_status raise_floor(
    struct rescue *r, const char *key, const char *sql, uint64_t high, struct peri_error *err)
{
    int64_t floor = 0, newest = 0;
    enum peri_status st = peri_db_meta_int(&r->to, key, 0, &floor, err);
    if (!st)
        st = peri_db_int(&r->to, sql, 0, &newest, err);
    newest = newest > (int64_t)high ? newest : (int64_t)high;
    return st ? st : peri_db_meta_set_int(&r->to, key, newest > floor ? newest : floor, err);
}

/* Numbers of lost rows are not given again, as far as anything still knows of them. */
static enum peri_status keep_numbers(struct rescue *r, struct peri_error *err)
{
    uint64_t seq = 0, run = 0;
    int64_t alive;
    struct peri_stmt q = {0};
    struct peri_error ignored;
    bool row = false;
    const char *slash = strrchr(r->options->from, '/');
    char *path =
        slash ? peri_asprintf("%.*s/high", (int)(slash - r->options->from), r->options->from) : peri_strdup("high");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    free(path);
    if (fd >= 0) {
        (void)peri_high_read(fd, &seq, &run, &alive);
        close(fd);
    }
    enum peri_status st = raise_floor(r, "seq_floor",
        "SELECT max(n) FROM (SELECT max(seq) n FROM events UNION SELECT max(event) FROM runs"
        " UNION SELECT max(seq) FROM verdicts)",
        seq, err);
    if (!st)
        st = raise_floor(r, "run_floor",
            "SELECT max(n) FROM (SELECT max(id) n FROM runs UNION SELECT max(run) FROM steps)", run, err);
    if (st || peri_stmt_open(&q, &r->from, "SELECT name,seq FROM sqlite_sequence", &ignored))
        return st;
    while (!st && peri_stmt_row(&q, &row, &ignored) == PERI_OK && row) {
        struct peri_stmt set;
        st = peri_stmt_open(&set, &r->to, "UPDATE sqlite_sequence SET seq=max(seq,?) WHERE name=?", err);
        if (st)
            break;
        peri_stmt_int(&set, peri_stmt_get_int(&q, 1));
        peri_stmt_text(&set, peri_stmt_get_text(&q, 0));
        st = peri_stmt_exec(&set, err);
    }
    peri_stmt_close(&q);
    return st;
}

static enum peri_status make_empty(struct rescue *r, int version, char **ret_part, struct peri_error *err)
{
    const char *steps[64] = {NULL}; /* up to the version of the source, not further: it may be an old one */
    for (int i = 0; i < version && i < 63; i++)
        steps[i] = peri_schema_steps[i];
    enum peri_status st = peri_copy_create(r->options->to, &r->to, ret_part, err);
    if (!st)
        st = peri_db_exec(&r->to,
            "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA "
            "cache_size=-64000",
            err);
    return st ? st : peri_schema_migrate(&r->to, steps, 0, err);
}

static enum peri_status result(struct rescue *r, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (!v || peri_map_put_text(v, "file", r->options->to) || peri_map_put_ref(v, "tables", r->tables) ||
        peri_map_put_int(v, "saved", r->saved) || (!r->unknown && peri_map_put_int(v, "lost", r->lost)) ||
        peri_map_put_int(v, "paused", r->paused)) {
        peri_value_unref(v);
        return peri_error_nomem(err);
    }
    *ret = v;
    return PERI_OK;
}

/* ---- in place of the damaged one ---- */

static enum peri_status link_beside(const char *path, const char *suffix, const char *aside, struct peri_error *err)
{
    char *from = peri_asprintf("%s%s", path, suffix), *to = peri_asprintf("%s%s", aside, suffix);
    enum peri_status st = from && to ? PERI_OK : peri_error_nomem(err);
    if (!st && link(from, to) != 0 && !(errno == ENOENT && suffix[0]))
        st = peri_error_set(err, PERI_EIO, NULL, "%s: %s", to, strerror(errno));
    free(from);
    free(to);
    return st;
}

static enum peri_status drop_beside(const char *path, const char *suffix, struct peri_error *err)
{
    char *name = peri_asprintf("%s%s", path, suffix);
    enum peri_status st = name ? PERI_OK : peri_error_nomem(err);
    if (!st && unlink(name) != 0 && errno != ENOENT)
        st = peri_error_set(err, PERI_EIO, NULL, "%s: %s", name, strerror(errno));
    free(name);
    return st;
}

/* The damaged one gets a second name with everything that belongs to it, then its place is taken in one step. Its WAL
 * must be gone by then: it would be played into the new one. */
enum peri_status peri_store_replace(const char *database, const char *copy, const char *aside, struct peri_error *err)
{
    enum peri_status st = link_beside(database, "", aside, err);
    if (!st)
        st = link_beside(database, "-wal", aside, err);
    if (!st)
        st = drop_beside(database, "-wal", err);
    if (!st)
        st = drop_beside(database, "-shm", err);
    PERI_FAILPOINT("replace.dropped");
    return st ? st : peri_copy_publish(copy, database, err);
}

/* Is it the same file under another name? */
static bool has_name(const char *database, const struct stat *sb)
{
    glob_t found = {0};
    bool same = false;
    char *pattern = peri_asprintf("%s.damaged-*", database);
    if (pattern && glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && !same; i++) {
            struct stat other;
            same = stat(found.gl_pathv[i], &other) == 0 && other.st_dev == sb->st_dev && other.st_ino == sb->st_ino;
        }
    globfree(&found);
    free(pattern);
    return same;
}

enum peri_status peri_store_finish_replacing(
    const char *database, const char *copy, bool *ret_done, struct peri_error *err)
{
    struct stat sb;
    char *wal = peri_asprintf("%s-wal", database);
    bool half = wal && access(wal, F_OK) != 0 && access(copy, F_OK) == 0 && stat(database, &sb) == 0 &&
                sb.st_nlink > 1 && has_name(database, &sb);
    enum peri_status st = wal ? PERI_OK : peri_error_nomem(err);
    free(wal);
    if (half)
        st = peri_copy_publish(copy, database, err);
    *ret_done = half && st == PERI_OK;
    return st;
}

enum peri_status peri_store_hold(const char *database, int *ret_fd, struct peri_error *err)
{
    const char *slash = strrchr(database, '/');
    char *path = slash ? peri_asprintf("%.*s/lock", (int)(slash - database), database) : peri_strdup("lock");
    enum peri_status st = path ? PERI_OK : peri_error_nomem(err);
    int fd = st ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!st && fd < 0)
        st = peri_error_set(err, PERI_EIO, NULL, "%s: %s", path, strerror(errno));
    else if (!st && flock(fd, LOCK_EX | LOCK_NB) != 0)
        st = peri_error_set(err, PERI_EBUSY, "store.locked", "the service runs with this database: stop it first");
    free(path);
    if (st && fd >= 0)
        close(fd);
    else if (!st)
        *ret_fd = fd;
    return st;
}

/* ---- all of it ---- */

enum peri_status peri_store_recover(const struct peri_copy_options *o, struct peri_value **ret, struct peri_error *err)
{
    struct rescue r = {.options = o};
    char *part = NULL;
    int version;
    if (access(o->to, F_OK) == 0)
        return peri_error_set(err, PERI_EEXIST, NULL, "%s is there already", o->to);
    enum peri_status st = peri_copy_source(o->from, &r.from, &version, err);
    if (st)
        return st;
    r.tables = peri_value_list();
    st = r.tables ? make_empty(&r, version, &part, err) : peri_error_nomem(err);
    if (!st)
        st = peri_db_exec(&r.to, "BEGIN", err);
    if (!st)
        st = save_tables(&r, err);
    if (!st)
        st = keep_numbers(&r, err);
    if (!st)
        st = pause_runs(&r, err);
    if (!st)
        st = peri_db_exec(&r.to, "COMMIT", err);
    if (!st)
        st = peri_copy_finish(&r.to, err);
    peri_db_finish(&r.from);
    if (r.to.handle)
        peri_db_finish(&r.to);
    if (!st)
        st = peri_copy_publish(part, o->to, err);
    if (!st)
        st = result(&r, ret, err);
    else if (part)
        unlink(part);
    peri_value_unref(r.tables);
    free(part);
    return st;
}
