/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sarif.h"

#include <stdlib.h>
#include <string.h>

#include "app/codes.h"
#include "app/paths.h"
#include "base/str.h"

static const char *const levels[] = {"error", "warning", "note"};

/* Puts into parent and gives it back, so that members can be put in afterwards; NULL passes through. */
static struct peri_value *child(struct peri_value *parent, const char *key)
{
    struct peri_value *v = parent ? peri_value_map() : NULL;
    return v && peri_map_put(parent, key, v) == PERI_OK ? v : NULL;
}

static bool put(struct peri_value *map, const char *key, const char *text)
{
    return map && peri_map_put_text(map, key, text) == PERI_OK;
}

static bool put_place(struct peri_value *result, const struct peri_finding *f)
{
    struct peri_value *list = peri_value_list(), *location = peri_value_map();
    if (!list || !location || peri_list_push(list, location) != PERI_OK ||
        peri_map_put(result, "locations", list) != PERI_OK)
        return false;
    char *uri = peri_path_uri(f->file);
    struct peri_value *physical = child(location, "physicalLocation");
    bool good = uri && put(child(physical, "artifactLocation"), "uri", uri);
    struct peri_value *region = good && f->line > 0 ? child(physical, "region") : NULL;
    if (region)
        good = peri_map_put_int(region, "startLine", f->line) == PERI_OK &&
               peri_map_put_int(region, "startColumn", f->column > 0 ? f->column : 1) == PERI_OK;
    free(uri);
    return good;
}

static bool push_result(struct peri_value *results, const struct peri_finding *f)
{
    struct peri_value *result = peri_value_map();
    if (!result || peri_list_push(results, result) != PERI_OK)
        return false;
    char *text = f->hint ? peri_asprintf("%s (%s)", f->message, f->hint) : peri_strdup(f->message);
    bool good = text && put(result, "ruleId", f->code) && put(result, "level", levels[f->severity]) &&
                put(child(result, "message"), "text", text) && put_place(result, f);
    free(text);
    return good;
}

/* The codes that occur, each once. */
static bool push_rules(struct peri_value *rules, const struct peri_diag *diag)
{
    for (size_t i = 0; i < diag->count; i++) {
        const struct peri_code *code = peri_code_find(diag->items[i].code);
        bool seen = !code;
        for (size_t k = 0; k < i && !seen; k++)
            seen = peri_streq(diag->items[k].code, diag->items[i].code);
        struct peri_value *rule = seen ? NULL : peri_value_map();
        if (seen)
            continue;
        if (!rule || peri_list_push(rules, rule) != PERI_OK || !put(rule, "id", code->code) ||
            !put(child(rule, "shortDescription"), "text", code->title) ||
            !put(child(rule, "fullDescription"), "text", code->text))
            return false;
    }
    return true;
}

static bool fill(struct peri_value *log, struct peri_diag *diag)
{
    struct peri_value *runs = peri_value_list(), *run = peri_value_map(), *rules = peri_value_list(),
                      *results = peri_value_list();
    bool good = runs && run && rules && results &&
                put(log, "$schema", "https://json.schemastore.org/sarif-2.1.0.json") && put(log, "version", "2.1.0");
    struct peri_value *driver = good ? child(child(run, "tool"), "driver") : NULL;
    good = driver && put(driver, "name", "perigee") && put(driver, "version", PERIGEE_VERSION) &&
           peri_map_put_ref(driver, "rules", rules) == PERI_OK && put(run, "columnKind", "unicodeCodePoints") &&
           push_rules(rules, diag);
    for (size_t i = 0; good && i < diag->count; i++)
        good = push_result(results, &diag->items[i]);
    good = good && peri_map_put_ref(run, "results", results) == PERI_OK &&
           peri_list_push(runs, peri_value_ref(run)) == PERI_OK && peri_map_put_ref(log, "runs", runs) == PERI_OK;
    peri_value_unref(runs);
    peri_value_unref(run);
    peri_value_unref(rules);
    peri_value_unref(results);
    return good;
}

struct peri_value *peri_sarif_of(struct peri_diag *diag)
{
    struct peri_value *log = peri_value_map();
    peri_diag_sort(diag);
    if (log && fill(log, diag))
        return log;
    peri_value_unref(log);
    return NULL;
}
