/* SPDX-License-Identifier: Apache-2.0 */
/* What every key means and what it takes. */
#include "lang/rule_schema_table.h"

#include <string.h>

#include "lang/blueprint.h"
#include "lang/rule_schema.h"

#define LIST_OF(schema) "{\"type\": \"array\", \"minItems\": 1, \"items\": " schema "}"

#define OVERLAP "{\"enum\": [\"allow\", \"skip\", \"buffer_one\"], \"default\": \"allow\"}"

static const struct rule_shape rule_shapes[] = {
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

static const struct rule_shape trigger_shapes[] = {
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

static const struct rule_shape sun_shapes[] = {
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

static const struct rule_shape count_shapes[] = {
    {"event", REF("event_type"), "Which events are counted."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"at_least", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000}", "How many."},
    {"within", REF("duration"), "The length of the window that ends with the newest event."},
    {0},
};

static const struct rule_shape absence_shapes[] = {
    {"event", REF("event_type"), "Which events are a sign of life."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"for", REF("duration"), "How long nothing may come."},
    {"expect",
        "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 10000, \"items\": {\"type\": [\"string\", \"integer\"]}}",
        "Keys that are missed although they have never spoken."},
    {0},
};

static const struct rule_shape sequence_shapes[] = {
    {"steps", "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 16, \"items\": " REF("sequence_step") "}",
        "The events, in their order."},
    {"within", REF("duration"), "How long it may take from the first event on."},
    {0},
};

static const struct rule_shape sequence_step_shapes[] = {
    {"event", REF("event_type"), "What has to come next."},
    {"not", REF("event_type"), "What must not come between the steps around it."},
    {"match", REF("pattern"), "Which payloads: fields with lists of alternatives."},
    {"count", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100, \"default\": 1}", "How many of them."},
    {"as", REF("name"), "What its payload is called: events.<as>."},
    {0},
};

static const struct rule_shape schedule_shapes[] = {
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

static const struct rule_shape condition_shapes[] = {
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

static const struct rule_shape step_shapes[] = {
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

static const struct rule_shape throttle_shapes[] = {
    {"once_within", REF("duration"), "After it has fired, not again for this long."},
    {"once_after", REF("duration"), "Waits until nothing more has come for this long, then fires once."},
    {0},
};

static const struct rule_shape rate_limit_shapes[] = {
    {"limit", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 10000}", "How many calls."},
    {"period", REF("duration"), "Within this time."},
    {"key", REF("text"), "Steps with the same key share the limit; default: where the call goes."},
    {0},
};

#define TIME_OF_DAY "{\"type\": \"string\", \"pattern\": \"^([01][0-9]|2[0-3]):[0-5][0-9]$\"}"
static const struct rule_shape quiet_hours_shapes[] = {
    {"from", TIME_OF_DAY, "When they begin, such as 22:00."},
    {"to", TIME_OF_DAY, "When they end, the next day if that is earlier."},
    {"timezone", REF("text"), "Default: the recipient's, else the service's."},
    {"policy", "{\"enum\": [\"defer\", \"drop\"], \"default\": \"defer\"}",
        "Wait until they end, or leave the step out."},
    {0},
};

static const struct rule_shape for_each_shapes[] = {
    {"in", "{\"anyOf\": [{\"type\": \"array\"}, " REF("template") "]}", "The list."},
    {"as", REF("name"), "What an element is called in do:."},
    {"max", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 10000, \"default\": 1000}",
        "Longer lists are an error."},
    {"parallel", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100}",
        "So many elements at the same time; default: one after the other."},
    {0},
};

#define LENGTH "{\"anyOf\": [" REF("duration") ", {\"type\": \"number\", \"minimum\": 0}, " REF("template") "]}"

static const struct rule_shape wait_shapes[] = {
    {"event", "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_*-]+(\\\\.[A-Za-z0-9_*-]+)*$\"}",
        "An event type, or a glob on its dotted segments."},
    {"match", "{\"type\": \"object\"}", "Which payloads; it may hold templates."},
    {"timeout", LENGTH, "How long to wait; then the result says timed_out."},
    {0},
};

static const struct rule_shape cancel_shapes[] = {
    {"event", REF("event_type"), "An event type, or a glob on its dotted segments."},
    {"match", REF("pattern"), "Which payloads."},
    {0},
};

static const struct rule_shape approve_shapes[] = {
    {"prompt", REF("text"), "What the person is asked."},
    {"schema", "{\"type\": [\"object\", \"boolean\"]}", "A JSON Schema of the answer; default: true or false."},
    {"timeout", LENGTH, "How long to wait for the answer."},
    {"default", "true", "The answer when none comes in time; without it the step fails."},
    {0},
};

static const struct rule_shape choice_shapes[] = {
    {"if", REF("condition"), "When this block is chosen."},
    {"do", REF("block"), "Its steps."},
    {0},
};

static const struct rule_shape emit_shapes[] = {
    {"event", REF("text"), "The event's type."},
    {"data", "true", "The event's payload."},
    {0},
};

static const struct rule_shape retry_shapes[] = {
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

static const struct rule_shape webhook_shapes[] = {
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

static const struct rule_shape token_shapes[] = {
    {"secret", SECRET, "!secret NAME."},
    {"header", REF("text"), "The header that holds it."},
    {"query", REF("text"), "The field of the query that holds it."},
    {0},
};

static const struct rule_shape signature_shapes[] = {
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

static const struct rule_shape use_shapes[] = {
    {"path", "{\"type\": \"string\", \"maxLength\": 512, \"pattern\": \"^[^./~][^\\\\\\\\]*\\\\.ya?ml$\"}",
        "Where the blueprint lies below the rule folder."},
    {"input", "{\"type\": \"object\"}", "What goes into the blueprint, by the names of its inputs."},
    {0},
};

static const struct rule_shape blueprint_shapes[] = {
    {"name", REF("text"), "What it is for, in a few words."},
    {"description", REF("text"), "For people."},
    {"author", REF("text"), "Who made it."},
    {"homepage", REF("text"), "Where it comes from."},
    {"version", REF("text"), "Of the blueprint, for people."},
    {"input", REF("inputs"), "What a rule that uses it says: name: {type: ...}."},
    {0},
};

static const struct rule_shape input_shapes[] = {
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

static const struct rule_shape section_shapes[] = {
    {"name", REF("text"), "How people call these inputs together."},
    {"description", REF("text"), "For people."},
    {"input", REF("inputs"), "The inputs of the section."},
    {0},
};

const struct rule_mapping peri_rule_mappings[] = {
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
    {0},
};

/* Definitions that are no mapping with fixed keys. */
const struct rule_shape peri_rule_parts[] = {
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
    {0},
};

const struct rule_mapping *peri_rule_mapping(const char *name)
{
    for (const struct rule_mapping *m = peri_rule_mappings; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

const struct rule_shape *peri_rule_shape(const struct rule_shape *shapes, const char *key)
{
    for (; shapes->key; shapes++)
        if (strcmp(shapes->key, key) == 0)
            return shapes;
    return NULL;
}
