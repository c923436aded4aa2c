/* SPDX-License-Identifier: Apache-2.0 */
/* Reading *.test.yaml. All mistakes are found before the first test runs. */
#include <stdarg.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "app/trial_reader.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "lang/duration.h"
#include "lang/glob.h"

#define DEFAULT_START "2026-01-05T09:00:00Z" /* a Monday */

static bool read_time(struct trial_reader *r, const struct peri_node *node, const char *what, int64_t *ret)
{
    const char *text = trial_text(r, node, what);
    if (!text)
        return false;
    if (peri_time_parse(text, node->len, ret) || peri_tz_parse_local(r->tz, text, ret))
        return true;
    trial_fault(r, node->place, "time", "write 2026-01-05T09:00, or with an offset 2026-01-05T09:00:00+01:00",
        "\"%.80s\" is no time", text);
    return false;
}

/* {type: entity} or {type: [entity, ...]} as {type: [...]}; NULL when wrong. of: what a list holds. */
static struct peri_value *read_entities(
    struct trial_reader *r, const struct peri_node *node, const char *what, enum peri_type of)
{
    if (!trial_want(r, node, PERI_NODE_MAP, what))
        return NULL;
    struct peri_value *all = peri_value_map();
    for (size_t i = 0; all && i < node->count; i++) {
        const struct peri_node *key = node->pairs[i].key, *list = node->pairs[i].value;
        struct peri_error err;
        if (peri_entity_type_check(key->text, &err) != PERI_OK) {
            trial_fault(r, key->place, "bad-value", "for example contact, call or task", "%s", err.message);
            continue;
        }
        struct peri_value *v = trial_value(r, list),
                          *items = v && peri_value_is(v, PERI_LIST) ? peri_value_ref(v) : peri_value_list();
        if (v && items && !peri_value_is(v, PERI_LIST))
            r->nomem = r->nomem || peri_list_push(items, peri_value_ref(v)) != PERI_OK;
        for (size_t k = 0; v && k < peri_value_count(items); k++)
            if (!peri_value_is(peri_list_at(items, k), of))
                trial_fault(r, list->place, "wrong-type", NULL, "\"%s\" must hold %s", key->text,
                    of == PERI_MAP ? "mappings" : "ids");
        r->nomem = r->nomem || peri_map_put_ref(all, key->text, items) != PERI_OK;
        peri_value_unref(items);
        peri_value_unref(v);
    }
    return all;
}

/* ---- stubs ---- */

static void read_answer(struct trial_reader *r, const struct peri_node *node, struct peri_trial_answer *a)
{
    static const char *const known[] = {"when", "holds", "detail", "result", "error", NULL};
    const struct peri_node *n;
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_BOOL) { /* the short form of a condition */
        a->is_condition = true;
        a->holds = node->text[0] == 't' || node->text[0] == 'T';
        return;
    }
    if (!trial_want(r, node, PERI_NODE_MAP, "an answer") || !trial_check_keys(r, node, known, "an answer"))
        return;
    if ((n = peri_node_get(node, "when", NULL)) && peri_pattern_compile_node(n, &a->when, r->diag) == PERI_ENOMEM)
        r->nomem = true;
    if ((n = peri_node_get(node, "holds", NULL))) {
        a->is_condition = true;
        a->holds = n->kind == PERI_NODE_SCALAR && (n->text[0] == 't' || n->text[0] == 'T');
        if (n->kind != PERI_NODE_SCALAR || n->type != PERI_BOOL)
            trial_fault(r, n->place, "wrong-type", NULL, "\"holds\" must be true or false");
    }
    n = peri_node_get(node, a->is_condition ? "detail" : "result", NULL);
    if (n)
        a->value = trial_value(r, n);
    if ((n = peri_node_get(node, "error", NULL)))
        trial_read_error(r, n, &a->fails, &a->error);
}

static void read_stub(struct trial_reader *r, const struct peri_pair *pair, struct peri_trial_stub *stub)
{
    const struct peri_node *node = pair->value;
    size_t count = node->kind == PERI_NODE_LIST ? node->count : 1;
    stub->operator_id = pair->key->text;
    if (count == 0)
        trial_fault(r, node->place, "empty-list", NULL, "a stub needs at least one answer");
    stub->answers = calloc(count + 1, sizeof(*stub->answers));
    r->nomem = r->nomem || !stub->answers;
    for (size_t i = 0; stub->answers && i < count; i++, stub->count++)
        read_answer(r, node->kind == PERI_NODE_LIST ? node->items[i] : node, &stub->answers[i]);
}

static void read_stubs(
    struct trial_reader *r, const struct peri_node *node, struct peri_trial_stub **ret, size_t *ret_count)
{
    if (!trial_want(r, node, PERI_NODE_MAP, "stubs"))
        return;
    struct peri_trial_stub *stubs = calloc(node->count + 1, sizeof(*stubs));
    r->nomem = r->nomem || !stubs;
    for (size_t i = 0; stubs && i < node->count; i++, (*ret_count)++)
        read_stub(r, &node->pairs[i], &stubs[i]);
    *ret = stubs;
}

/* ---- expectations ---- */

static const char *const expect_keys[] = {
    "verdicts", "actions", "counts", "messages", "events", "runs", "data", "requests", "response", NULL};

static void check_items(struct trial_reader *r, const struct peri_node *list, const char *what,
    const char *const *known, const char *needed)
{
    if (!trial_want(r, list, PERI_NODE_LIST, what))
        return;
    for (size_t i = 0; i < list->count; i++) {
        if (!trial_want(r, list->items[i], PERI_NODE_MAP, what) ||
            (known && !trial_check_keys(r, list->items[i], known, what)))
            continue;
        if (needed && !peri_node_get(list->items[i], needed, NULL))
            trial_fault(r, list->items[i]->place, "missing-key", NULL, "each of \"%s\" needs \"%s\"", what, needed);
        const struct peri_node *match = peri_node_get(list->items[i], "match", NULL);
        struct peri_pattern *pattern = NULL;
        if (match && peri_pattern_compile_node(match, &pattern, r->diag) == PERI_ENOMEM)
            r->nomem = true;
        peri_pattern_destroy(pattern);
    }
}

static void read_expect(struct trial_reader *r, const struct peri_node *node, struct peri_trial_step *step)
{
    static const char *const requests[] = {"method", "url", "headers", "json", "body", NULL};
    static const char *const response[] = {"status", "headers", "json", "body", NULL};
    static const char *const actions[] = {"operator", "params", "match", "rule", "times", NULL}, *const events[] = {
                                                                                                     "type", "data",
                                                                                                     "subject", NULL};
    const struct peri_node *n;
    if (!trial_want(r, node, PERI_NODE_MAP, "expect") || !trial_check_keys(r, node, expect_keys, "expect"))
        return;
    if (node->count == 0)
        trial_fault(r, node->place, "empty-list", NULL, "\"expect\" expects nothing");
    if ((n = peri_node_get(node, "actions", NULL)))
        check_items(r, n, "actions", actions, "operator");
    if ((n = peri_node_get(node, "events", NULL)))
        check_items(r, n, "events", events, "type");
    if ((n = peri_node_get(node, "messages", NULL)))
        check_items(r, n, "messages", NULL, NULL);
    if ((n = peri_node_get(node, "requests", NULL)))
        check_items(r, n, "requests", requests, NULL);
    if ((n = peri_node_get(node, "response", NULL)) && trial_want(r, n, PERI_NODE_MAP, "response"))
        (void)trial_check_keys(r, n, response, "response");
    for (size_t i = 0; i < 3; i++)
        if ((n = peri_node_get(node, i == 0 ? "verdicts" : i == 1 ? "counts" : "runs", NULL)))
            (void)trial_want(r, n, PERI_NODE_MAP, i == 0 ? "verdicts" : i == 1 ? "counts" : "runs");
    if ((n = peri_node_get(node, "data", NULL)))
        peri_value_unref(read_entities(r, n, "data", PERI_MAP));
    step->expect = node;
    step->expect_value = trial_value(r, node);
}

/* ---- steps ---- */

static void read_event(
    struct trial_reader *r, const struct peri_node *map, const struct peri_node *type, struct peri_trial_step *step)
{
    struct peri_error err;
    const struct peri_node *n;
    step->kind = PERI_TRIAL_EVENT;
    step->event = trial_text(r, type, "event");
    if (step->event && peri_event_type_check(step->event, &err) != PERI_OK)
        trial_fault(r, type->place, "event-type", NULL, "%s", err.message);
    if ((n = peri_node_get(map, "data", NULL)))
        step->data = trial_value(r, n);
    if ((n = peri_node_get(map, "id", NULL)))
        step->id = trial_text(r, n, "id");
    if ((n = peri_node_get(map, "source", NULL)))
        step->source = trial_text(r, n, "source");
    if ((n = peri_node_get(map, "subject", NULL)))
        step->subject = trial_text(r, n, "subject");
    step->ms = INT64_MIN;
    if ((n = peri_node_get(map, "time", NULL)))
        (void)read_time(r, n, "time", &step->ms);
}

static void read_advance(struct trial_reader *r, const struct peri_node *node, struct peri_trial_step *step)
{
    struct peri_error err;
    step->kind = PERI_TRIAL_ADVANCE;
    if (node->kind != PERI_NODE_SCALAR || peri_duration_parse(node->text, node->len, &step->ms, &err) != PERI_OK)
        trial_fault(r, node->place, "duration", "write a duration such as 90s, 10m or 3d",
            "\"advance\" must be a duration, is %s",
            node->kind == PERI_NODE_SCALAR ? node->text : peri_node_describe(node));
}

/* {rule id: {key: value}}: what stands in a key's place, null for nothing. */
static void read_edit(struct trial_reader *r, const struct peri_node *node, struct peri_trial_step *step)
{
    step->kind = PERI_TRIAL_EDIT;
    step->edit = node;
    if (!trial_want(r, node, PERI_NODE_MAP, "edit"))
        return;
    for (size_t i = 0; i < node->count; i++) {
        const struct peri_node *keys = node->pairs[i].value;
        bool removed = keys->kind == PERI_NODE_SCALAR && keys->type == PERI_NULL && !keys->tag;
        if (!removed)
            (void)trial_want(r, keys, PERI_NODE_MAP, node->pairs[i].key->text);
    }
}

static void read_step(struct trial_reader *r, const struct peri_node *map, struct peri_trial_step *step)
{
    static const char *const known[] = {"event", "data", "id", "source", "subject", "time", "webhook", "method",
        "query", "headers", "form", "json", "body", "sign", "advance", "until", "put", "delete", "restart", "expect",
        "approve", "step", "edit", NULL};
    static const char *const kinds[] = {
        "event", "webhook", "advance", "until", "put", "delete", "restart", "approve", "edit", NULL};
    const struct peri_node *found = NULL, *n;
    const char *kind = NULL;
    step->place = map->place;
    if (!trial_want(r, map, PERI_NODE_MAP, "a step") || !trial_check_keys(r, map, known, "a step"))
        return;
    for (const char *const *k = kinds; *k; k++) {
        n = peri_node_get(map, *k, NULL);
        if (n && found)
            trial_fault(r, map->place, "conflicting-keys", "make them two steps", "a step has both \"%s\" and \"%s\"",
                kind, *k);
        kind = n ? *k : kind;
        found = n ? n : found;
    }
    for (size_t i = 1; i < 14; i++)
        if (i != 6 && peri_node_get(map, known[i], NULL) && !peri_streq(kind, i < 6 ? "event" : "webhook"))
            trial_fault(
                r, map->place, "misplaced-key", NULL, "\"%s\" goes with \"%s\"", known[i], i < 6 ? "event" : "webhook");
    if (peri_node_get(map, "step", NULL) && !peri_streq(kind, "approve"))
        trial_fault(r, map->place, "misplaced-key", NULL, "\"step\" goes with \"approve\"");
    if (peri_streq(kind, "event")) {
        read_event(r, map, found, step);
    } else if (peri_streq(kind, "webhook")) {
        trial_read_webhook(r, map, found, step);
    } else if (peri_streq(kind, "advance")) {
        read_advance(r, found, step);
    } else if (peri_streq(kind, "until")) {
        step->kind = PERI_TRIAL_UNTIL;
        (void)read_time(r, found, "until", &step->ms);
    } else if (peri_streq(kind, "put") || peri_streq(kind, "delete")) {
        step->kind = kind[0] == 'p' ? PERI_TRIAL_PUT : PERI_TRIAL_DELETE;
        step->data = read_entities(r, found, kind, kind[0] == 'p' ? PERI_MAP : PERI_STRING);
    } else if (peri_streq(kind, "approve")) {
        step->kind = PERI_TRIAL_APPROVE;
        step->data = trial_value(r, found);
        if ((n = peri_node_get(map, "step", NULL)))
            step->id = trial_text(r, n, "step");
    } else if (peri_streq(kind, "edit")) {
        read_edit(r, found, step);
    } else if (kind) {
        step->kind = PERI_TRIAL_RESTART;
        if (found->kind != PERI_NODE_SCALAR || found->type != PERI_BOOL || (found->text[0] | 0x20) != 't')
            trial_fault(r, found->place, "wrong-type", NULL, "\"restart\" must be true");
    }
    if ((n = peri_node_get(map, "expect", NULL)))
        read_expect(r, n, step);
    else if (!kind)
        trial_fault(r, map->place, "missing-key", NULL,
            "a step needs one of event, webhook, advance, until, put, delete, restart, approve, edit, expect");
}

/* ---- cases ---- */

static void read_case(struct trial_reader *r, const struct peri_node *map, int64_t start_ms, struct peri_trial_case *c)
{
    static const char *const known[] = {"name", "start", "data", "stubs", "http", "steps", NULL};
    const struct peri_node *n;
    c->place = map->place;
    c->start_ms = start_ms;
    c->name = "?";
    if (!trial_want(r, map, PERI_NODE_MAP, "a test") || !trial_check_keys(r, map, known, "a test"))
        return;
    if (!(n = peri_node_get(map, "name", NULL)))
        trial_fault(r, map->place, "missing-key", NULL, "a test needs \"name\"");
    else if (trial_text(r, n, "name"))
        c->name = n->text;
    if ((n = peri_node_get(map, "start", NULL)))
        (void)read_time(r, n, "start", &c->start_ms);
    if ((n = peri_node_get(map, "data", NULL)))
        c->data = read_entities(r, n, "data", PERI_MAP);
    if ((n = peri_node_get(map, "stubs", NULL)))
        read_stubs(r, n, &c->stubs, &c->stub_count);
    if ((n = peri_node_get(map, "http", NULL)))
        trial_read_http(r, n, &c->http, &c->http_count);
    n = peri_node_get(map, "steps", NULL);
    if (!n) {
        trial_fault(
            r, map->place, "missing-key", "steps: [{event: demo.Hello, expect: {…}}]", "a test needs \"steps\"");
        return;
    }
    if (!trial_want(r, n, PERI_NODE_LIST, "steps"))
        return;
    c->steps = calloc(n->count + 1, sizeof(*c->steps));
    r->nomem = r->nomem || !c->steps;
    bool expects = false;
    for (size_t i = 0; c->steps && i < n->count; i++, c->step_count++) {
        read_step(r, n->items[i], &c->steps[i]);
        expects = expects || c->steps[i].expect || r->diag->errors > 0;
    }
    if (!expects)
        trial_fault(r, map->place, "missing-key", "expect: {verdicts: {…}}",
            "the test expects nothing: no step has \"expect\"");
}

/* ---- the file ---- */

/* "hello.test.yaml" tests "hello.yaml". */
static char *rules_beside(const char *path)
{
    size_t n = strlen(path) - (peri_str_ends(path, ".test.yml") ? strlen(".test.yml") : strlen(".test.yaml"));
    return peri_asprintf("%.*s.yaml", (int)n, path);
}

static void read_rule_paths(struct trial_reader *r, const struct peri_node *node)
{
    size_t count = !node || node->kind == PERI_NODE_SCALAR ? 1 : node->count;
    char **paths = r->file->rules = calloc(count + 1, sizeof(*paths));
    r->nomem = r->nomem || !paths;
    if (!node && paths)
        paths[0] = rules_beside(r->file->path);
    if (node && node->kind == PERI_NODE_MAP)
        (void)trial_want(r, node, PERI_NODE_LIST, "rules");
    for (size_t i = 0, n = 0; paths && node && node->kind != PERI_NODE_MAP && i < count; i++) {
        const struct peri_node *item = node->kind == PERI_NODE_LIST ? node->items[i] : node;
        char *path = trial_text(r, item, "rules") ? peri_path_beside(r->file->path, item->text) : NULL;
        if (path && !peri_path_is_file(path) && !peri_path_is_dir(path))
            trial_fault(r, item->place, "no-file", NULL, "there is no file or folder %s", path);
        if (path)
            paths[n++] = path;
    }
}

static void read_zone(struct trial_reader *r, const struct peri_node *node, const struct peri_tz_source *source)
{
    struct peri_error err;
    r->file->timezone = "UTC";
    if (node && trial_text(r, node, "timezone"))
        r->file->timezone = node->text;
    if (peri_tz_load(source, r->file->timezone, &r->tz, &err) != PERI_OK) {
        trial_fault(r, node->place, "timezone", "use a name such as Europe/Berlin or UTC", "%s", err.message);
        r->nomem = r->nomem || peri_tz_load(source, "UTC", &r->tz, &err) != PERI_OK;
    }
}

static void read_location(struct trial_reader *r, const struct peri_node *node)
{
    struct peri_value *v = NULL;
    r->file->latitude = r->file->longitude = NAN;
    if (!node)
        return;
    if (node->kind == PERI_NODE_MAP && peri_node_value(node, NULL, NULL, &v, NULL) == PERI_OK &&
        peri_value_is_number(peri_map_at(v, "latitude")) && peri_value_is_number(peri_map_at(v, "longitude"))) {
        r->file->latitude = peri_value_as_real(peri_map_at(v, "latitude"));
        r->file->longitude = peri_value_as_real(peri_map_at(v, "longitude"));
    } else {
        trial_fault(r, node->place, "wrong-type", "location: {latitude: 52.5, longitude: 13.4}",
            "\"location\" must be a mapping of latitude and longitude");
    }
    peri_value_unref(v);
}

static void read_file(struct trial_reader *r, const struct peri_node *root, const struct peri_tz_source *source)
{
    static const char *const known[] = {
        "rules", "timezone", "location", "start", "plugins", "secrets", "data", "stubs", "http", "tests", NULL};
    struct peri_trial_file *f = r->file;
    const struct peri_node *n;
    int64_t start_ms = 0;
    if (!trial_want(r, root, PERI_NODE_MAP, "a test file") || !trial_check_keys(r, root, known, "a test file"))
        return;
    read_rule_paths(r, peri_node_get(root, "rules", NULL));
    read_zone(r, peri_node_get(root, "timezone", NULL), source);
    read_location(r, peri_node_get(root, "location", NULL));
    if (!r->tz)
        return;
    (void)peri_time_parse(DEFAULT_START, strlen(DEFAULT_START), &start_ms);
    if ((n = peri_node_get(root, "start", NULL)))
        (void)read_time(r, n, "start", &start_ms);
    if ((n = peri_node_get(root, "plugins", NULL)) && trial_want(r, n, PERI_NODE_MAP, "plugins"))
        f->plugins = trial_value(r, n);
    if ((n = peri_node_get(root, "data", NULL)))
        f->data = read_entities(r, n, "data", PERI_MAP);
    if ((n = peri_node_get(root, "stubs", NULL)))
        read_stubs(r, n, &f->stubs, &f->stub_count);
    if ((n = peri_node_get(root, "http", NULL)))
        trial_read_http(r, n, &f->http, &f->http_count);
    if ((n = peri_node_get(root, "secrets", NULL)) && trial_want(r, n, PERI_NODE_MAP, "secrets"))
        f->secrets = trial_value(r, n);
    n = peri_node_get(root, "tests", NULL);
    if (!n)
        trial_fault(r, root->place, "missing-key", "tests: [{name: …, steps: […]}]", "the file has no \"tests\"");
    else if (trial_want(r, n, PERI_NODE_LIST, "tests")) {
        f->cases = calloc(n->count + 1, sizeof(*f->cases));
        r->nomem = r->nomem || !f->cases;
        for (size_t i = 0; f->cases && i < n->count; i++, f->case_count++)
            read_case(r, n->items[i], start_ms, &f->cases[i]);
    }
}

enum peri_status peri_trial_read(
    const char *path, const struct peri_tz_source *tz, struct peri_trial_file **ret, struct peri_diag *diag)
{
    return peri_trial_read_text(path, NULL, 0, tz, ret, diag);
}

enum peri_status peri_trial_read_text(const char *path, const char *text, size_t len, const struct peri_tz_source *tz,
    struct peri_trial_file **ret, struct peri_diag *diag)
{
    static const char *const no_tags[] = {NULL};
    size_t before = diag->errors;
    struct peri_trial_file *file = calloc(1, sizeof(*file));
    if (!file || !(file->path = peri_strdup(path))) {
        free(file);
        return PERI_ENOMEM;
    }
    struct trial_reader r = {.file = file, .diag = diag};
    enum peri_status st = text ? peri_yaml_parse(path, text, len, no_tags, &file->doc, diag)
                               : peri_yaml_load(path, no_tags, &file->doc, diag);
    if (st == PERI_OK && file->doc->count != 1)
        trial_fault(&r, (struct peri_place){path, 0, 0}, "wrong-type", NULL, "a test file holds one document");
    else if (st == PERI_OK)
        read_file(&r, file->doc->roots[0], tz);
    peri_tz_destroy(r.tz);
    if (st == PERI_OK && r.nomem)
        st = PERI_ENOMEM;
    else if (st == PERI_OK && diag->errors > before)
        st = PERI_EINVAL;
    if (st)
        peri_trial_file_destroy(file);
    else
        *ret = file;
    return st;
}

static void free_stubs(struct peri_trial_stub *stubs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < stubs[i].count; k++) {
            peri_pattern_destroy(stubs[i].answers[k].when);
            peri_value_unref(stubs[i].answers[k].value);
        }
        free(stubs[i].answers);
    }
    free(stubs);
}

void peri_trial_file_destroy(struct peri_trial_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->case_count; i++) {
        struct peri_trial_case *c = &file->cases[i];
        for (size_t k = 0; k < c->step_count; k++) {
            peri_value_unref(c->steps[k].data);
            peri_value_unref(c->steps[k].expect_value);
            peri_trial_webhook_free(c->steps[k].webhook);
        }
        free_stubs(c->stubs, c->stub_count);
        peri_trial_http_free(c->http, c->http_count);
        peri_value_unref(c->data);
        free(c->steps);
    }
    free_stubs(file->stubs, file->stub_count);
    peri_trial_http_free(file->http, file->http_count);
    peri_value_unref(file->secrets);
    for (char **p = file->rules; p && *p; p++)
        free(*p);
    free(file->rules);
    free(file->cases);
    peri_value_unref(file->data);
    peri_value_unref(file->plugins);
    peri_yaml_destroy(file->doc);
    free(file->path);
    free(file);
}
