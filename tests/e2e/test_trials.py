#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee test: tests of rules with virtual time."""
import glob
import os
import shutil
import xml.etree.ElementTree

import harness
from test_check import lines
from test_schema import RULES

RULE = """name: Knock
trigger: {event: door.Knock}
conditions:
  - expr: event.who ~= 'nobody'
actions:
  - operator: core.log
    params: {message: "{{ event.who }} knocks"}
  - delay: 10m
  - operator: notify.send
    params: {message: "{{ event.who }} is still there"}
"""


class Tests(harness.Case):
    def run_test(self, tests, rule=RULE, options=(), expect=None, head=""):
        """Runs the tests against the rule and returns what --json says of each."""
        self.p = self.service(start=False, rules={"knock.yaml": rule, "knock.test.yaml": head + "tests:\n" + tests})
        self.file = os.path.join(self.p.rules, "knock.test.yaml")
        return lines(self.p.cli("test", self.file, "--json", *options, expect=expect).stdout)

    def one(self, steps, **more):
        result, = self.run_test("  - name: t\n    steps:\n" + steps, **more)
        return result

    def failures(self, steps, **more):
        result = self.one(steps, expect=1, **more)
        self.assertFalse(result["ok"])
        return [f["message"] for f in result["failures"]]


class Trials(Tests):
    def test_time_goes_only_when_told(self):
        steps = """
      - {event: door.Knock, data: {who: Ada}, expect: {runs: {knock: sleeping}, counts: {core.log: 1, notify.send: 0}}}
      - {advance: 9m59s999ms, expect: {runs: {knock: sleeping}, actions: []}}
      - restart: true
      - {advance: 1ms, expect: {runs: {knock: succeeded}, messages: [{body: Ada is still there}]}}
"""
        self.assertTrue(self.one(steps, expect=0)["ok"])

    def test_a_failure_says_what_happened_and_where(self):
        steps = """
      - event: door.Knock
        data: {who: nobody}
        expect: {verdicts: {knock: fired}}
"""
        result = self.one(steps, expect=1)
        failure, = result["failures"]
        self.assertEqual(failure["message"], "the verdict of knock is no (event.who ~= 'nobody' is not true), expected fired")
        self.assertEqual((failure["file"], failure["line"], failure["column"], failure["code"]), (self.file, 7, 36, "test-failed"))
        text = self.p.cli("test", self.file, expect=1).stdout
        self.assertIn("  FAIL  t\n", text)
        self.assertIn("        |                                    ^", text)
        self.assertIn("1 of 1 tests failed", text)

    def test_every_kind_of_failure(self):
        knock = "\n      - event: door.Knock\n        data: {who: Ada}\n        expect: {%s}\n"
        for expected, message in (
                ("actions: []", '1 more action was called than expected, first core.log with {"message":"Ada knocks"}'),
                ("actions: [{operator: notify.send}]", 'expected the action notify.send, but core.log was called with {"message":"Ada knocks"}'),
                ("actions: [{operator: core.log, times: 2}]", "expected the action core.log, but no further one was called"),
                ("actions: [{operator: core.log, params: {message: x}}]", 'core.log at /message is "Ada knocks", expected "x"'),
                ("actions: [{operator: core.log, params: {message: null}}]", 'core.log at /message is "Ada knocks", expected null'),
                ("actions: [{operator: core.log, rule: other}]", "core.log was called by knock, expected other"),
                ("actions: [{operator: core.log, match: {message: [{suffix: x}]}}]", 'the parameters of core.log do not match the pattern: {"message":"Ada knocks"}'),
                ("counts: {core.log: 3}", "core.log was called 1 times, expected 3"),
                ("messages: [{body: hello}]", "expected 1 messages, there are 0"),
                ("events: [{type: a.B}]", "expected 1 events, there are 0"),
                ("runs: {knock: succeeded}", "the last run of knock is sleeping, expected succeeded"),
                ("runs: {knock: [sleeping, sleeping]}", 'the runs of knock is ["sleeping"], expected ["sleeping","sleeping"]'),
                ("runs: {other: succeeded}", "the last run of other is none: there is none, expected succeeded"),
                ("verdicts: {other: fired}", "there is no rule other"),
                ("data: {task: [{note: x}]}", 'there is no task like {"note":"x"} among []'),
        ):
            self.assertEqual(self.failures(knock % expected), [message])

    def test_what_expectations_accept(self):
        steps = """
      - event: door.Knock
        data: {who: Ada}
        expect:
          verdicts: {knock: {verdict: fired, trigger: t1}}
          actions: [{operator: core.log, params: {message: Ada knocks}, match: {message: [{prefix: Ada}]}, rule: knock}]
          runs: {knock: [sleeping]}
          data: {task: []}
      - {event: other.Event, expect: {verdicts: {knock: none}, actions: []}}
"""
        self.assertTrue(self.one(steps, expect=0)["ok"])

    def test_stubs_answer_in_order_and_by_parameters(self):
        rule = """name: Knock
trigger: {event: door.Knock}
conditions:
  - operator: garden.isOpen
actions:
  - operator: garden.water
    params: {litres: "{{ event.litres }}"}
    retry: {maximum_attempts: 2, initial_interval: 1s}
"""
        head = "stubs: {garden.isOpen: true, garden.water: {result: {ok: true}}}\n"
        steps = """
      - {event: door.Knock, data: {litres: 1}, expect: {actions: [{operator: garden.water, params: {litres: 1}}], runs: {knock: succeeded}}}
"""
        self.assertTrue(self.one(steps, rule=rule, head=head, expect=0)["ok"])
        tests = """  - name: closed
    stubs: {garden.isOpen: {holds: false, detail: {reason: night}}}
    steps:
      - {event: door.Knock, data: {litres: 1}, expect: {verdicts: {knock: {verdict: no, detail: {reason: night}}}, actions: []}}
  - name: open, then closed
    stubs: {garden.isOpen: [true, false]}
    steps:
      - {event: door.Knock, data: {litres: 1}, expect: {verdicts: {knock: fired}}}
      - {event: door.Knock, data: {litres: 1}, expect: {verdicts: {knock: no}}}
      - {event: door.Knock, data: {litres: 1}, expect: {verdicts: {knock: no}}}
  - name: fails once
    stubs: {garden.water: [{error: {code: net, message: away, retryable: true}}, {result: {}}]}
    steps:
      - {event: door.Knock, data: {litres: 1}, expect: {runs: {knock: sleeping}}}
      - {advance: 2s, expect: {runs: {knock: succeeded}, counts: {garden.water: 1}}}
  - name: by parameters
    stubs: {garden.water: [{when: {litres: [{numeric: [">", 5]}]}, error: {code: much, message: too much}}, {result: {}}]}
    steps:
      - {event: door.Knock, data: {litres: 6}, expect: {runs: {knock: failed}}}
      - {event: door.Knock, data: {litres: 5}, expect: {runs: {knock: succeeded}}}
      - {event: door.Knock, data: {litres: 7}, expect: {runs: {knock: failed}}}
"""
        for result in self.run_test(tests, rule=rule, head=head, expect=0):
            self.assertTrue(result["ok"], result)

    def test_each_test_has_a_world_of_its_own(self):
        tests = """  - name: one
    data: {task: {id: t, note: x}}
    steps: [{event: door.Knock, id: same, data: {who: Ada}, expect: {data: {task: {note: x}}, verdicts: {knock: fired}}}]
  - name: two
    steps: [{event: door.Knock, id: same, data: {who: Ada}, expect: {data: {task: []}, verdicts: {knock: fired}, runs: {knock: [sleeping]}}}]
"""
        self.assertEqual([r["ok"] for r in self.run_test(tests, expect=0)], [True, True])
        self.assertFalse(os.path.exists(self.p.state), "nothing is left behind")

    def test_a_throttle_ends_with_its_test(self):
        tests = "".join(f"  - {{name: {n}, steps: [{{event: door.Knock, data: {{who: Ada}}, expect: {{verdicts: {{knock: fired}}}}}}]}}\n" for n in "ab")
        results = self.run_test(tests, rule=RULE + "throttle: {once_within: 1h}\nkey: x\n", expect=0)
        self.assertEqual([r["ok"] for r in results], [True, True])

    def test_schedules_follow_the_zone_of_the_file(self):
        rule = "name: Knock\ntrigger: {schedule: {cron: '30 2 * * *'}}\nactions: [{operator: core.log, params: {message: \"{{ now }}\"}}]\n"
        tests = """  - name: the night without half past two
    start: 2026-03-28T12:00
    steps:
      - until: 2026-03-31T12:00
        expect:
          actions:
            - {operator: core.log, params: {message: "2026-03-29T01:00:00.000Z"}}
            - {operator: core.log, params: {message: "2026-03-30T00:30:00.000Z"}}
            - {operator: core.log, params: {message: "2026-03-31T00:30:00.000Z"}}
"""
        result, = self.run_test(tests, rule=rule, head="timezone: Europe/Berlin\n", expect=0)
        self.assertTrue(result["ok"], result)

    def test_rules_that_wake_each_other_are_bounded(self):
        rule = "name: Knock\ntrigger: {event: door.Knock}\nactions: [{emit: {event: door.Knock}}]\n"
        result = self.one("\n      - {event: door.Knock, expect: {runs: {knock: succeeded}}}\n", rule=rule)
        self.assertIn(result["ok"], (True, False))

    def test_what_is_wrong_with_a_file(self):
        for tests, code, message in (
                ("  - {name: t, steps: [{evnt: a.B}]}\n", "unknown-key", 'unknown key "evnt"'),
                ("  - {name: t, steps: [{event: door.Knock}]}\n", "missing-key", "the test expects nothing"),
                ("  - {name: t, steps: [{expect: {}}]}\n", "empty-list", "expects nothing"),
                ("  - {name: t, steps: [{advance: soon, expect: {actions: []}}]}\n", "duration", '"advance" must be a duration'),
                ("  - {name: t, steps: [{until: soon, expect: {actions: []}}]}\n", "time", "is no time"),
                ("  - {name: t, steps: [{event: a.B, advance: 1s, expect: {actions: []}}]}\n", "conflicting-keys", "both"),
                ("  - {name: t, steps: [{data: {}, expect: {actions: []}}]}\n", "misplaced-key", '"data" goes with "event"'),
                ("  - {name: t, steps: [{expect: {actions: [{params: {}}]}}]}\n", "missing-key", 'needs "operator"'),
                ("  - {name: t, stubs: {x: {reslt: 1}}, steps: [{expect: {actions: []}}]}\n", "unknown-key", "reslt"),
                ("  - {name: t, data: {Task: []}, steps: [{expect: {actions: []}}]}\n", "bad-value", "Task"),
                ("  - {steps: [{expect: {actions: []}}]}\n", "missing-key", 'needs "name"'),
                ("  - [\n", "yaml-syntax", ""),
        ):
            result, = self.run_test(tests, expect=1)
            self.assertFalse(result["ok"])
            self.assertEqual([f["code"] for f in result["failures"]], [code], result)
            self.assertIn(message, result["failures"][0]["message"])

    def test_rules_with_errors_fail_the_file(self):
        result, = self.run_test("  - {name: t, steps: [{expect: {actions: []}}]}\n", rule="name: Knock\ntriger: {event: a.B}\nactions: [{stop: true}]\n", expect=1)
        self.assertEqual((result["name"], result["failures"][0]["code"]), ("can be read", "unknown-key"))

    def test_no_tests_are_no_success(self):
        p = self.service(start=False)
        self.assertIn("no tests found", p.cli("test", p.rules, expect=1).stderr)

    def test_until_in_the_past(self):
        self.assertEqual(self.failures("\n      - {until: 2020-01-01T00:00, expect: {actions: []}}\n"), ['"until" lies in the past of the test'])

    def test_tap_junit_and_filter(self):
        tests = """  - {name: "good #1", steps: [{event: door.Knock, data: {who: Ada}, expect: {verdicts: {knock: fired}}}]}
  - {name: bad <2>, steps: [{event: door.Knock, data: {who: Ada}, expect: {verdicts: {knock: no}, counts: {core.log: 5}}}]}
"""
        self.run_test(tests, expect=1)
        junit = os.path.join(self.p.dir, "out.xml")
        out = self.p.cli("test", self.p.rules, "--tap", "--junit", junit, expect=1).stdout.splitlines()
        self.assertEqual(out[0], "TAP version 13")
        self.assertEqual(out[1], f"ok 1 - {self.file}: good \\#1")
        self.assertEqual(out[2], f"not ok 2 - {self.file}: bad <2>")
        self.assertEqual(out[3], "  ---")
        self.assertIn('  message: "the verdict of knock is fired, expected no"', out)
        self.assertEqual(out[-1], "1..2")
        suites = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual((suites.get("tests"), suites.get("failures")), ("2", "1"))
        suite, = suites
        self.assertEqual([c.get("name") for c in suite], ["good #1", "bad <2>"])
        self.assertIn("core.log was called 1 times, expected 5", suite[1].find("failure").text)
        self.assertEqual(self.p.cli("test", self.p.rules, "--filter", "good", expect=0).stdout.count("ok  "), 1)


CALLS = """name: Knock
trigger: {event: comms.MessageReceived}
actions:
  - operator: http.request
    params: {url: "https://api.example.com/x", method: POST, json: {from: "{{ event.from }}", text: "{{ event.body }}"}}
    retry: {initial_interval: 1s}
  - operator: comms.sendSms
    params: {to: "+14155550101", body: thanks}
"""
WORLD = """plugins:
  http: {config: {hosts: [api.example.com]}}
  twilio: {config: {accountSid: AC00000000000000000000000000000000, authToken: sesame, from: "+14155550100"}}
http:
  - {url: "https://api.example.com/*", method: POST, match: {json: {text: [hello]}}, reply: [{status: 503}, {status: 200, json: {ok: true}}]}
  - {url: "https://api.twilio.com/*", reply: {status: 201, json: {sid: SM2, status: queued}}}
"""
MESSAGE = """
      - webhook: twilio/message
        form: {From: "+14155550101", To: "+14155550100", Body: %s, MessageSid: SM1}
        sign: {as: twilio, secret: %s}
        expect: {%s}
"""


class World(Tests):
    """HTTP, webhooks and channels in tests."""

    def test_a_signed_webhook_and_what_follows(self):
        steps = MESSAGE % ("hello", "sesame", 'response: {status: 200, body: "<Response/>"}, verdicts: {knock: fired}, runs: {knock: sleeping}, '
                           'requests: [{method: POST, url: "https://api.example.com/x", json: {from: "+14155550101", text: hello}}]')
        steps += """      - advance: 5s
        expect:
          runs: {knock: succeeded}
          requests: [{url: "https://api.example.com/x"}, {url: "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json"}]
          messages: [{channel: twilio, to: "+14155550101", body: thanks}]
"""
        result = self.one(steps, rule=CALLS, head=WORLD, expect=0)
        self.assertTrue(result["ok"], result)

    def test_a_wrong_signature(self):
        self.assertTrue(self.one(MESSAGE % ("hello", "other", "response: {status: 403}, verdicts: {knock: none}, requests: []"), rule=CALLS, head=WORLD, expect=0)["ok"])

    def test_a_request_without_an_answer_fails(self):
        steps = MESSAGE % ("bye", "sesame", "runs: {knock: succeeded}")
        result = self.one(steps, rule=CALLS, head=WORLD, expect=1)
        self.assertEqual([f["message"] for f in result["failures"]], ["the last run of knock is failed, expected succeeded"])
        steps = MESSAGE % ("bye", "sesame", 'requests: [{json: {text: bye}}]')
        self.assertTrue(self.one(steps, rule=CALLS, head=WORLD, expect=0)["ok"])

    def test_failures_of_the_network_and_of_the_test(self):
        head = WORLD.replace("{status: 503}", "{error: {code: http.tls, message: no}}")
        self.assertTrue(self.one(MESSAGE % ("hello", "sesame", "runs: {knock: failed}"), rule=CALLS, head=head, expect=0)["ok"])
        for bad, message in ((MESSAGE % ("hello", "sesame", "response: {status: 500}"), "the response at /status is 200, expected 500"),
                             ("\n      - {event: a.B, expect: {response: {status: 200}}}\n", "there was no webhook before this"),
                             (MESSAGE.replace("as: twilio", "as: twillio") % ("a", "b", "actions: []"), '"sign" needs "as": twilio, hmac-sha256 or hmac-sha1'),
                             ("\n      - {webhook: twilio, expect: {actions: []}}\n", '"webhook" names a plugin and its path'),
                             ("\n      - {event: a.B, form: {a: b}, expect: {actions: []}}\n", '"form" goes with "webhook"')):
            result, = self.run_test("  - name: t\n    steps:\n" + bad, rule=CALLS, head=WORLD, expect=1)
            self.assertEqual([f["message"] for f in result["failures"]], [message])

    def test_other_signatures_and_secrets(self):
        head = "secrets: {phone: t-1-t-1-t}\nplugins: {device: {config: {devices: [{id: phone, token: t-1-t-1-t}]}}}\n"
        steps = """
      - webhook: device/events
        headers: {Authorization: Bearer t-1-t-1-t}
        json: {type: battery, level: 0.1, at: "2026-01-05T09:00:00Z"}
        sign: {as: hmac-sha256, secret: s, header: X-Hub-Signature-256, prefix: "sha256="}
        expect: {response: {status: %s}}
"""
        self.assertTrue(self.one(steps % 200, head=head, expect=0)["ok"])
        self.assertTrue(self.one(steps.replace("Bearer t", "Bearer x") % 401, head=head, expect=0)["ok"])


class Update(harness.Case):
    TESTS = """# what to keep
tests:
  - name: t  # the name
    steps:
      - event: door.Knock
        data: {who: Ada}
        expect:
          verdicts: {knock: no}   # stays
          runs: {knock: succeeded}
          counts:
            core.log: 3
          actions:
            - operator: core.log
              params: {message: x}
            - operator: core.loog
      - advance: 1h
        expect: {messages: [], runs: {knock: [failed]}}
"""

    def setUp(self):
        self.p = self.service(start=False, rules={"knock.yaml": RULE, "knock.test.yaml": self.TESTS})
        self.file = os.path.join(self.p.rules, "knock.test.yaml")

    def text(self):
        with open(self.file) as f:
            return f.read()

    def test_nothing_is_written_without_a_yes(self):
        done = self.p.cli("test", self.file, "--update", stdin="", expect=1)
        self.assertIn("knock.test.yaml:8:\n- no\n+ fired\n", done.stdout)
        self.assertIn("--yes writes without a question", done.stderr)
        self.assertEqual(self.text(), self.TESTS)

    def test_what_happened_takes_the_place(self):
        os.chmod(self.file, 0o640)
        self.assertIn("1 test passed", self.p.cli("test", self.file, "--update", "--yes", expect=0).stdout)
        self.assertEqual(self.text(), """# what to keep
tests:
  - name: t  # the name
    steps:
      - event: door.Knock
        data: {who: Ada}
        expect:
          verdicts: {knock: fired}   # stays
          runs: {knock: sleeping}
          counts:
            core.log: 1
          actions:
            [{operator: core.log, params: {message: Ada knocks}}]
      - advance: 1h
        expect: {messages: [{channel_type: notify, body: Ada is still there}], runs: {knock: [succeeded]}}
""")
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.p.rules).count("knock.test.yaml"), 1)
        self.assertEqual(len(os.listdir(self.p.rules)), 2)

    def test_what_passes_is_left_alone(self):
        self.p.cli("test", self.file, "--update", "--yes", expect=0)
        before = self.text()
        self.p.cli("test", self.file, "--update", "--yes", expect=0)
        self.assertEqual(self.text(), before)


THERMOSTAT = """name: Thermostat
trigger:
  event: room.Temperature
  match: {room: [bath, kitchen], celsius: [{numeric: ["<", 19]}]}
conditions:
  - any:
      - event.windows == 'shut'
      - not: event.someone
  - operator: garden.isOpen
throttle: {once_within: 1h}
actions:
  - if: event.celsius < 10
    then: [{operator: core.log, params: {message: cold}}]
    else: [{operator: core.log, params: {message: cool}}]
  - operator: core.log
    if: event.loud
    params: {message: heating}
"""
WARM = """  - name: t
    steps:
      - {event: room.Temperature, data: {room: bath, celsius: 9, windows: shut, someone: false, loud: true}, expect: {verdicts: {knock: fired}}}
"""


class Tools(harness.Case):
    """What --coverage and --mutate find."""

    def run_tool(self, option, tests, rule=THERMOSTAT, expect=None):
        p = self.service(start=False, rules={"knock.yaml": rule.replace("name: Thermostat", "name: Knock"),
                                             "knock.test.yaml": "stubs: {garden.isOpen: true}\ntests:\n" + tests})
        self.p, self.file = p, os.path.join(p.rules, "knock.test.yaml")
        found = lines(p.cli("test", self.file, option, "--json", expect=expect).stdout)
        return [x for x in found if "name" not in x]

    def test_coverage_names_what_was_never_reached(self):
        rule, = self.run_tool("--coverage", WARM, expect=0)
        self.assertEqual({f["message"] for f in rule["not_covered"]}, {
            "the match of the trigger t1 was never false", "conditions[0].any[0] was never false", "conditions[0].any[1] was never true",
            "conditions[0].any[1] was never false", "conditions[1] was never false", "actions[0].if was never false", "actions[0].else was never entered",
            "actions[1].if was never false"} - {"conditions[0].any[1] was never true", "conditions[0].any[1] was never false"} |
            {"conditions[0].any[1].not was never true", "conditions[0].any[1].not was never false"})
        self.assertEqual((rule["rule"], rule["outcomes"], rule["outcomes_seen"], rule["branches"], rule["branches_seen"]), ("knock", 12, 5, 3, 2))
        text = self.p.cli("test", self.file, "--coverage", expect=0).stdout
        self.assertIn("knock.yaml:7:9: note: conditions[0].any[0] was never false [not-covered]", text)
        self.assertIn("covered: 5 of 12 outcomes of conditions, 2 of 3 branches", text)

    def test_coverage_holds_over_a_restart(self):
        rule = "name: Knock\ntrigger: {event: a.B}\nactions:\n  - delay: 1m\n  - {if: event.x == 1, then: [{stop: true}]}\n"
        tests = """  - name: t
    steps:
      - {event: a.B, data: {x: 1}}
      - {event: a.B, data: {x: 2}}
      - restart: true
      - {advance: 1m, expect: {runs: {knock: [succeeded, succeeded]}}}
"""
        rule, = self.run_tool("--coverage", tests, rule=rule, expect=0)
        self.assertEqual(rule["not_covered"], [])

    def test_coverage_of_a_trigger_with_for(self):
        rule = "name: Knock\ntrigger: {event: a.B, match: {x: [1]}, for: 1m}\nactions:\n  - stop: true\n"
        tests = """  - name: t
    steps:
      - {event: a.B, data: {x: %d}}
      - {event: a.B, data: {x: 1}}
      - {advance: 1m, expect: {runs: {knock: succeeded}}}
"""
        rule_1, = self.run_tool("--coverage", tests % 1, rule=rule, expect=0)
        self.assertEqual([f["message"] for f in rule_1["not_covered"]], ["the match of the trigger t1 was never false"])
        rule_2, = self.run_tool("--coverage", tests % 2, rule=rule, expect=0)
        self.assertEqual(rule_2["not_covered"], [])

    def test_edits_and_what_becomes_of_runs(self):
        rule = "name: Knock\ntrigger: {event: a.B}\n%sactions:\n  - delay: 1h\n  - {operator: core.log, params: {message: old}}\n"
        steps = """
      - {event: a.B, expect: {runs: {knock: sleeping}}}
      - edit: {knock: {actions: [{delay: 1h}, {operator: core.log, params: {message: new}}], on_change: null}}
        expect: {runs: {knock: %s}}
      - {advance: 1h, expect: {actions: %s}}
      - {event: a.B}
      - {advance: 1h, expect: {actions: [{operator: core.log, params: {message: new}}]}}
      - {restart: true}
      - {event: a.B, expect: {runs: {knock: [%s, succeeded, sleeping]}}}
      - edit: {knock: null}
      - {event: a.B, expect: {verdicts: {knock: none}}}
  - name: the next test has the file's rules
    steps:
      - {event: a.B}
      - {advance: 1h, expect: {actions: [{operator: core.log, params: {message: old}}]}}
"""
        for word, state, message, first in (("", "sleeping", "old", "succeeded"), ("on_change: restart\n", "[cancelled, sleeping]", "new", "cancelled, succeeded"),
                                            ("on_change: cancel\n", "cancelled", None, "cancelled")):
            actions = f"[{{operator: core.log, params: {{message: {message}}}}}]" if message else "[]"
            tests = "  - name: t\n    steps:" + steps % (state, actions, first)
            self.run_tool("--tap", tests, rule=rule % word)
            text = self.p.cli("test", self.file).stdout
            self.assertIn("2 tests passed", text)
        for edit, message in (("{knok: {actions: []}}", 'there is no rule "knok" to edit'), ("{knock: {trigger: 5}}", 'the edited rule "knock" cannot be loaded: '),
                              ("{knock: {name: Other}}", 'the edited rule "knock" is another one, "other": give it an "id"')):
            self.run_tool("--tap", f"  - {{name: t, steps: [{{edit: {edit}, expect: {{actions: []}}}}]}}\n", rule=rule % "")
            self.assertIn(message, self.p.cli("test", self.file, expect=1).stdout)

    def test_coverage_of_branches_side_by_side(self):
        rule = """name: Knock
trigger: {event: a.B}
actions:
  - parallel:
      - [{operator: core.log, if: event.x == 1, params: {message: one}}]
      - [{operator: core.log, params: {message: two}}]
"""
        tests = "  - {name: t, steps: [{event: a.B, data: {x: 1}, expect: {counts: {core.log: 2}}}]}\n"
        rule, = self.run_tool("--coverage", tests, rule=rule, expect=0)
        self.assertEqual((rule["branches"], rule["branches_seen"]), (3, 3))
        self.assertEqual(len(rule["not_covered"]), 1)
        self.assertRegex(rule["not_covered"][0]["message"], r"^actions\[0\]\..*\[0\]\.if was never false$")

    def test_mutate_finds_each_condition_that_is_not_tested(self):
        changes = self.run_tool("--mutate", WARM, expect=1)
        self.assertEqual({(c["change"], c["path"]) for c in changes if not c["noticed"]}, {
            ("without", "trigger.match.room"), ("without", "trigger.match.room[1]"), ("without", "trigger.match.celsius"),
            ("without", "conditions[0]"), ("without", "conditions[0].any[1]"), ("negated", "conditions[0].any[1]"), ("negated", "conditions[0].any[1].not"),
            ("without", "conditions[0].any[0]"), ("negated", "conditions[0].any[0]"),
            ("without", "conditions[1]"), ("without", "throttle"), ("always", "actions[0].if"), ("negated", "actions[0].if"),
            ("without", "actions[1].if"), ("negated", "actions[1].if"), ("changed", "throttle.once_within"), ("changed", "actions[0].if"),
            ("changed", "trigger.match.celsius[0].numeric[0]"), ("changed", "trigger.match.celsius[0].numeric[1]")})
        self.assertEqual(sorted((c["path"], c["to"]) for c in changes if c["change"] == "changed"), [
            ("actions[0].if", "event.celsius < 11"), ("actions[0].if", "event.celsius < 9"), ("actions[0].if", "event.celsius <= 10"),
            ("throttle.once_within", "2h"), ("throttle.once_within", "30m"), ("trigger.match.celsius[0].numeric[0]", "<="),
            ("trigger.match.celsius[0].numeric[1]", "18"), ("trigger.match.celsius[0].numeric[1]", "20")])
        self.assertEqual({(c["change"], c["path"], c["by"]) for c in changes if c["noticed"]}, {
            ("without", "trigger.match.room[0]", "t"), ("negated", "conditions[0]", "t"), ("negated", "conditions[1]", "t")})
        text = self.p.cli("test", self.file, "--mutate", expect=1).stdout
        self.assertIn("knock.yaml:10:11: error: no test notices when throttle is gone [not-noticed]", text)
        self.assertIn("26 changes tried, 3 noticed (11 %)", text)
        self.assertIn("knock.yaml:12:9: error: no test notices when actions[0].if is event.celsius <= 10 [not-noticed]", text)
        self.assertNotIn("\r", self.p.cli("test", self.file, "--mutate", expect=1).stderr, "no progress but on a terminal")

    def test_a_key_and_a_mode_that_nobody_tests(self):
        rule = "name: Knock\ntrigger: {event: a.B}\nkey: \"{{ event.who }}\"\nmode: single\nactions: [{delay: 1h}]\n"
        tests = "  - {name: t, steps: [{event: a.B, data: {who: ada}, expect: {verdicts: {knock: fired}}}]}\n"
        changes = self.run_tool("--mutate", tests, rule=rule, expect=1)
        self.assertEqual({(c["change"], c["path"], c["noticed"]) for c in changes}, {("without", "key", False), ("without", "mode", False)})
        tests = """  - name: t
    steps:
      - {event: a.B, data: {who: ada}, expect: {verdicts: {knock: fired}}}
      - {event: a.B, data: {who: bob}, expect: {verdicts: {knock: fired}}}
      - {event: a.B, data: {who: bob}, expect: {verdicts: {knock: dropped}}}
"""
        self.assertTrue(all(c["noticed"] for c in self.run_tool("--mutate", tests, rule=rule, expect=0)))

    def test_full_score(self):
        data = "{room: %s, celsius: %s, windows: %s, someone: %s, loud: %s}"
        steps = []
        for values, verdict, actions in (
                (("bath", 9, "shut", "true", "true"), "fired", ["cold", "heating"]), (("bath", 9, "shut", "true", "true"), "throttled", []),
                (("kitchen", 18, "open", "false", "false"), "fired", ["cool"]), (("bath", 9, "open", "true", "true"), "no", []),
                (("hall", 9, "shut", "false", "true"), "no", []), (("bath", 19, "shut", "false", "true"), "no", []),
                (("bath", 10, "shut", "false", "true"), "fired", ["cool", "heating"])):
            said = ", ".join("{operator: core.log, params: {message: %s}}" % a for a in actions)
            advance = "      - advance: %s\n" % ("59m" if verdict == "throttled" else "1h")
            steps.append(f"{advance}      - {{event: room.Temperature, data: {data % values}, expect: {{verdicts: {{knock: {verdict}}}, actions: [{said}]}}}}\n")
        closed = "  - name: closed\n    stubs: {garden.isOpen: false}\n    steps:\n" + steps[0].replace("fired", "no").replace("operator: core.log", "") + ""
        closed = closed[:closed.index("actions:")] + "actions: []}}\n"
        changes = self.run_tool("--mutate", "  - name: t\n    steps:\n" + "".join(steps) + closed, expect=0)
        self.assertEqual([c for c in changes if not c["noticed"]], [])
        self.assertEqual(len(changes), 26)

    def test_tests_that_fail_are_not_mutated(self):
        self.assertEqual(self.run_tool("--mutate", WARM.replace("fired", "no"), expect=1), [])
        self.assertIn("--tap cannot", self.p.cli("test", self.file, "--mutate", "--tap", expect=2).stderr)


class Shipped(harness.Case):
    def test_every_shipped_rule_has_a_test_file_and_passes(self):
        folder = os.path.join(harness.SOURCE, "rules")
        for path in RULES:
            self.assertTrue(os.path.exists(path[:-5] + ".test.yaml"), path)
        p = self.service(start=False)
        results = lines(p.cli("test", folder, "--json", expect=0).stdout)
        self.assertEqual({r["file"] for r in results}, set(glob.glob(os.path.join(folder, "*.test.yaml"))))

    def test_no_condition_can_go_unnoticed(self):
        p = self.service(start=False)
        found = lines(p.cli("test", os.path.join(harness.SOURCE, "rules"), "--mutate", "--coverage", "--json", expect=0).stdout)
        changes, covered = [x for x in found if "change" in x], [x for x in found if "branches" in x]
        self.assertGreater(len(changes), 30)
        self.assertEqual([c for c in changes if not c["noticed"]], [])
        self.assertEqual([f for x in covered for f in x["not_covered"]], [])


if __name__ == "__main__":
    harness.main()
