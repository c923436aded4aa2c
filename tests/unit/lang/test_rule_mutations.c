/* SPDX-License-Identifier: Apache-2.0 */
/* A good rule with one edit each: one finding, at the place of the edit, with its code. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "lang/rule_kit.h"

static const char good[] =
    /*  1 */ "name: VIP follow-up\n"
             /*  2 */ "id: vip\n"
             /*  3 */ "description: Say sorry\n"
             /*  4 */ "enabled: true\n"
             /*  5 */ "tags: [calls, vip]\n"
             /*  6 */ "priority: 5\n"
             /*  7 */ "triggers:\n"
             /*  8 */ "  - id: missed\n"
             /*  9 */ "    event: comms.CallMissed\n"
             /* 10 */ "    match:\n"
             /* 11 */ "      direction: [inbound]\n"
             /* 12 */ "  - id: morning\n"
             /* 13 */ "    schedule:\n"
             /* 14 */ "      cron: \"0 8 * * 1-5\"\n"
             /* 15 */ "      timezone: UTC\n"
             /* 16 */ "      dst: once\n"
             /* 17 */ "      catch_up: 2h\n"
             /* 18 */ "conditions:\n"
             /* 19 */ "  - operator: comms.missedCalls\n"
             /* 20 */ "    params: {contactId: \"{{ event.fromContactId }}\", count: 3}\n"
             /* 21 */ "  - any:\n"
             /* 22 */ "      - operator: contact.HasTag\n"
             /* 23 */ "        params: {tag: \"vip\"}\n"
             /* 24 */ "      - not:\n"
             /* 25 */ "          expr: \"{{ event.n > 3 }}\"\n"
             /* 26 */ "actions:\n"
             /* 27 */ "  - id: mail\n"
             /* 28 */ "    operator: comms.sendEmail\n"
             /* 29 */ "    as: sent\n"
             /* 30 */ "    params:\n"
             /* 31 */ "      to: \"{{ event.fromContactId }}\"\n"
             /* 32 */ "      subject: \"Sorry\"\n"
             /* 33 */ "      body: |\n"
             /* 34 */ "        Hello {{ event.name | default('you') }},\n"
             /* 35 */ "        {{ vars.sign }}\n"
             /* 36 */ "    timeout: 10s\n"
             /* 37 */ "    retry: {initial_interval: 1s, maximum_attempts: 3, backoff_coefficient: 1.5, non_retryable: "
             "[bad]}\n"
             /* 38 */ "    on_error:\n"
             /* 39 */ "      - operator: core.log\n"
             /* 40 */ "        params: {message: \"{{ error.message }}\"}\n"
             /* 41 */ "  - set: {sign: \"Bye\", n: 1}\n"
             /* 42 */ "  - delay: 10m\n"
             /* 43 */ "  - if: \"{{ event.n > 1 }}\"\n"
             /* 44 */ "    then:\n"
             /* 45 */ "      - stop: \"enough\"\n"
             /* 46 */ "    else:\n"
             /* 47 */ "      - emit:\n"
             /* 48 */ "          event: my.Done\n"
             /* 49 */ "          data: {to: \"{{ sent.messageId }}\"}\n"
             /* 50 */ "  - choose:\n"
             /* 51 */ "      - if: event.n == 1\n"
             /* 52 */ "        do:\n"
             /* 53 */ "          - operator: core.log\n"
             /* 54 */ "            params: {message: one}\n"
             /* 55 */ "    else:\n"
             /* 56 */ "      - operator: core.log\n"
             /* 57 */ "        params: {message: \"{{ steps.mail.messageId }}\"}\n"
             /* 58 */ "  - for_each: {in: \"{{ event.items }}\", as: item, max: 10}\n"
             /* 59 */ "    do:\n"
             /* 60 */ "      - operator: comms.sendSms\n"
             /* 61 */ "        params: {to: \"{{ item.to }}\", body: \"Hi {{ item.name }}\"}\n"
             /* 62 */ "  - stop: true\n";

static const struct mutation {
    const char *find, *replace;
    int line, column;
    const char *code, *hint; /* hint: part of the hint, or NULL */
} mutations[] = {
    /* YAML itself */
    {"name: VIP follow-up\n", "name: [VIP\n", 1, 7, "yaml-syntax", NULL},
    {"id: vip\n", "id: vip\nid: vip\n", 3, 1, "duplicate-key", NULL},
    {"      to: \"{{", "\tto: \"{{", 31, 1, "yaml-syntax", NULL},
    {"to: \"{{ event.fromContactId }}\"", "to: {{ event.fromContactId }}", 31, 11, "yaml-syntax", "\"{{"},
    {"subject: \"Sorry\"", "subject: \"Sorry", 32, 16, "yaml-syntax", NULL},
    {"subject: \"Sorry\"", "subject: *nobody", 32, 16, NULL, NULL},
    {"subject: \"Sorry\"", "subject: !frob x", 32, 16, NULL, NULL},
    /* heads */
    {"name: VIP follow-up\n", "", 1, 1, "missing-key", NULL},
    {"name: VIP follow-up\n", "name: 3\n", 1, 7, "wrong-type", "quotes"},
    {"name: VIP follow-up\n", "name: \"\"\n", 1, 7, "empty-text", NULL},
    {"name: VIP follow-up\n", "nam: VIP follow-up\n", 1, 1, "unknown-key", "name"},
    {"id: vip\n", "id: a b\n", 2, 5, "bad-name", NULL},
    {"id: vip\n", "id: {a: b}\n", 2, 5, "wrong-type", NULL},
    {"description: Say sorry", "description: [x]", 3, 14, "wrong-type", NULL},
    {"enabled: true", "enabled: yes", 4, 10, "wrong-type", "true and false"},
    {"tags: [calls, vip]", "tags: calls", 5, 7, "wrong-type", NULL},
    {"tags: [calls, vip]", "tags: [calls, 7]", 5, 15, "wrong-type", NULL},
    {"priority: 5", "priority: high", 6, 11, "wrong-type", NULL},
    {"priority: 5", "priority: 5000000", 6, 11, "out-of-range", NULL},
    {"priority: 5", "prioriti: 5", 6, 1, "unknown-key", "priority"},
    {"priority: 5", "timeout: soon", 6, 10, "duration", NULL},
    {"priority: 5", "on_change: finnish", 6, 12, "bad-value", "finish"},
    {"priority: 5", "cancel_on: {event: a.B}", 6, 12, "wrong-type", NULL},
    {"priority: 5", "cancel_on: []", 6, 12, "empty-list", NULL},
    {"priority: 5", "cancel_on: [{evnt: a.B}]", 6, 14, "unknown-key", "event"},
    {"priority: 5", "cancel_on: [{match: {a: [1]}}]", 6, 13, "missing-key", NULL},
    {"priority: 5", "cancel_on: [{event: a..B}]", 6, 21, "event-type", NULL},
    {"priority: 5", "throttle: 12h", 6, 11, "wrong-type", NULL},
    {"priority: 5", "throttle: {}", 6, 11, "missing-key", "once_within"},
    {"priority: 5", "throttle: {once_within: 12}", 6, 25, "duration", NULL},
    {"priority: 5", "throttle: {once_with: 12h}", 6, 12, "unknown-key", "once_within"},
    {"priority: 5", "throttle: {once_after: 0s}", 6, 24, "duration", NULL},
    {"priority: 5", "mode: singel", 6, 7, "bad-value", "single"},
    {"priority: 5", "mode: [single]", 6, 7, "wrong-type", NULL},
    {"priority: 5", "max: 3", 6, 1, "misplaced-key", "queued"},
    {"priority: 5", "mode: single\nmax: 3", 7, 1, "misplaced-key", NULL},
    {"priority: 5", "mode: restart\nmax_exceeded: drop_oldest", 7, 1, "misplaced-key", NULL},
    {"priority: 5", "mode: queued\nmax: 0", 7, 6, "out-of-range", NULL},
    {"priority: 5", "mode: queued\nmax: many", 7, 6, "wrong-type", NULL},
    {"priority: 5", "mode: queued\nmax_exceeded: drop_old", 7, 15, "bad-value", "drop_oldest"},
    {"priority: 5", "mode: parallel\nmax_exceeded: drop_oldest", 7, 1, "missing-key", "max"},
    {"priority: 5", "key: \"{{ steps.mail.x }}\"", 6, 10, "unknown-root", NULL},
    {"priority: 5", "key: \"{{ event.x\"", 6, 7, "expr-syntax", NULL},
    {"priority: 5", "key: 7", 6, 6, "wrong-type", NULL},
    {"priority: 5", "use_blueprint: {path: x.yaml}", 6, 1, "conflicting-keys", NULL},
    {"priority: 5", "trigger: {event: a.B}", 7, 1, "conflicting-keys", NULL},
    /* triggers */
    {"triggers:\n", "tiggers:\n", 7, 1, "unknown-key", "triggers"},
    {"event: comms.CallMissed\n", "evnt: comms.CallMissed\n", 9, 5, "unknown-key", "event"},
    {"event: comms.CallMissed\n", "event: comms..CallMissed\n", 9, 12, "event-type", NULL},
    {"event: comms.CallMissed\n", "event: \"comms CallMissed\"\n", 9, 12, "event-type", NULL},
    {"event: comms.CallMissed\n", "event: [comms.CallMissed]\n", 9, 12, "wrong-type", NULL},
    {"event: comms.CallMissed\n", "sun: sunset\n", 10, 5, "misplaced-key", NULL},
    {"event: comms.CallMissed\n", "event: comms.CallMissed\n    for: 0s\n", 10, 10, "duration", NULL},
    {"event: comms.CallMissed\n", "event: comms.CallMissed\n    for: long\n", 10, 10, "duration", NULL},
    {"event: comms.CallMissed\n", "event: comms.CallMissed\n    max_keys: 5\n", 10, 5, "misplaced-key", NULL},
    {"event: comms.CallMissed\n    match:", "event: comms.CallMissed\n    for: 10m\n    metch:", 11, 5, "unknown-key",
        "match"},
    {"timezone: UTC\n      dst: once\n      catch_up: 2h\n", "timezone: UTC\n    for: 10m\n", 16, 5, "misplaced-key",
        NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "count: {event: a.B, at_least: 3}\n", 13, 12, "missing-key", "within"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "count: {event: a.B, at_least: 0, within: 1h}\n", 13, 35, "out-of-range", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "count: {event: a..B, at_least: 3, within: 1h}\n", 13, 20, "event-type", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "count: {event: a.B, at_leest: 3, within: 1h}\n", 13, 25, "unknown-key", "at_least"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "absence: {event: a.B}\n", 13, 14, "missing-key", "for"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "absence: {event: a.B, for: 1h, expect: [x]}\n", 13, 36, "missing-key", "key"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "absence: {event: a.B, for: 1h, expect: []}\n", 13, 44, "empty-list", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{event: a.B}, {event: b.C}]}\n", 13, 15, "missing-key", "within"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{not: a.B}, {event: b.C}], within: 1h}\n", 13, 24, "bad-value", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{event: a.B}], within: 1h}\n", 13, 23, "bad-value", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{event: a.B}, {not: b.C, count: 2}], within: 1h}\n", 13, 49, "misplaced-key", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{event: a.B, as: x}, {event: b.C, as: x}], within: 1h}\n", 13, 62, "duplicate-name", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sequence: {steps: [{match: {a: [1]}}, {event: b.C}], within: 1h}\n", 13, 24, "missing-key", "event"},
    {"event: comms.CallMissed\n", "event: comms.CallMissed\n    schedule: {every: 5m}\n", 10, 5, "conflicting-keys",
        NULL},
    {"direction: [inbound]", "direction: inbound", 11, 18, NULL, NULL},
    {"direction: [inbound]", "direction: [{prefx: in}]", 11, 20, NULL, NULL},
    {"direction: [inbound]", "direction: [{numeric: [\"<\", x]}]", 11, 35, NULL, NULL},
    {"id: morning", "id: missed", 12, 9, "duplicate-id", NULL},
    {"cron: \"0 8 * * 1-5\"", "cron: \"0 61 * * 1-5\"", 14, 16, "cron-syntax", NULL},
    {"cron: \"0 8 * * 1-5\"", "cron: \"0 0 30 2 *\"", 14, 13, "cron-never", NULL},
    {"cron: \"0 8 * * 1-5\"", "cronn: \"0 8 * * 1-5\"", 14, 7, "unknown-key", "cron"},
    {"cron: \"0 8 * * 1-5\"", "every: 5 minutes", 14, 14, "duration", NULL},
    {"cron: \"0 8 * * 1-5\"", "every: 10ms", 14, 14, "duration", NULL},
    {"cron: \"0 8 * * 1-5\"", "at: \"25:00\"", 14, 11, "time", NULL},
    {"cron: \"0 8 * * 1-5\"", "at: \"08:00\"\n      every: 5m", 15, 7, "conflicting-keys", NULL},
    {"cron: \"0 8 * * 1-5\"\n      ", "", 14, 7, "missing-key", NULL},
    {"timezone: UTC", "timezone: Europe/Atlantis", 15, 17, "timezone", NULL},
    {"dst: once", "dst: twice", 16, 12, "bad-value", NULL},
    {"catch_up: 2h", "catch_up: 2 h", 17, 17, "duration", NULL},
    {"catch_up: 2h", "jitter: soon", 17, 15, "duration", NULL},
    {"catch_up: 2h", "overlap: skp", 17, 16, "bad-value", "skip"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: sunst\n", 13, 10, "bad-value", "sunset"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: sunset\n", 13, 10, "missing-key", "location"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: {at: rising, latitude: 1, longitude: 2}\n", 13, 15, "missing-key", "elevation"},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: {at: dawn, elevation: 2, latitude: 1, longitude: 2}\n", 13, 32, "conflicting-keys", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: {at: rising, elevation: 80, latitude: 52, longitude: 2}\n", 13, 10, "sun-never", NULL},
    {"schedule:\n      cron: \"0 8 * * 1-5\"\n      timezone: UTC\n      dst: once\n      catch_up: 2h\n",
        "sun: {at: dusk, offset: 13h, latitude: 52, longitude: 2}\n", 13, 29, "duration", NULL},
    /* conditions */
    {"  - operator: comms.missedCalls\n    params: {contactId: \"{{ event.fromContactId }}\", count: 3}\n",
        "  - operator: comms.misedCalls\n", 19, 15, "unknown-operator", "comms.missedCalls"},
    {"operator: comms.missedCalls", "operator: comms.sendSms", 19, 15, "operator-kind", NULL},
    {"operator: comms.missedCalls", "operater: comms.missedCalls", 19, 5, "unknown-key", "operator"},
    {", count: 3}", "}", 20, 13, "param-missing", NULL},
    {", count: 3}", ", cont: 3}", 20, 54, "param-unknown", "count"},
    {", count: 3}", ", count: \"3\"}", 20, 61, "param-type", "without quotes"},
    {", count: 3}", ", count: 0}", 20, 61, "param-type", NULL},
    {", count: 3}", ", count: \"x {{ event.n }}\"}", 20, 61, "param-type", NULL},
    {"contactId: \"{{ event.fromContactId }}\"", "contactId: 17", 20, 25, "param-type", "quotes"},
    {"  - any:\n", "  - any: {}\n  - any:\n", 21, 10, "wrong-type", NULL},
    {"  - any:\n", "  - any: []\n  - any:\n", 21, 10, "empty-list", NULL},
    {"  - any:\n", "  - 17\n  - any:\n", 21, 5, "wrong-type", NULL},
    {"  - any:\n", "  - {}\n  - any:\n", 21, 5, "missing-key", NULL},
    {"  - any:\n", "  - lua: return bad\n  - any:\n", 21, 17, "lua-syntax", NULL},
    {"  - any:\n", "  - lua: |\n      x = 1\n      return  bad\n  - any:\n", 23, 15, "lua-syntax", NULL},
    {"  - any:\n", "  - lua: [1]\n  - any:\n", 21, 10, "wrong-type", NULL},
    {"  - any:\n", "  - lua: return true\n    params: {a: 1}\n  - any:\n", 22, 5, "misplaced-key", NULL},
    {"        params: {tag: \"vip\"}\n", "", 22, 19, "param-missing", NULL},
    {"params: {tag: \"vip\"}", "params: [vip]", 23, 17, "wrong-type", NULL},
    {"params: {tag: \"vip\"}", "params: {tag: \"\"}", 23, 23, "param-type", NULL},
    {"params: {tag: \"vip\"}", "params: {tag: \"vip\"}\n        expr: \"true\"", 24, 9, "conflicting-keys", NULL},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ event.n != 3 }}\"", 25, 29, "expr-syntax", "~="},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ evnt.n > 3 }}\"", 25, 21, "unknown-root", "event"},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ vars.n > 3 }}\"", 25, 21, "unknown-root", "before the actions"},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ events.a.n > 3 }}\"", 25, 28, "unknown-step", "as"},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ event.n }} > 3\"", 25, 31, "expr-syntax", NULL},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ event.n > error.n }}\"", 25, 31, "unknown-root", NULL},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ event.n | roud > 3 }}\"", 25, 31, "unknown-filter", "round"},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ round(event.n, 1, 2) }}\"", 25, 21, "filter-args", NULL},
    {"expr: \"{{ event.n > 3 }}\"", "expr: \"{{ rond(event.n) }}\"", 25, 21, "unknown-function", "round"},
    /* steps */
    {"actions:\n", "actons:\n", 26, 1, "unknown-key", "actions"},
    {"actions:\n", "", 26, 5, "misplaced-item", "actions:"},
    {"conditions:\n", "", 18, 5, "misplaced-item", "conditions:"},
    {"    else:\n      - operator: core.log\n", "      - operator: core.log\n", 55, 9, "unknown-key", NULL},
    {"    operator: comms.sendEmail\n", "", 29, 5, "missing-key", NULL},
    {"        params: {to: \"{{ item.to }}\", body: \"Hi {{ item.name }}\"}\n", "", 60, 19, "param-missing", NULL},
    {"  - id: missed\n", "  - id: missed\n  - id: missed\n", 8, 5, "missing-key", NULL},
    {"  - id: mail\n", "  - id: mail\n  - id: mail\n", 27, 5, "missing-key", NULL},
    {"    params:\n      to", "    parasm:\n      to", 30, 5, "unknown-key", "params"},
    {"- if: \"{{", "- fi: \"{{", 43, 5, "unknown-key", "if"},
    {"    do:\n      - operator: comms.sendSms", "    od:\n      - operator: comms.sendSms", 59, 5, "unknown-key",
        "do"},
    {"        params: {message: one}", "        params: {messaeg: one}", 54, 21, "param-missing", NULL},
    {"        Hello {{ event", "        Hello { event", 34, 15, "expr-syntax", "{{"},
    {"Hi {{ item.name }}", "Hi { item.name }}", 61, 49, "expr-syntax", "{{"},
    {"actions:\n", "steps:\n", 26, 1, "unknown-key", NULL},
    {"id: mail\n", "id: my mail\n", 27, 9, "bad-name", NULL},
    {"operator: comms.sendEmail", "operator: comms.sendMail", 28, 15, "unknown-operator", "comms.sendEmail"},
    {"operator: comms.sendEmail", "operator: contact.HasTag", 28, 15, "operator-kind", NULL},
    {"operator: comms.sendEmail", "operator: \"{{ event.op }}\"", 28, 15, "unknown-operator", NULL},
    {"    as: sent\n", "    as: event\n", 29, 9, "reserved-name", NULL},
    {"      to: \"{{ event.fromContactId }}\"\n", "", 31, 7, "param-missing", NULL},
    {"      to: \"{{ event.fromContactId }}\"", "      ot: \"{{ event.fromContactId }}\"", 31, 7, "param-unknown",
        "to"},
    {"subject: \"Sorry\"", "subject: [Sorry]", 32, 16, "param-type", NULL},
    {"subject: \"Sorry\"", "subject: [\"{{ event.n }}\"]", 32, 16, "param-type", NULL},
    {"subject: \"Sorry\"", "subject: \"Sorry\"\n      cc: [a, 7]", 33, 15, "param-type", NULL},
    {"subject: \"Sorry\"", "subject: \"Sorry\"\n      options: {htm: true}", 33, 17, "param-unknown", "html"},
    {"{{ event.name | default('you') }}", "{{ evet.name | default('you') }}", 34, 18, "unknown-root", "event"},
    {"{{ vars.sign }}", "{{ vars.sgin }}", 35, 17, "unknown-var", "sign"},
    {"timeout: 10s", "timeout: 10", 36, 14, "duration", NULL},
    {"timeout: 10s", "timout: 10s", 36, 5, "unknown-key", "timeout"},
    {"timeout: 10s", "rate_limit: {limit: 1}", 36, 17, "missing-key", "period"},
    {"timeout: 10s", "rate_limit: {limit: 0, period: 1h}", 36, 25, "out-of-range", NULL},
    {"timeout: 10s", "rate_limit: {limit: 1, period: 1h, per: x}", 36, 40, "unknown-key", NULL},
    {"timeout: 10s", "rate_limit: {limit: 1, period: 1h, key: \"{{ evnt.x }}\"}", 36, 49, "unknown-root", NULL},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\"}", 36, 18, "missing-key", "07:00"},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\", to: \"7:00\"}", 36, 38, "bad-value", "07:00"},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\", to: \"24:00\"}", 36, 38, "bad-value", "22:00"},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\", to: \"22:00\"}", 36, 38, "bad-value", NULL},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\", to: \"07:00\", policy: dorp}", 36, 55, "bad-value", "drop"},
    {"timeout: 10s", "quiet_hours: {from: \"22:00\", to: \"07:00\", timezone: Mars/X}", 36, 57, "timezone", NULL},
    {"timeout: 10s", "delivery: twice", 36, 15, "bad-value", NULL},
    {"  - delay: 10m", "  - delay: 10m\n    rate_limit: {limit: 1, period: 1h}", 43, 5, "misplaced-key", NULL},
    {"maximum_attempts: 3", "maximum_attempts: 0", 37, 53, "out-of-range", NULL},
    {"maximum_attempts: 3", "max_attempts: 3", 37, 35, "unknown-key", NULL},
    {"backoff_coefficient: 1.5", "backoff_coefficient: 0.5", 37, 77, "out-of-range", NULL},
    {"non_retryable: [bad]", "non_retryable: bad", 37, 97, "wrong-type", NULL},
    {"      - operator: core.log\n        params: {message: \"{{ error.message }}\"}\n", "      operator: core.log\n",
        39, 7, "wrong-type", NULL},
    {"    as: sent\n", "    ass: sent\n", 29, 5, "unknown-key", "as"},
    {"  - set: {sign: \"Bye\", n: 1}", "  - sett: {sign: \"Bye\", n: 1}", 41, 5, "unknown-key", "set"},
    {"as: item, max: 10", "ass: item, max: 10", 58, 41, "unknown-key", "as"},
    {"set: {sign: \"Bye\", n: 1}", "set: {sign: \"Bye\", now: 1}", 41, 24, "reserved-name", NULL},
    {"  - set: {sign", "  - set: {}\n  - set: {sign", 41, 10, "empty-list", NULL},
    {"  - delay: 10m", "  - delay: soon", 42, 12, "duration", NULL},
    {"  - delay: 10m", "  - delay: -5", 42, 12, "duration", NULL},
    {"  - delay: 10m", "  - delay: 10m\n    retry: {}", 43, 5, "misplaced-key", NULL},
    {"  - delay: 10m", "  - delay: 10m\n    stop: true", 43, 5, "conflicting-keys", NULL},
    {"  - delay: 10m", "  - approve: {schema: true}", 42, 14, "missing-key", NULL},
    {"  - delay: 10m", "  - approve: {prompt: x, default: true}", 42, 26, "missing-key", NULL},
    {"  - delay: 10m", "  - approve: {prompt: x, schema: {typ: y}}", 42, 34, "bad-schema", NULL},
    {"  - delay: 10m", "  - approve: {prompt: x, timeout: 1h, schema: {type: integer}, default: a}", 42, 73,
        "bad-value", NULL},
    {"  - delay: 10m", "  - wait_for: {evnt: a.B}", 42, 16, "unknown-key", "event"},
    {"  - delay: 10m", "  - wait_for: {timeout: 1h}", 42, 15, "missing-key", NULL},
    {"  - delay: 10m", "  - wait_for: {event: a..B}", 42, 23, "event-type", NULL},
    {"  - delay: 10m", "  - wait_for: {event: a.B, timeout: -1}", 42, 37, "duration", NULL},
    {"  - delay: 10m", "  - wait_for: {event: a.B, match: {id: \"{{ event.id }}\"}}", 42, 40, "pattern-type", NULL},
    {"  - delay: 10m", "  - wait_for: {event: a.B, match: {n: [{numeric: [\"<\"]}]}}", 42, 51, "pattern-numeric", NULL},
    {"  - delay: 10m", "  - parallel: []", 42, 15, "empty-list", NULL},
    {"  - delay: 10m", "  - parallel: {operator: x.y}", 42, 15, "wrong-type", NULL},
    {"  - delay: 10m", "  - parallel: [5]", 42, 16, "wrong-type", NULL},
    {"  - delay: 10m", "  - parallel: [{delai: 1m}]", 42, 17, "unknown-key", NULL},
    {"  - delay: 10m", "  - {}", 42, 5, "missing-key", NULL},
    {"  - delay: 10m", "  - delay", 42, 5, "wrong-type", NULL},
    {"    then:\n      - stop: \"enough\"\n    else:\n", "    else:\n", 43, 5, "missing-key", NULL},
    {"  - if: \"{{ event.n > 1 }}\"\n    then", "  - then", 43, 5, "missing-key", NULL},
    {"    then:\n      - stop: \"enough\"\n", "    then: []\n", 44, 11, "empty-list", NULL},
    {"- stop: \"enough\"", "- stop: false", 45, 15, "wrong-type", NULL},
    {"event: my.Done", "event: my Done", 48, 18, "event-type", NULL},
    {"          event: my.Done\n", "", 48, 11, "missing-key", NULL},
    {"{{ sent.messageId }}", "{{ snt.messageId }}", 49, 26, "unknown-root", "sent"},
    {"      - if: event.n == 1\n        do:", "      - do:", 51, 9, "missing-key", NULL},
    {"if: event.n == 1", "if: event.n = 1", 51, 21, "expr-syntax", "=="},
    {"if: event.n == 1", "if: 1", 51, 13, "wrong-type", NULL},
    {"{{ steps.mail.messageId }}", "{{ steps.male.messageId }}", 57, 37, "unknown-step", "mail"},
    {"{in: \"{{ event.items }}\", as: item, max: 10}", "{in: \"{{ event.items }}\", max: 10}", 58, 15, "missing-key",
        NULL},
    {"{in: \"{{ event.items }}\", as: item, max: 10}", "{as: item, max: 10}", 58, 15, "missing-key", NULL},
    {"in: \"{{ event.items }}\"", "in: event.items", 58, 20, "wrong-type", NULL},
    {"as: item, max: 10", "as: sent, max: 10", 58, 45, "duplicate-name", NULL},
    {"max: 10}", "max: many}", 58, 56, "wrong-type", NULL},
    {"    do:\n      - operator: comms.sendSms\n        params: {to: \"{{ item.to }}\", body: \"Hi {{ item.name "
     "}}\"}\n",
        "", 58, 5, "missing-key", NULL},
    {"body: \"Hi {{ item.name }}\"", "body: \"Hi {{ itm.name }}\"", 61, 52, "unknown-root", "item"},
    {"body: \"Hi {{ item.name }}\"", "body: \"Hi {{ item.name\"", 61, 49, "expr-syntax", NULL},
    {"  - stop: true", "  - operator: core.log\n    params: {message: \"{{ item.name }}\"}", 63, 27, "unknown-root",
        "for_each"},
    {"  - stop: true", "  - stop: true\n    continue_on_error: maybe", 63, 24, "wrong-type", NULL},
    {"  - stop: true", "  - stop: true\n    id: mail", 63, 9, "duplicate-id", NULL},
};

static char *mutate(const struct mutation *m)
{
    const char *hit = strstr(good, m->find);
    if (!hit)
        fail_msg("\"%s\" is not in the rule", m->find);
    size_t size = strlen(good) + strlen(m->replace) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    snprintf(text, size, "%.*s%s%s", (int)(hit - good), good, m->replace, hit + strlen(m->find));
    return text;
}

static void show(const struct peri_diag *diag)
{
    for (size_t i = 0; i < diag->count; i++)
        print_message("  %d:%d %s [%s] (%s)\n", diag->items[i].line, diag->items[i].column, diag->items[i].message,
            diag->items[i].code, diag->items[i].hint ? diag->items[i].hint : "");
}

static bool agrees(const struct mutation *m, const struct peri_diag *diag)
{
    if (diag->count != 1)
        return false;
    const struct peri_finding *f = &diag->items[0];
    return f->line == m->line && f->column == m->column && (!m->code || strcmp(f->code, m->code) == 0) &&
           (!m->hint || (f->hint && strstr(f->hint, m->hint))) && strcmp(f->file, "vip.yaml") == 0 && f->message[0];
}

static void test_the_good_rule_loads(void **state)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    struct kit *kit = *state;
    enum peri_status st = peri_rules_load_text("vip.yaml", good, strlen(good), &kit->env, &list, &diag);
    show(&diag);
    assert_int_equal(st, PERI_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(diag.count, 0);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
}

static void test_each_mistake_is_one_finding(void **state)
{
    struct kit *kit = *state;
    size_t wrong = 0;
    assert_true(sizeof(mutations) / sizeof(mutations[0]) >= 60);
    for (size_t i = 0; i < sizeof(mutations) / sizeof(mutations[0]); i++) {
        const struct mutation *m = &mutations[i];
        struct peri_rule_list list = {0};
        struct peri_diag diag;
        peri_diag_init(&diag);
        char *text = mutate(m);
        enum peri_status st = peri_rules_load_text("vip.yaml", text, strlen(text), &kit->env, &list, &diag);
        if (st != PERI_EINVAL || list.count != 0 || !agrees(m, &diag)) {
            print_message("%zu: \"%s\" for \"%s\": wanted %d:%d %s %s\n", i, m->replace, m->find, m->line, m->column,
                m->code ? m->code : "", m->hint ? m->hint : "");
            show(&diag);
            wrong++;
        }
        peri_rule_list_finish(&list);
        peri_diag_finish(&diag);
        free(text);
    }
    assert_int_equal(wrong, 0);
}

/* Every single key left out, every line cut off: never a crash, and only findings with a place. */
static void test_cut_files(void **state)
{
    struct kit *kit = *state;
    for (size_t len = 0; len < sizeof(good); len += 7) {
        struct peri_rule_list list = {0};
        struct peri_diag diag;
        peri_diag_init(&diag);
        enum peri_status st = peri_rules_load_text("vip.yaml", good, len, &kit->env, &list, &diag);
        assert_true(st == PERI_OK || diag.errors > 0);
        for (size_t i = 0; i < diag.count; i++)
            assert_true(diag.items[i].line > 0 && diag.items[i].column > 0);
        peri_rule_list_finish(&list);
        peri_diag_finish(&diag);
    }
}

static int setup(void **state)
{
    static struct kit kit;
    kit_init(&kit);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_finish(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_good_rule_loads),
        cmocka_unit_test(test_each_mistake_is_one_finding),
        cmocka_unit_test(test_cut_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
