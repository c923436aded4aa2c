/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_BACKTEST_H
#define PERI_APP_BACKTEST_H

#include <pthread.h>

#include "app/workbench.h"
#include "base/map.h"
#include "io/store_events.h"
#include "run/pipeline.h"

/* Stored events through a set of rules once more: the engine itself, on an empty store in memory and a clock that the
 * events move. Nothing has an effect: actions are answered with what was recorded, conditions see the data as of their
 * event (peri_call.as_of), the network is not there, what plugins write is dropped. backtest.c is the world,
 * backtest_answer.c the answers, backtest_result.c what came of it. */

/* What both sets of rules share. The database is only read, over connections of its own. */
struct peri_backtest_stage {
    struct peri_workbench bench;
    struct peri_clock_fake fake;
    struct peri_clock clock;
    pthread_mutex_t lock; /* of changed */
    struct peri_value
        *changed; /* {"contact c-17": true}: entities that conditions were given, and that are newer than their event */
    struct peri_reader *recorded; /* the service's journal; NULL: there is none */
};

/* Plugins that fail are no errors; findings about rules and plugins go to diag. */
enum peri_status peri_backtest_stage_open(struct peri_backtest_stage *stage, struct peri_cli *cli,
    struct peri_diag *diag, struct peri_error *err) PERI_MUST_CHECK;
void peri_backtest_stage_close(struct peri_backtest_stage *stage);

/* What an action was answered is known only for those that ran: others are assumed to have worked. */
struct peri_backtest_answers {
    struct peri_map *by_event; /* "ev-7 rule" -> struct peri_value: steps of its runs */
    struct peri_map *by_call;  /* "operator params" -> result */
    struct peri_map *by_operator;
};

struct peri_backtest {
    struct peri_backtest_stage *stage;
    struct peri_store *store;
    struct peri_reader *reader;
    struct peri_pipeline *pipeline;
    uint64_t *original; /* [seq here]: that of the journal, 0: the event was made here */
    size_t original_cap;
    uint64_t last_original, sent;
    int64_t start_ms;
    struct peri_backtest_answers answers;
    struct peri_map *assumed;        /* "run-7" -> list of operators whose answers are assumed */
    struct peri_map *not_comparable; /* "rule operator" -> code: conditions that cannot be asked here */
    enum peri_status failed;         /* memory */
};

/* rules are counted. The clock stands at start_ms. */
enum peri_status peri_backtest_open(struct peri_backtest *test, struct peri_backtest_stage *stage,
    const struct peri_rule_list *rules, int64_t start_ms, struct peri_error *err) PERI_MUST_CHECK;
void peri_backtest_close(struct peri_backtest *test);
/* At its time of receipt, or now if that is past. original: its seq in the journal, 0: it is not from there. */
enum peri_status peri_backtest_send(struct peri_backtest *test, const struct peri_event *event, uint64_t original,
    struct peri_error *err) PERI_MUST_CHECK;
/* Lets time go on until no run waits for it, at most this far. */
enum peri_status peri_backtest_finish(
    struct peri_backtest *test, int64_t at_most_ms, struct peri_error *err) PERI_MUST_CHECK;

/* The operators of the pipeline (ctx: the backtest). */
void peri_backtest_ops(struct peri_backtest *test, struct peri_run_ops *ret);
void peri_backtest_answers_finish(struct peri_backtest_answers *answers);

/* One run, as it is compared. */
struct peri_backtest_run {
    char *key;                  /* of event, rule and trigger: the same in both worlds */
    char *event;                /* "ev-7", or words for one that was made here */
    const char *rule, *trigger; /* borrow from doc */
    int64_t time_ms;
    uint64_t seq; /* of its event, here */
    struct peri_value *doc;
    struct peri_value *effects; /* [{operator, params, after_ms}] */
    const struct peri_value *assumed;
};
struct peri_backtest_result {
    struct peri_backtest_run *runs; /* by time, event, rule */
    size_t count, cap;
    struct peri_map *by_key;   /* -> struct peri_backtest_run */
    struct peri_map *by_event; /* an event's words -> its seq */
    char **events;             /* [seq]: its words */
    size_t event_count;
};
enum peri_status peri_backtest_result(
    struct peri_backtest *test, struct peri_backtest_result *ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_backtest_result_finish(struct peri_backtest_result *result);
/* The verdict of a rule for an event that is named in words; new reference, NULL: none. */
struct peri_value *peri_backtest_verdict(
    const struct peri_backtest *test, const struct peri_backtest_result *result, const char *event, const char *rule);

#endif
