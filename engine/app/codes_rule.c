/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of rules: keys, values, names, times, operators, expressions. */
#include "app/codes.h"

const struct peri_code peri_codes_rule[] = {
    {"unknown-key", "a key that nobody knows",
        "It is misspelt, or stands in the wrong place: often it is indented one level too far or too little. "
        "docs/rules.md and docs/configuration.md list all keys; "
        "docs/rule.schema.json lets an editor complete them.",
        PERI_EXAMPLE_FILE, "name: Hello\ntigger:\n  event: demo.Hello\nactions:\n  - stop: true",
        "name: Hello\ntrigger:\n  event: demo.Hello\nactions:\n  - stop: true"},
    {"missing-key", "a key that is needed is not there",
        "A rule needs a name, a trigger and actions; a trigger needs event or schedule; a step needs the key that says "
        "what it does.",
        PERI_EXAMPLE_FILE, "name: Hello\nactions:\n  - stop: true",
        "name: Hello\ntrigger: {event: demo.Hello}\nactions:\n  - stop: true"},
    {"misplaced-key", "a key beside something it does not go with",
        "\"params\" goes with \"operator\", \"match\" with \"event\", \"retry\" with an operator's step, and so on.",
        PERI_EXAMPLE_RULE, "actions:\n  - delay: 10s\n    retry: {maximum_attempts: 3}", "actions:\n  - delay: 10s"},
    {"misplaced-item", "a condition among the triggers, or a step among the conditions",
        "The line \"conditions:\" or \"actions:\" above it is probably missing.", PERI_EXAMPLE_FILE,
        "name: Hello\ntriggers:\n  - event: demo.Hello\n  - expr: event.name ~= nil\nactions:\n  - stop: true",
        "name: Hello\ntriggers:\n  - event: demo.Hello\nconditions:\n  - expr: event.name ~= nil\nactions:\n  - stop: "
        "true"},
    {"conflicting-keys", "two keys that exclude each other",
        "A step does one thing, a condition is of one kind, a trigger is an event or a schedule, a rule has trigger or "
        "triggers.",
        PERI_EXAMPLE_RULE, "actions:\n  - delay: 10s\n    stop: true", "actions:\n  - delay: 10s\n  - stop: true"},
    {"webhook-path", "this cannot be the path of a webhook",
        "Letters, digits, - and _ in parts divided by /. It is called as /hooks/rules/<path>.", PERI_EXAMPLE_RULE,
        "trigger:\n  webhook: {path: /door.bell, open: true}", "trigger:\n  webhook: {path: door/bell, open: true}"},
    {"webhook-unprotected", "nothing says who may call a webhook",
        "Addresses are found out: a token or a signature proves who calls, and open: true says that no proof is "
        "wanted.",
        PERI_EXAMPLE_RULE, "trigger:\n  webhook: {path: doorbell}",
        "trigger:\n  webhook: {path: doorbell, token: !secret doorbell}"},
    {"webhook-secret", "a secret of a webhook that would not be one",
        "What proves the caller is named with !secret, and headers that hold such things are no part of the event.",
        PERI_EXAMPLE_RULE, "trigger:\n  webhook: {path: doorbell, token: open-sesame}",
        "trigger:\n  webhook: {path: doorbell, token: !secret doorbell}"},
    {"webhook-conflict", "two rules set up the same webhook in different ways",
        "They may share a path when they agree in everything that stands under webhook; match is each one's own. "
        "Another "
        "rule can also hear the event webhook.<path>.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"lua-syntax", "a script that is no Lua",
        "The text under \"lua\" is compiled when the rule is read; nothing of it runs then. docs/rules.md says what a "
        "script can use.",
        PERI_EXAMPLE_RULE, "conditions:\n  - lua: if event.n > 3 then return true",
        "conditions:\n  - lua: return event.n > 3"},
    {"wrong-type", "a value of the wrong kind",
        "A list where a mapping belongs, a text where a number belongs, and the like. Numbers and booleans in quotes "
        "are texts.",
        PERI_EXAMPLE_RULE, "tags: urgent", "tags: [urgent]"},
    {"bad-value", "a value that is not one of those allowed", "The message lists what may stand there.",
        PERI_EXAMPLE_RULE, "trigger:\n  schedule: {at: 08:30, dst: never}",
        "trigger:\n  schedule: {at: 08:30, dst: skip}"},
    {"out-of-range", "a number outside its range", "The message says which numbers are possible.", PERI_EXAMPLE_RULE,
        "actions:\n  - operator: core.log\n    params: {message: hello}\n    retry: {maximum_attempts: 0}",
        "actions:\n  - operator: core.log\n    params: {message: hello}\n    retry: {maximum_attempts: 1}"},
    {"empty-text", "a text that must not be empty", "Leave the key out, or say something.", PERI_EXAMPLE_FILE,
        "name: \"\"\ntrigger: {event: demo.Hello}\nactions:\n  - stop: true",
        "name: Hello\ntrigger: {event: demo.Hello}\nactions:\n  - stop: true"},
    {"empty-list", "a list or mapping that needs at least one item", "Leave the key out, or put something into it.",
        PERI_EXAMPLE_RULE, "actions: []", "actions:\n  - stop: true"},
    {"bad-name", "this cannot be a name",
        "Names that templates use are of letters, digits and _, start with a letter and have at most 64 characters. A "
        "rule's id has no blanks, slashes, quotes, brackets and commas.",
        PERI_EXAMPLE_RULE, "actions:\n  - set: {first-name: Ada}", "actions:\n  - set: {first_name: Ada}"},
    {"reserved-name", "a name that has a meaning of its own",
        "event, trigger, steps, vars, rule, run, now, error, events and the words of the expression language cannot be "
        "bound.",
        PERI_EXAMPLE_RULE, "actions:\n  - operator: data.query\n    as: event\n    params: {type: task}",
        "actions:\n  - operator: data.query\n    as: tasks\n    params: {type: task}"},
    {"duplicate-name", "a name that is bound already", "Inside a for_each, the name of the outer one is still there.",
        PERI_EXAMPLE_RULE,
        "actions:\n  - for_each: {in: \"{{ event.a }}\", as: item}\n    do:\n      - for_each: {in: \"{{ event.b }}\", "
        "as: item}\n        do:\n          - stop: true",
        "actions:\n  - for_each: {in: \"{{ event.a }}\", as: item}\n    do:\n      - for_each: {in: \"{{ event.b }}\", "
        "as: inner}\n        do:\n          - stop: true"},
    {"duplicate-id", "an id that is used twice",
        "Rules share one space of ids (made of the name when none is given); steps and triggers one in each rule.",
        PERI_EXAMPLE_RULE, "triggers:\n  - {id: a, event: demo.One}\n  - {id: a, event: demo.Two}",
        "triggers:\n  - {id: a, event: demo.One}\n  - {id: b, event: demo.Two}"},
    {"too-many", "more items than fit", "10,000 rules a file, 1,000 steps and 100 triggers a rule.", PERI_EXAMPLE_NONE,
        NULL, NULL},
    {"too-deep", "nested too deeply", "Blocks and conditions nest up to 32 levels.", PERI_EXAMPLE_NONE, NULL, NULL},
    {"too-large", "a text or rule that is too large", "A rule has at most 256 KiB, its name and id 200 bytes.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"duration", "this is no duration",
        "Whole numbers with the units w d h m s ms, larger ones first, without blanks, at most 3650 days.",
        PERI_EXAMPLE_RULE, "actions:\n  - delay: 10 minutes", "actions:\n  - delay: 10m"},
    {"time", "this is no time",
        "08:30 for every day, or 2026-12-24T18:00 (also with a zone: 2026-12-24T18:00:00+01:00) for once.",
        PERI_EXAMPLE_RULE, "trigger:\n  schedule: {at: half past eight}", "trigger:\n  schedule: {at: 08:30}"},
    {"timezone", "there is no such time zone",
        "Names are those of the IANA database, such as Europe/Berlin or UTC; abbreviations like CEST are not among "
        "them.",
        PERI_EXAMPLE_RULE, "trigger:\n  schedule: {at: 08:30, timezone: Berlin}",
        "trigger:\n  schedule: {at: 08:30, timezone: Europe/Berlin}"},
    {"cron-syntax", "this is no cron expression",
        "Five fields: minute, hour, day of month, month, day of week. `perigee cron EXPR` shows when an expression "
        "fires.",
        PERI_EXAMPLE_RULE, "trigger:\n  schedule: {cron: \"0 25 * * *\"}",
        "trigger:\n  schedule: {cron: \"0 23 * * *\"}"},
    {"cron-never", "a schedule that never fires", "The expression is well formed, but no such day exists.",
        PERI_EXAMPLE_RULE, "trigger:\n  schedule: {cron: \"0 8 31 2 *\"}",
        "trigger:\n  schedule: {cron: \"0 8 28 2 *\"}"},
    {"sun-never", "the sun never comes there",
        "At this latitude the sun does not reach that elevation on any day of the year.", PERI_EXAMPLE_RULE,
        "trigger:\n  sun: {at: rising, elevation: 80, latitude: 52.5, longitude: 13.4}",
        "trigger:\n  sun: {at: rising, elevation: 8, latitude: 52.5, longitude: 13.4}"},
    {"event-type", "this is no event type",
        "Dotted segments of letters, digits, _ and -. A trigger may use a glob: * is one segment or a part of one, ** "
        "any number of them. What emit sends has no stars.",
        PERI_EXAMPLE_RULE, "trigger:\n  event: comms CallMissed", "trigger:\n  event: comms.CallMissed"},
    {"unknown-operator", "there is no such operator",
        "No active plugin offers it. `perigee operators list` shows those there are, `perigee plugins list` which "
        "plugins are blocked and why.",
        PERI_EXAMPLE_RULE, "actions:\n  - operator: comms.sendSMS\n    params: {to: \"+15550100\", body: hello}",
        "actions:\n  - operator: comms.sendSms\n    params: {to: \"+15550100\", body: hello}"},
    {"operator-kind", "an action as a condition, or a condition as an action",
        "Conditions stand under conditions: and in if:, actions are steps. `perigee operators show ID` says which it "
        "is.",
        PERI_EXAMPLE_RULE, "actions:\n  - operator: contact.HasTag\n    params: {tag: vip}",
        "conditions:\n  - operator: contact.HasTag\n    params: {tag: vip}"},
    {"param-missing", "a parameter that the operator needs",
        "`perigee operators show ID` lists the parameters with their meaning.", PERI_EXAMPLE_RULE,
        "actions:\n  - operator: core.log", "actions:\n  - operator: core.log\n    params: {message: hello}"},
    {"param-unknown", "a parameter that the operator does not know", "It is misspelt, or belongs to another operator.",
        PERI_EXAMPLE_RULE, "actions:\n  - operator: core.log\n    params: {mesage: hello}",
        "actions:\n  - operator: core.log\n    params: {message: hello}"},
    {"param-type", "a parameter of the wrong type or outside its limits",
        "What a template gives is checked when the rule runs; constants are checked here. A text that is exactly one "
        "{{ }} keeps the type of the value, with text around it it is a text.",
        PERI_EXAMPLE_RULE, "conditions:\n  - operator: comms.missedCalls\n    params: {contactId: ada, count: three}",
        "conditions:\n  - operator: comms.missedCalls\n    params: {contactId: ada, count: 3}"},
    {"expr-syntax", "an expression that cannot be read",
        "Operators are Lua's: == ~= and or not .. and so on; filters stand behind |. docs/rules.md is the reference, "
        "`perigee eval EXPR` tries one.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: event.name != 'Ada'", "conditions:\n  - expr: event.name ~= 'Ada'"},
    {"unknown-filter", "there is no such filter", "docs/rules.md lists filters and functions.", PERI_EXAMPLE_RULE,
        "conditions:\n  - expr: (event.name | uper) == 'ADA'", "conditions:\n  - expr: (event.name | upper) == 'ADA'"},
    {"unknown-function", "there is no such function",
        "Each filter can be called as a function, with the value as its first argument; there are no others.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: tonumber(event.n) > 3",
        "conditions:\n  - expr: number(event.n) > 3"},
    {"filter-args", "a filter with the wrong number or kind of arguments", "docs/rules.md says what each filter takes.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: (event.name | replace('a')) == 'Ada'",
        "conditions:\n  - expr: (event.name | replace('a', 'b')) == 'Ada'"},
    {"unknown-root", "a name that is not bound here",
        "A path starts with event, trigger, steps, vars, rule, run, now, error (in on_error), or a name that as: has "
        "bound in a step before.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: evnt.name == 'Ada'", "conditions:\n  - expr: event.name == 'Ada'"},
    {"unknown-step", "no step has this id", "steps.<id> is the result of the step with that id.", PERI_EXAMPLE_RULE,
        "actions:\n  - operator: data.query\n    params: {type: task}\n  - if: steps.tasks.count == 0\n    then:\n     "
        " - stop: true",
        "actions:\n  - operator: data.query\n    id: tasks\n    params: {type: task}\n  - if: steps.tasks.count == 0\n "
        "   then:\n      - stop: true"},
    {"unknown-var", "no step sets this variable", "vars.<name> is what a step `set: {name: value}` has set.",
        PERI_EXAMPLE_RULE, "actions:\n  - if: vars.load == 'high'\n    then:\n      - stop: true",
        "actions:\n  - set: {load: high}\n  - if: vars.load == 'high'\n    then:\n      - stop: true"},
    {"unknown-field", "the event has no such field",
        "The rule is started only by events of the service about itself, whose fields are known: docs/rules.md lists "
        "them.",
        PERI_EXAMPLE_RULE, "trigger: {event: run.Failed}\nconditions:\n  - expr: event.rul == 'backup'",
        "trigger: {event: run.Failed}\nconditions:\n  - expr: event.rule == 'backup'"},
    {"plain-secret", "a secret written out",
        "A warning. A text under a key such as password or token, or of the form of a provider's key, can be read by "
        "everybody who "
        "reads the file. `perigee secrets set NAME` keeps it apart, and `!secret NAME` names it.",
        PERI_EXAMPLE_RULE,
        "actions:\n  - operator: http.request\n    params: {url: \"https://example.org\", headers: {X-Api-Key: "
        "0f9a8b7c6d5e4f}}",
        "actions:\n  - operator: http.request\n    params: {url: \"https://example.org\", headers: {X-Api-Key: !secret "
        "example}}"},
    {"undeclared-field", "a field that no declaration of the event has",
        "A warning. Plugins declare what the events that they send hold (`perigee plugins show ID --json`, under "
        "events), and no "
        "declaration of this type has the field. Events that you send yourself may hold more than was declared.",
        PERI_EXAMPLE_RULE, "trigger:\n  event: device.Battery\nconditions:\n  - expr: event.levl < 0.1",
        "trigger:\n  event: device.Battery\nconditions:\n  - expr: event.level < 0.1"},
    {"foreign-template", "what would be a template in another system",
        "A warning. Only what stands between {{ and }} is filled in; {% … %}, ${event.x} and {event.x} stay as they "
        "are "
        "written, and a !secret in quotes is a text.",
        PERI_EXAMPLE_RULE, "actions:\n  - operator: core.log\n    params: {message: \"${event.name} is here\"}",
        "actions:\n  - operator: core.log\n    params: {message: \"{{ event.name }} is here\"}"},
    {"constant-key", "a key that is the same for all events",
        "A warning. The runs of one key are one lane, and throttles and triggers that watch over time count for each "
        "key: without {{ }} all events have the same.",
        PERI_EXAMPLE_RULE, "key: event.room", "key: \"{{ event.room }}\""},
    {"never-works", "an expression that fails whenever it is evaluated",
        "A warning. + - * / % calculate with numbers; texts are joined with two dots.", PERI_EXAMPLE_RULE,
        "actions:\n  - operator: core.log\n    params: {message: \"{{ 'Hello ' + event.name }}\"}",
        "actions:\n  - operator: core.log\n    params: {message: \"{{ 'Hello ' .. event.name }}\"}"},
    {"always-false", "a condition that never holds",
        "A warning. Nothing that an event brings changes it: a text is never equal to a number, nor greater or less; "
        "`x and false` is false. A comparison with a result of date needs | number first.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: (trigger.time | date('%H')) < 8",
        "conditions:\n  - expr: (trigger.time | date('%H') | number) < 8"},
    {"always-true", "a condition that always holds",
        "A warning. Everything but false and nil counts as true, the number 0 and the empty text too; `x == 'a' or "
        "'b'` is true because 'b' is.",
        PERI_EXAMPLE_RULE, "conditions:\n  - expr: event.kind == 'call' or 'sms'",
        "conditions:\n  - expr: event.kind == 'call' or event.kind == 'sms'"},
    {"unreachable-step", "a step that is never reached", "A warning. Every way to it leads over a step stop.",
        PERI_EXAMPLE_RULE, "actions:\n  - stop: true\n  - operator: core.log\n    params: {message: hello}",
        "actions:\n  - stop: true\n    if: event.quiet == true\n  - operator: core.log\n    params: {message: hello}"},
    {"unknown-event", "an event type that nobody is known to send",
        "A warning. No plugin declares the type and no rule emits it, but one that is nearly the same exists. Types "
        "that come from outside need no declaration, so only near ones are reported.",
        PERI_EXAMPLE_RULE, "trigger:\n  event: comms.CallMised", "trigger:\n  event: comms.CallMissed"},
    {0},
};
