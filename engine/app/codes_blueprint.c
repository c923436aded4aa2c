/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of blueprints and of the rules made of them. */
#include "app/codes.h"

#define HEAD "blueprint:\n  name: Hello\n  input:\n"
#define RULE "trigger: {event: demo.Hello}\nactions:\n  - stop: !input reason"

const struct peri_code peri_codes_blueprint[] = {
    {"no-blueprint", "there is no such blueprint",
        "The path is relative to the rule folder, ends with .yaml or .yml, and goes neither out of the folder nor over "
        "a symbolic link; the file has the key blueprint:.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"broken-blueprint", "the blueprint has errors of its own",
        "They are reported at the blueprint; the rules made of it keep running as they were until it is mended. "
        "`perigee check` of the blueprint's file shows them all.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"missing-input", "an input that the blueprint needs is not given",
        "An input without a default is required, unless it says required: false. `perigee blueprints show PATH` lists "
        "them.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"unknown-input", "an input that the blueprint does not declare",
        "In a blueprint: !input and input.x name what stands under blueprint.input. In a rule: the blueprint does not "
        "ask for it.",
        PERI_EXAMPLE_FILE,
        HEAD "    reason: {type: string}\ntrigger: {event: demo.Hello}\nactions:\n  - stop: !input reson",
        HEAD "    reason: {type: string}\n" RULE},
    {"input-type", "a value that is not of the input's type, or a type that does not fit its place",
        "The declaration says what an input is; the value, the default, and each place where !input stands must agree. "
        "A number is written without quotes, a duration as 10m.",
        PERI_EXAMPLE_FILE, HEAD "    reason: {type: integer}\n" RULE, HEAD "    reason: {type: string}\n" RULE},
    {"input-value", "a value that the input does not take",
        "An enum takes its options; a time is written 08:30; an event type, an operator, a cron expression or a time "
        "zone must be one; an object fits its schema.",
        PERI_EXAMPLE_FILE, HEAD "    reason: {type: enum, options: [done, late], default: never}\n" RULE,
        HEAD "    reason: {type: enum, options: [done, late], default: late}\n" RULE},
    {"input-range", "a value below min or above max",
        "Of numbers and durations it is the value, of texts their length in bytes, of lists how many elements.",
        PERI_EXAMPLE_FILE, HEAD "    reason: {type: string, max: 3, default: done}\n" RULE,
        HEAD "    reason: {type: string, max: 5, default: done}\n" RULE},
    {"input-pattern", "a text that does not match the input's pattern",
        "The pattern is a regular expression that is searched for; ^ and $ bind it to the ends.", PERI_EXAMPLE_FILE,
        HEAD "    reason: {type: string, pattern: \"^[a-z]+$\", default: Done}\n" RULE,
        HEAD "    reason: {type: string, pattern: \"^[a-z]+$\", default: done}\n" RULE},
    {"input-dynamic", "a template or a secret for an input that the blueprint computes with",
        "input.x in a template of the blueprint is a value that is known when the rule is loaded. What is put in with "
        "!input may be a template of its own.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"input-outside", "!input where nothing is put in",
        "It stands in the rule of a blueprint: not in a rule of its own, in the values that a rule gives, or in the "
        "head of a blueprint.",
        PERI_EXAMPLE_RULE, "actions:\n  - stop: !input reason", "actions:\n  - stop: done"},
    {"unused-input", "an input that changes nothing", "Neither !input nor input.x names it.", PERI_EXAMPLE_FILE,
        HEAD "    reason: {type: string}\n    other: {type: string}\n" RULE, HEAD "    reason: {type: string}\n" RULE},
    {0},
};
