/* SPDX-License-Identifier: Apache-2.0 */
/* What a suspended call waits for, done on the loop: HTTP, mail, another operator, a channel. */
#include <stdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/str.h"
#include "lang/rule.h"
#include "plugin/grants.h"
#include "plugin/native_call.h"

static void fail(struct peri_job *job, const struct peri_error *err)
{
    job->op.error = *err;
    if (!job->op.error.status)
        job->op.error.status = PERI_EINVAL;
    peri_job_resume(job);
}

bool peri_op_is_effect(const struct peri_op *op)
{
    static const char *const harmless[] = {"GET", "HEAD", "OPTIONS", NULL};
    for (const char *const *m = harmless; op->kind == PERI_OP_HTTP && *m; m++)
        if (peri_streq(op->method, *m))
            return false;
    if (op->account_waiting)
        return false;
    return op->kind > PERI_OP_FLUSH;
}

/* --- network --- */

/* The HTTP client asks with the name it really connects to, and the address behind it. */
static bool allow(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    const struct peri_job *job = ctx;
    bool named = false;
    if (!peri_grants_host(job->plugin->grants, host, port, &named))
        return false;
    return !is_private || named;
}

static enum peri_status check_host(struct peri_job *job, const char *host, int port, struct peri_error *err)
{
    if (peri_grants_host(job->plugin->grants, host, port, NULL))
        return PERI_OK;
    char what[300];
    snprintf(what, sizeof(what), "network:outbound:%.250s:%d", host, port);
    peri_ledger_violation(job, "denied", what);
    return peri_error_set(err, PERI_EDENIED, "denied",
        "plugin %s may not connect to %s:%d (network:outbound:%s is not granted)", job->plugin->id, host, port, host);
}

/* malloc'ed; zeroed by wipe. */
static enum peri_status reveal(
    struct peri_job *job, const struct peri_secret_text *t, char **ret, struct peri_error *err)
{
    char *secret = NULL;
    size_t len = 0;
    if (!t->secret) {
        *ret = peri_strdup(t->text ? t->text : "");
        return *ret ? PERI_OK : peri_error_nomem(err);
    }
    if (peri_account_of(t->secret))
        return peri_op_account_text(job, t, ret, err);
    if (!job->host->options.secrets)
        return peri_error_set(err, PERI_ENOTFOUND, "secret.missing", "there is no secret store for \"%s\"", t->secret);
    enum peri_status st = peri_secrets_get(job->host->options.secrets, t->secret, &secret, &len, err);
    if (st) {
        if (err && st == PERI_ENOTFOUND)
            peri_error_set(err, st, "secret.missing", "there is no secret \"%s\": set it with `perigee secrets set %s`",
                t->secret, t->secret);
        return st;
    }
    *ret = peri_asprintf("%s%s", t->text ? t->text : "", secret);
    peri_secret_free(secret, len);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

static void wipe(char *text)
{
    if (text)
        peri_secret_free(text, strlen(text)); /* zeroes and frees */
}

/* For the audit trail. */
static void record(const struct peri_job *job, enum peri_status st, const struct peri_http_response *response,
    const struct peri_error *err)
{
    const struct peri_op *op = &job->op;
    char *host = NULL, outcome[64];
    int port = op->port;
    if (st)
        snprintf(outcome, sizeof(outcome), "%s", err->code[0] ? err->code : peri_status_name(st));
    else
        snprintf(outcome, sizeof(outcome), "%d", response->status);
    if (op->url)
        (void)peri_host_of(op->url, &host, &port);
    const char *where = host ? host : op->host;
    if (st && !strcmp(err->code, "http.blocked"))
        peri_ledger_violation(job, err->code, where ? where : "?");
    peri_ledger_outbound(
        job, where, port, outcome, response->connected ? (int64_t)op->body_len : 0, (int64_t)response->body_len);
    free(host);
}

static void copy_body(struct peri_op *op, const struct peri_http_response *response)
{
    op->text = malloc(response->body_len + 1);
    if (!op->text)
        return;
    memcpy(op->text, response->body ? response->body : "", response->body_len);
    op->text[response->body_len] = '\0';
    op->text_len = response->body_len;
}

/* A server may repeat what it was sent. */
static void network_done(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err)
{
    struct peri_job *job = arg;
    struct peri_op *op = &job->op;
    job->http = NULL;
    peri_cost_http(job, false);
    bool effect = response->connected && peri_op_is_effect(op);
    record(job, st, response, err);
    if (!st && response->status == 401 && op->kind == PERI_OP_HTTP && peri_op_account_refused(job))
        return;
    if (effect)
        job->effects++;
    if (st) {
        static const char *const sure[] = {
            "smtp.refused", "smtp.later", "smtp.auth", NULL}; /* the server has said no */
        op->error = *err;
        peri_secrets_hide_error(job->host->options.secrets, &op->error);
        op->error.status = st;
        op->error.outcome_unknown = effect;
        for (const char *const *s = sure; *s; s++)
            if (!strcmp(*s, err->code))
                op->error.outcome_unknown = false;
        peri_job_resume(job);
        return;
    }
    op->status = response->status;
    op->answer = peri_value_map();
    for (size_t i = 0; op->answer && i < response->header_count; i++) {
        struct peri_value *text = peri_value_str(response->headers[i].value);
        if (text) /* a header that is not UTF-8 is left out */
            (void)!peri_map_put(op->answer, response->headers[i].name, text);
    }
    struct peri_value *clean = peri_secrets_hide_value(job->host->options.secrets, op->answer);
    peri_value_unref(op->answer);
    op->answer = clean;
    if (!peri_secrets_hide(job->host->options.secrets, response->body ? response->body : "", response->body_len,
            &op->text, &op->text_len))
        copy_body(op, response);
    if (!op->text || !op->answer) {
        peri_error_nomem(&op->error);
    }
    peri_job_resume(job);
}

static enum peri_status no_network(struct peri_job *job, struct peri_error *err)
{
    if (job->dry_run)
        return peri_error_set(err, PERI_ESTATE, "dry_run", "a dry run does not use the network");
    if (!job->host->options.http) {
        peri_error_set(err, PERI_EIO, "http.unavailable", "network calls are not available here");
        return PERI_EIO;
    }
    return PERI_OK;
}

/* What the Authorization header will hold. */
static void remember_basic(struct peri_job *job, const char *name, const char *user, const char *password)
{
    struct peri_buf plain, coded;
    peri_buf_init(&plain, 128 * 1024);
    peri_buf_init(&coded, 256 * 1024);
    if (peri_buf_printf(&plain, "%s:%s", user, password) == PERI_OK &&
        peri_base64_encode(&coded, plain.data, plain.len) == PERI_OK)
        (peri_account_of(name) ? peri_secrets_passing : peri_secrets_also)(
            job->host->options.secrets, name, peri_buf_text(&coded));
    if (plain.data)
        explicit_bzero(plain.data, plain.len);
    if (coded.data)
        explicit_bzero(coded.data, coded.len);
    peri_buf_finish(&plain);
    peri_buf_finish(&coded);
}

static enum peri_status start_http(struct peri_job *job, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    bool wait = false;
    char *host = NULL, *user = NULL, *password = NULL, *agent = NULL, *cert = NULL, *cert_key = NULL, *ca = NULL;
    int port = 0;
    struct peri_http_field *fields = calloc(op->header_count + 1, sizeof(*fields));
    enum peri_status st = fields ? no_network(job, err) : peri_error_nomem(err);
    if (!st && (!strstr(op->url, "://") || !peri_host_of(op->url, &host, &port)))
        st = peri_error_set(
            err, PERI_EINVAL, "http.url", "\"%s\" is not an http or https URL that this can use", op->url);
    if (!st)
        st = check_host(job, host, port, err);
    if (!st)
        st = peri_op_accounts(job, host, port, strncasecmp(op->url, "https:", 6) == 0, &wait, err);
    if (st || wait) {
        free(fields);
        free(host);
        return st;
    }
    for (size_t i = 0; !st && i < op->header_count; i++) {
        char *value = NULL;
        st = reveal(job, &op->headers[i], &value, err);
        fields[i] = (struct peri_http_field){op->headers[i].name, value};
    }
    bool auth = op->user.text || op->user.secret;
    if (!st && auth)
        st = reveal(job, &op->user, &user, err);
    if (!st && auth)
        st = reveal(job, &op->password, &password, err);
    if (!st && op->cert.secret)
        st = reveal(job, &op->cert, &cert, err);
    if (!st && op->cert_key.secret)
        st = reveal(job, &op->cert_key, &cert_key, err);
    if (!st && (op->ca.secret || op->ca.text))
        st = reveal(job, &op->ca, &ca, err);
    if (!st && auth && op->password.secret)
        remember_basic(job, op->password.secret, user, password);
    if (!st && !(agent = peri_asprintf("perigee-plugin/%s", job->plugin->id)))
        st = peri_error_nomem(err);
    if (!st) {
        struct peri_http_send send = {.method = op->method,
            .url = op->url,
            .headers = fields,
            .header_count = op->header_count,
            .body = op->body,
            .body_len = op->body_len,
            .user = user,
            .password = password,
            .user_agent = agent,
            .cert = cert,
            .key = cert_key,
            .ca = ca,
            .timeout_ms = op->timeout_ms,
            .max_response = PERI_HOST_BODY_BYTES,
            .allow = allow,
            .allow_ctx = job};
        st = peri_http_client_send(job->host->options.http, &send, network_done, job, &job->http, err);
        if (!st)
            peri_cost_http(job, true);
    }
    for (size_t i = 0; fields && i < op->header_count; i++)
        wipe((char *)(uintptr_t)fields[i].value);
    free(fields);
    free(host);
    wipe(user);
    wipe(password);
    wipe(cert);
    wipe(cert_key);
    wipe(ca);
    free(agent);
    return st;
}

static enum peri_status start_smtp(struct peri_job *job, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    char *user = NULL, *password = NULL;
    bool wait = false;
    size_t n = peri_value_count(op->to);
    const char **to = calloc(n + 1, sizeof(*to));
    enum peri_status st = to ? no_network(job, err) : peri_error_nomem(err);
    if (!st)
        st = check_host(job, op->host, op->port, err);
    if (!st)
        st = peri_op_accounts(job, op->host, op->port, op->security != PERI_SMTP_PLAIN, &wait, err);
    if (st || wait) {
        free(to);
        return st;
    }
    for (size_t i = 0; to && i < n; i++)
        to[i] = peri_value_text(peri_list_at(op->to, i));
    bool auth = op->user.text || op->user.secret;
    if (!st && auth)
        st = reveal(job, &op->user, &user, err);
    if (!st && auth)
        st = reveal(job, &op->password, &password, err);
    if (!st) {
        struct peri_smtp_send mail = {.host = op->host,
            .port = op->port,
            .security = op->security,
            .user = user,
            .password = password,
            .from = op->from,
            .to = to,
            .message = op->body,
            .message_len = op->body_len,
            .ca_file = op->ca_file,
            .timeout_ms = op->timeout_ms,
            .allow = allow,
            .allow_ctx = job};
        st = peri_smtp_client_send(job->host->options.http, &mail, network_done, job, &job->http, err);
        if (!st)
            peri_cost_http(job, true);
    }
    free(to);
    wipe(user);
    wipe(password);
    return st;
}

/* --- channels --- */

static enum peri_status start_child(struct peri_job *job, struct peri_job *child, char *key, struct peri_error *err);

/* An event on its way into the store. It outlives its job, when the service ends before there was room for it. */
struct peri_telling {
    struct peri_job *job; /* NULL: gone */
};

void peri_telling_forget(struct peri_job *job)
{
    if (job->telling)
        job->telling->job = NULL;
    job->telling = NULL;
}

static void sent_told(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_telling *telling = arg;
    struct peri_job *job = telling->job;
    PERI_FAILPOINT("message.told");
    free(telling);
    if (!job)
        return;
    job->telling = NULL;
    job->host->commits--;
    job->flushing = false;
    if (st)
        peri_warn(job->host->options.log, job->plugin->area, "message.Sent was not stored: %s",
            err ? err->message : peri_status_name(st));
    peri_job_resume(job);
}

/* The sender goes on when this is stored, so that its run never knows more than was told, also when the store has no
 * room for a while. False: there is nothing to wait for. */
static bool tell_sent(struct peri_job *job, const struct peri_job *child)
{
    struct peri_host *host = job->host;
    struct peri_event *event =
        child->kind == PERI_JOB_SEND ? peri_host_sent_event(job, child->plugin->id, child->key) : NULL;
    struct peri_batch *batch = event ? peri_batch_create() : NULL;
    struct peri_telling *telling = batch ? calloc(1, sizeof(*telling)) : NULL;
    if (!telling) {
        peri_event_unref(event);
        peri_batch_destroy(batch);
        return false;
    }
    if (peri_batch_event(batch, event)) {
        peri_batch_destroy(batch);
        free(telling);
        return false;
    }
    telling->job = job;
    job->telling = telling;
    job->flushing = true;
    host->commits++;
    host->options.ops.insist(host->options.ops.ctx, batch, sent_told, telling);
    return true;
}

/* The provider does not know the message: now it is sent, as it was asked for. */
static void send_after_all(struct peri_job *job, const struct peri_job *asked)
{
    struct peri_error err = {0};
    struct peri_job *child = peri_job_create(asked->plugin, PERI_JOB_SEND);
    char *key = peri_strdup(asked->key);
    enum peri_status st = PERI_ENOMEM;
    if (!child || (asked->key && !key)) {
        free(key);
        peri_job_free(child);
        (void)peri_error_nomem(&err);
    } else {
        child->path[0] = "channel";
        child->path[1] = "send";
        child->params = peri_value_ref(asked->params);
        st = start_child(job, child, key, &err);
    }
    if (st) {
        err.status = st;
        fail(job, &err);
    }
}

static void child_finished(struct peri_job *child, const struct peri_call_result *result)
{
    struct peri_job *job = child->parent;
    if (!job)
        return; /* the caller is gone */
    bool waits = false;
    child->parent = NULL;
    job->child = NULL;
    job->effects += child->effects;
    if (child->asking && !result->status && !peri_lookup_found(result->value)) {
        send_after_all(job, child);
        return;
    }
    if (result->status) {
        job->op.error = result->error;
        job->op.error.status = result->status;
        if (child->asking)
            peri_lookup_failed(&job->op.error);
    } else if (child->asking && !(job->op.answer = peri_lookup_result(result->value))) {
        peri_error_nomem(&job->op.error);
    } else {
        if (!child->asking)
            job->op.answer =
                child->kind == PERI_JOB_CONDITION ? peri_value_bool(result->holds) : peri_value_ref(result->value);
        waits = !job->host->closing && tell_sent(job, child);
        if (child->kind == PERI_JOB_SEND && peri_value_is(job->op.answer, PERI_MAP)) {
            struct peri_value *own = peri_value_copy(job->op.answer);
            if (own && !peri_map_put_text(own, "channel", child->plugin->id)) {
                peri_value_unref(job->op.answer);
                job->op.answer = own;
            } else {
                peri_value_unref(own);
            }
        }
    }
    if (!job->host->closing && !waits)
        peri_job_resume(job);
}

/* Links a nested call to the one that waits for it and sends it off. key (take; may be NULL) replaces the caller's. */
static enum peri_status start_child(struct peri_job *job, struct peri_job *child, char *key, struct peri_error *err)
{
    child->finish = child_finished;
    child->parent = job;
    job->child = child;
    peri_job_copy_context(child, job);
    bool good = !key || peri_job_set_texts(child, child->rule_id, child->rule_name, child->run_id, key);
    free(key);
    if (!good) {
        peri_job_free(child);
        return peri_error_nomem(err);
    }
    return peri_intercept_start(child, err); /* freeing it on failure unlinks it */
}

enum peri_status peri_host_call_nested(
    struct peri_job *job, const char *operator_id, const struct peri_value *params, struct peri_error *err)
{
    const struct peri_operator *op = peri_host_operator(job->host, operator_id);
    if (!op)
        return peri_error_set(err, PERI_ENOTFOUND, "unknown_operator", "there is no operator \"%s\"", operator_id);
    const struct peri_op_def *def = peri_map_get(job->host->operators, operator_id);
    struct peri_value *filled = NULL;
    enum peri_status st = peri_operator_params(op, params, &filled, err);
    if (st)
        return st;
    struct peri_job *child = peri_job_create(def->owner, op->is_condition ? PERI_JOB_CONDITION : PERI_JOB_ACTION);
    if (!child) {
        peri_value_unref(filled);
        return peri_error_nomem(err);
    }
    child->params = filled;
    peri_job_set_operator(child, def);
    return start_child(job, child, NULL, err);
}

/* The message as the channel gets it: with the key that makes a repeat recognisable, and where it comes from. */
static struct peri_value *stamped(struct peri_job *job, const char *key)
{
    struct peri_value *message = peri_value_copy(job->op.value);
    enum peri_status st = message ? PERI_OK : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(message, "channel_type", job->op.target);
    if (!st && key)
        st = peri_map_put_text(message, "idempotency_key", key);
    if (!st)
        st = peri_map_put_text(message, "rule", job->rule_id);
    if (!st)
        st = peri_map_put_text(message, "run", job->run_id);
    if (st) {
        peri_value_unref(message);
        return NULL;
    }
    return message;
}

static struct peri_plugin *find_channel(struct peri_host *host, const char *type, const char **ret_wanted)
{
    const char *id = host->options.channel_for ? host->options.channel_for(host->options.channel_ctx, type) : NULL;
    *ret_wanted = id;
    if (id) {
        struct peri_plugin *p = peri_host_plugin(host, id);
        return p && p->state == PERI_PLUGIN_ACTIVE && peri_streq(p->channel_type, type) ? p : NULL;
    }
    for (size_t i = 0; i < host->plugin_count; i++)
        if (host->plugins[i]->state == PERI_PLUGIN_ACTIVE && peri_streq(host->plugins[i]->channel_type, type))
            return host->plugins[i];
    return NULL;
}

/* The channel type that an operator sends over: a word, or what its plugin's settings say. */
static const char *type_of(const struct peri_op_def *def)
{
    const char *text = def->channel;
    size_t len = strlen(text);
    if (!peri_str_starts(text, "{config.") || text[len - 1] != '}')
        return text;
    struct peri_value *v = peri_map_atn(def->owner->config, text + 8, len - 9);
    return peri_value_text(v);
}

enum peri_delivery peri_host_delivery(struct peri_host *host, const char *id)
{
    const struct peri_op_def *def = id ? peri_map_get(host->operators, id) : NULL;
    if (!def || def->owner->state != PERI_PLUGIN_ACTIVE)
        return PERI_DELIVERY_ONCE;
    if (def->public.delivery != PERI_DELIVERY_CHANNEL)
        return def->public.delivery;
    const char *wanted = NULL, *type = type_of(def);
    if (!type)
        return PERI_DELIVERY_ONCE;
    const struct peri_plugin *plugin = find_channel(host, type, &wanted);
    bool outbox = !plugin && (!wanted || peri_streq(wanted, "outbox"));
    if (plugin && plugin->channel_asks)
        return PERI_DELIVERY_LOOKUP;
    return outbox || (plugin && plugin->channel_repeats) ? PERI_DELIVERY_REPEAT : PERI_DELIVERY_ONCE;
}

/* body or message: whichever the operator has. */
static const char *text_field(const struct peri_value *schema)
{
    const struct peri_value *properties = peri_map_at(schema, "properties");
    return peri_map_at(properties, "body") ? "body" : peri_map_at(properties, "message") ? "message" : NULL;
}

/* Is everything there that the operator needs beside the text? */
static bool complete(const struct peri_value *schema, const struct peri_value *params)
{
    const struct peri_value *required = peri_map_at(schema, "required");
    for (size_t i = 0; i < peri_value_count(required); i++)
        if (!peri_map_at(params, peri_value_text(peri_list_at(required, i))))
            return false;
    return true;
}

struct peri_value *peri_host_fallback(struct peri_host *host, const char *id, const struct peri_value *params)
{
    const struct peri_op_def *def = id ? peri_map_get(host->operators, id) : NULL;
    if (!def || def->public.delivery != PERI_DELIVERY_CHANNEL || !def->schema || !host->options.fallback_for)
        return NULL;
    const struct peri_value *schema = peri_schema_source(def->schema), *properties = peri_map_at(schema, "properties");
    const char *type = type_of(def), *field = text_field(schema);
    const struct peri_value *given = type ? host->options.fallback_for(host->options.channel_ctx, type) : NULL;
    const char *body = peri_value_text(given) ? peri_value_text(given) : peri_map_text(given, "body");
    const char *subject = peri_map_text(given, "subject");
    struct peri_value *own = body && field ? peri_value_copy(params) : NULL;
    if (!own)
        return NULL;
    peri_map_drop(own, "html");
    bool bad = peri_map_put_text(own, field, body) != PERI_OK;
    if (!bad && peri_map_at(properties, "subject") && (subject || !peri_map_at(own, "subject")))
        bad = peri_map_put_text(own, "subject", subject ? subject : "A message for you") != PERI_OK;
    if (!bad && complete(schema, own))
        return own;
    peri_value_unref(own);
    return NULL;
}

void peri_host_destination(
    struct peri_host *host, const char *id, const struct peri_value *params, char *out, size_t size)
{
    const struct peri_op_def *def = id ? peri_map_get(host->operators, id) : NULL;
    const char *url = peri_map_text(params, "url"), *account = peri_map_text(params, "account"), *wanted = NULL;
    char *name = NULL;
    int port = 0;
    if (peri_streq(id, PERI_RULE_LUA)) {
        out[0] = '\0';
    } else if (def && def->public.delivery == PERI_DELIVERY_CHANNEL) {
        const char *type = type_of(def);
        const struct peri_plugin *plugin = type ? find_channel(host, type, &wanted) : NULL;
        snprintf(out, size, "%s", plugin ? plugin->id : "");
    } else if (def && url && strstr(url, "://") && peri_host_of(url, &name, &port)) {
        snprintf(out, size, "%s/%s:%d", def->public.plugin, name, port);
    } else if (def) {
        snprintf(out, size, "%s%s%s", def->public.plugin, account ? "/" : "", account ? account : "");
    }
    free(name);
}

static void outbox_stored(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_job *job = arg;
    job->host->commits--;
    job->flushing = false;
    PERI_FAILPOINT("outbox.stored");
    if (st) {
        peri_error_set(
            &job->op.error, st, NULL, "the message was not stored: %s", err ? err->message : peri_status_name(st));
        job->op.error.retryable = true;
    }
    peri_job_resume(job);
}

static enum peri_status to_outbox(
    struct peri_job *job, struct peri_value *message, const char *key, struct peri_error *err)
{
    struct peri_host *host = job->host;
    job->op.answer = peri_value_map();
    if (!job->op.answer || peri_map_put_bool(job->op.answer, "ok", true) ||
        peri_map_put_text(job->op.answer, "channel", "outbox")) {
        peri_value_unref(message);
        return peri_error_nomem(err);
    }
    if (!host->options.ops.submit || job->dry_run) {
        peri_value_unref(message);
        peri_job_resume(job);
        return PERI_OK;
    }
    struct peri_batch *batch = peri_batch_create();
    enum peri_status st = PERI_ENOMEM;
    if (batch)
        st = peri_batch_outbox(batch, message, key);
    else
        peri_value_unref(message);
    struct peri_event *event = st ? NULL : peri_host_sent_event(job, "outbox", key);
    if (event)
        st = peri_batch_event(batch, event);
    if (!st) {
        job->flushing = true;
        host->commits++;
        st = host->options.ops.submit(host->options.ops.ctx, batch, outbox_stored, job);
    }
    if (!st)
        return PERI_OK;
    if (job->flushing) {
        job->flushing = false;
        host->commits--;
    }
    peri_batch_destroy(batch);
    peri_error_set(err, st, st == PERI_EBUSY ? "busy" : NULL, "the outbox did not take the message");
    err->retryable = true;
    return st;
}

static enum peri_status start_send(struct peri_job *job, struct peri_error *err)
{
    struct peri_host *host = job->host;
    const char *wanted = NULL;
    char *key = NULL;
    if (job->depth >= PERI_HOST_DEPTH)
        return peri_error_set(err, PERI_ELIMIT, "limit.depth", "calls nested deeper than %d", PERI_HOST_DEPTH);
    char made[PERI_ULID_TEXT];
    if (job->key && job->sends++ == 0)
        key = peri_strdup(job->key);
    else if (job->key)
        key = peri_asprintf("%s#%d", job->key, job->sends);
    else if (!peri_ulid(peri_clock_wall_ms(&host->options.clock), made))
        key = peri_strdup(made);
    struct peri_value *message = key ? stamped(job, key) : NULL;
    if (!message) {
        free(key);
        return peri_error_nomem(err);
    }
    struct peri_plugin *plugin = find_channel(host, job->op.target, &wanted);
    enum peri_status st;
    if (plugin && job->dry_run) {
        peri_value_unref(message);
        st = peri_error_set(err, PERI_ESTATE, "dry_run", "a dry run sends nothing");
    } else if (plugin) {
        struct peri_job *child = peri_job_create(plugin, PERI_JOB_SEND);
        if (child && host->options.sends)
            host->options.sends(host->options.sends_ctx, plugin->id, message);
        if (child) {
            child->path[0] = "channel";
            child->asking = job->ask_first && plugin->channel_asks;
            child->path[1] = child->asking ? "lookup" : "send";
            child->params = message;
            st = child->asking ? peri_map_put_time(message, "since", job->first_ms) : PERI_OK;
            if (st)
                peri_job_free(child);
            else
                st = start_child(job, child, key, err);
            if (st == PERI_ENOMEM)
                free(key);
            key = NULL;
        } else {
            peri_value_unref(message);
            st = peri_error_nomem(err);
        }
    } else if (wanted && strcmp(wanted, "outbox")) {
        peri_value_unref(message);
        st = peri_error_set(err, PERI_ESTATE, "channel.unavailable",
            "channel plugin %s, which is to serve %s, is not active", wanted, job->op.target);
        err->retryable = true;
    } else {
        st = to_outbox(job, message, key, err);
    }
    free(key);
    return st;
}

static enum peri_status start_call(struct peri_job *job, struct peri_error *err)
{
    if (job->depth >= PERI_HOST_DEPTH)
        return peri_error_set(err, PERI_ELIMIT, "limit.depth", "calls nested deeper than %d", PERI_HOST_DEPTH);
    return peri_host_call_nested(job, job->op.target, job->op.value, err);
}

void peri_op_perform(struct peri_job *job)
{
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    switch (job->op.kind) {
    case PERI_OP_NONE:
    case PERI_OP_FLUSH:
        peri_job_resume(job);
        return;
    case PERI_OP_HTTP:
        st = start_http(job, &err);
        break;
    case PERI_OP_SMTP:
        st = start_smtp(job, &err);
        break;
    case PERI_OP_SEND:
        st = start_send(job, &err);
        break;
    case PERI_OP_CALL:
        st = start_call(job, &err);
        break;
    case PERI_OP_DEFER:
        if (peri_self_armed(job->plugin->self, job->native_call->token))
            peri_job_resume(job);
        return;
    }
    if (st) {
        err.status = st;
        fail(job, &err);
    }
}

void peri_op_cancel(struct peri_job *job)
{
    peri_account_wait_cancel(job->account_wait);
    job->account_wait = NULL;
    if (job->http) {
        peri_http_call_cancel(job->http);
        job->http = NULL;
    }
    if (job->child) {
        job->child->parent = NULL;
        job->child = NULL;
    }
}
