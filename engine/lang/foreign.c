/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/foreign.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

struct word {
    const char *word, *instead;
};

static const char *find(const struct word *table, const char *word, size_t len)
{
    for (; table->word; table++)
        if (strlen(table->word) == len && strncasecmp(table->word, word, len) == 0)
            return table->instead;
    return NULL;
}

/* ---- keys ---- */

const char *peri_foreign_key(const char *word, const char *const *names)
{
    static const struct word said[] = {{"on", "trigger"}, {"when", "trigger"}, {"if", "conditions"},
        {"then", "actions"}, {"do", "actions"}, {"steps", "actions"}, {"alias", "name"}, {"title", "name"},
        {"service", "operator"}, {"action", "operator"}, {"call", "operator"}, {"uses", "operator"}, {"data", "params"},
        {"with", "params"}, {"args", "params"}, {"parameters", "params"}, {"wait", "delay"}, {"sleep", "delay"},
        {"repeat", "for_each"}, {"loop", "for_each"}, {"foreach", "for_each"}, {"type", "event"}, {"topic", "event"},
        {"platform", "event"}, {"at", "schedule"}, {"cron", "schedule"}, {"time", "schedule"}, {"elif", "choose"},
        {"switch", "choose"}, {"case", "choose"}, {"variables", "set"}, {"condition", "if"}, {"conditions", "if"},
        {"wait_until", "wait_for"}, {"filter", "match"}, {"where", "match"}, {"start", "from"}, {"end", "to"},
        {"until", "to"}, {"every", "once_within"}, {"interval", "once_within"}, {"count", "maximum_attempts"},
        {"attempts", "maximum_attempts"}, {"retries", "maximum_attempts"}, {"delay", "initial_interval"},
        {"interval", "initial_interval"}, {"per", "period"}, {"window", "period"}, {"max", "limit"}, {"times", "limit"},
        {"message", "prompt"}, {"question", "prompt"}};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
        for (size_t k = 0; names[k] && strcmp(said[i].word, word) == 0; k++)
            if (strcmp(said[i].instead, names[k]) == 0)
                return names[k];
    return NULL;
}

const char *peri_foreign_key_hint(const char *word, const char *what)
{
    static const struct {
        const char *what, *word, *hint;
    } hints[] = {{"a schedule", "weekdays", "days of the week are part of a cron: {cron: \"0 7 * * mon-fri\"}"},
        {"a schedule", "weekday", "days of the week are part of a cron: {cron: \"0 7 * * mon-fri\"}"},
        {"a schedule", "days", "days of the week are part of a cron: {cron: \"0 7 * * mon-fri\"}"},
        {"a step", "use_blueprint",
            "a blueprint is a whole rule: use_blueprint stands beside name, in place of trigger and actions"},
        {"a rule", "variables", "a step sets variables: - set: {x: 1}; then they are vars.x"},
        {"a rule", "vars", "a step sets variables: - set: {x: 1}; then they are vars.x"},
        {"a rule", "env", "secrets are !secret NAME; what else a rule needs stands in it"}};
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(hints[i].what, what) == 0 && strcmp(hints[i].word, word) == 0)
            return hints[i].hint;
    return NULL;
}

/* ---- expressions ---- */

const char *peri_foreign_function(const char *name)
{
    static const struct word functions[] = {
        {"states", "what a sensor says is in the event, event.x; what was stored is read with the operator data.query"},
        {"is_state", "what a sensor says is in the event: event.state == 'on'"},
        {"state_attr", "what a sensor says is in the event: event.x"},
        {"now", "now is a name, not a function: now | date('%H:%M', 'Europe/Berlin')"},
        {"today_at", "compare times of day as texts: (now | date('%H:%M', 'Europe/Berlin')) >= '22:00'"},
        {"float", "write number(x) or x | number"}, {"parseint", "write int(x) or x | int"},
        {"parsefloat", "write number(x) or x | number"}, {"tonumber", "write number(x) or x | number"},
        {"str", "write string(x) or x | string"}, {"tostring", "write string(x) or x | string"},
        {"exists", "write x ~= nil"}, {"defined", "write x ~= nil"}, {"isset", "write x ~= nil"},
        {"is_defined", "write x ~= nil"}, {"count", "write length(x) or #x"}, {"size", "write length(x) or #x"},
        {"iif", "write if(condition, a, b)"}, {"strftime", "write x | date('%H:%M')"},
        {"timestamp_custom", "write x | date('%H:%M')"}, {"as_timestamp", "write timestamp(x)"},
        {"regex_match", "expressions know no regular expressions; match: {field: [{regex: \"...\"}]} does"},
        {"match", "expressions know no regular expressions; match: {field: [{regex: \"...\"}]} does"},
        {"selectattr", "write list | where('field', value)"}, {"filter", "write list | where('field', value)"},
        {"includes", "write contains(x, y)"}, {NULL, NULL}};
    return find(functions, name, strlen(name));
}

const char *peri_foreign_root(const char *name)
{
    static const char payload[] = "the payload is called event: event.x";
    static const char element[] =
        "for_each binds a name for the steps in its do: {for_each: {in: \"{{ a list }}\", as: item}, do: [...]}";
    static const struct word names[] = {{"msg", payload}, {"payload", payload}, {"data", payload}, {"body", payload},
        {"json", payload}, {"message", payload}, {"state", payload}, {"item", element}, {"element", element},
        {"each", element}, {"row", element}, {"index", element}, {"loop", element}, {"i", element},
        {"secret", "a secret is the whole value of a parameter: password: !secret NAME"},
        {"secrets", "a secret is the whole value of a parameter: password: !secret NAME"},
        {"env", "a rule cannot read the environment; a secret is !secret NAME"},
        {"this", "the payload is event.x, the rule itself rule.name"}, {"None", "write nil"},
        {"undefined", "write nil"}, {NULL, NULL}};
    return find(names, name, strlen(name));
}

static bool next_is(const char *rest, size_t len, const char *word)
{
    size_t n = strlen(word);
    while (len > 0 && strchr(" \t\r\n", *rest)) {
        rest++;
        len--;
    }
    return len >= n && memcmp(rest, word, n) == 0;
}

const char *peri_foreign_word(const char *word, size_t len, const char *rest, size_t rest_len)
{
    static const struct word words[] = {{"in", "write contains(list, value) or value | in(list)"},
        {"contains", "write contains(x, y) or x | contains(y)"},
        {"includes", "write contains(x, y) or x | contains(y)"}, {"startswith", "write x | starts_with('a')"},
        {"starts_with", "write x | starts_with('a')"}, {"endswith", "write x | ends_with('a')"},
        {"ends_with", "write x | ends_with('a')"}, {"if", "write if(condition, a, b)"},
        {"then", "write if(condition, a, b)"}, {"like", "match: {field: [{wildcard: \"a*\"}]} compares with stars"},
        {"matches", "match: {field: [{regex: \"...\"}]} looks for a regular expression"}, {"eq", "\"equal\" is =="},
        {"ne", "\"not equal\" is ~="}, {"gt", "write >"}, {"lt", "write <"}, {"ge", "write >="}, {"le", "write <="},
        {"mod", "write %"}, {"div", "write floor(a / b)"}, {NULL, NULL}};
    if (len == 2 && memcmp(word, "is", 2) == 0)
        return next_is(rest, rest_len, "not defined") || next_is(rest, rest_len, "none")   ? "write x == nil"
               : next_is(rest, rest_len, "defined") || next_is(rest, rest_len, "not none") ? "write x ~= nil"
                                                                                           : "\"equal\" is ==";
    if (len == 3 && memcmp(word, "not", 3) == 0 && next_is(rest, rest_len, "in"))
        return "write not contains(list, value)";
    return find(words, word, len);
}

const char *peri_foreign_method(const char *name)
{
    static const struct word methods[] = {{"toUpperCase", "write x | upper"}, {"upper", "write x | upper"},
        {"toLowerCase", "write x | lower"}, {"lower", "write x | lower"}, {"includes", "write x | contains(y)"},
        {"contains", "write x | contains(y)"}, {"indexOf", "write x | contains(y)"},
        {"startsWith", "write x | starts_with(y)"}, {"startswith", "write x | starts_with(y)"},
        {"endsWith", "write x | ends_with(y)"}, {"toString", "write x | string"}, {"toFixed", "write x | round(2)"},
        {"length", "write #x or x | length"}, {"size", "write #x or x | length"}, {"strip", "write x | trim"},
        {"strftime", "write x | date('%H:%M')"}, {"toISOString", "write x | time"},
        {"getHours", "write x | date('%H')"}, {"get", "write x.name or 'a default'"}, {NULL, NULL}};
    const char *hint = find(methods, name, strlen(name));
    return hint ? hint : "there are no methods: write x | filter, such as x | upper";
}

/* ---- patterns ---- */

const char *peri_foreign_pattern(const char *name, const char **ret_compares)
{
    static const struct word signs[] = {{"gt", ">"}, {"above", ">"}, {"more", ">"}, {"greater", ">"}, {"gte", ">="},
        {"ge", ">="}, {"min", ">="}, {"at_least", ">="}, {"lt", "<"}, {"below", "<"}, {"less", "<"}, {"lte", "<="},
        {"le", "<="}, {"max", "<="}, {"at_most", "<="}, {">", ">"}, {">=", ">="}, {"<", "<"}, {"<=", "<="},
        {NULL, NULL}};
    static const struct word words[] = {{"not", "write {anything-but: x}"}, {"ne", "write {anything-but: x}"},
        {"neq", "write {anything-but: x}"}, {"not-in", "write {anything-but: [x, y]}"},
        {"not_in", "write {anything-but: [x, y]}"}, {"except", "write {anything-but: x}"},
        {"eq", "write the value itself: [x]"}, {"equals", "write the value itself: [x]"},
        {"is", "write the value itself: [x]"}, {"in", "list the values: [x, y]"}, {"any", "list the values: [x, y]"},
        {"contains", "write {wildcard: \"*x*\"}"}, {"like", "write {wildcard: \"*x*\"}"},
        {"starts-with", "write {prefix: x}"}, {"starts_with", "write {prefix: x}"}, {"startswith", "write {prefix: x}"},
        {"ends-with", "write {suffix: x}"}, {"ends_with", "write {suffix: x}"}, {"endswith", "write {suffix: x}"},
        {"matches", "write {regex: \"...\"}"}, {"match", "write {regex: \"...\"}"},
        {"between", "write {numeric: [\">=\", 1, \"<=\", 9]}"}, {"range", "write {numeric: [\">=\", 1, \"<=\", 9]}"},
        {NULL, NULL}};
    *ret_compares = find(signs, name, strlen(name));
    return find(words, name, strlen(name));
}

/* ---- texts ---- */

static bool is_path_start(const char *s, size_t len)
{
    static const char *const roots[] = {"event.", "trigger.", "steps.", "vars.", "rule.", "run."};
    while (len > 0 && *s == ' ') {
        s++;
        len--;
    }
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        if (len >= strlen(roots[i]) && memcmp(s, roots[i], strlen(roots[i])) == 0)
            return true;
    return false;
}

const char *peri_foreign_template(const char *text, size_t len, size_t *ret_offset)
{
    bool open = false; /* inside {{ }} */
    for (size_t i = 0; i + 1 < len; i++) {
        const char *s = text + i;
        *ret_offset = i;
        if (s[0] == '{' && s[1] == '{')
            open = true, i++;
        else if (s[0] == '}' && s[1] == '}')
            open = false, i++;
        else if (!open && s[0] == '{' && s[1] == '%')
            return "there are no {% … %}: write {{ if(condition, 'a', 'b') }}, or a step with if:";
        else if (!open && s[0] == '$' && s[1] == '{' && is_path_start(s + 2, len - i - 2))
            return "write {{ … }}";
        else if (!open && s[0] == '{' && is_path_start(s + 1, len - i - 1))
            return "a template has two braces: {{ … }}";
    }
    *ret_offset = 0;
    return peri_str_starts(text, "!secret ") ? "without the quotes it names a secret" : NULL;
}

/* ---- times ---- */

bool peri_foreign_clock(const char *text, char ret[6])
{
    unsigned hour = 0, minute = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 2)
        return false;
    hour = (unsigned)strtoul(text, NULL, 10);
    text += n;
    if (*text == ':' || *text == '.') {
        if (strspn(text + 1, "0123456789") != 2)
            return false;
        minute = (unsigned)strtoul(text + 1, NULL, 10);
        text += 3;
        if (*text == ':' && strspn(text + 1, "0123456789") == 2)
            text += 3;
    } else if (*text == '\0') {
        return false;
    }
    text += strspn(text, " ");
    bool pm = strcasecmp(text, "pm") == 0 || strcasecmp(text, "p.m.") == 0;
    bool am = strcasecmp(text, "am") == 0 || strcasecmp(text, "a.m.") == 0;
    if ((*text && !am && !pm) || minute > 59 || hour > ((am || pm) ? 12 : 23))
        return false;
    hour = (am || pm) ? hour % 12 + (pm ? 12 : 0) : hour;
    snprintf(ret, 6, "%02u:%02u", hour % 24, minute % 60);
    return true;
}

/* "00:05:00" is 5m. */
static bool read_clock_length(const char *text, char ret[32])
{
    unsigned long part[3];
    for (int i = 0; i < 3; i++) {
        size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 4 || text[n] != (i < 2 ? ':' : '\0'))
            return false;
        part[i] = strtoul(text, NULL, 10);
        text += n + 1;
    }
    if (part[1] > 59 || part[2] > 59 || part[0] + part[1] + part[2] == 0)
        return false;
    size_t at = 0;
    for (int i = 0; i < 3; i++)
        if (part[i] > 0)
            at += (size_t)snprintf(ret + at, 32 - at, "%lu%c", part[i], "hms"[i]);
    return true;
}

bool peri_foreign_duration(const char *text, char ret[32])
{
    static const struct word units[] = {{"ms", "ms"}, {"millisecond", "ms"}, {"s", "s"}, {"sec", "s"}, {"second", "s"},
        {"m", "m"}, {"min", "m"}, {"minute", "m"}, {"h", "h"}, {"hr", "h"}, {"hour", "h"}, {"d", "d"}, {"day", "d"},
        {"w", "w"}, {"week", "w"}, {NULL, NULL}};
    size_t digits = strspn(text, "0123456789"), at = digits + strspn(text + digits, " "), len = strlen(text + at);
    if (read_clock_length(text, ret))
        return true;
    if (digits == 0 || digits > 9 || len == 0)
        return false;
    const char *unit = find(units, text + at, len);
    if (!unit && (text[at + len - 1] | 0x20) == 's')
        unit = find(units, text + at, len - 1);
    if (unit)
        snprintf(ret, 32, "%.*s%s", (int)digits, text, unit);
    return unit != NULL;
}
