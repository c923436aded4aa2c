#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What somebody who writes YAML for the first time gets wrong: each mistake has one finding, at its place, that says what to do."""
import json
import os

import harness

GOOD = """name: Alarm
trigger:
  event: device.Sensor
  match:
    value: [{numeric: [">", 60]}]
conditions:
  - event.deviceId == 'boiler'
actions:
  - operator: notify.send
    params:
      title: Too hot
      message: "{{ event.deviceId }} is hot"
"""
SCHEDULE = GOOD.replace("event: device.Sensor\n  match:\n    value: [{numeric: [\">\", 60]}]", "%s").replace("event.deviceId == 'boiler'", "rule.name != ''").replace(
    "{{ event.deviceId }}", "it").replace("!= ''", "~= ''")
STEPS = GOOD[:GOOD.index("  - operator")]


def edit(old, new):
    assert old in GOOD, old
    return GOOD.replace(old, new)


# name: (text, line, column, code, part of the message, part of the hint)
MISTAKES = {
    "a tab": (edit("  event: dev", "\tevent: dev"), 3, 1, "yaml-syntax", "a tab is used", "indent with spaces"),
    "a tab inside": (edit("      title", "\t\ttitle"), 11, 1, "yaml-syntax", "a tab is used", "indent with spaces"),
    "indented too far": (edit("  event: device.Sensor\n", "   event: device.Sensor\n"), 4, 3, "yaml-syntax", "does not line up", "same column"),
    "indented too little": (edit("    params:", "   params:"), 10, 4, "yaml-syntax", "does not line up with the list", "same column"),
    "one of two keys": (edit("      title", "    title"), 12, 7, "yaml-syntax", "indented too far", "line it up"),
    "no colon": (edit("actions:", "actions"), 8, 1, "yaml-syntax", "expected ':' after this key", "key: value"),
    "no colon before a value": (edit("event: dev", "event dev"), 3, 3, "yaml-syntax", "expected ':' after this key", "key: value"),
    "no space after the colon": (edit("event: dev", "event:dev"), 3, 8, "yaml-syntax", "a space is missing after ':'", "key: value"),
    "no space after the dash": (edit("- operator", "-operator"), 9, 3, "yaml-syntax", "a space is missing after '-'", "'- '"),
    "a list for a mapping": (edit("  event: device.Sensor\n  match:", "  - event: device.Sensor\n    match:").replace("    value: [", "      value: ["),
                             3, 3, "wrong-type", '"trigger" must be a mapping, is a list', "triggers:"),
    "a mapping for a list": (STEPS + "  operator: notify.send\n  params: {message: x}\n", 9, 3, "wrong-type", '"actions" must be a list, is a mapping', "begins with '- '"),
    "a text for a list": (edit("conditions:\n  - event", "conditions: event"), 6, 13, "wrong-type", '"conditions" must be a list, is a string', "after '- '"),
    "nothing for a list": (STEPS, 8, 9, "wrong-type", '"actions" must be a list, is empty', "after '- '"),
    "a step that is a word": (STEPS + "  - notify.send\n", 9, 5, "wrong-type", "must be a mapping, is a string", "write - operator: notify.send"),
    "steps below then without dashes": (STEPS + "  - if: event.value > 3\n    then:\n      operator: notify.send\n      params: {message: x}\n", 11, 7, "wrong-type",
                                        '"then" must be a list', "begins with '- '"),
    "a for_each of another language": (STEPS + "  - for_each: x\n    in: [1, 2]\n    do: [{stop: true}]\n", 9, 15, "wrong-type", '"for_each" must be a mapping', "as: item"),
    "rules as a mapping": ("rules:\n  alarm:\n    name: Alarm\n", 2, 3, "wrong-type", '"rules" must be a list', "begins with '- '"),
    "a word": ("hello\n", 1, 1, "wrong-type", '"a rule" must be a mapping', "name:, trigger: and actions:"),
    "no steps": (GOOD[:GOOD.index("actions:")], 1, 1, "missing-key", 'has no "actions"', "list of steps"),
    "a bare template": (edit('"{{ event.deviceId }} is hot"', "{{ event.deviceId }} is hot"), 12, 16, "yaml-syntax", "a template needs quotes", '"{{ … }}"'),
    "nothing but a bare template": (edit('"{{ event.deviceId }} is hot"', "{{ event.deviceId }}"), 12, 16, "yaml-syntax", "a template needs quotes", '"{{ … }}"'),
    "a bare template behind a colon": (edit('"{{ event.deviceId }} is hot"', "Hot: {{ event.deviceId }}"), 12, 21, "yaml-syntax", "a template needs quotes", '"{{ … }}"'),
    "a template with one brace": (edit("deviceId }} is", "deviceId } is"), 12, 17, "expr-syntax", "this {{ has no }}", ""),
    "an open quote": (edit('is hot"', "is hot"), 12, 16, "yaml-syntax", "this quote is never closed", ""),
    "an open list": (edit("60]}]", "60]}"), 5, 12, "yaml-syntax", "is not closed by ']'", ""),
    "on": (edit("trigger:", "on:"), 2, 1, "unknown-key", 'unknown key "on"', 'did you mean "trigger"'),
    "a service": (edit("operator:", "service:"), 9, 5, "unknown-key", 'unknown key "service"', 'did you mean "operator"'),
    "a capital": (edit("trigger:", "Trigger:"), 2, 1, "unknown-key", 'unknown key "Trigger"', 'did you mean "trigger"'),
    "a letter too few": (edit("conditions:", "condition:"), 6, 1, "unknown-key", 'unknown key "condition"', 'did you mean "conditions"'),
    "an operator": (edit("notify.send", "notify.sned"), 9, 15, "unknown-operator", '"notify.sned"', 'did you mean "notify.send"'),
    "a parameter": (edit("message:", "mesage:"), 12, 7, "param-unknown", '"mesage"', 'did you mean "message"'),
    "a key twice": (edit("actions:", "conditions:\n  - event.x == 1\nactions:"), 8, 1, "duplicate-key", "first on line 6", ""),
    "yes": (edit("name: Alarm", "name: Alarm\nenabled: yes"), 2, 10, "wrong-type", "must be true or false", "YAML 1.2"),
    "a number for a name": (edit("name: Alarm", "name: 5"), 1, 7, "wrong-type", '"name" must be a string, is a number', "quotes"),
    "a number in quotes": (edit("60]", '"60"]'), 5, 29, "pattern-numeric", "a number is expected after the comparison, without quotes", ""),
    "a value that is no list": (edit('[{numeric: [">", 60]}]', "60"), 5, 12, "pattern-type", "must be a list of alternatives", "write value: [60]"),
    "a comparison as a text": (edit('[{numeric: [">", 60]}]', '"> 60"'), 5, 12, "pattern-type", "must be a list of alternatives", 'write value: [{numeric: [">", 60]}]'),
    "an operator outside its list": (edit('[{numeric: [">", 60]}]', '{numeric: [">", 60]}'), 5, 13, "pattern-field", "and is no operator", "[{numeric: ...}]"),
    "one equals sign": (edit("== 'boiler'", "= 'boiler'"), 7, 20, "expr-syntax", 'unknown operator "="', "=="),
    "another language's and": (edit("== 'boiler'", "== 'boiler' && event.value > 3"), 7, 32, "expr-syntax", '"&&"', "write and"),
    "curly quotes": (edit("'boiler'", "’boiler’"), 7, 23, "expr-syntax", "unexpected", "straight quotes"),
    "a schedule without a form": (SCHEDULE % "schedule: 08:30", 3, 13, "wrong-type", '"schedule" must be a mapping', 'at: "08:30"'),
    "a bare cron": (SCHEDULE % "schedule:\n    cron: * * * * *", 4, 11, "yaml-syntax", "starts with '*' needs quotes", "quotes"),
    "a cron that never fires": (SCHEDULE % 'schedule: {cron: "0 0 30 2 *"}', 3, 20, "cron-never", "never fires", ""),
    "a bare glob": (edit("device.Sensor", "*.Sensor"), 3, 10, "yaml-syntax", "starts with '*' needs quotes", "quotes"),
    "minutes in words": (STEPS + "  - delay: 10 minutes\n", 9, 12, "duration", '"10 minutes" is no duration', "10m"),
    "a clock for a duration": (STEPS + "  - delay: 00:10:00\n", 9, 12, "duration", '"00:10:00" is no duration', "10m"),
    "a colon in a text": (edit("Too hot", "Alarm: too hot"), 11, 19, "yaml-syntax", "a second ':' in the same line", "in quotes"),
    "a number sign in a text": (edit("Too hot", "Room #5 is hot"), 11, 19, "comment-in-text", "is a comment", "quotes"),
    "an at sign": (edit("Too hot", "@home"), 11, 14, "yaml-syntax", "cannot start with '@'", "quotes"),
    "a percent sign": (edit("Too hot", "%hot"), 11, 14, "yaml-syntax", "cannot start with '%'", "quotes"),
    "an event type": (edit("device.Sensor", "device.Senser"), 3, 10, "unknown-event", '"device.Senser"', 'did you mean "device.Sensor"'),
    "a field in a condition": (edit("event.deviceId ==", "event.deviceid =="), 7, 11, "undeclared-field", '"deviceid"', 'did you mean "deviceId"'),
    "a field in a pattern": (edit("    value: [", "    valu: ["), 5, 5, "undeclared-field", '"valu"', 'did you mean "value"'),
    "a field in a template": (edit("{{ event.deviceId", "{{ event.devicId"), 12, 26, "undeclared-field", '"devicId"', 'did you mean "deviceId"'),
    "a condition that never holds": (edit("event.deviceId == 'boiler'", "1 == 2"), 7, 5, "always-false", "never holds", ""),
    "a step behind a stop": (edit("actions:\n", "actions:\n  - stop: true\n"), 10, 5, "unreachable-step", "never reached", ""),
    "a secret": (edit("title: Too hot", "title: sk_live_1234567890abcdefghij"), 11, 14, "plain-secret", "looks like a secret", "!secret"),
    "a no-break space": (edit("  event: dev", "\u00a0\u00a0event: dev"), 3, 1, "yaml-syntax", "no-break space", "space bar"),
    "a long dash": (edit("  - event.deviceId", "  – event.deviceId"), 7, 3, "wrong-type", '"conditions" must be a list', "write '- '"),
    "curly quotes around a text": (edit('message: "{{ event.deviceId }} is hot"', "message: “{{ event.deviceId }} is hot”").replace(
        "    params:\n      title: Too hot\n      message: “{{ event.deviceId }} is hot”", "    params: {message: “{{ event.deviceId }} is hot”}"),
        10, 23, "yaml-syntax", "curly quote", "straight quotes"),
    "quotes inside quotes": (edit("title: Too hot", 'title: "Too "hot""'), 11, 20, "yaml-syntax", "text after the closing quote", "doubled"),
    "an apostrophe": (edit("title: Too hot", "title: 'It's hot'"), 11, 18, "yaml-syntax", "text after the closing quote", "doubled"),
    "another language's comment": (edit("name: Alarm\n", "name: Alarm\n// hot\n"), 2, 1, "yaml-syntax", "no comment", "'#'"),
    "home assistant's trigger": (edit("  event: device.Sensor\n  match:\n    value: [{numeric: [\">\", 60]}]\n", "  platform: state\n"), 3, 3, "unknown-key", '"platform"', '"event"'),
    "seconds as a mapping": (STEPS + "  - delay: {minutes: 5, seconds: 30}\n", 9, 12, "duration", "must be a duration", "write 5m30s"),
    "seven o'clock": (SCHEDULE % "schedule: {at: 7:00}", 3, 18, "time", '"7:00" is no time', "write 07:00"),
    "seven in the evening": (SCHEDULE % "schedule: {at: 7 pm}", 3, 18, "time", '"7 pm" is no time', "write 19:00"),
    "two times of day": (SCHEDULE % 'schedule: {at: ["07:00", "19:00"]}', 3, 18, "wrong-type", "must be a string, is a list", "triggers:"),
    "days of the week": (SCHEDULE % 'schedule: {at: "07:00", weekdays: [mon]}', 3, 27, "unknown-key", '"weekdays"', "mon-fri"),
    "six fields of cron": (SCHEDULE % 'schedule: {cron: "0 0 7 * * *"}', 3, 31, "cron-syntax", "follows the five fields", "leave out the first"),
    "a question mark in cron": (SCHEDULE % 'schedule: {cron: "0 7 ? * 1"}', 3, 25, "cron-syntax", '"?"', "write *"),
    "a time for a cron": (SCHEDULE % 'schedule: {cron: "7:00"}', 3, 22, "cron-syntax", "minute", 'at: "07:00"'),
    "words for a cron": (SCHEDULE % "schedule: {cron: every day at 7}", 3, 20, "cron-syntax", "minute", "every: 10m"),
    "an hour as a number": (edit("    params:", "    quiet_hours: {from: 22, to: '07:00'}\n    params:"), 10, 25, "bad-value", "must be a time of day", 'write "22:00"'),
    "quiet hours in one text": (edit("    params:", "    quiet_hours: 22:00-07:00\n    params:"), 10, 18, "wrong-type", "must be a mapping", "from: \"22:00\""),
    "three tries": (edit("    params:", "    retry: 3\n    params:"), 10, 12, "wrong-type", "must be a mapping", "maximum_attempts: 3"),
    "three an hour": (edit("    params:", "    rate_limit: 3/h\n    params:"), 10, 17, "wrong-type", "must be a mapping", "limit: 3, period: 1h"),
    "an event to end runs": (edit("name: Alarm\n", "name: Alarm\ncancel_on: device.Off\n"), 2, 12, "wrong-type", "must be a list", "[{event: device.Off}]"),
    "an else of its own": (STEPS + "  - if: event.value > 3\n    then: [{stop: true}]\n  - else: [{stop: true}]\n", 11, 5, "missing-key", '"else" needs "if"', "without '- '"),
    "parameters beside the operator": (STEPS + "  - operator: notify.send\n    message: hot\n", 10, 5, "unknown-key", '"message"', "under params: {name: value}"),
    "parameters as a list": (STEPS + "  - operator: notify.send\n    params:\n      - message: hot\n", 11, 7, "wrong-type", "must be a mapping", "params: {name: value}"),
    "an event to wait for": (STEPS + "  - wait_for: device.Off\n", 9, 15, "wrong-type", "must be a mapping", "event: the.Type"),
    "an event to emit": (STEPS + "  - emit: device.Off\n", 9, 11, "wrong-type", "must be a mapping", "event: the.Type"),
    "variables of a rule": (edit("name: Alarm\n", "name: Alarm\nvariables: {x: 1}\n"), 2, 1, "unknown-key", '"variables"', "set: {x: 1}"),
    "a variable by its bare name": (STEPS + "  - set: {x: 1}\n  - operator: core.log\n    params: {message: \"{{ x }}\"}\n", 11, 27, "unknown-root", '"x"', "write vars.x"),
    "half an operator": (edit("notify.send", "notify"), 9, 15, "unknown-operator", '"notify"', '"notify.send"'),
    "another system's mail": (edit("notify.send", "email.send"), 9, 15, "unknown-operator", '"email.send"', '"comms.sendEmail"'),
    "an operator for each method": (edit("notify.send", "http.post"), 9, 15, "unknown-operator", '"http.post"', '"http.request"'),
    "a message of node-red": (edit("event.deviceId ==", "msg.payload.deviceId =="), 7, 5, "unknown-root", '"msg"', "the payload is called event"),
    "an item of n8n": (edit("{{ event.deviceId", "{{ $json.deviceId"), 12, 20, "expr-syntax", '"$json"', "the payload is called event"),
    "a field without event": (edit("event.deviceId ==", "deviceId =="), 7, 5, "unknown-root", '"deviceId"', "event.deviceId"),
    "a text without quotes": (edit("'boiler'", "boiler"), 7, 23, "unknown-root", '"boiler"', "'boiler'"),
    "a state of home assistant": (edit("event.deviceId == 'boiler'", "states('boiler') == 'hot'"), 7, 5, "unknown-function", '"states"', "event.x"),
    "a filter of jinja": (edit("event.deviceId == 'boiler'", "event.value | float > 3"), 7, 19, "unknown-filter", '"float"', "| number"),
    "a test of jinja": (edit("event.deviceId == 'boiler'", "event.value is defined"), 7, 17, "expr-syntax", '"is"', "x ~= nil"),
    "not in": (edit("event.deviceId == 'boiler'", "event.deviceId not in ['a']"), 7, 20, "expr-syntax", '"not"', "not contains"),
    "a method": (edit("event.deviceId ==", "event.deviceId.toUpperCase() =="), 7, 31, "expr-syntax", '"toUpperCase"', "| upper"),
    "contains between": (edit("event.deviceId ==", "event.deviceId contains"), 7, 20, "expr-syntax", '"contains"', "contains(x, y)"),
    "a condition of python": (edit("{{ event.deviceId }}", "{{ 'a' if event.value else 'b' }}"), 12, 24, "expr-syntax", '"if"', "if(condition, a, b)"),
    "three equals signs": (edit("== 'boiler'", "=== 'boiler'"), 7, 20, "expr-syntax", '"==="', "=="),
    "the wrong order of signs": (edit("event.deviceId == 'boiler'", "event.value =< 3"), 7, 17, "expr-syntax", '"=<"', "<="),
    "a regular expression": (edit("== 'boiler'", "=~ 'boiler'"), 7, 20, "expr-syntax", '"=~"', "regex"),
    "three braces": (edit("{{ event.deviceId }}", "{{{ event.deviceId }}}"), 12, 19, "expr-syntax", '"{"', "two braces"),
    "greater than as a key": (edit('[{numeric: [">", 60]}]', "{gt: 60}"), 5, 17, "pattern-type", '"gt"', 'numeric: [">", 60]'),
    "greater than as an operator": (edit('[{numeric: [">", 60]}]', "[{gt: 60}]"), 5, 14, "pattern-operator", '"gt"', 'numeric: [">", 5]'),
    "not as an operator": (edit('[{numeric: [">", 60]}]', "[{not: 60}]"), 5, 14, "pattern-operator", '"not"', "anything-but"),
    "a pattern as a list": (edit("    value: [", "    - value: ["), 5, 5, "pattern-type", "is a mapping, here is a list", "without '- '"),
    "a pattern as an expression": (edit('match:\n    value: [{numeric: [">", 60]}]', "match: event.value > 60"), 4, 10, "pattern-type", "is a mapping", "conditions:"),
    # What loads, and would stay silent.
    "a comparison in a list": (edit('{numeric: [">", 60]}', '"> 60"'), 5, 13, "pattern-text", "letter by letter", 'numeric: [">", 60]'),
    "a star in a pattern": (edit('[{numeric: [">", 60]}]', '["boil*"]'), 5, 13, "pattern-text", "letter by letter", "wildcard"),
    "a template in a pattern": (edit('[{numeric: [">", 60]}]', '["{{ event.limit }}"]'), 5, 13, "pattern-text", "letter by letter", "in a condition"),
    "a key without braces": (edit("name: Alarm\n", "name: Alarm\nkey: event.deviceId\n"), 2, 6, "constant-key", "the same for all events", "{{ event.deviceId }}"),
    "a hundred percent": (edit("{{ event.deviceId }} is", "{% if event.value %}it{% endif %} is"), 12, 17, "foreign-template", "as it is written", "if(condition"),
    "a dollar": (edit("{{ event.deviceId }}", "${event.deviceId}"), 12, 17, "foreign-template", "as it is written", "{{ … }}"),
    "one brace": (edit("{{ event.deviceId }}", "{event.deviceId}"), 12, 17, "foreign-template", "as it is written", "two braces"),
    "a secret in quotes": (edit("title: Too hot", 'title: "!secret title"'), 11, 15, "foreign-template", "as it is written", "without the quotes"),
    "texts added up": (edit("{{ event.deviceId }}", "{{ 'The ' + event.deviceId }}"), 12, 20, "never-works", "only numbers", ".."),
    "the hour of now": (edit("event.deviceId == 'boiler'", "now.hour < 7"), 7, 9, "undeclared-field", "has no fields", "date('%H'"),
    "now and a time of day": (edit("event.deviceId == 'boiler'", "now > '22:00'"), 7, 5, "always-false", "never holds", "date('%H:%M'"),
    "between two bounds": (edit("event.deviceId == 'boiler'", "3 < event.value < 5"), 7, 5, "always-false", "never holds", "a < x and x < b"),
    "a field of the trigger": (edit("event.deviceId == 'boiler'", "trigger.to_state == 'on'"), 7, 13, "undeclared-field", "trigger has no such field", "event.x"),
    "bytes of another encoding": (edit("Too hot", "Zu hei\udcdf"), 11, 20, "yaml-encoding", "not valid UTF-8", "save the file as UTF-8"),
    "a zero byte": (edit('hot"', 'h\0t"'), 12, 42, "yaml-encoding", "NUL", ""),
}
# name: (condition or trigger line, payload, what `why` adds): a rule that loads and does not fire.
SILENT = {
    "a cover": ("- event.data.lux < 20", {"lux": 5}, "event is the payload itself: it has: lux"),
    "a length": ("- event.items.length > 2", {"items": [1, 2, 3]}, "write #event.items"),
    "a letter": ("- event.device.lx < 20", {"device": {"lux": 5}}, "did you mean event.device.lux?"),
    "no such field": ("- event.dark == true", {"lux": 5, "room": "hall"}, "event has: lux, room"),
    "a number as a text": ("- event.lux < 20", {"lux": "5"}, "| number"),
    "a dotted field": ("match: {device.room: [hall]}", {"device": {"room": "hall"}}, "device: {room: [...]}"),
    "a text for a number": ("match: {lux: ['5']}", {"lux": 5}, "without quotes"),
    "a number for a text": ("match: {lux: [5]}", {"lux": "5"}, "in quotes"),
    "a number as a text to numeric": ("match: {lux: [{numeric: ['<', 20]}]}", {"lux": "5"}, "| number"),
    "letter case": ("match: {room: [hall]}", {"room": "Hall"}, "equals-ignore-case"),
}
FINE = {
    "windows line ends": GOOD.replace("\n", "\r\n"), "a byte order mark": "\ufeff" + GOOD, "two documents": GOOD + "---\n" + GOOD.replace("Alarm", "Other"),
    "comments": GOOD.replace("Too hot", "Too hot # 5 degrees").replace("actions:", "actions: #what to do"),
    "a bare clock": SCHEDULE % "schedule: {at: 08:30}", "nothing": "", "only a comment": "# nothing\n",
}


class Beginners(harness.Case):
    maxDiff = None

    def check(self, texts):
        """{name: findings}, of one look at all files."""
        p = self.service(start=False)
        for i, text in enumerate(texts.values()):
            folder = os.path.join(p.rules, str(i))
            os.mkdir(folder)
            with open(os.path.join(folder, "rule.yaml"), "wb") as f:
                f.write(text.replace("name: Alarm", f"name: Alarm {i}" if "name: Alarm\n" in text else "name: Alarm").encode("utf-8", "surrogateescape"))
        found = {name: [] for name in texts}
        for line in p.cli("check", "--json").stdout.splitlines():
            finding = json.loads(line)
            if finding["file"].startswith(p.rules + "/"):
                found[list(texts)[int(finding["file"].split("/")[-2])]].append(finding)
        return found

    def test_each_mistake_has_one_finding(self):
        found = self.check({name: item[0] for name, item in MISTAKES.items()})
        wrong = []
        for name, (_, line, column, code, message, hint) in MISTAKES.items():
            if len(found[name]) == 1:
                f, = found[name]
                if (f["line"], f["column"], f["code"]) == (line, column, code) and message in f["message"] and hint in (f["hint"] or ""):
                    continue
            wrong.append((name, [(f["line"], f["column"], f["code"], f["message"], f["hint"]) for f in found[name]]))
        self.assertEqual(wrong, [])

    def test_what_looks_odd_and_is_fine(self):
        self.assertEqual({name: f for name, f in self.check(FINE).items() if f}, {})

    def test_why_says_what_would_mend_a_silent_rule(self):
        p, wrong = self.service(start=False), []
        for i, (line, _, _) in enumerate(SILENT.values()):
            match, conditions = ("  " + line + "\n", "") if line.startswith("match") else ("", "conditions:\n  " + line + "\n")
            with open(os.path.join(p.rules, f"silent-{i}.yaml"), "w", encoding="utf-8") as f:
                f.write(f"name: Silent {i}\ntrigger:\n  event: home.Motion\n{match}{conditions}actions:\n  - stop: true\n")
        for i, (name, (_, payload, hint)) in enumerate(SILENT.items()):
            said = p.cli("why", f"silent-{i}", "--event", "-", stdin=json.dumps({"type": "home.Motion", "data": payload})).stdout
            if f"    = " not in said or hint not in said:
                wrong.append((name, said))
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    harness.main()
