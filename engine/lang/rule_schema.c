/* SPDX-License-Identifier: Apache-2.0 */
/* A table says for every key what it means and what it takes; the key tables of the reader say which keys there are. */
#include "lang/rule_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "lang/blueprint.h"
#include "lang/rule_internal.h"

#define REF(name) "{\"$ref\": \"#/definitions/" name "\"}"
#define LIST_OF(schema) "{\"type\": \"array\", \"minItems\": 1, \"items\": " schema "}"

#define OVERLAP "{\"enum\": [\"allow\", \"skip\", \"buffer_one\"], \"default\": \"allow\"}"

struct shape {
    const char *key, *schema, *help;
};

static const struct shape rule_shapes[] = {
    {"name", "{\"type\": \"string\", \"maxLength\": 200, \"pattern\": \"\\\\S\"}",
        "What the rule is for, in a few words."},
    {"id", "{\"type\": \"string\", \"maxLength\": 200, \"pattern\": \"^[^\\\\s/\\\\\\\\\\\"'{}\\\\[\\\\],#]+$\"}",
        "How the rule is called everywhere else; default: the name in lower case with dashes."},
    {"description", REF("text"), "For people."},
    {"enabled", "{\"type\": \"boolean\", \"default\": true}", "false: the rule is checked, but never fires."},
    {"tags", "{\"type\": \"array\", \"items\": " REF("text") "}", "A list of texts."},
    {"priority", "{\"type\": \"integer\", \"minimum\": -1000000, \"maximum\": 1000000, \"default\": 0}",
        "Rules that hear the same event go by falling priority."},
    {"trigger", REF("trigger"), "What wakes the rule."},
    {"triggers", "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 100, \"items\": " REF("trigger") "}",
        "What wakes the rule: any of these."},
    {"key", REF("text"), "One template: modes and throttles are kept for each of its values."},
    {"mode", "{\"enum\": [\"single\", \"restart\", \"queued\", \"parallel\"]}",
        "How runs of the same key stand to each other."},
    {"max", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100000}",
        "queued: live and waiting runs (default 1000); parallel: live ones."},
    {"max_exceeded", "{\"enum\": [\"drop_newest\", \"drop_oldest\"]}", "Which run goes above max."},
    {"cancel_on", LIST_OF(REF("cancel_on")), "Events that end its runs, of the same key when it has one."},
    {"on_change", "{\"enum\": [\"finish\", \"restart\", \"cancel\"], \"default\": \"finish\"}",
        "What happens to a run under way when the rule is edited."},
    {"throttle", REF("throttle"), "How often the rule may fire, for each key."},
    {"timeout", REF("duration"), "How long a run may take from its first step on; then it fails."},
    {"conditions", "{\"type\": \"array\", \"items\": " REF("condition") "}",
        "All must hold. Without it every trigger fires."},
    {"actions", REF("block"), "The steps, carried out in order."},
    {"on_error", REF("block"), "Steps for when a step failed and nothing else took care of it."},
    {"blueprint", "false", "A blueprint stands in a file of its own."},
    {"use_blueprint", REF("use_blueprint"), "The rule is made of a blueprint, and says what goes into it."},
    {"expanded_from",
        "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"blueprint\": {\"type\": "
        "\"string\"}, \"input\": {\"type\": \"object\"}}}",
        "Written by the engine: the blueprint that the rule was made of, and what input.x is."},
    {0},
};

static const struct shape trigger_shapes[] = {
    {"id", REF("name"), "What templates see as trigger.id; default t1, t2, ... by position."},
    {"event", REF("event_type"),
        "An event type, or a glob on its dotted segments: * is one segment or a part of one, ** any number."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"webhook", REF("webhook"), "Fires when somebody calls /hooks/rules/<path>."},
    {"schedule", REF("schedule"), "Fires by the clock."},
    {"sun", "{\"anyOf\": [{\"enum\": [\"sunrise\", \"sunset\", \"dawn\", \"dusk\", \"noon\"]}, " REF("sun") "]}",
        "Fires by the sun."},
    {"for", REF("duration"),
        "Fires when this has gone on for so long: until then no event of the type and key came that "
        "does not match."},
    {"count", REF("count"), "Fires when so many events have come within a time, for each key."},
    {"absence", REF("absence"), "Fires when no event has come for a time, for each key."},
    {"sequence", REF("sequence"), "Fires when events have come in this order, for each key."},
    {"max_keys", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000, \"default\": 100000}",
        "Of how many keys something is remembered; a new one takes the place of the one that was quiet longest."},
    {0},
};

static const struct shape sun_shapes[] = {
    {"at", "{\"enum\": [\"sunrise\", \"sunset\", \"dawn\", \"dusk\", \"noon\", \"rising\", \"setting\"]}",
        "What the sun does; dawn and dusk: 6 degrees below the horizon; rising and setting: at elevation."},
    {"offset", "{\"type\": \"string\"}", "So much later, or with a - before it earlier."},
    {"elevation", "{\"type\": \"number\", \"minimum\": -90, \"maximum\": 90}", "Degrees above the horizon."},
    {"latitude", "{\"type\": \"number\", \"minimum\": -90, \"maximum\": 90}", "Of the place; default: the service's."},
    {"longitude", "{\"type\": \"number\", \"minimum\": -180, \"maximum\": 180}", "Of the place; east is positive."},
    {"catch_up", REF("duration"), "How old a missed time may be to be made up for; default 1h."},
    {"overlap", OVERLAP, "What happens while the run of an earlier time goes on."},
    {"jitter", REF("duration"), "Fires up to so much later, always the same for the same time."},
    {0},
};

static const struct shape count_shapes[] = {
    {"event", REF("event_type"), "Which events are counted."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"at_least", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000}", "How many."},
    {"within", REF("duration"), "The length of the window that ends with the newest event."},
    {0},
};

static const struct shape absence_shapes[] = {
    {"event", REF("event_type"), "Which events are a sign of life."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"for", REF("duration"), "How long nothing may come."},
    {"expect",
        "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 10000, \"items\": {\"type\": [\"string\", \"integer\"]}}",
        "Keys that are missed although they have never spoken."},
    {0},
};

static const struct shape sequence_shapes[] = {
    {"steps", "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 16, \"items\": " REF("sequence_step") "}",
        "The events, in their order."},
    {"within", REF("duration"), "How long it may take from the first event on."},
    {0},
};

static const struct shape sequence_step_shapes[] = {
    {"event", REF("event_type"), "What has to come next."},
    {"not", REF("event_type"), "What must not come between the steps around it."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"count", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100, \"default\": 1}", "How many of them."},
    {"as", REF("name"), "What its payload is called: events.<as>."},
    {0},
};

static const struct shape schedule_shapes[] = {
    {"cron", REF("text"), "Five fields: minute, hour, day of month, month, day of week; or @daily and the like."},
    {"every", REF("duration"), "Fires at that distance; at least 1s."},
    {"at", REF("text"), "08:30: every day at that time; 2026-12-24T18:00: once."},
    {"timezone", REF("text"), "A name such as Europe/Berlin; default: the service's."},
    {"dst", "{\"enum\": [\"once\", \"skip\", \"both\"], \"default\": \"once\"}", "What happens when clocks change."},
    {"catch_up", REF("duration"), "How old a missed time may be to be made up for; default 1h."},
    {"overlap", OVERLAP, "What happens while the run of an earlier time goes on."},
    {"jitter", REF("duration"), "Fires up to so much later, always the same for the same time."},
    {0},
};

static const struct shape condition_shapes[] = {
    {"operator", "{\"type\": \"string\"}", "A condition operator."},
    {"params", "{\"type\": \"object\"}", "What the operator takes."},
    {"all", LIST_OF(REF("condition")), "Holds when each holds."},
    {"any", LIST_OF(REF("condition")), "Holds when one holds."},
    {"not", REF("condition"), "Holds when this does not; of a list: when not all of it holds."},
    {"expr", "{\"anyOf\": [" REF("text") ", {\"type\": \"boolean\"}]}",
        "An expression that is neither false nor nil; the braces may be left out."},
    {"lua", REF("text"), "A script that returns true or false; it reads event, trigger, vars, steps, now."},
    {0},
};

static const struct shape step_shapes[] = {
    {"operator", "{\"type\": \"string\"}", "An action operator."},
    {"params", "{\"type\": \"object\"}", "What the operator takes."},
    {"lua", REF("text"), "A script; what it returns is the step's result."},
    {"delay", "{\"anyOf\": [" REF("duration") ", {\"type\": \"number\", \"minimum\": 0}, " REF("template") "]}",
        "Waits: a duration, a number of seconds, or a template of either."},
    {"if", REF("condition"), "The step is left out when this does not hold; with then: which block runs."},
    {"then", REF("block"), "The steps for when the condition holds."},
    {"else", REF("block"), "The steps for when no condition holds."},
    {"choose", LIST_OF(REF("choice")), "The first block whose condition holds."},
    {"for_each", REF("for_each"), "Carries out do: once for each element of a list."},
    {"do", REF("block"), "The steps for each element."},
    {"parallel",
        "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 100, \"items\": {\"if\": {\"type\": \"array\"}, "
        "\"then\": " REF("block") ", \"else\": " REF("step") "}}",
        "Carries out several branches at the same time: each a step or a list of steps."},
    {"wait_for", REF("wait_for"), "Waits for an event."},
    {"approve", REF("approve"), "Waits for a person's answer, which is the step's result."},
    {"set", "{\"type\": \"object\", \"minProperties\": 1, \"propertyNames\": " REF("name") "}",
        "Sets variables, read as vars.name."},
    {"emit", REF("emit"), "Sends an event, which other rules hear."},
    {"stop", "{\"anyOf\": [{\"const\": true}, {\"type\": \"string\"}]}", "Ends the run: true, or a reason."},
    {"id", REF("name"), "steps.<id> is the result of the step."},
    {"as", REF("name"), "Binds the result to a name for the steps that follow."},
    {"timeout", REF("duration"), "How long one attempt may take; of a container: all that is in it."},
    {"retry", REF("retry"), "How failures that a later try can mend are tried again."},
    {"idempotency_key", REF("text"), "The same key means the same effect; default: made of run and step."},
    {"rate_limit", REF("rate_limit"), "How many calls may leave within a period; the others wait."},
    {"quiet_hours", REF("quiet_hours"), "Times of day at which no call leaves."},
    {"delivery", "{\"enum\": [\"once\", \"repeat\"]}", "May a call be sent again that perhaps has arrived?"},
    {"continue_on_error", "{\"type\": \"boolean\", \"default\": false}",
        "true: the run goes on although the step failed."},
    {"on_error", REF("block"), "Steps for when it failed; then the run goes on behind it."},
    {0},
};

static const struct shape throttle_shapes[] = {
    {"once_within", REF("duration"), "After it has fired, not again for this long."},
    {"once_after", REF("duration"), "Waits until nothing more has come for this long, then fires once."},
    {0},
};

static const struct shape rate_limit_shapes[] = {
    {"limit", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 10000}", "How many calls."},
    {"period", REF("duration"), "Within this time."},
    {"key", REF("text"), "Steps with the same key share the limit; default: where the call goes."},
    {0},
};

#define TIME_OF_DAY "{\"type\": \"string\", \"pattern\": \"^([01][0-9]|2[0-3]):[0-5][0-9]$\"}"
static const struct shape quiet_hours_shapes[] = {
    {"from", TIME_OF_DAY, "When they begin, such as 22:00."},
    {"to", TIME_OF_DAY, "When they end, the next day if that is earlier."},
    {"timezone", REF("text"), "Default: the recipient's, else the service's."},
    {"policy", "{\"enum\": [\"defer\", \"drop\"], \"default\": \"defer\"}",
        "Wait until they end, or leave the step out."},
    {0},
};

static const struct shape for_each_shapes[] = {
    {"in", "{\"anyOf\": [{\"type\": \"array\"}, " REF("template") "]}", "The list."},
    {"as", REF("name"), "What an element is called in do:."},
    {"max", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 10000, \"default\": 1000}",
        "Longer lists are an error."},
    {"parallel", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100}",
        "So many elements at the same time; default: one after the other."},
    {0},
};

#define LENGTH "{\"anyOf\": [" REF("duration") ", {\"type\": \"number\", \"minimum\": 0}, " REF("template") "]}"

static const struct shape wait_shapes[] = {
    {"event", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_*-]+(\\\\.[A-Za-z0-9_*-]+)*$\"}",
        "An event type, or a glob on its dotted segments."},
    {"match", "{\"type\": \"object\"}", "Which payloads; it may hold templates."},
    {"timeout", LENGTH, "How long to wait; then the result says timed_out."},
    {0},
};

static const struct shape cancel_shapes[] = {
    {"event", REF("event_type"), "An event type, or a glob on its dotted segments."},
    {"match", REF("pattern"), "Which payloads."},
    {0},
};

static const struct shape approve_shapes[] = {
    {"prompt", REF("text"), "What the person is asked."},
    {"schema", "{\"type\": [\"object\", \"boolean\"]}", "A JSON Schema of the answer; default: true or false."},
    {"timeout", LENGTH, "How long to wait for the answer."},
    {"default", "true", "The answer when none comes in time; without it the step fails."},
    {0},
};

static const struct shape choice_shapes[] = {
    {"if", REF("condition"), "When this block is chosen."},
    {"do", REF("block"), "Its steps."},
    {0},
};

static const struct shape emit_shapes[] = {
    {"event", REF("text"), "The event's type."},
    {"data", "true", "The event's payload."},
    {0},
};

static const struct shape retry_shapes[] = {
    {"initial_interval", REF("duration"), "The longest first wait; default 1s."},
    {"backoff_coefficient", "{\"type\": \"number\", \"minimum\": 1, \"maximum\": 100, \"default\": 2}",
        "By how much waits grow."},
    {"maximum_interval", REF("duration"), "The longest wait; default 5m."},
    {"maximum_attempts", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000, \"default\": 8}",
        "1 is no retry."},
    {"non_retryable", "{\"type\": \"array\", \"items\": " REF("text") "}", "Error codes that are not tried again."},
    {0},
};

#define SECRET "{\"type\": \"string\"}"

static const struct shape webhook_shapes[] = {
    {"path", "{\"type\": \"string\", \"maxLength\": 200, \"pattern\": \"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$\"}",
        "It is called as /hooks/rules/<path>; the event is webhook.<path>, with dots for the slashes."},
    {"methods",
        "{\"type\": \"array\", \"minItems\": 1, \"items\": {\"enum\": [\"GET\", \"POST\", \"PUT\", \"PATCH\", "
        "\"DELETE\"]}, \"default\": [\"POST\"]}",
        "What it takes."},
    {"token", "{\"anyOf\": [" SECRET ", " REF("webhook_token") "]}",
        "Who calls it knows this: !secret NAME, sent as Authorization: Bearer, or where the mapping says."},
    {"signature", REF("webhook_signature"), "Who calls it signs the body."},
    {"open", "{\"const\": true}", "Whoever knows the address may call it."},
    {"local_only", "{\"type\": \"boolean\", \"default\": false}", "Only from this machine and private networks."},
    {"headers", "{\"type\": \"array\", \"maxItems\": 16, \"items\": " REF("text") "}",
        "Headers that the event gets, in lower case."},
    {"delivery_id", REF("text"), "The header that tells repeats of a delivery."},
    {"max_bytes", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1048576, \"default\": 65536}",
        "How long a body may be."},
    {0},
};

static const struct shape token_shapes[] = {
    {"secret", SECRET, "!secret NAME."},
    {"header", REF("text"), "The header that holds it."},
    {"query", REF("text"), "The field of the query that holds it."},
    {0},
};

static const struct shape signature_shapes[] = {
    {"as", "{\"enum\": [\"hmac\", \"github\", \"stripe\", \"slack\"], \"default\": \"hmac\"}",
        "Whose way of signing it is."},
    {"secret", SECRET, "!secret NAME."},
    {"header", REF("text"), "The header that holds the signature."},
    {"algorithm", "{\"enum\": [\"sha256\", \"sha1\"], \"default\": \"sha256\"}", "Of the HMAC."},
    {"encoding", "{\"enum\": [\"hex\", \"base64\"], \"default\": \"hex\"}", "Of the signature."},
    {"prefix", REF("text"), "What stands before the signature."},
    {"tolerance", REF("duration"), "How old a signed time may be; default 5m."},
    {0},
};

static const struct shape use_shapes[] = {
    {"path", "{\"type\": \"string\", \"maxLength\": 512, \"pattern\": \"^[^./~][^\\\\\\\\]*\\\\.ya?ml$\"}",
        "Where the blueprint lies below the rule folder."},
    {"input", "{\"type\": \"object\"}", "What goes into the blueprint, by the names of its inputs."},
    {0},
};

static const struct shape blueprint_shapes[] = {
    {"name", REF("text"), "What it is for, in a few words."},
    {"description", REF("text"), "For people."},
    {"author", REF("text"), "Who made it."},
    {"homepage", REF("text"), "Where it comes from."},
    {"version", REF("text"), "Of the blueprint, for people."},
    {"input", REF("inputs"), "What a rule that uses it says: name: {type: ...}."},
    {0},
};

static const struct shape input_shapes[] = {
    {"type", "{\"type\": \"string\"}", "What fits."}, /* put_types */
    {"name", REF("text"), "How people call it."},
    {"description", REF("text"), "For people."},
    {"default", "true", "What it is when a rule says nothing."},
    {"required", "{\"type\": \"boolean\", \"default\": true}", "false without a default: what holds it is left out."},
    {"min", "{\"type\": [\"number\", \"string\"]}",
        "The least: of a number, a duration, the length of a text or a list."},
    {"max", "{\"type\": [\"number\", \"string\"]}",
        "The most: of a number, a duration, the length of a text or a list."},
    {"pattern", REF("text"), "A regular expression that a text matches."},
    {"options",
        "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 100, \"items\": {\"type\": [\"string\", "
        "\"number\", \"boolean\"]}}",
        "What an enum may be."},
    {"items", REF("input"), "What the elements of a list are."},
    {"schema", "{\"type\": \"object\"}", "The JSON Schema of an object."},
    {0},
};

static const struct shape section_shapes[] = {
    {"name", REF("text"), "How people call these inputs together."},
    {"description", REF("text"), "For people."},
    {"input", REF("inputs"), "The inputs of the section."},
    {0},
};

/* more: members beside properties. */
static const struct mapping {
    const char *name, *definition;
    const struct rule_key *keys;
    const struct shape *shapes;
    const char *more;
} mappings[] = {
    {"rule", "rule", peri_rule_head_keys, rule_shapes,
        "{\"required\": [\"name\"], \"oneOf\": [{\"required\": [\"trigger\", \"actions\"]}, {\"required\": "
        "[\"triggers\", \"actions\"]}, {\"required\": [\"use_blueprint\"]}], \"dependencies\": {\"use_blueprint\": "
        "{\"propertyNames\": {\"enum\": [\"name\", \"id\", \"description\", \"enabled\", \"tags\", \"priority\", "
        "\"use_blueprint\"]}}}}"},
    {"use_blueprint", "use_blueprint", peri_blueprint_use_keys, use_shapes, "{\"required\": [\"path\"]}"},
    {"blueprint", "blueprint", peri_blueprint_head_keys, blueprint_shapes, "{\"required\": [\"name\"]}"},
    {"input", "input", peri_blueprint_input_keys, input_shapes, "{\"required\": [\"type\"]}"},
    {"input_section", "input_section", peri_blueprint_section_keys, section_shapes, "{\"required\": [\"input\"]}"},
    {"trigger", "trigger", peri_rule_trigger_keys, trigger_shapes,
        "{\"oneOf\": [{\"required\": [\"event\"]}, {\"required\": [\"webhook\"]}, {\"required\": [\"schedule\"]}, "
        "{\"required\": [\"sun\"]}, "
        "{\"required\": [\"count\"]}, "
        "{\"required\": [\"absence\"]}, {\"required\": [\"sequence\"]}], \"dependencies\": {\"match\": {\"anyOf\": "
        "[{\"required\": [\"event\"]}, {\"required\": [\"webhook\"]}]}, \"for\": [\"match\"]}}"},
    {"webhook", "webhook", peri_rule_webhook_keys, webhook_shapes,
        "{\"required\": [\"path\"], \"oneOf\": [{\"required\": [\"token\"]}, {\"required\": [\"signature\"]}, "
        "{\"required\": [\"open\"]}]}"},
    {"webhook_token", "webhook_token", peri_rule_webhook_token_keys, token_shapes, "{\"required\": [\"secret\"]}"},
    {"webhook_signature", "webhook_signature", peri_rule_webhook_signature_keys, signature_shapes,
        "{\"required\": [\"secret\"], \"anyOf\": [{\"required\": [\"as\"]}, {\"required\": [\"header\"]}]}"},
    {"sun", "sun", peri_rule_sun_keys, sun_shapes, "{\"required\": [\"at\"]}"},
    {"count", "count", peri_rule_count_keys, count_shapes, "{\"required\": [\"event\", \"at_least\", \"within\"]}"},
    {"absence", "absence", peri_rule_absence_keys, absence_shapes, "{\"required\": [\"event\", \"for\"]}"},
    {"sequence", "sequence", peri_rule_sequence_keys, sequence_shapes, "{\"required\": [\"steps\", \"within\"]}"},
    {"sequence_step", "sequence_step", peri_rule_sequence_step_keys, sequence_step_shapes,
        "{\"oneOf\": [{\"required\": [\"event\"]}, {\"required\": [\"not\"]}], \"dependencies\": {\"count\": "
        "[\"event\"], "
        "\"as\": [\"event\"]}}"},
    {"schedule", "schedule", peri_rule_schedule_keys, schedule_shapes,
        "{\"oneOf\": [{\"required\": [\"cron\"]}, {\"required\": [\"every\"]}, {\"required\": [\"at\"]}]}"},
    {"condition", "condition_mapping", peri_rule_condition_keys, condition_shapes,
        "{\"oneOf\": [{\"required\": [\"operator\"]}, {\"required\": [\"all\"]}, {\"required\": [\"any\"]}, "
        "{\"required\": [\"not\"]}, {\"required\": [\"expr\"]}, {\"required\": [\"lua\"]}], \"dependencies\": "
        "{\"params\": [\"operator\"]}}"},
    {"step", "step", peri_rule_step_keys, step_shapes, NULL}, /* put_kinds */
    {"for_each", "for_each", peri_rule_for_each_keys, for_each_shapes, "{\"required\": [\"in\", \"as\"]}"},
    {"wait_for", "wait_for", peri_rule_wait_keys, wait_shapes, "{\"required\": [\"event\"]}"},
    {"cancel_on", "cancel_on", peri_rule_cancel_keys, cancel_shapes, "{\"required\": [\"event\"]}"},
    {"approve", "approve", peri_rule_approve_keys, approve_shapes,
        "{\"required\": [\"prompt\"], \"dependencies\": {\"default\": [\"timeout\"]}}"},
    {"choice", "choice", peri_rule_choice_keys, choice_shapes, "{\"required\": [\"if\", \"do\"]}"},
    {"emit", "emit", peri_rule_emit_keys, emit_shapes, "{\"required\": [\"event\"]}"},
    {"retry", "retry", peri_rule_retry_keys, retry_shapes, NULL},
    {"rate_limit", "rate_limit", peri_rule_rate_limit_keys, rate_limit_shapes,
        "{\"required\": [\"limit\", \"period\"]}"},
    {"quiet_hours", "quiet_hours", peri_rule_quiet_hours_keys, quiet_hours_shapes,
        "{\"required\": [\"from\", \"to\"]}"},
    {"throttle", "throttle", peri_rule_throttle_keys, throttle_shapes, "{\"minProperties\": 1}"},
};
#define MAPPING_COUNT (sizeof(mappings) / sizeof(mappings[0]))

/* Definitions that are no mapping with fixed keys. */
static const struct shape parts[] = {
    {"text", "{\"type\": \"string\", \"pattern\": \"\\\\S\"}", NULL},
    {"template", "{\"type\": \"string\", \"pattern\": \"\\\\{\\\\{\"}", "A text with {{ expressions }}."},
    {"event_type", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_*-]+(\\\\.[A-Za-z0-9_*-]+)*$\"}", NULL},
    {"name", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z_][A-Za-z0-9_]{0,63}$\"}", NULL},
    {"duration",
        "{\"type\": \"string\", \"pattern\": "
        "\"^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$\"}",
        "A duration such as 90s, 10m, 1h30m or 2d."},
    {"block", LIST_OF(REF("step")), NULL},
    {"inputs",
        "{\"type\": \"object\", \"propertyNames\": " REF("name") ", \"additionalProperties\": {\"if\": "
                                                                 "{\"required\": [\"input\"]}, \"then\": " REF(
                                                                     "input_section") ", \"else\": " REF("input") "}}",
        NULL},
    {"condition",
        "{\"type\": [\"string\", \"boolean\", \"array\", \"object\"], \"pattern\": \"\\\\S\", \"minItems\": 1, "
        "\"items\": " REF("condition") ", \"if\": {\"type\": \"object\"}, \"then\": " REF("condition_mapping") "}",
        "An expression, a list of conditions that must all hold, or a mapping."},
    {"pattern",
        "{\"type\": \"object\", \"properties\": {\"$or\": {\"type\": \"array\", \"minItems\": 2, \"items\": " REF(
            "pattern") "}}, \"additionalProperties\": {\"anyOf\": [{\"type\": \"array\", \"minItems\": 1, "
                       "\"items\": " REF("alternative") "}, " REF("pattern") "]}}",
        "Fields are \"and\", the alternatives of a list \"or\"."},
    {"alternative",
        "{\"type\": [\"string\", \"number\", \"boolean\", \"null\", \"object\"], \"minProperties\": 1, "
        "\"maxProperties\": 1, "
        "\"additionalProperties\": false, \"properties\": {\"prefix\": true, \"suffix\": true, \"equals-ignore-case\": "
        "true, "
        "\"wildcard\": {\"type\": \"string\"}, \"anything-but\": true, \"numeric\": {\"type\": \"array\", "
        "\"minItems\": 2, \"maxItems\": 4}, "
        "\"exists\": {\"type\": \"boolean\"}, \"cidr\": {\"type\": \"string\"}, \"regex\": {\"type\": \"string\"}, "
        "\"all\": {\"type\": \"array\", \"minItems\": 1, \"items\": " REF("alternative") "}}}",
        "A value, or an operator such as {prefix: x} or {numeric: [\">\", 1]}."},
};

static const struct mapping *find_mapping(const char *name)
{
    for (size_t i = 0; i < MAPPING_COUNT; i++)
        if (strcmp(mappings[i].name, name) == 0)
            return &mappings[i];
    return NULL;
}

static const struct shape *find_shape(const struct shape *shapes, const char *key)
{
    for (; shapes->key; shapes++)
        if (strcmp(shapes->key, key) == 0)
            return shapes;
    return NULL;
}

const char *peri_rule_key_at(const char *mapping, size_t i, const char **ret_help)
{
    const struct mapping *m = find_mapping(mapping);
    for (const struct rule_key *k = m ? m->keys : NULL; k && k->kind != KEY_END; k++) {
        if (i-- > 0)
            continue;
        const struct shape *shape = find_shape(m->shapes, k->name);
        if (ret_help)
            *ret_help = shape ? shape->help : "";
        return k->name;
    }
    return NULL;
}

/* ---- building ---- */

static struct peri_value *parse(const char *json)
{
    struct peri_value *v = NULL;
    return peri_json_parse(json, strlen(json), &v, NULL) == PERI_OK ? v : NULL;
}

/* Takes v; beside a $ref a description would not count. */
static struct peri_value *describe(struct peri_value *v, const char *help)
{
    if (!v || !help || !peri_value_is(v, PERI_MAP))
        return v;
    struct peri_value *out = v;
    if (peri_map_at(v, "$ref")) {
        struct peri_value *list = peri_value_list();
        out = peri_value_map();
        bool good = list && out && peri_list_push(list, peri_value_ref(v)) == PERI_OK &&
                    peri_map_put_ref(out, "allOf", list) == PERI_OK;
        peri_value_unref(list);
        peri_value_unref(v);
        if (!good) {
            peri_value_unref(out);
            return NULL;
        }
    }
    if (peri_map_put_text(out, "description", help) == PERI_OK)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* Moves all members of from (consumed) into map. */
static bool merge(struct peri_value *map, struct peri_value *from)
{
    bool good = from != NULL;
    for (void *it = peri_map_first(from); it && good; it = peri_map_next(from, it))
        good = peri_map_put_ref(map, peri_map_key(it, NULL), peri_map_item(it)) == PERI_OK;
    peri_value_unref(from);
    return good;
}

static struct peri_value *mapping_schema(const struct mapping *m)
{
    struct peri_value *schema = parse("{\"type\": \"object\", \"additionalProperties\": false}"),
                      *properties = peri_value_map();
    bool good = schema && properties;
    for (const struct rule_key *k = m->keys; good && k->kind != KEY_END; k++) {
        const struct shape *shape = find_shape(m->shapes, k->name);
        good = peri_map_put(properties, k->name,
                   describe(parse(shape ? shape->schema : "true"), shape ? shape->help : NULL)) == PERI_OK;
    }
    good = good && peri_map_put_ref(schema, "properties", properties) == PERI_OK &&
           (!m->more || merge(schema, parse(m->more)));
    peri_value_unref(properties);
    if (good)
        return schema;
    peri_value_unref(schema);
    return NULL;
}

/* ---- kinds of steps ---- */

static struct peri_value *requires(const char *key)
{
    struct peri_value *v = peri_value_map(), *list = peri_value_list();
    if (v && list && peri_list_push(list, peri_value_str(key)) == PERI_OK &&
        peri_map_put_ref(v, "required", list) == PERI_OK) {
        peri_value_unref(list);
        return v;
    }
    peri_value_unref(list);
    peri_value_unref(v);
    return NULL;
}

/* Exactly one of the keys that make a kind; what goes with some kinds only needs one of them. */
static bool put_kinds(struct peri_value *step)
{
    struct peri_value *one_of = peri_value_list(), *dependencies = peri_value_map();
    const char *const *own;
    const char *key;
    bool good = one_of && dependencies;
    for (size_t i = 0; good && (key = peri_rule_step_kind(i, &own)); i++) {
        good = peri_list_push(one_of, requires(key)) == PERI_OK;
        for (size_t k = 0; good && own[k]; k++) {
            struct peri_value *entry = peri_map_at(dependencies, own[k]);
            if (!entry) {
                entry = parse("{\"anyOf\": []}");
                good = entry && peri_map_put(dependencies, own[k], entry) == PERI_OK;
            }
            good = good && peri_list_push(peri_map_at(entry, "anyOf"), requires(key)) == PERI_OK;
        }
    }
    good = good && peri_map_put(dependencies, "then", requires("if")) == PERI_OK &&
           peri_map_put_ref(step, "oneOf", one_of) == PERI_OK &&
           peri_map_put_ref(step, "dependencies", dependencies) == PERI_OK;
    peri_value_unref(one_of);
    peri_value_unref(dependencies);
    return good;
}

/* ---- parameters ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a map, sorted: plugins in Lua have none of their own order. NULL-ended; caller frees. */
static const char **sorted_keys(const struct peri_value *map)
{
    const char **keys = calloc(peri_value_count(map) + 1, sizeof(*keys));
    size_t n = 0;
    for (void *it = keys ? peri_map_first(map) : NULL; it; it = peri_map_next(map, it))
        keys[n++] = peri_map_key(it, NULL);
    if (keys && n > 1)
        qsort(keys, n, sizeof(*keys), by_text);
    return keys;
}

/* A map with f of each member; NULL when memory is out. */
static struct peri_value *map_each(const struct peri_value *map, struct peri_value *(*f)(const struct peri_value *v))
{
    struct peri_value *out = peri_value_map();
    const char **keys = sorted_keys(map);
    bool good = out && keys;
    for (size_t i = 0; good && keys[i]; i++)
        good = peri_map_put(out, keys[i], f(peri_map_at(map, keys[i]))) == PERI_OK;
    free(keys);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

static struct peri_value *with_templates(const struct peri_value *schema);

static struct peri_value *parameters(const struct peri_value *schema)
{
    struct peri_value *out = peri_value_map();
    const char **keys = sorted_keys(schema);
    bool good = out && keys;
    for (size_t i = 0; good && keys[i]; i++) {
        const struct peri_value *v = peri_map_at(schema, keys[i]);
        bool schemas = strcmp(keys[i], "properties") == 0;
        bool one = (strcmp(keys[i], "items") == 0 || strcmp(keys[i], "additionalProperties") == 0) &&
                   peri_value_is(v, PERI_MAP);
        good = peri_map_put(out, keys[i],
                   schemas ? map_each(v, with_templates)
                   : one   ? with_templates(v)
                           : peri_value_ref(v)) == PERI_OK;
    }
    free(keys);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* Does every text pass? */
static bool takes_any_text(const struct peri_value *schema)
{
    static const char *const narrow[] = {"enum", "const", "pattern", "minLength", "maxLength", "format"};
    const struct peri_value *type = peri_map_at(schema, "type");
    bool text = !type || peri_streq(peri_value_text(type), "string");
    for (size_t i = 0; i < peri_value_count(type); i++)
        text = text || peri_streq(peri_value_text(peri_list_at(type, i)), "string");
    for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++)
        text = text && !peri_map_at(schema, narrow[i]);
    return text;
}

/* The schema, or a template in its place. */
static struct peri_value *with_templates(const struct peri_value *schema)
{
    if (!peri_value_is(schema, PERI_MAP))
        return peri_value_ref(schema);
    struct peri_value *plain = parameters(schema);
    if (!plain || takes_any_text(schema))
        return plain;
    struct peri_value *out = peri_value_map(), *any = peri_value_list();
    const char *help = peri_map_text(schema, "description");
    bool good = out && any && peri_list_push(any, peri_value_ref(plain)) == PERI_OK &&
                peri_list_push(any, parse(REF("template"))) == PERI_OK &&
                peri_map_put_ref(out, "anyOf", any) == PERI_OK &&
                peri_map_put_text(out, "description", help) == PERI_OK;
    peri_value_unref(any);
    peri_value_unref(plain);
    if (good)
        return out;
    peri_value_unref(out);
    return NULL;
}

/* {if: operator is this one, then: its params} */
static struct peri_value *operator_schema(const char *id, const struct peri_operator_facts *facts)
{
    struct peri_value *rule = parse(
        "{\"if\": {\"properties\": {\"operator\": {}}, \"required\": [\"operator\"]}, \"then\": {\"properties\": {}}}");
    const struct peri_value *schema = facts->params ? peri_schema_source(facts->params) : NULL;
    struct peri_value *then = peri_map_at(rule, "then"),
                      *when = peri_map_at(peri_map_at(peri_map_at(rule, "if"), "properties"), "operator");
    bool good = rule && peri_map_put_text(when, "const", id) == PERI_OK;
    if (good && peri_value_is(schema, PERI_MAP))
        good = peri_map_put(peri_map_at(then, "properties"), "params",
                   describe(parameters(schema), facts->description)) == PERI_OK;
    if (good && peri_value_count(peri_map_at(schema, "required")) > 0)
        good = merge(then, requires("params"));
    if (good)
        return rule;
    peri_value_unref(rule);
    return NULL;
}

static bool put_operators(struct peri_value *mapping, const struct peri_rule_env *env, bool conditions)
{
    struct peri_value *ids = peri_value_list(), *rules = peri_value_list();
    const char *const *all = env && env->operator_ids ? env->operator_ids(env->ctx) : NULL;
    bool good = ids && rules;
    for (; good && all && *all; all++) {
        struct peri_operator_facts facts = {0};
        if (!env->operator_facts(env->ctx, *all, &facts) || !(conditions ? facts.is_condition : facts.is_action))
            continue;
        good = peri_list_push(ids, peri_value_str(*all)) == PERI_OK &&
               peri_list_push(rules, operator_schema(*all, &facts)) == PERI_OK;
    }
    if (good && peri_value_count(ids) > 0)
        good = peri_map_put_ref(peri_map_at(peri_map_at(mapping, "properties"), "operator"), "enum", ids) == PERI_OK &&
               peri_map_put_ref(mapping, "allOf", rules) == PERI_OK;
    peri_value_unref(ids);
    peri_value_unref(rules);
    return good;
}

/* The types of inputs, from the table that reads them. */
static bool put_types(struct peri_value *definitions)
{
    struct peri_value *type = parse("{\"enum\": []}"), *list = peri_map_at(type, "enum");
    const char *name;
    bool good = list != NULL;
    for (size_t i = 0; good && (name = peri_blueprint_type_at(i, NULL)); i++)
        good = peri_list_push(list, peri_value_str(name)) == PERI_OK;
    good = good && peri_map_put_text(type, "description", "What fits.") == PERI_OK &&
           peri_map_put_ref(peri_map_at(peri_map_at(definitions, "input"), "properties"), "type", type) == PERI_OK;
    peri_value_unref(type);
    return good;
}

/* A rule with holes, of which a schema can say nothing but which keys it has. */
static bool put_blueprint_file(struct peri_value *definitions)
{
    static const char *const not_here[] = {"name", "id", "enabled", "use_blueprint", "expanded_from", "blueprint"};
    struct peri_value *file =
        parse("{\"type\": \"object\", \"additionalProperties\": false, \"required\": "
              "[\"blueprint\", \"actions\"], \"oneOf\": [{\"required\": [\"trigger\"]}, "
              "{\"required\": [\"triggers\"]}], \"properties\": {\"blueprint\": " REF("blueprint") "}}");
    struct peri_value *properties = peri_map_at(file, "properties");
    bool good = properties != NULL;
    for (const struct rule_key *k = peri_rule_head_keys; good && k->kind != KEY_END; k++) {
        bool here = true;
        for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++)
            here = here && strcmp(not_here[i], k->name) != 0;
        if (here)
            good = peri_map_put(properties, k->name, describe(parse("{}"), find_shape(rule_shapes, k->name)->help)) ==
                   PERI_OK;
    }
    good = good && peri_map_put_ref(definitions, "blueprint_file", file) == PERI_OK;
    peri_value_unref(file);
    return good;
}

static bool put_definitions(struct peri_value *definitions, const struct peri_rule_env *env)
{
    bool good = true;
    for (size_t i = 0; good && i < sizeof(parts) / sizeof(parts[0]); i++)
        good = peri_map_put(definitions, parts[i].key, describe(parse(parts[i].schema), parts[i].help)) == PERI_OK;
    for (size_t i = 0; good && i < MAPPING_COUNT; i++)
        good = peri_map_put(definitions, mappings[i].definition, mapping_schema(&mappings[i])) == PERI_OK;
    return good && put_types(definitions) && put_blueprint_file(definitions) &&
           put_kinds(peri_map_at(definitions, "step")) && put_operators(peri_map_at(definitions, "step"), env, false) &&
           put_operators(peri_map_at(definitions, "condition_mapping"), env, true);
}

struct peri_value *peri_rule_schema(const struct peri_rule_env *env)
{
    struct peri_value *schema =
        parse("{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"perigee rule file\", "
              "\"description\": \"One rule, or a list of them under rules:.\", \"type\": \"object\", "
              "\"if\": {\"required\": [\"rules\"]}, "
              "\"then\": {\"properties\": {\"rules\": {\"type\": \"array\", \"items\": " REF(
                  "rule") "}}, \"additionalProperties\": false}, \"else\": {\"if\": {\"required\": [\"blueprint\"]}, "
                          "\"then\": " REF("blueprint_file") ", \"else\": " REF("rule") "}, \"definitions\": {}}");
    if (schema && put_definitions(peri_map_at(schema, "definitions"), env))
        return schema;
    peri_value_unref(schema);
    return NULL;
}
