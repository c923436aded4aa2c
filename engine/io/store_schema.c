/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/failpoint.h"
#include "base/str.h"
#include "io/store_index.h"

/* The schema as forward steps; engine/doc/store.md explains it. A step that was ever released is never edited: append
 * the next one. Times are integer ms UTC. */

static const char step_1[] =
    "CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;"
    /* seq and runs.id are given by us and never used twice (first_facts in store.c): no AUTOINCREMENT, which
       would write another page for each row. */
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, src TEXT NOT NULL, type TEXT NOT NULL, subject TEXT, xid TEXT,"
    " occurred INTEGER NOT NULL, received INTEGER NOT NULL, state INTEGER NOT NULL, hops INTEGER NOT NULL, cause TEXT,"
    " replay_of INTEGER NOT NULL, target_rule TEXT, target_trigger TEXT, ext TEXT, body TEXT NOT NULL,"
    " crc INTEGER NOT NULL);"
    "CREATE INDEX events_open ON events(state) WHERE state=0;"
    "CREATE TABLE dedupe(src TEXT NOT NULL, xid BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(src,xid))"
    " WITHOUT ROWID;"
    "CREATE TABLE verdicts(seq INTEGER PRIMARY KEY, data TEXT NOT NULL);"
    "CREATE TABLE rulesets(hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY, rule TEXT NOT NULL, rhash TEXT NOT NULL, event INTEGER NOT NULL,"
    " trig TEXT NOT NULL, state INTEGER NOT NULL, pos TEXT, wake INTEGER NOT NULL, base INTEGER NOT NULL, vars TEXT,"
    " kprefix TEXT NOT NULL, intr INTEGER NOT NULL, retry_of INTEGER NOT NULL, created INTEGER NOT NULL,"
    " ended INTEGER NOT NULL, error TEXT);"
    /* Retries differ by their own id, so one index serves "once for each event" and "runs of this event". */
    "CREATE UNIQUE INDEX runs_event ON runs(event, rule, trig, iif(retry_of=0, 0, id));"
    "CREATE INDEX runs_rule ON runs(rule);"
    "CREATE INDEX runs_rhash ON runs(rhash);"
    "CREATE INDEX runs_live ON runs(id) WHERE state<10;"
    "CREATE INDEX runs_failed ON runs(id) WHERE state=11;"
    "CREATE INDEX runs_ended ON runs(ended) WHERE state>=10;"
    "CREATE TABLE steps(run INTEGER NOT NULL, n INTEGER NOT NULL, attempt INTEGER NOT NULL, path TEXT NOT NULL,"
    " op TEXT NOT NULL, step_id TEXT, state INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,"
    " req TEXT, out TEXT, error TEXT, key TEXT, crc INTEGER NOT NULL, PRIMARY KEY(run,n,attempt)) WITHOUT ROWID;"
    "CREATE TABLE schedules(id TEXT PRIMARY KEY, spec TEXT NOT NULL, anchor INTEGER NOT NULL, last INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE entities(rid INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, source TEXT,"
    " external_id TEXT, attrs TEXT NOT NULL, version INTEGER NOT NULL, updated INTEGER NOT NULL, seq INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX entities_id ON entities(type, id);"
    "CREATE UNIQUE INDEX entities_external ON entities(type, source, external_id) WHERE external_id IS NOT NULL;"
    "CREATE INDEX entities_type ON entities(type);"
    "CREATE TABLE entity_terms(type TEXT NOT NULL, field TEXT NOT NULL, term NOT NULL, rid INTEGER NOT NULL,"
    " PRIMARY KEY(type,field,term,rid)) WITHOUT ROWID;"
    "CREATE TABLE kv(plugin TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, PRIMARY KEY(plugin,key)) WITHOUT ROWID;"
    "CREATE INDEX kv_expires ON kv(expires) WHERE expires>0;"
    "CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, created INTEGER NOT NULL,"
    " message TEXT NOT NULL);"
    "CREATE TABLE audit(seq INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, actor TEXT NOT NULL,"
    " action TEXT NOT NULL, target TEXT, detail TEXT);"
    "CREATE TABLE dead(id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, kind TEXT NOT NULL, ref TEXT,"
    " reason TEXT NOT NULL, payload TEXT, resolved INTEGER NOT NULL);" PERI_ENTITY_INDEXES
    /* Without figures SQLite takes ten entities of a type for granted, and ten voicemails that are not listened to.
       ANALYZE on empty tables only makes the table for the figures; nothing of ours ever overwrites them. */
    "ANALYZE;"
    "DELETE FROM sqlite_stat1;"
    "INSERT INTO sqlite_stat1(tbl,idx,stat) VALUES('entities','entities_type','2000000 1000000'),"
    " ('entities','entities_id','2000000 1000000 1'),('entities','entities_external','2000000 1000000 100000 1'),"
    " ('entities','entity_voicemail_listened','1000000 200000 10 1'),"
    " ('entities','entity_task_status','1000000 200000 20 10 1');"
    "ANALYZE sqlite_schema;";

/* Lanes: runs of one rule and one key. */
static const char step_2[] = "ALTER TABLE runs ADD COLUMN ckey TEXT;"
                             "CREATE INDEX runs_lane ON runs(rule, ckey, id) WHERE state<10 AND ckey IS NOT NULL;";

/* What rules remember from one event to the next, for each key. */
static const char step_3[] =
    "CREATE TABLE throttle(rule TEXT NOT NULL, ckey TEXT NOT NULL, last INTEGER NOT NULL, until INTEGER NOT NULL,"
    " PRIMARY KEY(rule,ckey)) WITHOUT ROWID;"
    "CREATE INDEX throttle_until ON throttle(until);"
    /* A watch whose rule is '' has been given up: what it remembers is deleted in pieces. */
    "CREATE TABLE watches(wid INTEGER PRIMARY KEY, rule TEXT NOT NULL, trig TEXT NOT NULL, spec TEXT NOT NULL,"
    " keys INTEGER NOT NULL, evicted INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX watches_trigger ON watches(rule, trig);"
    "CREATE TABLE keyed(wid INTEGER NOT NULL, ckey TEXT NOT NULL, newest INTEGER NOT NULL, state INTEGER NOT NULL,"
    " due INTEGER NOT NULL, base INTEGER NOT NULL, event INTEGER NOT NULL, n INTEGER NOT NULL, data TEXT,"
    " PRIMARY KEY(wid,ckey)) WITHOUT ROWID;"
    "CREATE INDEX keyed_due ON keyed(due) WHERE due>0;"
    "CREATE INDEX keyed_newest ON keyed(wid, newest);"
    "CREATE TABLE win(wid INTEGER NOT NULL, ckey TEXT NOT NULL, ts INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(wid,ckey,ts,seq)) WITHOUT ROWID;";

static const char step_4[] =
    "CREATE TABLE mappings(id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, type TEXT NOT NULL,"
    " key TEXT NOT NULL, external_id TEXT NOT NULL, data TEXT, updated INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX mappings_key ON mappings(source, type, key);"
    "CREATE UNIQUE INDEX mappings_external ON mappings(source, type, external_id);"
    "CREATE INDEX audit_target ON audit(target, seq);";

/* What became of the events of each source; filled when the store is opened. */
static const char step_5[] =
    "CREATE TABLE flow(src TEXT PRIMARY KEY, received INTEGER NOT NULL, matched INTEGER NOT NULL,"
    " duplicate INTEGER NOT NULL, rejected INTEGER NOT NULL, shed INTEGER NOT NULL, dead INTEGER NOT NULL)"
    " WITHOUT ROWID;";

/* What holds calls back: times that rate limits have given, circuits that are open. */
static const char step_6[] =
    "CREATE TABLE pace(bucket TEXT NOT NULL, at INTEGER NOT NULL, run INTEGER NOT NULL, n INTEGER NOT NULL,"
    " keep INTEGER NOT NULL, PRIMARY KEY(bucket,at,run,n)) WITHOUT ROWID;"
    "CREATE INDEX pace_keep ON pace(keep);"
    "CREATE TABLE circuits(destination TEXT PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL,"
    " opened INTEGER NOT NULL, until INTEGER NOT NULL, pause INTEGER NOT NULL) WITHOUT ROWID;";

/* Branches of runs that are under way. */
static const char step_7[] = "CREATE TABLE tracks(run INTEGER NOT NULL, t INTEGER NOT NULL, pos TEXT NOT NULL,"
                             " PRIMARY KEY(run,t)) WITHOUT ROWID;";

/* What went wrong (store_ledger.h). The number of open letters is kept by triggers, because counting 100,000 of them
   for each new one would be too slow. What was dead before is entered now. */
static const char step_8[] =
    "ALTER TABLE dead ADD COLUMN rule TEXT;"
    "ALTER TABLE dead ADD COLUMN code TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE dead ADD COLUMN run INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE dead ADD COLUMN event INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE dead ADD COLUMN note TEXT;"
    "CREATE INDEX dead_open ON dead(id) WHERE resolved=0;"
    "CREATE INDEX dead_run ON dead(run) WHERE resolved=0 AND run>0;"
    "CREATE INDEX dead_event ON dead(event) WHERE resolved=0 AND event>0;"
    "CREATE INDEX dead_resolved ON dead(resolved) WHERE resolved>0;"
    "CREATE TABLE dead_count(k INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
    "CREATE TRIGGER dead_in AFTER INSERT ON dead WHEN new.resolved=0 BEGIN"
    " INSERT INTO dead_count VALUES(0,1) ON CONFLICT(k) DO UPDATE SET n=n+1; END;"
    "CREATE TRIGGER dead_settled AFTER UPDATE OF resolved ON dead WHEN old.resolved=0 AND new.resolved>0 BEGIN"
    " UPDATE dead_count SET n=n-1 WHERE k=0; END;"
    "CREATE TRIGGER dead_out AFTER DELETE ON dead WHEN old.resolved=0 BEGIN"
    " UPDATE dead_count SET n=n-1 WHERE k=0; END;"
    "INSERT INTO dead(ts,kind,rule,code,reason,run,event,resolved)"
    " SELECT ended,'run',rule,coalesce(error->>'$.code',''),coalesce(error->>'$.message','failed'),id,event,0"
    " FROM runs INDEXED BY runs_failed WHERE state=11 AND coalesce(error->>'$.handled',0)=0 ORDER BY id DESC"
    " LIMIT 50000;"
    "CREATE TABLE errors(id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, op TEXT NOT NULL,"
    " code TEXT NOT NULL, message TEXT NOT NULL, rule TEXT, run INTEGER NOT NULL, event INTEGER NOT NULL,"
    " n INTEGER NOT NULL, attempt INTEGER NOT NULL, resolved INTEGER NOT NULL, note TEXT);"
    "CREATE INDEX errors_resolved ON errors(resolved) WHERE resolved>0;"
    "CREATE TABLE errors_hour(hour INTEGER NOT NULL, op TEXT NOT NULL, code TEXT NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(hour,op,code)) WITHOUT ROWID;";

/* Sets of rules that verdicts name, and the last event that does. */
static const char step_9[] = "CREATE TABLE heard(hash TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;";

/* What runs wait for. hit: the event that has ended it. */
static const char step_10[] =
    "CREATE TABLE wait_kinds(id INTEGER PRIMARY KEY, type TEXT NOT NULL, path TEXT NOT NULL);"
    "CREATE UNIQUE INDEX wait_kinds_type ON wait_kinds(type, path);"
    "CREATE TABLE waits(run INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL, ckey INTEGER NOT NULL,"
    " since INTEGER NOT NULL, hit INTEGER NOT NULL, match TEXT, PRIMARY KEY(run,n)) WITHOUT ROWID;"
    "CREATE INDEX waits_open ON waits(kind, ckey) WHERE hit=0;"
    "CREATE INDEX waits_hit ON waits(hit) WHERE hit>0;"
    /* How one thing led to the other. */
    "CREATE INDEX events_cause ON events(cause) WHERE cause IS NOT NULL;";

/* Which steps of its sequence an event fits. */
static const char step_11[] = "ALTER TABLE win ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;";

/* Runs that an edit of their rule concerns. */
static const char step_12[] = "ALTER TABLE runs ADD COLUMN change INTEGER NOT NULL DEFAULT 0;"
                              "CREATE INDEX runs_change ON runs(id) WHERE change>0 AND state<10;";

/* Scheduled actions; each goes with its run. */
static const char step_13[] =
    "CREATE TABLE tasks(id INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, params TEXT NOT NULL, at INTEGER NOT "
    "NULL,"
    " key TEXT UNIQUE, created INTEGER NOT NULL, run INTEGER NOT NULL);"
    "CREATE INDEX tasks_run ON tasks(run);"
    "CREATE TRIGGER task_out AFTER DELETE ON runs BEGIN DELETE FROM tasks WHERE run=old.id; END;";

/* What runs and circuits wait for is in durable ms, as all other waits have been. A clock that was set before is known
 * by how far it is ahead. wall: waits for a time of the wall clock. */
#define CLOCK_OFFSET "(SELECT CAST(v AS INTEGER) FROM meta WHERE k='clock_offset')"
#define EARLIER(path) "'" path "',json_extract(pos,'" path "')-" CLOCK_OFFSET
#define EARLIER_TIMES                                                                                                  \
    "json_replace(pos," EARLIER("$.wake") "," EARLIER("$.due") "," EARLIER(                                            \
        "$.rule_due") ","                                                                                              \
                      "'$.frames',(SELECT json_group_array(json(CASE WHEN json_extract(value,'$.due') IS NULL THEN "   \
                      "value ELSE "                                                                                    \
                      "json_set(value,'$.due',json_extract(value,'$.due')-" CLOCK_OFFSET                               \
                      ") END)) FROM json_each(pos,'$.frames')))"
#define WAS_SET "coalesce(" CLOCK_OFFSET ",0)<>0"
static const char step_14[] =
    "ALTER TABLE runs ADD COLUMN wall INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX runs_wall ON runs(id) WHERE wall>0 AND state<10;"
    "UPDATE runs SET pos=" EARLIER_TIMES ", wake=CASE wake WHEN 0 THEN 0 ELSE wake-" CLOCK_OFFSET " END"
    " WHERE state<10 AND json_valid(pos) AND json_type(pos,'$.frames')='array' AND " WAS_SET ";"
    "UPDATE tracks SET pos=" EARLIER_TIMES " WHERE json_valid(pos) AND json_type(pos,'$.frames')='array' AND " WAS_SET
    ";"
    "UPDATE circuits SET opened=opened-" CLOCK_OFFSET ", until=until-" CLOCK_OFFSET " WHERE " WAS_SET ";";

/* Events that have ended runs (cancel_on) while earlier ones were not matched: what these start is ended too. */
static const char step_15[] = "CREATE TABLE cancels(rule TEXT NOT NULL, ckey TEXT NOT NULL, seq INTEGER NOT NULL,"
                              " PRIMARY KEY(rule,ckey)) WITHOUT ROWID;"
                              "CREATE INDEX cancels_seq ON cancels(seq);";

/* Duplicates by what their senders say, in its order (store_dedupe.c), not by its digest. */
static const char step_16[] =
    "DROP TABLE dedupe;"
    "CREATE TABLE dedupe(k BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO dedupe(k,seq) SELECT dedupe_key(src,xid) AS k, seq FROM events WHERE xid IS NOT NULL"
    " AND seq>coalesce((SELECT CAST(v AS INTEGER) FROM meta WHERE k='dedupe_mark'),0) ORDER BY k, seq;";

/* Two indexes less for each run. Which runs may need a text is a range of numbers, in whole blocks
 * (peri_tx_ruleset_put); runs that are old enough to go are found in order of their numbers (store_prune.c). */
static const char step_17[] =
    "ALTER TABLE rulesets ADD COLUMN rule TEXT;"
    "ALTER TABLE rulesets ADD COLUMN first INTEGER;"
    "ALTER TABLE rulesets ADD COLUMN last INTEGER;"
    "UPDATE rulesets SET (rule,first,last)=(SELECT max(rule),min(id),max(id)|4095 FROM runs WHERE rhash=rulesets.hash);"
    "DROP INDEX runs_rhash;"
    "DROP INDEX runs_ended;";

/* A row for a run of events whose ids ascend, also as numbers. */
static const char step_18[] =
    "DROP TABLE dedupe;"
    "CREATE TABLE dedupe(k BLOB PRIMARY KEY, seq INTEGER NOT NULL, last BLOB, n INTEGER NOT NULL DEFAULT 1)"
    " WITHOUT ROWID;"
    "INSERT OR IGNORE INTO dedupe(k,seq) SELECT dedupe_key(src,xid) AS k, seq FROM events WHERE xid IS NOT NULL"
    " AND seq>coalesce((SELECT CAST(v AS INTEGER) FROM meta WHERE k='dedupe_mark'),0) ORDER BY k, seq;";

const char *const peri_schema_steps[] = {step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8, step_9,
    step_10, step_11, step_12, step_13, step_14, step_15, step_16, step_17, step_18, NULL};

int peri_schema_newest(const char *const *steps)
{
    int n = 0;
    while (steps[n])
        n++;
    return n;
}

enum peri_status peri_schema_inspect(struct peri_db *db, int newest, int *ret_version, struct peri_error *err)
{
    int64_t version = 0, application = 0, tables = 0;
    enum peri_status st = peri_db_int(db, "PRAGMA user_version", 0, &version, err);
    if (!st)
        st = peri_db_int(db, "PRAGMA application_id", 0, &application, err);
    if (!st)
        st = peri_db_int(db, "SELECT count(*) FROM sqlite_schema", 0, &tables, err);
    if (st)
        return st;
    if (version == 0 && tables == 0 && application == 0) {
        *ret_version = 0;
        return PERI_OK;
    }
    if (application != PERI_DB_APPLICATION || version < 1)
        return peri_error_set(
            err, PERI_ECORRUPT, NULL, "%s is not a perigee database: it belongs to another program", db->path);
    if (version > newest)
        return peri_error_set(err, PERI_ESTATE, "store.newer",
            "%s was written by a newer perigee (schema %lld, this one knows up to %d): use that version, or another"
            " state folder",
            db->path, (long long)version, newest);
    *ret_version = (int)version;
    return PERI_OK;
}

/* A copy of the database beside it, complete or not at all. */
static enum peri_status copy_beside(struct peri_db *db, int version, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    struct peri_db to = {0};
    sqlite3_backup *backup = NULL;
    char *final = peri_asprintf("%s.v%d.bak", db->path, version);
    char *part = peri_asprintf("%s.v%d.bak.part", db->path, version);
    if (!final || !part) {
        st = peri_error_nomem(err);
        goto out;
    }
    unlink(part);
    st = peri_db_open(&to, part, PERI_DB_WRITE, err);
    if (st)
        goto out;
    backup = sqlite3_backup_init(to.handle, "main", db->handle, "main");
    int rc = backup ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
    if (backup)
        rc = sqlite3_backup_finish(backup) == SQLITE_OK && rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (rc != SQLITE_OK)
        st = peri_db_error(&to, rc, err);
out:
    if (to.handle)
        peri_db_finish(&to);
    if (!st && rename(part, final) != 0)
        st = peri_error_set(err, PERI_EIO, NULL, "%s: cannot be renamed", part);
    if (st) {
        if (part)
            unlink(part);
        peri_error_prefix(err, "copying the database before its migration");
    }
    free(final);
    free(part);
    return st;
}

enum peri_status peri_schema_migrate(struct peri_db *db, const char *const *steps, int version, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    int newest = peri_schema_newest(steps);
    if (version > 0 && version < newest && !peri_db_is_memory(db->path))
        st = copy_beside(db, version, err);
    PERI_FAILPOINT("migrate.copied");
    for (; !st && version < newest; version++) {
        char mark[96];
        snprintf(mark, sizeof(mark), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", PERI_DB_APPLICATION,
            version + 1);
        st = peri_db_exec(db, "BEGIN IMMEDIATE", err);
        if (st)
            break;
        st = peri_db_exec(db, steps[version], err);
        PERI_FAILPOINT("migrate.step");
        if (!st)
            st = peri_db_exec(db, mark, err);
        PERI_FAILPOINT("migrate.stepped");
        if (st) {
            peri_error_prefix(err, "migration to schema %d", version + 1);
            if (!sqlite3_get_autocommit(db->handle))
                sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    return st;
}
