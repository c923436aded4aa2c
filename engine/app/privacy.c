/* SPDX-License-Identifier: Apache-2.0 */
#include "app/privacy.h"

#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "base/str.h"
#include "data/hide.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_events.h"
#include "io/store_runs.h"

#define DEPTH_MAX 32
#define IDS_MAX 256    /* events and runs that one row names */
#define BACK_MAX 64    /* hops from an event to what led to it */
#define NAMES_MAX 200  /* texts of a row that may be ids of entities */
#define NAME_BYTES 120 /* the longest id */
#define GONE "[not shown: its event is no longer kept]"

/* --- marks --- */

static enum peri_status add_paths(struct peri_value *events, const char *type, struct peri_value *paths)
{
    struct peri_value *list = peri_map_at(events, type);
    if (!list) {
        list = peri_value_list();
        if (peri_map_put(events, type, list))
            return PERI_ENOMEM;
    }
    for (size_t i = 0; i < peri_value_count(paths); i++)
        if (peri_list_push(list, peri_value_ref(peri_list_at(paths, i))))
            return PERI_ENOMEM;
    return PERI_OK;
}

/* What plugins declare of the events that they publish or hear. */
static enum peri_status add_declared(struct peri_value *events, const struct peri_value *schemas)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; i < peri_value_count(schemas) && !st; i++) {
        const struct peri_value *pair = peri_list_at(schemas, i);
        struct peri_value *paths = peri_value_list();
        st = paths ? peri_privacy_of_schema(peri_list_at(pair, 1), paths) : PERI_ENOMEM;
        if (!st && peri_value_count(paths) > 0)
            st = add_paths(events, peri_value_text(peri_list_at(pair, 0)), paths);
        peri_value_unref(paths);
    }
    return st;
}

enum peri_status peri_privacy_marks_of(
    const struct peri_config *config, struct peri_host *host, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *marks = peri_value_map(), *events = peri_value_map(), *schemas = NULL;
    const struct peri_value *own = peri_map_at(config->personal, "events"),
                            *data = peri_map_at(config->personal, "data");
    enum peri_status st = marks && events ? PERI_OK : PERI_ENOMEM;
    if (!st)
        st = peri_host_event_schemas(host, &schemas);
    if (!st)
        st = add_declared(events, schemas);
    for (void *it = peri_map_first(own); it && !st; it = peri_map_next(own, it))
        st = add_paths(events, peri_map_key(it, NULL), peri_map_item(it));
    if (!st)
        st = peri_map_put_ref(marks, "events", events);
    if (!st && data)
        st = peri_map_put_ref(marks, "data", data);
    peri_value_unref(schemas);
    peri_value_unref(events);
    if (st) {
        peri_value_unref(marks);
        return peri_error_nomem(err);
    }
    *ret = marks;
    return PERI_OK;
}

enum peri_status peri_privacy_store(
    struct peri_tx *tx, const struct peri_value *marks, const char *key, struct peri_error *err)
{
    char *text = peri_json_text(marks, PERI_JSON_COMPACT);
    enum peri_status st = text ? PERI_OK : peri_error_nomem(err);
    if (!st)
        st = peri_tx_meta_set(tx, PERI_PRIVACY_META, text, err);
    if (!st)
        st = peri_tx_meta_once(tx, PERI_PRIVACY_KEY_META, key, err);
    free(text);
    return st;
}

enum peri_status peri_privacy_load(struct peri_reader *reader, struct peri_privacy **ret, struct peri_error *err)
{
    char *text = NULL, *key = NULL;
    struct peri_value *marks = NULL;
    *ret = NULL;
    enum peri_status st = peri_reader_meta(reader, PERI_PRIVACY_META, &text, err);
    if (st == PERI_ENOTFOUND)
        return PERI_OK;
    if (!st)
        st = peri_json_parse(text, strlen(text), &marks, err);
    if (!st && peri_reader_meta(reader, PERI_PRIVACY_KEY_META, &key, NULL))
        key = NULL;
    if (!st)
        st = peri_privacy_create(marks, key, ret, err);
    if (!st && peri_privacy_is_empty(*ret)) {
        peri_privacy_destroy(*ret);
        *ret = NULL;
    }
    peri_value_unref(marks);
    free(text);
    free(key);
    return st;
}

enum peri_status peri_privacy_here(struct peri_cli *cli, struct peri_host *host, struct peri_reader *recorded,
    struct peri_privacy **ret, struct peri_error *err)
{
    struct peri_value *marks = NULL;
    char *key = NULL;
    *ret = NULL;
    if (cli->show_personal)
        return PERI_OK;
    if (recorded && peri_reader_meta(recorded, PERI_PRIVACY_KEY_META, &key, NULL))
        key = NULL;
    enum peri_status st = peri_privacy_marks_of(&cli->config, host, &marks, err);
    if (!st)
        st = peri_privacy_create(marks, key, ret, err);
    peri_value_unref(marks);
    free(key);
    return st;
}

/* --- what a row is about --- */

struct row {
    const struct peri_privacy *privacy;
    struct peri_reader *reader, *entities; /* the second may be NULL */
    struct peri_personal *set;
    uint64_t events[IDS_MAX], runs[IDS_MAX];
    size_t count, run_count;
    size_t names; /* asked for as ids of entities */
    char *type;   /* of its event, for verdicts; NULL: not known */
    bool gone;    /* an event that would tell is no longer there */
};

static void note_entity(struct row *row, const char *id)
{
    for (size_t i = 0;; i++) {
        const char *type = peri_privacy_data_type(row->privacy, i);
        struct peri_value *entity = NULL;
        if (!type)
            return;
        if (peri_reader_entity(row->entities, type, id, &entity, NULL) == PERI_OK)
            peri_privacy_entity(row->privacy, type, entity, row->set);
        peri_value_unref(entity);
    }
}

/* Entities are named by their ids. */
static void note_names(struct row *row, const struct peri_value *v, int depth)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (depth > DEPTH_MAX || !row->entities || row->names >= NAMES_MAX || !peri_privacy_data_type(row->privacy, 0))
        return;
    if (text && len > 0 && len <= NAME_BYTES && strlen(text) == len) {
        row->names++;
        note_entity(row, text);
    }
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        note_names(row, peri_list_at(v, i), depth + 1);
    for (void *it = peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; it; it = peri_map_next(v, it))
        note_names(row, peri_map_item(it), depth + 1);
}

static void note_data(struct row *row, const struct peri_event *event)
{
    struct peri_value *v = NULL;
    if (!peri_privacy_data_type(row->privacy, 0) || peri_event_value(event, &v, NULL) != PERI_OK)
        return;
    note_names(row, peri_map_at(v, "data"), 0);
    peri_value_unref(v);
}

static void note_run(struct row *row, uint64_t run, int hop);

/* *ret_before: the event that this one repeats. False: it was looked at before, or is gone. */
static bool note_one(struct row *row, uint64_t seq, uint64_t *ret_run, uint64_t *ret_before)
{
    struct peri_event *event = NULL;
    for (size_t i = 0; i < row->count; i++)
        if (row->events[i] == seq)
            return false;
    if (row->count == IDS_MAX || peri_reader_event(row->reader, seq, &event, NULL)) {
        row->gone = true;
        return false;
    }
    row->events[row->count++] = seq;
    peri_privacy_journaled(row->privacy, event, row->set);
    note_data(row, event);
    if (!row->type)
        row->type = peri_strdup(event->type);
    if (event->cause)
        (void)peri_run_id_parse(event->cause, ret_run);
    *ret_before = event->replay_of;
    peri_event_unref(event);
    return true;
}

/* The event, and what led to it. */
static void note_event(struct row *row, uint64_t seq, int hop)
{
    uint64_t run = 0, before = 0;
    if (!seq || !note_one(row, seq, &run, &before))
        return;
    if (run)
        note_run(row, run, hop + 1);
    if (before && hop < BACK_MAX)
        note_event(row, before, hop + 1);
}

static void note_ids(struct row *row, const struct peri_value *v, int depth, int hop);

/* What a run had in hand: its event, events that it waited for, entities that it looked at. */
static void note_run(struct row *row, uint64_t run, int hop)
{
    struct peri_value *v = NULL;
    for (size_t i = 0; i < row->run_count; i++)
        if (row->runs[i] == run)
            return;
    if (hop > BACK_MAX || row->run_count == IDS_MAX || peri_reader_run(row->reader, run, &v, NULL)) {
        row->gone = true;
        return;
    }
    row->runs[row->run_count++] = run;
    note_ids(row, v, 0, hop + 1);
    note_names(row, v, 0);
    peri_privacy_within(row->privacy, v, row->set);
    peri_value_unref(v);
}

/* "<instance>.<run>/<n>": the key of a message. */
static bool run_of_key(const char *key, uint64_t *ret)
{
    const char *dot = key ? strrchr(key, '.') : NULL;
    char *end = NULL;
    *ret = dot ? strtoull(dot + 1, &end, 10) : 0;
    return dot && end != dot + 1 && *end == '/';
}

/* What came of it is not asked: it has nothing else in hand. */
static bool leads_on(const char *key)
{
    return peri_streq(key, "emitted") || peri_streq(key, "runs");
}

static void note_ids(struct row *row, const struct peri_value *v, int depth, int hop)
{
    static const char *const keys[] = {"id", "event", "event_id", "run", "run_id", "found", "cause", NULL};
    uint64_t id;
    if (depth > DEPTH_MAX)
        return;
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        note_ids(row, peri_list_at(v, i), depth + 1, hop);
    if (!peri_value_is(v, PERI_MAP))
        return;
    for (size_t i = 0; keys[i]; i++) {
        const char *text = peri_map_text(v, keys[i]);
        if (text && peri_event_id_parse(text, &id))
            note_event(row, id, hop);
        else if (text && peri_run_id_parse(text, &id))
            note_run(row, id, hop);
    }
    if (depth == 0 && run_of_key(peri_map_text(v, "key"), &id))
        note_run(row, id, hop);
    for (void *it = peri_map_first(v); it; it = peri_map_next(v, it))
        if (!leads_on(peri_map_key(it, NULL)))
            note_ids(row, peri_map_item(it), depth + 1, hop);
}

/* --- what is shown of it --- */

/* Names and words of our own stay as they are. */
static bool is_name(const char *key)
{
    static const char *const names[] = {"id", "event", "event_id", "run", "run_id", "rule", "type", "operator", "state",
        "path", "verdict", "at", "trigger", "cause", "replay_of", "found", "code", "time", "received", "created",
        "started", "ended", "until", "wake", "since", "source", "key", "kind", "for", "step", "channel", "plugin",
        NULL};
    for (size_t i = 0; names[i]; i++)
        if (peri_streq(key, names[i]))
            return true;
    return false;
}

/* What came from outside or was made of it: here numbers are looked at too. */
static bool is_content(const char *key)
{
    static const char *const names[] = {"data", "detail", "params", "result", "vars", "error", "message", "match",
        "prompt", "answer", "reason", "body", "title", "subject", "to", "metadata", "compared", "external_id", NULL};
    for (size_t i = 0; names[i]; i++)
        if (peri_streq(key, names[i]))
            return true;
    return false;
}

/* Nobody can tell what in it is personal. */
static struct peri_value *without_content(struct peri_value *v, int depth)
{
    bool good = true;
    if (!peri_value_is(v, PERI_MAP) || depth > DEPTH_MAX)
        return peri_value_is(v, PERI_NULL) || peri_value_is(v, PERI_BOOL) ? peri_value_ref(v) : peri_value_str(GONE);
    struct peri_value *map = peri_value_map();
    for (void *it = map ? peri_map_first(v) : NULL; good && it; it = peri_map_next(v, it)) {
        const char *key = peri_map_key(it, NULL);
        struct peri_value *item = peri_map_item(it);
        good = peri_map_put(map, key,
                   depth == 0 && peri_streq(key, "code") ? peri_value_ref(item) : without_content(item, depth + 1)) ==
               PERI_OK;
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

static struct peri_value *content(const struct row *row, struct peri_value *v)
{
    return row->gone ? without_content(v, 0) : peri_personal_hide_value(row->set, v);
}

static struct peri_value *shown(const struct row *row, struct peri_value *v, int depth);

/* {field, actual, ...} of a pattern: a value that cannot be told from others (true) by its place. */
static struct peri_value *detail(const struct row *row, struct peri_value *v)
{
    char mark[PERI_PERSONAL_MARK];
    const char *field = peri_map_text(v, "field");
    struct peri_value *actual = peri_map_at(v, "actual"), *copy = NULL;
    if (!field || !actual || !row->type || !peri_privacy_marks(row->privacy, row->type, field))
        return content(row, v);
    peri_personal_mark(row->set, actual, mark);
    copy = peri_value_copy(v);
    struct peri_value *clean = copy && peri_map_put_text(copy, "actual", mark) == PERI_OK ? content(row, copy) : NULL;
    peri_value_unref(copy);
    return clean;
}

static struct peri_value *member(
    const struct row *row, const struct peri_value *map, const char *key, struct peri_value *v, int depth)
{
    const char *type = peri_map_text(map, "type");
    if (is_name(key) && !peri_value_is(v, PERI_MAP) && !peri_value_is(v, PERI_LIST))
        return peri_value_ref(v);
    if (peri_streq(key, "detail"))
        return detail(row, v);
    if (type && peri_streq(key, "data")) {
        struct peri_value *covered = peri_privacy_cover(row->privacy, type, v, row->set);
        struct peri_value *clean = covered ? content(row, covered) : NULL;
        peri_value_unref(covered);
        return clean;
    }
    return is_content(key) ? content(row, v) : shown(row, v, depth + 1);
}

static struct peri_value *shown(const struct row *row, struct peri_value *v, int depth)
{
    bool good = true;
    if (depth > DEPTH_MAX)
        return peri_value_str("[too deep to be shown]");
    if (peri_value_is(v, PERI_STRING))
        return peri_personal_hide_value(row->set, v);
    struct peri_value *list = peri_value_is(v, PERI_LIST) ? peri_value_list() : NULL;
    for (size_t i = 0; list && good && i < peri_value_count(v); i++)
        good = peri_list_push(list, shown(row, peri_list_at(v, i), depth + 1)) == PERI_OK;
    struct peri_value *map = peri_value_is(v, PERI_MAP) ? peri_value_map() : NULL;
    for (void *it = map ? peri_map_first(v) : NULL; good && it; it = peri_map_next(v, it)) {
        size_t len = 0;
        const char *key = peri_map_key(it, &len);
        good = peri_map_putn(map, key, len, member(row, v, key, peri_map_item(it), depth)) == PERI_OK;
    }
    if (good && (list || map))
        return list ? list : map;
    peri_value_unref(list);
    peri_value_unref(map);
    return peri_value_is(v, PERI_LIST) || peri_value_is(v, PERI_MAP) ? NULL : peri_value_ref(v);
}

static struct peri_value *hide_row(const struct row *at, uint64_t event, struct peri_value *v)
{
    const struct peri_privacy *privacy = at->privacy;
    struct row row = *at;
    row.set = peri_privacy_set(privacy, 0);
    if (!row.set)
        return NULL;
    if (event)
        note_event(&row, event, 0);
    note_ids(&row, v, 0, 0);
    note_names(&row, v, 0);
    peri_privacy_within(privacy, v, row.set);
    struct peri_value *clean = shown(&row, v, 0);
    peri_personal_destroy(row.set);
    free(row.type);
    return clean;
}

static struct peri_value *hide_rows(const struct row *at, struct peri_value *list)
{
    struct peri_value *clean = peri_value_list();
    for (size_t i = 0; clean && i < peri_value_count(list); i++) {
        if (peri_list_push(clean, hide_row(at, 0, peri_list_at(list, i))) == PERI_OK)
            continue;
        peri_value_unref(clean);
        return NULL;
    }
    return clean;
}

enum peri_status peri_privacy_hide_by(const struct peri_privacy *privacy, struct peri_reader *reader,
    struct peri_reader *entities, uint64_t event, struct peri_value **v, struct peri_error *err)
{
    const struct row at = {.privacy = privacy, .reader = reader, .entities = entities};
    struct peri_value *clean = NULL, *items = peri_map_at(*v, "items");
    if (peri_privacy_is_empty(privacy) || !*v)
        return PERI_OK;
    if (event) { /* all of it belongs to that one */
        clean = hide_row(&at, event, *v);
    } else if (peri_value_is(*v, PERI_LIST)) {
        clean = hide_rows(&at, *v);
    } else if (peri_value_is(items, PERI_LIST)) {
        clean = peri_value_copy(*v);
        if (clean && peri_map_put(clean, "items", hide_rows(&at, items))) {
            peri_value_unref(clean);
            clean = NULL;
        }
    } else {
        clean = hide_row(&at, event, *v);
    }
    peri_value_unref(*v);
    *v = clean;
    return clean ? PERI_OK : peri_error_nomem(err);
}

enum peri_status peri_privacy_hide(
    struct peri_reader *reader, uint64_t event, struct peri_value **v, struct peri_error *err)
{
    struct peri_privacy *privacy = NULL;
    enum peri_status st = peri_privacy_load(reader, &privacy, err);
    if (!st)
        st = peri_privacy_hide_by(privacy, reader, reader, event, v, err);
    peri_privacy_destroy(privacy);
    if (st) {
        peri_value_unref(*v);
        *v = NULL;
    }
    return st;
}

/* --- the command line --- */

static enum peri_status audit_shown(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_audit(tx, "local", "personal.shown", arg, NULL, err);
}

/* What strangers wrote must not steer a terminal. JSON is for programs, and has its own escapes for the worst. */
static bool make_plain(void *ctx, const char *text, size_t len, char **ret, size_t *ret_len)
{
    char *copy = peri_strndup(text, len);
    bool found = false;
    for (size_t i = 0, n; copy && i < len; i += n) {
        unsigned code = 0;
        n = peri_utf8_decode(copy + i, len - i, &code);
        if (n == 0)
            break;
        if (code >= 0x7F && peri_code_steers(code)) { /* those below are shown as escapes, or as blanks */
            memset(copy + i, '?', n);
            found = true;
        }
    }
    *ret_len = len;
    if (found)
        *ret = copy;
    else
        free(copy);
    return found;
}

static enum peri_status show_plain(const struct peri_cli *cli, struct peri_value **v, struct peri_error *err)
{
    static const struct peri_hiding hiding = {make_plain, NULL, false, "", 200};
    struct peri_value *clean = cli->json ? peri_value_ref(*v) : peri_value_hidden(&hiding, *v);
    peri_value_unref(*v);
    *v = clean;
    return clean ? PERI_OK : peri_error_nomem(err);
}

enum peri_status peri_cli_hide(
    struct peri_cli *cli, struct peri_reader *reader, uint64_t event, struct peri_value **v, struct peri_error *err)
{
    if (!reader || !*v)
        return PERI_OK;
    if (cli->show_personal && cli->shown_told)
        return show_plain(cli, v, err);
    if (!cli->show_personal) {
        enum peri_status done = peri_privacy_hide(reader, event, v, err);
        return done || !*v ? done : show_plain(cli, v, err);
    }
    struct peri_value *body = peri_value_map(), *answer = NULL;
    char *what = peri_strdup(cli->command);
    cli->shown_told = true;
    enum peri_status st = body && what && !peri_map_put_text(body, "what", what) ? PERI_OK : peri_error_nomem(err);
    if (!st && peri_cli_change(cli, "POST", "/v1/audit/personal", body, audit_shown, what, &answer))
        st = peri_error_set(err, PERI_EIO, NULL, "that personal data is shown could not be noted: it is not shown");
    peri_value_unref(answer);
    peri_value_unref(body);
    free(what);
    return st ? st : show_plain(cli, v, err);
}
