/* SPDX-License-Identifier: Apache-2.0 */
#include "app/plugin_audit.h"

#include <stdlib.h>

#include "app/client.h"
#include "app/commands.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "io/store_data.h"

/* One line of what an entry says beside who and when. */
static char *told(const struct peri_value *detail)
{
    static const char *const keys[] = {"host", "outcome", "what", "operator", "run", "code", "reason", "message",
        "count", "bytes_sent", "bytes_received", "version", "by", NULL};
    struct peri_buf out;
    peri_buf_init(&out, 4096);
    for (const char *const *key = keys; *key; key++) {
        const struct peri_value *v = peri_map_at(detail, *key);
        char *json = !v || peri_value_text(v) ? NULL : peri_json_text(v, PERI_JSON_COMPACT);
        if (v)
            peri_buf_printf(&out, "%s%s=%s", out.len ? " " : "", *key, json ? json : peri_value_text(v));
        free(json);
    }
    char *text = peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return text;
}

static void print_audit(struct peri_cli *cli, struct peri_value *rows)
{
    static const struct peri_column entry_columns[] = {{"id", "ID", 0}, {"time", "TIME", 0}, {"action", "ACTION", 0},
        {"target", "PLUGIN", 40}, {"told", "DETAIL", 120}, {0}};
    for (size_t i = 0; !cli->json && i < peri_value_count(rows); i++) {
        struct peri_value *row = peri_list_at(rows, i);
        char *text = told(peri_map_at(row, "detail"));
        if (text)
            (void)!peri_map_put_text(row, "told", text);
        free(text);
    }
    peri_print_list(cli, rows, entry_columns, "nothing is recorded");
}

static char *audit_path(const char *id, const char *action, size_t limit)
{
    return peri_asprintf("/v1/audit?limit=%zu%s%s%s%s", limit, id ? "&target=" : "", id ? id : "",
        action ? "&action=" : "", action ? action : "");
}

/* From the service, which knows what is not written yet; else from the database. */
int peri_plugin_audit(struct peri_cli *cli, const char *id, const char *action, size_t limit)
{
    struct peri_client *client;
    struct peri_reader *reader;
    struct peri_value *doc = NULL, *rows = NULL;
    struct peri_error err;
    int code = PERI_EXIT_OK;
    char *path = audit_path(id, action, limit);
    if (path && peri_client_open(cli, &client, &err) == PERI_OK) {
        if (peri_client_call(client, "GET", path, NULL, &doc, &err) == PERI_OK)
            rows = peri_value_ref(peri_map_at(doc, "items"));
        peri_value_unref(doc);
        peri_client_close(client);
    }
    free(path);
    if (!rows) {
        struct peri_audit_filter filter = {.target = id, .action = action, .limit = limit};
        code = peri_cli_reader(cli, &reader);
        if (code)
            return code;
        if (reader && peri_reader_audit(reader, &filter, &rows, &err))
            code = peri_cli_fail_error(cli, &err);
        peri_reader_close(reader);
    }
    if (code == PERI_EXIT_OK)
        print_audit(cli, rows);
    peri_value_unref(rows);
    return code;
}

static bool add_unused(struct peri_value *out, const struct peri_value *plugin, const struct peri_value *permission,
    const struct peri_value *since)
{
    struct peri_value *row = peri_value_map();
    bool ok = row && !peri_map_put_ref(row, "plugin", peri_map_at(plugin, "id")) &&
              !peri_map_put_ref(row, "permission", (struct peri_value *)(uintptr_t)permission) &&
              (!since || !peri_map_put_ref(row, "since", (struct peri_value *)(uintptr_t)since));
    if (ok)
        return !peri_list_push(out, row);
    peri_value_unref(row);
    return false;
}

/* Without the service: what it noted last. */
static bool unused_as_noted(struct peri_value *out, const struct peri_value *plugin, struct peri_reader *reader)
{
    const struct peri_value *granted = peri_map_at(plugin, "granted");
    struct peri_value *noted = NULL, *since = NULL;
    bool ok = true;
    if (!reader || peri_reader_kv_get(reader, ":usage", peri_map_text(plugin, "id"), 0, &noted, NULL) || !noted)
        return true; /* it never ran */
    char text[PERI_TIME_TEXT];
    since = peri_value_str(peri_time_format(peri_map_int(noted, "since", 0), text));
    for (size_t i = 0; ok && i < peri_value_count(granted); i++) {
        const struct peri_value *permission = peri_list_at(granted, i);
        if (!peri_map_at(peri_map_at(noted, "used"), peri_value_text(permission)))
            ok = add_unused(out, plugin, permission, since);
    }
    peri_value_unref(since);
    peri_value_unref(noted);
    return ok;
}

int peri_plugin_unused(struct peri_cli *cli, const struct peri_value *rows, const char *id)
{
    static const struct peri_column unused_columns[] = {
        {"plugin", "PLUGIN", 0}, {"permission", "PERMISSION", 0}, {"since", "NEVER USED SINCE", 0}, {0}};
    struct peri_value *out = peri_value_list();
    struct peri_reader *reader = NULL;
    int code = peri_cli_reader(cli, &reader);
    bool ok = out && !code;
    for (size_t i = 0; ok && i < peri_value_count(rows); i++) {
        const struct peri_value *p = peri_list_at(rows, i), *unused = peri_map_at(p, "unused");
        const struct peri_value *since = peri_map_at(p, "used_since");
        if (id && !peri_streq(peri_map_text(p, "id"), id))
            continue;
        for (size_t k = 0; ok && since && k < peri_value_count(unused); k++)
            ok = add_unused(out, p, peri_list_at(unused, k), since);
        if (ok && !since)
            ok = unused_as_noted(out, p, reader);
    }
    if (ok)
        peri_print_list(cli, out, unused_columns, "every permission was used");
    peri_reader_close(reader);
    peri_value_unref(out);
    return ok ? PERI_EXIT_OK : code ? code : PERI_EXIT_INTERNAL;
}
