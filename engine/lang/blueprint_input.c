/* SPDX-License-Identifier: Apache-2.0 */
/* The types of inputs: what fits, and texts that stand for all of a type while a blueprint is checked on its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/cron.h"
#include "lang/duration.h"
#include "lang/glob.h"
#include "lang/blueprint_internal.h"

#define RANGE (INPUT_MIN | INPUT_MAX)

static const struct input_kind kinds[] = {
    {"string", "a text", INPUT_STRING, RANGE | INPUT_PATTERN,
        "A text; it may be a template or !secret where the blueprint takes it whole. min, max: how long; pattern: a "
        "regular expression."},
    {"number", "a number", INPUT_NUMBER, RANGE, "A number."},
    {"integer", "a whole number", INPUT_INTEGER, RANGE, "A whole number."},
    {"boolean", "true or false", INPUT_BOOLEAN, 0, "true or false."},
    {"duration", "a duration", INPUT_DURATION, RANGE, "Such as 90s, 10m, 1h30m, 2d."},
    {"time", "a time of day", INPUT_TIME, 0, "A time of day such as 08:30."},
    {"enum", "one of its options", INPUT_ENUM, INPUT_OPTIONS, "One of options."},
    {"event_type", "an event type", INPUT_EVENT_TYPE, 0, "An event type, or a glob such as comms.*"},
    {"operator", "an operator", INPUT_OPERATOR, 0, "The id of an operator."},
    {"cron", "a cron expression", INPUT_CRON, 0, "Five fields, or @daily and the like."},
    {"timezone", "a time zone", INPUT_TIMEZONE, 0, "Such as Europe/Berlin."},
    {"secret", "!secret NAME", INPUT_SECRET, 0,
        "!secret NAME. It goes where the operator takes a secret, and nowhere else."},
    {"list", "a list", INPUT_LIST, RANGE | INPUT_ITEMS, "A list; items: what its elements are; min, max: how many."},
    {"object", "a mapping", INPUT_OBJECT, INPUT_SCHEMA, "A mapping; schema: the JSON Schema that it fits."},
    {"conditions", "conditions", INPUT_CONDITIONS, 0,
        "Conditions, as under conditions:. In a list they take the place of one."},
    {"steps", "steps", INPUT_STEPS, 0, "Steps, as under actions:. In a list they take the place of one."},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

const struct input_kind *peri_input_kind_at(size_t i)
{
    return i < KIND_COUNT ? &kinds[i] : NULL;
}

const struct input_kind *peri_input_kind(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

const char *peri_blueprint_type_at(size_t i, const char **ret_help)
{
    if (i >= KIND_COUNT)
        return NULL;
    if (ret_help)
        *ret_help = kinds[i].help;
    return kinds[i].name;
}

const struct peri_node *peri_input_dynamic(const struct peri_node *value)
{
    const struct peri_node *found = NULL;
    if (value->kind == PERI_NODE_SCALAR)
        return value->tag || (value->type == PERI_STRING && peri_template_is_text_dynamic(value->text, value->len))
                   ? value
                   : NULL;
    for (size_t i = 0; i < value->count && !found; i++)
        found = peri_input_dynamic(value->kind == PERI_NODE_MAP ? value->pairs[i].value : value->items[i]);
    return found;
}

/* ---- checks ---- */

static const char *name_of(const struct blueprint_input *input)
{
    return input->key ? input->key->text : "items";
}

static const char *describe(const struct peri_node *value)
{
    bool real = value->kind == PERI_NODE_SCALAR && value->type == PERI_REAL;
    return value->tag ? value->tag : real ? value->text : peri_node_describe(value);
}

static bool wrong(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    bool quotes = value->kind == PERI_NODE_SCALAR && value->plain && input->kind->type == INPUT_STRING &&
                  value->type != PERI_NULL;
    peri_rule_fault(r, value->place, "input-type", quotes ? "put it in quotes" : NULL,
        "input \"%.64s\" must be %s, is %s", name_of(input), input->kind->what, describe(value));
    if (quotes)
        peri_rule_fix_quotes(r, value);
    return false;
}

static bool is_text(const struct peri_node *value)
{
    return value->kind == PERI_NODE_SCALAR && value->type == PERI_STRING && !value->tag;
}

/* A bound as it was written. */
static bool in_range(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value,
    double is, const char *of)
{
    bool low = input->has_min && is < input->min, high = input->has_max && is > input->max;
    if (!low && !high)
        return true;
    peri_rule_fault(r, value->place, "input-range", NULL, "input \"%.64s\" must %s at %s %s, is %s%.40s",
        name_of(input), of, low ? "least" : "most", low ? input->min_node->text : input->max_node->text,
        value->kind == PERI_NODE_SCALAR && strcmp(of, "be") == 0 ? ""
        : low                                                    ? "shorter"
                                                                 : "longer",
        value->kind == PERI_NODE_SCALAR && strcmp(of, "be") == 0 ? value->text : "");
    return false;
}

static bool check_string(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    if (value->tag && strcmp(value->tag, "!secret") == 0)
        return true;
    if (!is_text(value))
        return wrong(r, input, value);
    if (peri_template_is_text_dynamic(value->text, value->len))
        return true; /* what it gives is known only when the rule runs */
    bool found = true;
    if (!in_range(r, input, value, (double)value->len, "have a length of"))
        return false;
    if (input->pattern && (peri_regex_search(input->pattern, value->text, value->len, &found) != PERI_OK || !found)) {
        const struct peri_node *pattern = peri_node_get(input->node, "pattern", NULL);
        peri_rule_fault(r, value->place, "input-pattern", input->about ? input->about->text : NULL,
            "input \"%.64s\" does not match %.200s", name_of(input), pattern ? pattern->text : "its pattern");
        return false;
    }
    return true;
}

static bool check_number(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    bool whole = value->type == PERI_INT;
    struct peri_value *v = NULL;
    if (value->kind != PERI_NODE_SCALAR || value->tag ||
        !(whole || (value->type == PERI_REAL && input->kind->type == INPUT_NUMBER)) ||
        peri_node_value(value, NULL, NULL, &v, NULL) != PERI_OK)
        return wrong(r, input, value);
    double is = peri_value_as_real(v);
    peri_value_unref(v);
    return in_range(r, input, value, is, "be");
}

static bool check_duration(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    int64_t ms = 0;
    struct peri_error err;
    if (!is_text(value) || peri_template_is_text_dynamic(value->text, value->len))
        return wrong(r, input, value);
    if (peri_duration_parse(value->text, value->len, &ms, &err) != PERI_OK) {
        peri_rule_fault(r, value->place, "input-type", "write a duration such as 90s, 10m, 1h30m or 2d",
            "input \"%.64s\" must be a duration: %s", name_of(input), err.message);
        return false;
    }
    return in_range(r, input, value, (double)ms, "be");
}

static bool check_enum(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    const char *names[BLUEPRINT_OPTIONS + 1];
    size_t n = 0;
    char hint[200];
    if (value->kind != PERI_NODE_SCALAR || value->tag)
        return wrong(r, input, value);
    for (size_t i = 0; i < input->options->count; i++) {
        const struct peri_node *option = input->options->items[i];
        if (option->type == value->type && strcmp(option->text, value->text) == 0)
            return true;
        names[n++] = option->text;
    }
    names[n] = NULL;
    const char *near = peri_nearest(value->text, names);
    struct peri_buf list;
    peri_buf_init(&list, 600);
    for (size_t i = 0; i < n; i++)
        (void)peri_buf_printf(&list, "%s%.60s", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
    if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%.100s\"?", near);
    peri_rule_fault(r, value->place, "input-value", near ? hint : NULL, "input \"%.64s\" must be %s, not \"%.80s\"",
        name_of(input), peri_buf_text(&list), value->text);
    if (near && strcmp(near, value->text) != 0)
        peri_diag_fix(r->diag, value->place, value->text, near);
    peri_buf_finish(&list);
    return false;
}

static bool is_clock(const char *t)
{
    return strlen(t) == 5 && t[2] == ':' && strspn(t, "012") >= 1 && strspn(t, "0123456789") == 2 &&
           strspn(t + 3, "0123456789") == 2 && (t[0] < '2' || t[1] < '4') && t[3] < '6';
}

/* Texts of which something is known. */
static bool check_form(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    struct peri_error err = {0};
    enum input_type type = input->kind->type;
    bool good = is_text(value) && value->len > 0 && !peri_template_is_text_dynamic(value->text, value->len);
    if (!good)
        return wrong(r, input, value);
    if (type == INPUT_TIME) {
        good = is_clock(value->text);
        snprintf(err.message, sizeof(err.message), "write it as 08:30");
    } else if (type == INPUT_EVENT_TYPE) {
        good = peri_glob_check(value->text, &err) == PERI_OK;
    } else if (type == INPUT_CRON) {
        struct peri_cron cron;
        good = peri_cron_parse(value->text, &cron, NULL, &err) == PERI_OK;
    } else if (type == INPUT_TIMEZONE && r->env && r->env->tz) {
        struct peri_tz *tz = NULL;
        good = peri_tz_load(r->env->tz, value->text, &tz, &err) == PERI_OK;
        peri_tz_destroy(tz);
    } else if (type == INPUT_OPERATOR && r->env && r->env->operator_facts) {
        struct peri_operator_facts facts = {0};
        good = r->env->operator_facts(r->env->ctx, value->text, &facts);
        const char *near =
            good || !r->env->operator_ids ? NULL : peri_nearest(value->text, r->env->operator_ids(r->env->ctx));
        if (near)
            snprintf(err.message, sizeof(err.message), "did you mean \"%.100s\"?", near);
        else
            snprintf(err.message, sizeof(err.message), "perigee operators list shows them");
    }
    if (!good)
        peri_rule_fault(r, value->place, "input-value", err.message[0] ? err.message : NULL,
            "input \"%.64s\" must be %s, not \"%.80s\"", name_of(input), input->kind->what, value->text);
    return good;
}

static bool check_list(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    bool good = true;
    if (value->kind != PERI_NODE_LIST)
        return wrong(r, input, value);
    bool low = input->has_min && (double)value->count < input->min,
         high = input->has_max && (double)value->count > input->max;
    if (low || high) {
        peri_rule_fault(r, value->place, "input-range", NULL, "input \"%.64s\" must hold at %s %s, holds %zu",
            name_of(input), low ? "least" : "most", low ? input->min_node->text : input->max_node->text, value->count);
        good = false;
    }
    for (size_t i = 0; input->items && i < value->count; i++)
        good = peri_input_check(r, input->items, value->items[i]) && good;
    return good;
}

static bool check_object(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    struct peri_schema_report report = {0};
    struct peri_value *v = NULL;
    bool good = true;
    if (value->kind != PERI_NODE_MAP)
        return wrong(r, input, value);
    if (!input->schema || peri_input_dynamic(value))
        return true; /* what templates give is checked where it goes */
    if (peri_node_value(value, NULL, NULL, &v, NULL) != PERI_OK)
        return wrong(r, input, value);
    if (peri_schema_check(input->schema, v, &report) == PERI_EINVAL && report.count > 0) {
        const struct peri_schema_error *e = &report.items[0];
        peri_rule_fault(r, peri_node_at_pointer(value, e->pointer)->place, "input-value", NULL,
            "input \"%.64s\": \"%s\" %s", name_of(input), e->pointer, e->message);
        good = false;
    }
    peri_schema_report_finish(&report);
    peri_value_unref(v);
    return good;
}

bool peri_input_check(struct rule_reader *r, const struct blueprint_input *input, const struct peri_node *value)
{
    switch (input->kind->type) {
    case INPUT_STRING:
        return check_string(r, input, value);
    case INPUT_NUMBER:
    case INPUT_INTEGER:
        return check_number(r, input, value);
    case INPUT_BOOLEAN:
        return (value->kind == PERI_NODE_SCALAR && value->type == PERI_BOOL && !value->tag) || wrong(r, input, value);
    case INPUT_DURATION:
        return check_duration(r, input, value);
    case INPUT_ENUM:
        return check_enum(r, input, value);
    case INPUT_TIME:
    case INPUT_EVENT_TYPE:
    case INPUT_OPERATOR:
    case INPUT_CRON:
    case INPUT_TIMEZONE:
        return check_form(r, input, value);
    case INPUT_SECRET:
        return (value->tag && strcmp(value->tag, "!secret") == 0) || wrong(r, input, value);
    case INPUT_LIST:
        return check_list(r, input, value);
    case INPUT_OBJECT:
        return check_object(r, input, value);
    case INPUT_CONDITIONS:
    case INPUT_STEPS:
        return value->kind == PERI_NODE_LIST || value->kind == PERI_NODE_MAP ||
               (input->kind->type == INPUT_CONDITIONS && is_text(value)) || wrong(r, input, value);
    }
    return false;
}

/* ---- samples ---- */

static struct peri_node *text(struct peri_arena *arena, struct peri_place place, const char *s, enum peri_type type)
{
    return peri_node_make_text(arena, place, s, type);
}

static struct peri_node *bound(
    struct peri_arena *arena, const struct blueprint_input *input, struct peri_place place, bool high)
{
    const struct peri_node *node = high ? input->max_node : input->min_node;
    return node ? text(arena, place, node->text, node->type) : NULL;
}

/* One in the middle, then the ends of the range. A number is not whole when its range lets it. */
static struct peri_node *sample_number(
    struct peri_arena *arena, const struct blueprint_input *input, struct peri_place place, size_t i, bool *ret_loose)
{
    bool whole = input->kind->type == INPUT_INTEGER;
    char out[64];
    double low = input->has_min   ? input->min
                 : input->has_max ? fmin(1, input->max)
                                  : 1,
           high = input->has_max ? input->max : fmax(low, 1);
    *ret_loose = !(input->has_min && input->has_max);
    if (i == 0) {
        double part =
            !whole && floor(low) + 0.5 >= low && floor(low) + 0.5 <= fmax(high, low + 1) ? floor(low) + 0.5 : low;
        snprintf(out, sizeof(out), whole ? "%.0f" : "%.17g", part);
        return text(arena, place, out, whole || floor(part) == part ? PERI_INT : PERI_REAL);
    }
    bool has[2] = {input->has_min, input->has_max};
    *ret_loose = false;
    for (size_t k = 0, n = 1; k < 2; k++)
        if (has[k] && n++ == i)
            return bound(arena, input, place, k == 1);
    return NULL;
}

static struct peri_node *sample_list(
    struct peri_arena *arena, const struct blueprint_input *input, struct peri_place place, size_t i, bool *ret_loose)
{
    bool may_be_empty = !input->has_min || input->min < 1;
    if (i > 1 || (i == 1 && !may_be_empty))
        return NULL;
    struct peri_node *list = peri_node_make_list(arena, place, 1);
    struct peri_node *item = NULL;
    *ret_loose = false;
    if (i == 0 && list)
        item = input->items ? peri_input_sample(arena, input->items, place, 0, ret_loose)
                            : text(arena, place, "sample", PERI_STRING);
    *ret_loose = *ret_loose || !input->items;
    if (item)
        list->items[list->count++] = item;
    return list;
}

static struct peri_node *sample_steps(struct peri_arena *arena, struct peri_place place)
{
    struct peri_node *list = peri_node_make_list(arena, place, 1), *step = peri_node_make_map(arena, place, 1);
    if (!list || !step || !peri_node_put(arena, step, "delay", text(arena, place, "1s", PERI_STRING)))
        return NULL;
    list->items[list->count++] = step;
    return list;
}

static struct peri_node *sample_secret(struct peri_arena *arena, struct peri_place place)
{
    struct peri_node *n = text(arena, place, "sample", PERI_STRING);
    if (n)
        n->tag = "!secret";
    return n;
}

struct peri_node *peri_input_sample(
    struct peri_arena *arena, const struct blueprint_input *input, struct peri_place place, size_t i, bool *ret_loose)
{
    static const char *const texts[] = {[INPUT_STRING] = "sample",
        [INPUT_TIME] = "08:30",
        [INPUT_EVENT_TYPE] = "sample.Event",
        [INPUT_OPERATOR] = "sample.operator",
        [INPUT_CRON] = "0 8 * * *",
        [INPUT_TIMEZONE] = "UTC"};
    const struct peri_node *fallback = input->fallback;
    *ret_loose = false;
    switch (input->kind->type) {
    case INPUT_NUMBER:
    case INPUT_INTEGER:
        return sample_number(arena, input, place, i, ret_loose);
    case INPUT_BOOLEAN:
        return i < 2 ? text(arena, place, i ? "false" : "true", PERI_BOOL) : NULL;
    case INPUT_DURATION:
        *ret_loose = i == 0;
        if (i == 0)
            return text(arena, place,
                input->min_node   ? input->min_node->text
                : input->max_node ? input->max_node->text
                                  : "1m",
                PERI_STRING);
        return i == 1 && input->has_min                                      ? bound(arena, input, place, false)
               : i <= 2 && input->has_max && i == (input->has_min ? 2u : 1u) ? bound(arena, input, place, true)
                                                                             : NULL;
    case INPUT_ENUM:
        return i < input->options->count
                   ? text(arena, place, input->options->items[i]->text, input->options->items[i]->type)
                   : NULL;
    case INPUT_SECRET:
        return i == 0 ? sample_secret(arena, place) : NULL;
    case INPUT_LIST:
        return sample_list(arena, input, place, i, ret_loose);
    case INPUT_OBJECT:
        *ret_loose = true;
        return i == 0 ? peri_node_make_map(arena, place, 0) : NULL;
    case INPUT_CONDITIONS:
        return i == 0 ? text(arena, place, "{{ now ~= nil }}", PERI_STRING) : NULL;
    case INPUT_STEPS:
        return i == 0 ? sample_steps(arena, place) : NULL;
    default:
        *ret_loose = input->kind->type == INPUT_STRING || input->kind->type == INPUT_OPERATOR;
        if (i > 0)
            return NULL;
        return text(arena, place,
            fallback && is_text(fallback) && input->kind->type != INPUT_STRING ? fallback->text
                                                                               : texts[input->kind->type],
            PERI_STRING);
    }
}
