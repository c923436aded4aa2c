/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include <unistd.h>

#include "base/id.h"
#include "io/store_db.h"

/* Databases of every version that there has been: opened by this one they keep what they hold, have the schema of a new
 * one, and the copy that was made before is still of their version. */

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static int64_t number(struct fixture *f, struct peri_db *db, const char *sql)
{
    int64_t n = -1;
    ok(f, peri_db_int(db, sql, -1, &n, &f->err));
    return n;
}

/* What every version has had. */
static void put_rows(struct fixture *f, struct peri_db *db)
{
    char sql[1600];
    snprintf(sql, sizeof(sql),
        "INSERT INTO meta(k,v) VALUES('instance','abc'),('created','1');"
        "INSERT INTO events(seq,src,type,xid,occurred,received,state,hops,replay_of,body,crc) VALUES"
        " (1,'door','t.T','x1',1,%lld,1,0,0,'{\"n\":1}',%u),(2,'door','t.T','x2',1,%lld,0,0,0,'{\"n\":1}',%u);"
        "INSERT INTO verdicts(seq,data) VALUES(1,'[{\"rule\":\"r\",\"verdict\":\"fired\"}]');"
        "INSERT INTO rulesets(hash,text) VALUES('h','name: R');"
        "INSERT INTO runs(id,rule,rhash,event,trig,state,pos,wake,base,vars,kprefix,intr,retry_of,created,ended,error)"
        " VALUES(1,'r','h',1,'t',10,'{}',0,0,'{}','abc',0,0,1,%lld,NULL),"
        "  (2,'r','h',2,'t',11,'{}',0,0,'{}','abc',0,0,1,%lld,'{\"code\":\"c\",\"message\":\"m\"}'),"
        "  "
        "(3,'r','h',2,'u',3,'{\"frames\":[{\"block\":\"actions\",\"i\":0}],\"phase\":\"delay\",\"wake\":9000}',9000,60,"
        "'{\"vars\":{},\"steps\":{},\"bound\":{}}','abc',0,0,1,0,NULL);"
        "INSERT INTO steps(run,n,attempt,path,op,state,started,ended,crc) VALUES(1,1,1,'actions[0]','x',2,1,2,0);"
        "INSERT INTO entities(rid,type,id,attrs,version,updated,seq) VALUES"
        " (1,'call','c1','{\"contactId\":\"ann\",\"missed\":true}',1,1,1);"
        "INSERT INTO kv(plugin,key,value,version,expires) VALUES('p','k','1',1,0);"
        "INSERT INTO outbox(key,created,message) VALUES('k1',%lld,'{}');"
        "INSERT INTO audit(ts,actor,action) VALUES(%lld,'a','b');"
        "INSERT INTO schedules(id,spec,anchor,last) VALUES('r/t','s',1,1)",
        (long long)T0, peri_crc32c("{\"n\":1}", 7), (long long)T0, peri_crc32c("{\"n\":1}", 7), (long long)T0,
        (long long)T0, (long long)T0, (long long)T0);
    ok(f, peri_db_exec(db, sql, &f->err));
}

static void check_rows(struct fixture *f, struct peri_db *db)
{
    static const struct {
        const char *sql;
        int64_t wanted;
    } rows[] = {{"SELECT count(*) FROM events WHERE body='{\"n\":1}'", 2},
        {"SELECT count(*) FROM events WHERE state=0", 1}, {"SELECT count(*) FROM verdicts", 1},
        {"SELECT count(*) FROM runs WHERE kprefix='abc'", 3},
        {"SELECT count(*) FROM runs WHERE state<10 AND wake>0", 1}, {"SELECT count(*) FROM steps", 1},
        {"SELECT count(*) FROM rulesets WHERE hash='h'", 1}, {"SELECT count(*) FROM entities WHERE type='call'", 1},
        {"SELECT count(*) FROM kv WHERE value='1'", 1}, {"SELECT count(*) FROM outbox WHERE key='k1'", 1},
        {"SELECT count(*) FROM schedules", 1}, {"SELECT count(*) FROM audit WHERE action='b'", 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (number(f, db, rows[i].sql) != rows[i].wanted)
            fail_msg("%s is not %lld", rows[i].sql, (long long)rows[i].wanted);
}

/* Names of everything, and the columns of each table in their order. */
static int64_t form(struct fixture *f, struct peri_db *db)
{
    struct peri_stmt q;
    bool row = false;
    char *text = NULL;
    ok(f, peri_stmt_open(&q, db,
              "SELECT (SELECT group_concat(type||' '||name||' '||tbl_name,',') FROM (SELECT * FROM sqlite_schema WHERE "
              "name NOT "
              "LIKE 'sqlite%' ORDER BY type,name))||(SELECT group_concat(t||'.'||n||' '||k,',') FROM (SELECT m.name "
              "t,c.name n,"
              "c.type k FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type='table' AND m.name NOT LIKE "
              "'sqlite%' "
              "ORDER BY m.name,c.cid))",
              &f->err));
    ok(f, peri_stmt_row(&q, &row, &f->err));
    ok(f, peri_stmt_dup(&q, 0, &text, &f->err));
    peri_stmt_close(&q);
    int64_t sum = peri_crc32c(text, strlen(text));
    free(text);
    return sum;
}

static void test_every_version_is_taken_along(void **state)
{
    struct fixture *f = *state;
    int newest = peri_schema_newest(peri_schema_steps);
    int64_t fresh = form(f, peri_store_db(f->store));
    assert_true(newest > 10);
    for (int version = 1; version < newest; version++) {
        struct peri_db db;
        const char *before[64] = {0};
        char copy[160];
        fixture_close(f);
        snprintf(copy, sizeof(copy), "rm -f '%s'*", f->path);
        assert_int_equal(system(copy), 0);
        for (int i = 0; i < version; i++)
            before[i] = peri_schema_steps[i];
        ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
        ok(f, peri_schema_migrate(&db, before, 0, &f->err));
        put_rows(f, &db);
        if (version >= 16) /* their duplicates are known by rows of their own, as step 16 makes them */
            ok(f, peri_db_exec(&db, "INSERT INTO dedupe(k,seq) SELECT dedupe_key(src,xid),seq FROM events", &f->err));
        if (version >= 17) /* and texts know their runs */
            ok(f, peri_db_exec(&db, "UPDATE rulesets SET rule='r',first=1,last=4095", &f->err));
        peri_db_finish(&db);
        fixture_open(f);
        int now = 0;
        ok(f, peri_schema_inspect(peri_store_db(f->store), newest, &now, &f->err));
        assert_int_equal(now, newest);
        check_rows(f, peri_store_db(f->store));
        if (form(f, peri_store_db(f->store)) != fresh)
            fail_msg("version %d: what comes of it differs from a new database", version);
        assert_int_equal(insert_event(f, "t.T", "x9", "{}"), 3);
        assert_true(is_known(f, "door", "x1") && is_known(f, "door", "x2"));
        assert_false(is_known(f, "test", "x1"));
        snprintf(copy, sizeof(copy), "%s.v%d.bak", f->path, version);
        ok(f, peri_db_open(&db, copy, PERI_DB_WRITE, &f->err));
        assert_int_equal(number(f, &db, "PRAGMA user_version"), version);
        assert_int_equal(number(f, &db, "SELECT count(*) FROM events"), 2);
        peri_db_finish(&db);
    }
}

/* Main has users: a step that has landed is history. The first one holds the indexes of store_index.h, which grow; a
 * new step gets its sum here once it has landed. */
static void test_steps_that_have_landed_stay_as_they_are(void **state)
{
    static const uint32_t sums[] = {0x65071965, 0xe64fbf2d, 0x7a535997, 0xbde6d252, 0x692e5636, 0x1fcd599f, 0x0d5654d5,
        0x8e1921de, 0xae5c6e7b, 0xd1d43630, 0x5e19c728, 0x7ba7f60c, 0xff891b95, 0x9fe1442f};
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        const char *step = peri_schema_steps[i + 1];
        if (!step || peri_crc32c(step, strlen(step)) != sums[i])
            fail_msg("step %zu of the schema is not what it was (%08x): append a new one instead", i + 2,
                step ? peri_crc32c(step, strlen(step)) : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_version_is_taken_along), cmocka_unit_test(test_steps_that_have_landed_stay_as_they_are)};
    return cmocka_run_group_tests_name("store_versions", tests, NULL, NULL);
}
