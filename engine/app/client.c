/* SPDX-License-Identifier: Apache-2.0 */
#include "app/client.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "io/http_client.h"
#include "io/loop.h"

#define ANSWER_MAX (64u << 20)

struct peri_client {
    struct peri_clock clock;
    struct peri_loop *loop;
    struct peri_http_client *http;
    char *base, *authorization;
    /* the answer of the call under way */
    bool done;
    enum peri_status st;
    int status;
    struct peri_value *value;
    struct peri_error err;
};

void peri_url_encode(struct peri_buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            peri_buf_putc(out, (char)c);
        else
            peri_buf_printf(out, "%%%02X", c);
    }
}

/* A wildcard address is reached over loopback. */
static char *base_url(const struct peri_config *config)
{
    const char *listen = config->http.listen, *scheme = config->http.tls_cert ? "https" : "http";
    if (peri_str_starts(listen, "0.0.0.0:"))
        return peri_asprintf("%s://127.0.0.1:%s", scheme, listen + 8);
    if (peri_str_starts(listen, "[::]:"))
        return peri_asprintf("%s://[::1]:%s", scheme, listen + 5);
    return peri_asprintf("%s://%s", scheme, listen);
}

/* The service writes the address it really got (port 0) beside its token. */
static char *recorded_url(const struct peri_config *config)
{
    char *file = peri_path_join(config->state_dir, "http.url"), *text = NULL;
    size_t len;
    if (!file || peri_path_read(file, 1024, &text, &len, NULL))
        text = NULL;
    free(file);
    if (text)
        text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static enum peri_status read_token(const struct peri_config *config, char **ret, struct peri_error *err)
{
    if (config->http.token) {
        *ret = peri_asprintf("Bearer %s", config->http.token);
        return *ret ? PERI_OK : peri_error_nomem(err);
    }
    char *file = peri_path_join(config->state_dir, "token"), *text = NULL;
    size_t len;
    enum peri_status st = peri_path_read(file, 4096, &text, &len, err);
    free(file);
    if (st)
        return peri_error_set(err, PERI_EIO, "unavailable",
            "the service is not running here (no token in %s); start it with `perigee run'", config->state_dir);
    text[strcspn(text, "\r\n")] = '\0';
    *ret = peri_asprintf("Bearer %s", text);
    free(text);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

enum peri_status peri_client_open(struct peri_cli *cli, struct peri_client **ret, struct peri_error *err)
{
    struct peri_client *client = calloc(1, sizeof(*client));
    if (!client)
        return peri_error_nomem(err);
    client->clock = peri_clock_system();
    client->base = recorded_url(&cli->config);
    if (!client->base)
        client->base = base_url(&cli->config);
    enum peri_status st = read_token(&cli->config, &client->authorization, err);
    if (st == PERI_OK && peri_str_starts(cli->config.http.listen, "unix:"))
        st = peri_error_set(
            err, PERI_EINVAL, "unix", "the service listens on a UNIX socket, which this command does not reach");
    if (st == PERI_OK)
        st = peri_loop_create(&client->clock, &client->loop, err);
    if (st == PERI_OK)
        st = peri_http_client_create(
            &(struct peri_http_client_options){.loop = client->loop, .ca_file = cli->config.http.tls_cert},
            &client->http, err);
    if (st == PERI_OK)
        *ret = client;
    else
        peri_client_close(client);
    return st;
}

void peri_client_close(struct peri_client *client)
{
    if (!client)
        return;
    peri_http_client_destroy(client->http);
    peri_loop_destroy(client->loop);
    peri_value_unref(client->value);
    free(client->base);
    free(client->authorization);
    free(client);
}

static bool allow(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    return true;
}

static void read_problem(struct peri_client *client)
{
    const char *detail = peri_map_text(client->value, "detail"), *title = peri_map_text(client->value, "title");
    int s = client->status;
    enum peri_status st = s == 404               ? PERI_ENOTFOUND
                          : s == 401 || s == 403 ? PERI_EDENIED
                          : s == 429 || s == 503 ? PERI_EBUSY
                          : s >= 500             ? PERI_EINTERNAL
                                                 : PERI_EINVAL;
    client->st = peri_error_set(&client->err, st, peri_map_text(client->value, "code"), "%s",
        detail  ? detail
        : title ? title
                : "the service refused the request");
}

static void answered(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err)
{
    struct peri_client *client = arg;
    client->done = true;
    client->st = st;
    if (st) {
        client->st = peri_error_set(
            &client->err, PERI_EIO, "unavailable", "the service at %s does not answer: %s", client->base, err->message);
        return;
    }
    client->status = response->status;
    if (response->body_len && peri_json_parse(response->body, response->body_len, &client->value, &client->err)) {
        client->value = NULL;
        client->st = PERI_EIO;
        peri_error_prefix(&client->err, "the answer of %s is not JSON", client->base);
    } else if (response->status >= 400) {
        read_problem(client);
    }
}

enum peri_status peri_client_call(struct peri_client *client, const char *method, const char *path,
    const struct peri_value *body, struct peri_value **ret, struct peri_error *err)
{
    char *url = peri_asprintf("%s%s", client->base, path),
         *text = body ? peri_json_text(body, PERI_JSON_COMPACT) : NULL;
    struct peri_http_field headers[] = {{"Authorization", client->authorization}, {"Content-Type", "application/json"}};
    struct peri_http_send send = {.method = method,
        .url = url,
        .headers = headers,
        .header_count = body ? 2 : 1,
        .body = text,
        .body_len = text ? strlen(text) : 0,
        .user_agent = "perigee/" PERIGEE_VERSION,
        .timeout_ms = 60000,
        .max_response = ANSWER_MAX,
        .allow = allow};
    peri_value_unref(client->value);
    client->value = NULL;
    client->done = false;
    struct peri_http_call *call;
    enum peri_status st = url && (!body || text)
                              ? peri_http_client_send(client->http, &send, answered, client, &call, err)
                              : peri_error_nomem(err);
    free(url);
    free(text);
    if (st)
        return st;
    while (!client->done)
        peri_loop_once(client->loop, 1000);
    if (client->st) {
        *err = client->err;
        return client->st;
    }
    *ret = client->value;
    client->value = NULL;
    return PERI_OK;
}

bool peri_client_alive(struct peri_client *client)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    enum peri_status st = peri_client_call(client, "GET", "/healthz", NULL, &v, &err);
    peri_value_unref(v);
    return st != PERI_EIO;
}

int peri_client_fail(struct peri_cli *cli, const struct peri_error *err)
{
    int code = peri_cli_fail_error(cli, err);
    return err->status == PERI_EIO || err->status == PERI_EBUSY ? PERI_EXIT_UNAVAILABLE : code;
}
