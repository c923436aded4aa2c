/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of `match`, the pattern language of payloads. */
#include "app/codes.h"

#define MATCH(text) "trigger:\n  event: demo.Hello\n  match: " text

const struct peri_code peri_codes_pattern[] = {
    {"pattern-type", "not a list of alternatives",
        "Each field of a pattern holds a list of alternatives, or a mapping that leads deeper.", PERI_EXAMPLE_RULE,
        MATCH("{name: Ada}"), MATCH("{name: [Ada]}")},
    {"pattern-empty", "nothing to match", "An empty list or mapping would match no event at all.", PERI_EXAMPLE_RULE,
        MATCH("{name: []}"), MATCH("{name: [Ada]}")},
    {"pattern-value", "a value that cannot stand here",
        "Alternatives are texts, numbers, true, false, null, and operators with the values they take.",
        PERI_EXAMPLE_RULE, MATCH("{name: [{prefix: 3}]}"), MATCH("{name: [{prefix: \"3\"}]}")},
    {"pattern-operator", "not an operator of patterns",
        "prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists, cidr, all, regex; one in each "
        "mapping.",
        PERI_EXAMPLE_RULE, MATCH("{name: [{prefx: A}]}"), MATCH("{name: [{prefix: A}]}")},
    {"pattern-field", "an operator where a field is looked for",
        "A warning. A mapping below a field leads deeper into the payload: `n: {numeric: ...}` asks for a field "
        "\"numeric\" in n. Operators stand in the list of alternatives.",
        PERI_EXAMPLE_RULE, MATCH("{n: {numeric: [5]}}"), MATCH("{n: [{numeric: [\"=\", 5]}]}")},
    {"pattern-text", "a text that looks like more",
        "A warning. A text among the alternatives is compared as it is: \"> 5\", \"a*\" and templates have no meaning "
        "in it. numeric compares numbers, wildcard knows stars, and two fields of an event are compared in a "
        "condition.",
        PERI_EXAMPLE_RULE, MATCH("{n: [\"> 5\"]}"), MATCH("{n: [{numeric: [\">\", 5]}]}")},
    {"pattern-numeric", "numeric takes comparisons",
        "One or two comparisons, each = < <= > >= and then a number; two are a lower and an upper bound.",
        PERI_EXAMPLE_RULE, MATCH("{n: [{numeric: [5]}]}"), MATCH("{n: [{numeric: [\"=\", 5]}]}")},
    {"pattern-wildcard", "a wildcard that cannot be read",
        "One star stands for any run of characters; \\* is a star, \\\\ a backslash.", PERI_EXAMPLE_RULE,
        MATCH("{name: [{wildcard: \"A**a\"}]}"), MATCH("{name: [{wildcard: \"A*a\"}]}")},
    {"pattern-regex", "a regular expression that cannot be read", "The syntax is that of PCRE2.", PERI_EXAMPLE_RULE,
        MATCH("{name: [{regex: \"(A\"}]}"), MATCH("{name: [{regex: \"(A)\"}]}")},
    {"pattern-cidr", "not a network address", "An IPv4 or IPv6 address, a slash and the length of the network.",
        PERI_EXAMPLE_RULE, MATCH("{address: [{cidr: 10.0.0.0}]}"), MATCH("{address: [{cidr: 10.0.0.0/8}]}")},
    {"pattern-or", "$or takes a list of patterns",
        "At least two mappings, and not so many combinations that the pattern explodes.", PERI_EXAMPLE_RULE,
        MATCH("{$or: [{name: [Ada]}]}"), MATCH("{$or: [{name: [Ada]}, {nick: [Ada]}]}")},
    {"pattern-list", "a list inside a list of alternatives", "Alternatives stand in one list.", PERI_EXAMPLE_RULE,
        MATCH("{name: [[Ada, Bo]]}"), MATCH("{name: [Ada, Bo]}")},
    {"pattern-depth", "nested too deeply", "A pattern leads at most 64 levels deep.", PERI_EXAMPLE_NONE, NULL, NULL},
    {"pattern-duplicate", "the same key twice", "Both would have to hold; write one list, or `all`.", PERI_EXAMPLE_NONE,
        NULL, NULL},
    {0},
};
