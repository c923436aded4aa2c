/* SPDX-License-Identifier: Apache-2.0 */
/* One mail: an SMTP transaction on a connection of its own. */
#include "io/http_client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define DEFAULT_TIMEOUT_MS 30000
#define RECIPIENTS_MAX 100 /* what every server has to take (RFC 5321, 4.5.3.1.8) */

static enum peri_status check_address(const char *address, bool may_be_empty, struct peri_error *err)
{
    size_t len = strlen(address);
    bool good = (len > 0 || may_be_empty) && len <= 320 && address[0] != '-';
    for (size_t i = 0; i < len; i++)
        good &= (unsigned char)address[i] > 0x20 && address[i] != 0x7F && !strchr("<>", address[i]);
    return good ? PERI_OK : peri_error_set(err, PERI_EINVAL, "smtp.address", "\"%s\" is no mail address", address);
}

static enum peri_status check_mail(const struct peri_smtp_send *mail, struct peri_error *err)
{
    enum peri_status st = check_address(mail->from, true, err);
    size_t count = 0;
    for (; st == PERI_OK && mail->to[count]; count++)
        st = check_address(mail->to[count], false, err);
    if (st == PERI_OK && (count == 0 || count > RECIPIENTS_MAX))
        st = peri_error_set(err, PERI_EINVAL, "smtp.address", "a mail needs 1 to %d recipients", RECIPIENTS_MAX);
    if (st == PERI_OK && (!*mail->host || mail->port < 1 || mail->port > 65535))
        st = peri_error_set(err, PERI_EINVAL, "smtp.connect", "the mail server needs a host and a port");
    return st;
}

/* Lines end in CR LF and nothing else: a server that takes a bare LF for a line end would see commands in "\n.\n". */
static enum peri_status copy_message(struct peri_http_call *call, const char *message, size_t len)
{
    struct peri_buf out;
    peri_buf_init(&out, 2 * len + 2);
    for (size_t i = 0; i < len; i++) {
        if (message[i] != '\r' && message[i] != '\n') {
            peri_buf_putc(&out, message[i]);
            continue;
        }
        peri_buf_append(&out, "\r\n", 2);
        if (message[i] == '\r' && i + 1 < len && message[i + 1] == '\n')
            i++;
    }
    if (!out.failed)
        call->body = peri_buf_take(&out, &call->body_len);
    peri_buf_finish(&out);
    return call->body ? PERI_OK : PERI_ENOMEM;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
    struct peri_http_call *call = arg;
    size_t room = size * count, n = call->body_len - call->body_sent;
    call->connected = true; /* the server has said 354: from now on the mail may have arrived */
    if (n > room)
        n = room;
    memcpy(out, call->body + call->body_sent, n);
    call->body_sent += n;
    return n;
}

/* On ending, libcurl says QUIT and waits for the answer before it tells us what became of the mail. So the connection
 * is closed as soon as the QUIT is on its way; the debug callback is where that can be seen. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    struct peri_http_call *call = arg;
    if (type == CURLINFO_HEADER_OUT && size >= 4 && memcmp(data, "QUIT", 4) == 0)
        for (size_t i = 0; i < sizeof(call->sockets) / sizeof(call->sockets[0]); i++)
            if (call->sockets[i] >= 0)
                shutdown(call->sockets[i], SHUT_RDWR);
    return 0;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct peri_http_call *call = arg;
    for (size_t i = 0; i < sizeof(call->sockets) / sizeof(call->sockets[0]); i++)
        if (call->sockets[i] == fd)
            call->sockets[i] = -1;
    return close(fd);
}

static bool set_url(struct peri_http_call *call, const struct peri_smtp_send *mail)
{
    char port[16], *url = NULL;
    bool v6 = strchr(mail->host, ':') && mail->host[0] != '[';
    char *host = peri_asprintf(v6 ? "[%s]" : "%s", mail->host),
         *path = peri_asprintf("/%s", mail->helo ? mail->helo : "");
    CURLU *parts = curl_url();
    snprintf(port, sizeof(port), "%d", mail->port);
    bool good =
        host && path && parts &&
        curl_url_set(parts, CURLUPART_SCHEME, mail->security == PERI_SMTP_TLS ? "smtps" : "smtp", 0) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_HOST, host, 0) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_PORT, port, 0) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_PATH, path, CURLU_URLENCODE) == CURLUE_OK &&
        http_curl_url_get(parts, CURLUPART_URL, &url) == CURLUE_OK &&
        curl_easy_setopt(call->easy, CURLOPT_URL, url) == CURLE_OK;
    curl_free(url);
    curl_url_cleanup(parts);
    free(host);
    free(path);
    return good;
}

static bool set_options(struct peri_http_call *call, const struct peri_smtp_send *mail)
{
    CURL *easy = call->easy;
    for (size_t i = 0; mail->to[i]; i++) {
        struct curl_slist *grown = curl_slist_append(call->recipients, mail->to[i]);
        if (!grown)
            return false;
        call->recipients = grown;
    }
    bool good = curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, call->recipients) == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(
        easy, CURLOPT_USE_SSL, mail->security == PERI_SMTP_PLAIN ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_ALL);
    /* A kept connection may be dead by the time of the next mail, which would then look like one of unknown outcome. */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, call);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
    if (mail->user) {
        good &= curl_easy_setopt(easy, CURLOPT_USERNAME, mail->user) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_PASSWORD, mail->password ? mail->password : "") == CURLE_OK;
    }
    return good;
}

/* As the client's answer() sees it: the envelope stands in headers. */
static enum peri_status answer(struct peri_http_call *call, const struct peri_smtp_send *mail, const char *url)
{
    size_t n = 0;
    while (mail->to && mail->to[n])
        n++;
    struct peri_http_field *fields = calloc(n + 1, sizeof(*fields));
    if (!fields)
        return PERI_ENOMEM;
    fields[0] = (struct peri_http_field){"from", mail->from ? mail->from : ""};
    for (size_t i = 0; i < n; i++)
        fields[i + 1] = (struct peri_http_field){"to", mail->to[i]};
    struct peri_http_send as_http = {.method = "SMTP",
        .url = url,
        .headers = fields,
        .header_count = n + 1,
        .body = mail->message,
        .body_len = mail->message_len,
        .user = mail->user,
        .password = mail->password,
        .timeout_ms = call->timeout_ms};
    enum peri_status st = http_call_answer(call, &as_http);
    free(fields);
    return st;
}

enum peri_status peri_smtp_client_send(struct peri_http_client *client, const struct peri_smtp_send *mail,
    peri_http_done done, void *arg, struct peri_http_call **ret_call, struct peri_error *err)
{
    struct peri_http_call *call = NULL;
    enum peri_status st = check_mail(mail, err);
    if (st == PERI_OK)
        st = http_curl_load(err);
    if (st == PERI_OK)
        st = http_call_new(client, mail->host, true, mail->ca_file, &call, err);
    if (st)
        return st;
    call->done = done;
    call->arg = arg;
    call->allow = mail->allow;
    call->allow_ctx = mail->allow_ctx;
    call->timeout_ms = mail->timeout_ms > 0 ? mail->timeout_ms : DEFAULT_TIMEOUT_MS;
    if (copy_message(call, mail->message, mail->message_len) != PERI_OK || !set_options(call, mail)) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    if (!set_url(call, mail)) {
        http_call_free(call);
        return peri_error_set(err, PERI_EINVAL, "smtp.connect", "\"%s\" is no host name of a mail server", mail->host);
    }
    char url[300];
    snprintf(url, sizeof(url), "smtp://%.255s:%d", mail->host, mail->port);
    if (answer(call, mail, url) != PERI_OK) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    st = http_call_submit(call, err);
    if (st == PERI_OK && ret_call)
        *ret_call = call;
    return st;
}

/* ---- failures ---- */

static enum peri_status refused(const struct peri_http_call *call, CURLcode rc, struct peri_error *err)
{
    bool later = call->reply_code < 500;
    /* 530, 534, 535 and 538 speak about credentials wherever they come. */
    bool auth = rc == CURLE_LOGIN_DENIED || call->reply_code == 530 || call->reply_code == 534 ||
                call->reply_code == 535 || call->reply_code == 538;
    enum peri_status st = later ? PERI_EIO : PERI_EDENIED;
    peri_error_set(err, st,
        later  ? "smtp.later"
        : auth ? "smtp.auth"
               : "smtp.refused",
        "%s: %s", call->url_host, peri_buf_text(&call->response));
    err->retryable = later;
    return st;
}

/* curl_rc OK means that the server said 250 to the end of the mail. */
enum peri_status smtp_call_error(struct peri_http_call *call, CURLcode rc, struct peri_error *err)
{
    const char *code = "smtp.connect", *text = call->text[0] ? call->text : curl_easy_strerror(rc);
    enum peri_status st = PERI_EIO;
    bool retryable = true;
    if (rc == CURLE_OK)
        return PERI_OK;
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        code = "smtp.timeout";
        st = PERI_ETIMEOUT;
        break;
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
        code = "smtp.tls";
        retryable = rc == CURLE_SSL_CONNECT_ERROR;
        break;
    default:
        /* The server's word counts, if it was its last one. */
        if (call->reply_code >= 400)
            return refused(call, rc, err);
        if (rc == CURLE_LOGIN_DENIED) {
            code = "smtp.auth";
            st = PERI_EDENIED;
            retryable = false;
        }
        break;
    }
    peri_error_set(err, st, code, "%s: %s", call->url_host, text);
    err->retryable = retryable;
    err->outcome_unknown = call->connected;
    return st;
}
