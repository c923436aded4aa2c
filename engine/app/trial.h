/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_TRIAL_H
#define PERI_APP_TRIAL_H

#include "app/workbench.h"
#include "lang/pattern.h"
#include "run/pipeline.h"

/* Tests of rules: *.test.yaml files, read by trial_read.c, carried out by trial_bed.c (a world with a clock of its own)
 * and trial_step.c (what the steps do to it), judged by trial_expect.c. docs/authors.md describes the form. */

/* What a stubbed operator answers. */
struct peri_trial_answer {
    struct peri_pattern *when; /* of the parameters; NULL: any */
    bool is_condition, holds, fails;
    struct peri_value *value; /* the result, or what a condition compared; NULL: none */
    struct peri_error error;
    bool used;
};

struct peri_trial_stub {
    const char *operator_id;
    struct peri_trial_answer *answers; /* which one: trial_stub.c, choose */
    size_t count;
};

/* What the outside world answers to a request; replies one after the other, the last again and again. */
struct peri_trial_reply {
    int status;                      /* 0: 200 */
    struct peri_http_field *headers; /* borrow; NULL: none */
    size_t header_count;
    char *body;
    bool is_json, fails;
    struct peri_error error;
};
struct peri_trial_http {
    const char *method, *url;   /* method NULL: any; url with '*' */
    struct peri_pattern *match; /* of {method, url, headers, body, json}; NULL: any */
    struct peri_trial_reply *replies;
    size_t count, next;
};

struct peri_trial_webhook; /* trial_webhook.c */

enum peri_trial_kind {
    PERI_TRIAL_NOTHING, /* expect alone */
    PERI_TRIAL_EVENT,
    PERI_TRIAL_ADVANCE,
    PERI_TRIAL_UNTIL,
    PERI_TRIAL_PUT,
    PERI_TRIAL_DELETE,
    PERI_TRIAL_WEBHOOK,
    PERI_TRIAL_RESTART,
    PERI_TRIAL_APPROVE,
    PERI_TRIAL_EDIT
};

struct peri_trial_step {
    enum peri_trial_kind kind;
    struct peri_place place;
    const char *event, *id, *source, *subject; /* APPROVE: id is the step's, or NULL */
    struct peri_value *data;                   /* EVENT: the payload. PUT, DELETE: {type: [...]}. APPROVE: the answer */
    struct peri_trial_webhook *webhook;
    const struct peri_node *edit;    /* EDIT: {rule id: {key: value}}, or null for a rule that is removed */
    int64_t ms;                      /* ADVANCE: how long; UNTIL: when; EVENT: its time, INT64_MIN: now */
    const struct peri_node *expect;  /* NULL: nothing */
    struct peri_value *expect_value; /* the same */
};

struct peri_trial_case {
    const char *name;
    struct peri_place place;
    int64_t start_ms;
    struct peri_value *data; /* {type: [...]}, beside the file's */
    struct peri_trial_stub *stubs;
    size_t stub_count;
    struct peri_trial_http *http;
    size_t http_count;
    struct peri_trial_step *steps;
    size_t step_count;
};

struct peri_trial_file {
    char *path;
    struct peri_yaml_doc *doc;
    const char *timezone;       /* default of schedules, and of times without an offset */
    double latitude, longitude; /* of the sun; NAN: none */
    char **rules;               /* NULL-ended */
    struct peri_value *data, *plugins, *secrets;
    struct peri_trial_stub *stubs;
    size_t stub_count;
    struct peri_trial_http *http;
    size_t http_count;
    struct peri_trial_case *cases;
    size_t case_count;
};

/* Every mistake goes to diag; PERI_EINVAL when there was one. */
enum peri_status peri_trial_read(const char *path, const struct peri_tz_source *tz, struct peri_trial_file **ret,
    struct peri_diag *diag) PERI_MUST_CHECK;
/* The same of a text; path is only named, and what rules are relative to. */
enum peri_status peri_trial_read_text(const char *path, const char *text, size_t len, const struct peri_tz_source *tz,
    struct peri_trial_file **ret, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_trial_file_destroy(struct peri_trial_file *file);

struct peri_trial_cover;
struct peri_trial_edits;

/* The world of one file: plugins, an empty store in memory, a clock that only tests move. */
struct peri_trial_bed {
    struct peri_cli *cli;
    const struct peri_trial_file *file;
    struct peri_clock_fake fake;
    struct peri_clock clock;
    struct peri_log *log;
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_reader *reader;
    struct peri_secrets *secrets;
    struct peri_accounts *accounts;
    struct peri_http_client *http; /* answers from the test file */
    struct peri_host *host;
    struct peri_tz_source tz;
    struct peri_rule_env env; /* for rules of this bed */
    struct peri_rule_list rules;
    struct peri_trial_cover *cover; /* counts what was reached; NULL: nobody asks */
    struct peri_rule_list edited;   /* rules as a step has edited them, in place of rules; empty: none has */
    struct peri_pipeline *pipeline;
    struct peri_hooks *hooks;          /* webhooks of its rules */
    struct peri_trial_case *now;       /* the case under way */
    struct peri_value *calls;          /* of actions since the last look: [{operator, params, rule, run, time}] */
    struct peri_value *requests;       /* to the outside since the last look: [{method, url, headers, body, json}] */
    struct peri_value *sent;           /* over channels since the last look: messages */
    struct peri_value *response;       /* to the last webhook; NULL: none */
    uint64_t seen_event, seen_message; /* what was there at the last look */
    struct peri_trial_edits *edits;    /* what should be expected instead; NULL: nobody asks */
    enum peri_status failed;           /* memory */
};

/* Loads plugins and the file's rules; findings go to diag. PERI_EINVAL: the rules have errors. The bed must not move.
 */
enum peri_status peri_trial_bed_open(struct peri_trial_bed *bed, struct peri_cli *cli,
    const struct peri_trial_file *file, struct peri_diag *diag, struct peri_error *err) PERI_MUST_CHECK;
void peri_trial_bed_close(struct peri_trial_bed *bed);
/* The same, but loop and store stay for the next file, which opens it as it is: to make them is most of the work of a
 * small file. peri_trial_bed_close ends it. */
void peri_trial_bed_leave(struct peri_trial_bed *bed);
/* An empty world at the case's start. */
enum peri_status peri_trial_bed_begin(
    struct peri_trial_bed *bed, struct peri_trial_case *trial, struct peri_error *err) PERI_MUST_CHECK;
void peri_trial_bed_end(struct peri_trial_bed *bed);
/* These wait until nothing is left to do at the time that it then is. */
enum peri_status peri_trial_bed_send(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err) PERI_MUST_CHECK;
/* Takes batch. */
enum peri_status peri_trial_bed_submit(
    struct peri_trial_bed *bed, struct peri_batch *batch, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_trial_bed_go(
    struct peri_trial_bed *bed, int64_t until_ms, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_trial_bed_approve(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err) PERI_MUST_CHECK;
/* The rules as they are now: as loaded, or as a step has edited them. Borrowed until the next edit. */
const struct peri_rule_list *peri_trial_bed_rules(const struct peri_trial_bed *bed);
/* Edits rules as their author would, while the engine runs. */
enum peri_status peri_trial_bed_edit(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_trial_bed_restart(struct peri_trial_bed *bed, struct peri_error *err) PERI_MUST_CHECK;
/* entities: {type: [...]}; remove: lists of ids instead. */
enum peri_status peri_trial_bed_put(
    struct peri_trial_bed *bed, const struct peri_value *entities, bool remove, struct peri_error *err) PERI_MUST_CHECK;

/* bed->response is what the plugin answered. */
enum peri_status peri_trial_bed_webhook(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err) PERI_MUST_CHECK;
/* Until nothing is left to do at this instant. */
enum peri_status peri_trial_bed_settle(struct peri_trial_bed *bed, struct peri_error *err) PERI_MUST_CHECK;

/* For the HTTP client of a bed (ctx). */
enum peri_status peri_trial_answer_http(
    void *ctx, const struct peri_http_send *request, struct peri_http_response *ret, struct peri_error *err);
void peri_trial_http_forget(struct peri_trial_http *list, size_t count);
void peri_trial_http_free(struct peri_trial_http *list, size_t count);
void peri_trial_webhook_free(struct peri_trial_webhook *webhook);

/* Compares what happened since the last look with step->expect; each difference is a finding [test-failed]. */
enum peri_status peri_trial_expect(struct peri_trial_bed *bed, const struct peri_trial_step *step,
    struct peri_diag *diag, struct peri_error *err) PERI_MUST_CHECK;

/* One case; what is wrong goes to diag, nothing else does. */
void peri_trial_run(struct peri_trial_bed *bed, struct peri_trial_case *trial, struct peri_diag *diag);

#endif
