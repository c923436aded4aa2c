#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands, without and with the service."""
import json
import os

import harness


class WithoutService(harness.Case):
    def setUp(self):
        self.p = self.service(start=False)

    def out(self, *arguments, expect=0, **kw):
        return self.p.cli(*arguments, expect=expect, **kw).stdout

    def test_help(self):
        commands = [line.split()[0] for line in self.out("--help", config=False).splitlines() if line.startswith("  ")]
        self.assertIn("run", commands)
        for command in commands:
            text = self.out(command, "--help", config=False)
            self.assertIn(f"perigee {command}", text)
            self.assertIn("--json", text)
        self.p.cli("nonsense", expect=2, config=False)
        self.assertIn("did you mean \"emit\"", self.p.cli("emti", expect=2, config=False).stderr)
        twice = self.p.cli("events", "list", "--limit", "1", "--limit", "2", expect=2).stderr
        self.assertIn("--limit is given twice", twice)

    def test_eval(self):
        self.assertEqual(json.loads(self.out("eval", "1 + 2 * 3", config=False)), 7)
        self.assertEqual(json.loads(self.out("eval", "{{ event.a.b[1] | upper }}", "--event", '{"a":{"b":["x"]}}', config=False)), "X")
        self.assertEqual(json.loads(self.out("eval", "now", "--now", "2026-01-02T03:04:05Z", config=False)), "2026-01-02T03:04:05.000Z")
        self.assertIn("missing event.x", self.p.cli("eval", "event.x", expect=1, config=False).stderr)
        self.p.cli("eval", "1 +", expect=2, config=False)
        self.p.cli("eval", "nobody.x", expect=2, config=False)

    def test_cron(self):
        lines = self.out("cron", "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2026-03-28T12:00:00Z", "--count", "2", config=False).split()
        self.assertEqual(lines, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])
        self.assertEqual(self.out("cron", "0 0 30 2 *", expect=1, config=False), "")
        self.p.cli("cron", "61 * * * *", expect=2, config=False)
        self.p.cli("cron", "* * * * *", "--tz", "Mars/Base", expect=2, config=False)

    def test_match(self):
        events = '{"a":1}\n{"a":2}\n{"b":1}\n'
        self.assertEqual(self.out("match", '{"a":[{"numeric":[">",1]}]}', stdin=events, config=False), '{"a":2}\n')
        self.assertEqual(self.out("match", '{"a":[1,2]}', "--count", stdin=events, config=False), "2\n")
        self.assertEqual(self.out("match", '{"a":[9]}', stdin=events, expect=1, config=False), "")
        self.assertEqual(self.out("match", '{"a":[1]}', "--invert", "--count", stdin=events, config=False), "2\n")
        self.p.cli("match", '{"a":1}', stdin=events, expect=2, config=False)
        path = os.path.join(self.p.dir, "patterns")
        with open(path, "w") as f:
            f.write('{"a":[1]}\n{"a":[{"exists":true}]}\n')
        self.assertEqual(self.out("match", "--patterns", path, stdin=events, config=False), "[0,1]\n[1]\n[]\n")

    def test_operators(self):
        ids = [json.loads(line)["id"] for line in self.out("operators", "list", "--json").splitlines()]
        for wanted in ("comms.callCount", "comms.lastContact", "comms.hasVoicemail", "comms.missedCalls", "comms.sendSms", "comms.sendEmail",
                       "comms.createFollowUp", "contact.HasTag", "location.IsUserAtPlace", "location.IsUserAtVenue", "core.log", "http.request",
                       "data.update", "notify.send"):
            self.assertIn(wanted, ids)
        self.assertIn("count", json.loads(self.out("operators", "show", "comms.missedCalls", "--json"))["params"]["properties"])
        answer = json.loads(self.out("operators", "call", "comms.missedCalls", "--params", '{"count":3}', "--json"))
        self.assertEqual((answer["ok"], answer["result"]["holds"], answer["result"]["compared"]["actual"]), (True, False, 0))
        self.assertGreater(answer["usage"]["instructions"], 0)
        bad = json.loads(self.out("operators", "call", "comms.missedCalls", "--params", '{"count":"x"}', "--json", expect=1))
        self.assertIn("count", bad["error"]["message"])
        self.assertIn("did you mean", self.p.cli("operators", "call", "comms.missedCall", expect=1).stderr)
        self.assertFalse(os.path.exists(self.p.state), "a call by hand leaves no state behind")

    def test_data(self):
        stored = json.loads(self.out("data", "put", "contact", '{"source":"x","externalId":"1","displayName":"Ada","tags":["vip"]}', "--json"))
        again = json.loads(self.out("data", "put", "contact", '{"source":"x","externalId":"1","displayName":"Ada L."}', "--json"))
        self.assertEqual((again["id"], again["displayName"], again["tags"], again["version"]), (stored["id"], "Ada L.", ["vip"], 2))
        path = os.path.join(self.p.dir, "calls.jsonl")
        with open(path, "w") as f:
            for i in range(1200):
                f.write(json.dumps({"id": f"c{i}", "contactId": stored["id"], "direction": "inbound", "missed": i % 2 == 0, "startedAt": "2026-01-01T00:%02d:%02dZ" % (i // 60, i % 60)}) + "\n")
        self.assertEqual(json.loads(self.out("data", "import", "call", path, "--json")), {"imported": 1200})
        where = json.dumps({"contactId": stored["id"], "missed": True, "startedAt": {"gte": "2026-01-01T00:10:00Z"}})
        self.assertEqual(json.loads(self.out("data", "query", "call", "--where", where, "--count", "--json"))["count"], 300)
        rows = [json.loads(line) for line in self.out("data", "query", "call", "--order", "-startedAt", "--limit", "2", "--json").splitlines()]
        self.assertEqual([r["id"] for r in rows], ["c1199", "c1198"])
        self.p.cli("data", "get", "contact", "nobody", expect=1)
        self.p.cli("data", "query", "call", "--where", '{"a;b":1}', expect=1)
        answer = json.loads(self.out("operators", "call", "contact.HasTag", "--params", '{"tag":"vip"}', "--event", json.dumps({"contactId": stored["id"]}), "--json"))
        self.assertTrue(answer["result"]["holds"])
        with open(path, "w") as f:
            f.write('{"id":"ok"}\n{"id":')
        self.assertIn(":2", self.p.cli("data", "import", "call", path, expect=1).stderr)

    def test_check(self):
        self.p.write_rule("good.yaml", "name: Good\ntrigger: {event: a.B}\nactions:\n  - operator: core.log\n    params: {message: x}\n")
        self.out("check")
        self.p.write_rule("bad.yaml", "name: Bad\ntrigger: {evnt: a.B}\nactions:\n  - operator: core.log\n    params: {message: x}\n")
        text = self.out("check", expect=1)
        self.assertIn("bad.yaml:2:11: error: unknown key \"evnt\"", text)
        self.assertIn("  trigger: {evnt: a.B}".strip(), text)
        finding = json.loads(self.out("check", "--json", expect=1).splitlines()[0])
        self.assertEqual((finding["line"], finding["column"], finding["code"], finding["severity"]), (2, 11, "unknown-key", "error"))
        self.out("check", os.path.join(self.p.rules, "good.yaml"))

    def test_shipped_rules_are_good(self):
        self.out("check", os.path.join(harness.SOURCE, "rules"))

    def test_the_missions_second_example_as_it_was(self):
        self.p.write_rule("office.yaml", "name: Office Arrival Task Reminder\ntrigger: {event: location.PlaceArrived}\nconditions:\n  - operator: location.IsUserAtPlace\n"
                          "    params: {placeType: \"work\"}\nactions:\n  - operator: comms.sendSms\n    params: {to: \"{{ followUp.contactId }}\", body: \"hello\"}\n")
        text = self.out("check", expect=1)
        self.assertIn("office.yaml:8:", text)
        self.assertIn("followUp", text)
        self.assertIn("for_each", text)

    def test_plugins(self):
        rows = {r["id"]: r for r in map(json.loads, self.out("plugins", "list", "--json").splitlines())}
        self.assertEqual(rows["comms"]["state"], "active")
        self.assertNotEqual(rows["twilio"]["state"], "failed")
        self.assertIn("good", self.out("plugins", "check", os.path.join(harness.SOURCE, "operators", "comms")))

    def test_an_unapproved_plugin_is_refused_with_what_to_type(self):
        folder = os.path.join(self.p.dir, "plugins", "extra")
        os.makedirs(folder)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": "extra", "name": "Extra", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua", "permissions": ["data:read:call"]}, f)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write("return { conditions = { ['extra.True'] = { params = { type = 'object' }, evaluate = function() return true end } } }\n")
        extra = ["--plugins", os.path.join(self.p.dir, "plugins")]
        row = [json.loads(line) for line in self.out("plugins", "list", "--json", *extra).splitlines() if '"extra"' in line][0]
        self.assertEqual(row["state"], "blocked")
        self.assertIn("plugins approve extra", json.dumps(row))
        self.out("plugins", "approve", "extra", "--yes", *extra)
        self.assertTrue(json.loads(self.out("operators", "call", "extra.True", "--json", *extra))["result"]["holds"])
        with open(os.path.join(folder, "init.lua"), "a") as f:
            f.write("-- changed\n")
        row = [json.loads(line) for line in self.out("plugins", "list", "--json", *extra).splitlines() if '"extra"' in line][0]
        self.assertEqual(row["state"], "blocked")

    def test_secrets(self):
        self.p.cli("secrets", "set", "a.token", stdin="very secret\n", expect=0)
        self.assertEqual(self.out("secrets", "list").split(), ["a.token"])
        self.p.cli("secrets", "set", "../x", stdin="v", expect=1)
        self.p.cli("secrets", "remove", "a.token", expect=0)
        self.p.cli("secrets", "remove", "a.token", expect=1)

    def test_version_and_doctor(self):
        version = json.loads(self.out("version", "--json", config=False))
        self.assertRegex(version["lua"], r"^5\.4\.\d+$")
        self.assertEqual(version["lua_guards"], "active")
        doctor = self.out("doctor")
        self.assertIn("plugins", doctor)
        self.assertRegex(doctor, rf"ok +Lua +{version['lua']}.*guards active")
        self.assertRegex(doctor, "ok +isolation")
        self.assertRegex(doctor, "ok +libcurl")

    def test_the_service_is_needed(self):
        self.assertIn("perigee run", self.p.cli("emit", "a.B", expect=69).stderr)


class WithService(harness.Case):
    def test_emit_and_look(self):
        p = self.service(rules={"hello.yaml": "name: Hello\ntrigger: {event: demo.Hello}\nactions:\n  - operator: notify.send\n    params: {message: \"Hello, {{ event.name }}!\"}\n"})
        answer = json.loads(p.cli("emit", "demo.Hello", '{"name":"Ada"}', "--wait", "--json", expect=0).stdout)
        self.assertEqual(answer["runs"][0]["state"], "succeeded")
        self.assertIn("Hello, Ada!", p.cli("emit", "demo.Hello", '{"name":"Ada"}', "--wait", expect=0).stdout)
        p.cli("emit", "demo.Hello", "{", expect=2)
        self.assertIn("Hello, Ada!", p.cli("outbox", "list", expect=0).stdout)
        self.assertIn("demo.Hello", p.cli("events", "list", expect=0).stdout)
        self.assertIn("fired", p.cli("events", "show", answer["id"], expect=0).stdout)
        self.assertIn("fired", p.cli("why", "hello", "--event", answer["id"], expect=0).stdout)
        self.assertIn("succeeded", p.cli("runs", "list", expect=0).stdout)
        self.assertIn("notify.send", p.cli("runs", "show", answer["runs"][0]["id"], expect=0).stdout)
        self.assertIn("hello", p.cli("rules", "list", expect=0).stdout)
        self.assertEqual(p.cli("outbox", "clear", expect=0).stdout, "2 messages deleted\n")
        self.assertEqual(json.loads(p.cli("data", "put", "contact", '{"id":"x","displayName":"X"}', "--json", expect=0).stdout)["id"], "x")
        self.assertIn("version", p.cli("doctor", expect=0).stdout)


if __name__ == "__main__":
    harness.main()
