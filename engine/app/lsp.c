/* SPDX-License-Identifier: Apache-2.0 */
/* The server's loop: messages, open files, who answers what. */
#include "app/lsp.h"

#include <stdlib.h>
#include <string.h>

#include "app/lsp_internal.h"
#include "app/lsp_wire.h"
#include "app/paths.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "lang/rule_schema.h"

enum {
    PARSE_ERROR = -32700,
    NO_METHOD = -32601,
    BAD_PARAMS = -32602,
    INTERNAL = -32603,
    NOT_INITIALIZED = -32002,
    INVALID_REQUEST = -32600
};

struct peri_lsp_text peri_lsp_doc_text(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc)
{
    return (struct peri_lsp_text){doc->text, doc->len, lsp->units};
}

struct peri_lsp_doc *peri_lsp_doc(struct peri_lsp *lsp, const char *uri)
{
    for (size_t i = 0; uri && i < lsp->doc_count; i++)
        if (strcmp(lsp->docs[i].uri, uri) == 0)
            return &lsp->docs[i];
    return NULL;
}

/* ---- values ---- */

static struct peri_value *position_value(const struct peri_lsp_text *t, size_t offset)
{
    struct peri_lsp_position p = peri_lsp_position(t, offset);
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_int(v, "line", p.line) == PERI_OK && peri_map_put_int(v, "character", p.character) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_lsp_range(const struct peri_lsp_text *t, size_t start, size_t end)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put(v, "start", position_value(t, start)) == PERI_OK &&
        peri_map_put(v, "end", position_value(t, end)) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_lsp_location(const char *uri, struct peri_value *range)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_ref(v, "range", range) == PERI_OK && peri_map_put_text(v, "uri", uri) == PERI_OK) {
        peri_value_unref(range);
        return v;
    }
    peri_value_unref(range);
    peri_value_unref(v);
    return NULL;
}

struct peri_value *peri_lsp_markdown(const char *text)
{
    struct peri_value *v = peri_value_map();
    if (v && peri_map_put_text(v, "kind", "markdown") == PERI_OK && peri_map_put_text(v, "value", text) == PERI_OK)
        return v;
    peri_value_unref(v);
    return NULL;
}

size_t peri_lsp_asked(const struct peri_lsp_text *t, const struct peri_value *position)
{
    int64_t line = peri_map_int(position, "line", 0), character = peri_map_int(position, "character", 0);
    int most = (int)t->len + 1;
    return peri_lsp_offset(t, (struct peri_lsp_position){line < 0 || line > most ? most : (int)line,
                                  character < 0 || character > most ? most : (int)character});
}

const struct peri_value *peri_lsp_event(const struct peri_lsp *lsp, struct peri_lsp_piece type, const char **ret_plugin)
{
    char *name = peri_strndup(type.s, type.len);
    const struct peri_value *found = NULL;
    bool exact = false;
    for (size_t i = 0; name && i < peri_value_count(lsp->types.plugins) && !exact; i++) {
        const struct peri_value *plugin = peri_list_at(lsp->types.plugins, i), *events = peri_map_at(plugin, "events");
        for (size_t k = 0; k < peri_value_count(events) && !exact; k++) {
            const struct peri_value *event = peri_list_at(events, k);
            const char *declared = peri_map_text(event, "eventName");
            if (!declared || peri_streq(peri_map_text(event, "direction"), "subscribe"))
                continue;
            exact = strcmp(declared, name) == 0;
            if (!exact && (found || !peri_glob_match(declared, name)))
                continue;
            found = event;
            if (ret_plugin)
                *ret_plugin = peri_map_text(plugin, "id");
        }
    }
    free(name);
    return found;
}

/* ---- sending ---- */

static void send(struct peri_lsp *lsp, struct peri_value *message)
{
    if (!message || peri_map_put_text(message, "jsonrpc", "2.0") != PERI_OK ||
        peri_lsp_write(lsp->out, message) != PERI_OK)
        lsp->failed = true;
    peri_value_unref(message);
}

static void reply(struct peri_lsp *lsp, const struct peri_value *id, struct peri_value *result)
{
    struct peri_value *message = peri_value_map();
    if (message &&
        (peri_map_put_ref(message, "id", id) != PERI_OK || peri_map_put(message, "result", result) != PERI_OK)) {
        peri_value_unref(message);
        message = NULL;
    } else if (!message) {
        peri_value_unref(result);
    }
    send(lsp, message);
}

static void refuse(struct peri_lsp *lsp, const struct peri_value *id, int code, const char *text)
{
    struct peri_value *message = peri_value_map(), *error = peri_value_map();
    struct peri_value *null = id ? NULL : peri_value_null();
    if (message && error && peri_map_put_int(error, "code", code) == PERI_OK &&
        peri_map_put_text(error, "message", text) == PERI_OK && peri_map_put_ref(message, "error", error) == PERI_OK &&
        peri_map_put_ref(message, "id", id ? id : null) == PERI_OK) {
        send(lsp, message);
    } else {
        lsp->failed = true;
        peri_value_unref(message);
    }
    peri_value_unref(error);
    peri_value_unref(null);
}

static void publish(struct peri_lsp *lsp, const char *uri, struct peri_value *diagnostics)
{
    struct peri_value *message = peri_value_map(), *params = peri_value_map();
    if (message && params && diagnostics && peri_map_put_text(params, "uri", uri) == PERI_OK &&
        peri_map_put_ref(params, "diagnostics", diagnostics) == PERI_OK &&
        peri_map_put_text(message, "method", "textDocument/publishDiagnostics") == PERI_OK &&
        peri_map_put_ref(message, "params", params) == PERI_OK) {
        send(lsp, message);
    } else {
        lsp->failed = true;
        peri_value_unref(message);
    }
    peri_value_unref(params);
    peri_value_unref(diagnostics);
}

/* ---- open files ---- */

static void set_text(struct peri_lsp *lsp, struct peri_lsp_doc *doc, const struct peri_value *text)
{
    size_t len = 0;
    const char *s = peri_value_textn(text, &len);
    char *copy = s ? peri_strndup(s, len) : NULL;
    if (!copy)
        return;
    free(doc->text);
    doc->text = copy;
    doc->len = len;
    publish(lsp, doc->uri, peri_lsp_diagnostics(lsp, doc));
}

static void did_open(struct peri_lsp *lsp, const struct peri_value *params)
{
    const struct peri_value *item = peri_map_at(params, "textDocument");
    const char *uri = peri_map_text(item, "uri");
    struct peri_lsp_doc *doc = peri_lsp_doc(lsp, uri);
    if (!uri)
        return;
    if (!doc) {
        if (!peri_vec_grow(&lsp->docs, &lsp->doc_cap, lsp->doc_count + 1, sizeof(*lsp->docs))) {
            lsp->failed = true;
            return;
        }
        doc = &lsp->docs[lsp->doc_count];
        *doc = (struct peri_lsp_doc){peri_strdup(uri), peri_lsp_path(uri), peri_strdup(""), 0};
        if (!doc->uri || !doc->path || !doc->text) {
            free(doc->uri);
            free(doc->path);
            free(doc->text);
            lsp->failed = true;
            return;
        }
        lsp->doc_count++;
    }
    set_text(lsp, doc, peri_map_at(item, "text"));
}

/* The whole text comes each time (textDocumentSync 1). */
static void did_change(struct peri_lsp *lsp, const struct peri_value *params)
{
    struct peri_lsp_doc *doc = peri_lsp_doc(lsp, peri_map_text(peri_map_at(params, "textDocument"), "uri"));
    const struct peri_value *changes = peri_map_at(params, "contentChanges");
    if (doc && peri_value_count(changes) > 0)
        set_text(lsp, doc, peri_map_at(peri_list_at(changes, peri_value_count(changes) - 1), "text"));
}

static void doc_finish(struct peri_lsp_doc *doc)
{
    free(doc->uri);
    free(doc->path);
    free(doc->text);
}

static void did_close(struct peri_lsp *lsp, const struct peri_value *params)
{
    struct peri_lsp_doc *doc = peri_lsp_doc(lsp, peri_map_text(peri_map_at(params, "textDocument"), "uri"));
    if (!doc)
        return;
    publish(lsp, doc->uri, peri_value_list());
    doc_finish(doc);
    *doc = lsp->docs[--lsp->doc_count];
}

static void read_rules(struct peri_lsp *lsp)
{
    struct peri_diag unused;
    peri_diag_init(&unused);
    if (peri_rulebook_load(lsp->book, &lsp->bench->env, &unused) == PERI_ENOMEM)
        lsp->failed = true;
    peri_diag_finish(&unused);
}

/* What other files say has changed: their rules may hear or emit what this one asks for. */
static void did_save(struct peri_lsp *lsp, const struct peri_value *params)
{
    (void)params;
    read_rules(lsp);
    for (size_t i = 0; i < lsp->doc_count; i++)
        publish(lsp, lsp->docs[i].uri, peri_lsp_diagnostics(lsp, &lsp->docs[i]));
}

/* ---- life ---- */

static void choose_units(struct peri_lsp *lsp, const struct peri_value *params)
{
    static const char *const names[] = {"utf-8", "utf-16", "utf-32"};
    const struct peri_value *offered =
        peri_map_at(peri_map_at(peri_map_at(params, "capabilities"), "general"), "positionEncodings");
    lsp->units = PERI_LSP_UTF16; /* what the protocol had before it could be chosen */
    for (size_t i = 0; i < peri_value_count(offered); i++)
        for (int unit = PERI_LSP_UTF8; unit <= PERI_LSP_UTF32; unit++)
            if (peri_streq(peri_value_text(peri_list_at(offered, i)), names[unit])) {
                lsp->units = (enum peri_lsp_units)unit;
                return;
            }
}

static struct peri_value *initialize(struct peri_lsp *lsp, const struct peri_value *params)
{
    static const char *const names[] = {"utf-8", "utf-16", "utf-32"};
    static const char *const triggers[] = {".", " ", ":", "{", "|", "\""};
    choose_units(lsp, params);
    struct peri_value *result = peri_value_map(), *can = peri_value_map(), *info = peri_value_map(),
                      *complete = peri_value_map(), *list = peri_value_list(), *sync = peri_value_map();
    bool good = result && can && info && complete && list && sync;
    for (size_t i = 0; good && i < sizeof(triggers) / sizeof(triggers[0]); i++)
        good = peri_list_push(list, peri_value_str(triggers[i])) == PERI_OK;
    good = good && peri_map_put_ref(complete, "triggerCharacters", list) == PERI_OK &&
           peri_map_put_bool(sync, "openClose", true) == PERI_OK && peri_map_put_int(sync, "change", 1) == PERI_OK &&
           peri_map_put_bool(sync, "save", true) == PERI_OK &&
           peri_map_put_ref(can, "textDocumentSync", sync) == PERI_OK &&
           peri_map_put_ref(can, "completionProvider", complete) == PERI_OK &&
           peri_map_put_text(can, "positionEncoding", names[lsp->units]) == PERI_OK &&
           peri_map_put_bool(can, "hoverProvider", true) == PERI_OK &&
           peri_map_put_bool(can, "definitionProvider", true) == PERI_OK &&
           peri_map_put_bool(can, "documentSymbolProvider", true) == PERI_OK &&
           peri_map_put_bool(can, "codeActionProvider", true) == PERI_OK &&
           peri_map_put_text(info, "name", "perigee") == PERI_OK &&
           peri_map_put_text(info, "version", PERIGEE_VERSION) == PERI_OK &&
           peri_map_put_ref(result, "capabilities", can) == PERI_OK &&
           peri_map_put_ref(result, "serverInfo", info) == PERI_OK;
    lsp->initialized = true;
    peri_value_unref(can);
    peri_value_unref(info);
    peri_value_unref(complete);
    peri_value_unref(list);
    peri_value_unref(sync);
    if (good)
        return result;
    peri_value_unref(result);
    return NULL;
}

static const struct {
    const char *method;
    struct peri_value *(*answer)(struct peri_lsp *lsp, const struct peri_lsp_doc *doc, const struct peri_value *params);
} requests[] = {
    {"textDocument/completion", peri_lsp_complete},
    {"textDocument/hover", peri_lsp_hover},
    {"textDocument/definition", peri_lsp_definition},
    {"textDocument/documentSymbol", peri_lsp_symbols},
    {"textDocument/codeAction", peri_lsp_actions},
};

static const struct {
    const char *method;
    void (*hear)(struct peri_lsp *lsp, const struct peri_value *params);
} notices[] = {
    {"textDocument/didOpen", did_open},
    {"textDocument/didChange", did_change},
    {"textDocument/didClose", did_close},
    {"textDocument/didSave", did_save},
};

static void on_request(
    struct peri_lsp *lsp, const struct peri_value *id, const char *method, const struct peri_value *params)
{
    if (strcmp(method, "initialize") == 0) {
        struct peri_value *result = initialize(lsp, params);
        if (result)
            reply(lsp, id, result);
        else
            refuse(lsp, id, INTERNAL, "out of memory");
        return;
    }
    if (!lsp->initialized || lsp->shutdown) {
        refuse(lsp, id, lsp->shutdown ? INVALID_REQUEST : NOT_INITIALIZED,
            lsp->shutdown ? "the server has been shut down" : "initialize comes first");
        return;
    }
    if (strcmp(method, "shutdown") == 0) {
        lsp->shutdown = true;
        reply(lsp, id, peri_value_null());
        return;
    }
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(method, requests[i].method) != 0)
            continue;
        const struct peri_lsp_doc *doc = peri_lsp_doc(lsp, peri_map_text(peri_map_at(params, "textDocument"), "uri"));
        struct peri_value *result = doc ? requests[i].answer(lsp, doc, params) : NULL;
        if (result)
            reply(lsp, id, result);
        else
            refuse(lsp, id, doc ? INTERNAL : BAD_PARAMS, doc ? "out of memory" : "this document is not open");
        return;
    }
    refuse(lsp, id, NO_METHOD, "this server does not know the method");
}

static void on_notice(struct peri_lsp *lsp, const char *method, const struct peri_value *params)
{
    for (size_t i = 0; lsp->initialized && i < sizeof(notices) / sizeof(notices[0]); i++)
        if (strcmp(method, notices[i].method) == 0)
            notices[i].hear(lsp, params);
}

static bool open_server(struct peri_lsp *lsp)
{
    lsp->schema = peri_rule_schema(&lsp->bench->env);
    lsp->book = peri_rulebook_create((const char *const *)lsp->bench->cli->config.rules);
    if (!lsp->schema || !lsp->book || peri_event_types_of(lsp->bench->host, &lsp->types) != PERI_OK ||
        peri_host_operators(lsp->bench->host, NULL, &lsp->operators) != PERI_OK)
        return false;
    read_rules(lsp);
    return peri_lsp_forms(lsp);
}

static void close_server(struct peri_lsp *lsp)
{
    for (size_t i = 0; i < lsp->doc_count; i++)
        doc_finish(&lsp->docs[i]);
    free(lsp->docs);
    peri_rulebook_destroy(lsp->book);
    peri_event_types_finish(&lsp->types);
    peri_value_unref(lsp->operators);
    peri_value_unref(lsp->schema);
    peri_value_unref(lsp->tests);
    peri_value_unref(lsp->config);
}

bool peri_lsp_serve(struct peri_workbench *bench, FILE *in, FILE *out)
{
    struct peri_lsp lsp = {.bench = bench, .out = out};
    bool exit = false;
    lsp.failed = !open_server(&lsp);
    while (!exit && !lsp.failed) {
        struct peri_value *message = NULL;
        struct peri_error err;
        enum peri_status st = peri_lsp_read(in, &message, &err);
        if (st == PERI_EINVAL) {
            refuse(&lsp, NULL, PARSE_ERROR, err.message);
            continue;
        }
        if (st)
            break;
        const char *method = peri_map_text(message, "method");
        const struct peri_value *id = peri_map_at(message, "id"), *params = peri_map_at(message, "params");
        exit = method && strcmp(method, "exit") == 0;
        if (!method && !id)
            refuse(&lsp, NULL, INVALID_REQUEST, "this is neither a request nor a notification");
        else if (method && id)
            on_request(&lsp, id, method, params);
        else if (method && !exit)
            on_notice(&lsp, method, params);
        peri_value_unref(message);
    }
    bool good = exit && lsp.shutdown && !lsp.failed;
    close_server(&lsp);
    return good;
}
