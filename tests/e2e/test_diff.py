#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee diff: stored events through other rules."""
import json
import os
import random

import harness
from test_check import lines

ALARM = """name: Alarm
trigger:
  event: room.Temperature
  match: {celsius: [{numeric: [">", 60]}]}
conditions:
  - expr: event.room ~= 'kitchen'
  - operator: contact.HasTag
    params: {contactId: "{{ event.who }}", tag: vip}
actions:
  - operator: notify.send
    id: told
    params: {message: "{{ event.room }}: {{ event.celsius }} in {{ run.id }} for {{ trigger.event_id }}"}
  - emit: {event: room.Alarm, data: {room: "{{ event.room }}"}}
"""
LATER = """name: Later
trigger: {event: room.Alarm}
key: "{{ event.room }}"
throttle: {once_within: 1h}
actions:
  - delay: 10m
  - operator: core.log
    params: {message: "{{ event.room }}"}
"""
OTHER = """name: Other
trigger: {event: other.Event}
actions: [{operator: core.log, params: {message: "n {{ event.n }}"}}]
"""


class Diff(harness.Case):
    """One service with a history, which no test changes."""

    @classmethod
    def setUpClass(cls):
        cls.p = harness.Service(rules={"alarm.yaml": ALARM, "later.yaml": LATER, "other.yaml": OTHER})
        cls.addClassCleanup(cls.p.close)
        cls.p.start()
        cls.p.put("contact", {"id": "ada", "tags": ["vip"]})
        cls.events = [cls.p.emit("room.Temperature", {"room": room, "celsius": celsius, "who": who})
                       for room, celsius, who in (("bath", 61, "ada"), ("kitchen", 70, "ada"), ("bath", 59, "ada"), ("hall", 65, "bob"), ("cellar", 80, "ada"))]
        cls.events += [cls.p.emit("other.Event", {"n": n}) for n in range(3)]
        for event in cls.events:
            cls.p.matched(event)
        states = ["sleeping"] * 2 + ["succeeded"] * 5
        harness.wait_for(lambda: sorted(r["state"] for r in cls.p.get("/v1/runs?limit=100")["items"]) == states, "the runs to end or sleep", deadline=10)

    def diff(self, changed=None, options=(), expect=1):
        """Lines of --json against the rules with some replaced (None: gone)."""
        folder = os.path.join(self.p.dir, "new")
        os.makedirs(folder, exist_ok=True)
        for name, text in {"alarm.yaml": ALARM, "later.yaml": LATER, "other.yaml": OTHER, **(changed or {})}.items():
            path = os.path.join(folder, name)
            if text is None:
                if os.path.exists(path):
                    os.unlink(path)
                continue
            with open(path, "w") as f:
                f.write(text)
        self.done = self.p.cli("diff", folder, "--json", *options, expect=expect)
        return lines(self.done.stdout)

    def short(self, rows):
        return [(r["change"], r["rule"], r["event"]) for r in rows]

    def test_the_same_rules_differ_in_nothing(self):
        self.assertEqual(self.diff(expect=0), [])
        self.assertIn("0 gained, 0 lost, 0 changed, 7 the same; 8 events through 3 and 3 rules", self.done.stderr)
        self.assertIn("events/s", self.done.stderr)
        self.assertEqual(self.p.cli("diff", self.p.rules, expect=0).stdout, "")

    def test_without_a_service_and_beside_one(self):
        with_service = self.diff({"other.yaml": None})
        self.p.stop()
        self.assertEqual(self.diff({"other.yaml": None}), with_service)
        self.p.start()
        self.assertEqual(len(with_service), 3)

    def test_runs_lost(self):
        first = self.events[0]
        rows = self.diff({"alarm.yaml": ALARM.replace('">", 60', '">", 75')})
        self.assertEqual([(r["change"], r["rule"]) for r in rows], [("lost", "alarm"), ("lost", "later")])
        self.assertEqual(rows[0]["event"], first)
        detail = rows[0]["verdict"]["detail"]
        self.assertEqual((detail["field"], detail["actual"], detail["wanted"]), ("celsius", 61, [{"numeric": [">", 75]}]))
        self.assertEqual([e["operator"] for e in rows[0]["before"]], ["notify.send", "emit"])
        self.assertEqual(rows[0]["before"][0]["params"], {"message": "bath: 61 in <run> for <event>"})
        self.assertNotIn("after", rows[0])
        self.assertTrue(rows[1]["event"].startswith("room.Alarm from perigee:rule/alarm at "), rows[1])
        self.assertNotIn("verdict", rows[1])

    def test_runs_gained_by_data_as_of_the_event(self):
        rows = self.diff({"alarm.yaml": ALARM.replace("  - expr: event.room ~= 'kitchen'\n", "")})
        self.assertEqual(self.short(rows)[0], ("gained", "alarm", self.events[1]))
        self.assertEqual(rows[0]["verdict"]["reason"], "event.room ~= 'kitchen' is not true")
        self.assertEqual([r["rule"] for r in rows], ["alarm", "later"])
        self.assertEqual(rows[0]["assumed"], ["notify.send"])
        self.assertEqual(rows[1]["after"], [{"operator": "core.log", "params": {"message": "kitchen"}, "after_ms": 600000}])
        self.assertNotIn(self.events[3], [r["event"] for r in rows], "bob is no VIP")

    def test_runs_changed(self):
        rows = self.diff({"later.yaml": LATER.replace("10m", "20m"), "alarm.yaml": ALARM.replace("}} in ", "}} degrees in ")})
        self.assertEqual([(r["change"], r["rule"]) for r in rows], [("changed", "alarm"), ("changed", "later")] * 2)
        self.assertEqual([e["after_ms"] for r in rows if r["rule"] == "later" for e in (r["before"][0], r["after"][0])], [600000, 1200000] * 2)
        text = self.p.cli("diff", os.path.join(self.p.dir, "new"), expect=1).stdout
        self.assertIn(f"~ alarm  {self.events[0]}  ", text)
        self.assertIn('    - notify.send {"message":"bath: 61 in <run> for <event>"}\n    + notify.send {"message":"bath: 61 degrees in <run> for <event>"}\n', text)
        self.assertIn('    - after 10m: core.log {"message":"bath"}\n    + after 20m: core.log', text)
        self.assertNotIn("emit", text)

    def test_a_throttle_and_its_clock(self):
        rows = self.diff({"other.yaml": OTHER + "throttle: {once_within: 1h}\n"})
        self.assertEqual(self.short(rows), [("lost", "other", self.events[6]), ("lost", "other", self.events[7])])
        self.assertEqual({r["verdict"]["verdict"] for r in rows}, {"throttled"})

    def test_byte_for_byte(self):
        changed = {"alarm.yaml": ALARM.replace("60", "50"), "other.yaml": OTHER.replace("event.n", "event.n + 1")}
        self.diff(changed)
        first = self.done.stdout
        self.diff(changed)
        self.assertEqual(self.done.stdout, first)
        self.assertGreater(len(first), 100)

    def test_nothing_has_an_effect(self):
        before = self.p.get("/v1/outbox")["items"], self.p.get("/v1/events?limit=100")["items"], self.p.get("/v1/runs?limit=100")["items"]
        self.diff({"alarm.yaml": ALARM.replace("60", "10")})
        self.assertEqual((self.p.get("/v1/outbox")["items"], self.p.get("/v1/events?limit=100")["items"], self.p.get("/v1/runs?limit=100")["items"]), before)

    def test_events_of_a_file(self):
        path = os.path.join(self.p.dir, "events.jsonl")
        with open(path, "w") as f:
            for n in range(4):
                print(json.dumps({"type": "other.Event", "data": {"n": n}, "time": f"2026-01-01T0{n}:00:00Z"}), file=f)
        rows = self.diff({"other.yaml": OTHER + "throttle: {once_within: 90m}\n"}, options=("--events", path))
        self.assertEqual([r["time"] for r in rows], ["2026-01-01T01:00:00.000Z", "2026-01-01T03:00:00.000Z"])
        with open(path, "a") as f:
            f.write("nonsense\n")
        self.diff(options=("--events", path), expect=1)
        self.assertIn("events.jsonl:5", self.done.stderr)

    def test_since_and_what_is_wrong(self):
        self.assertEqual(self.diff({"other.yaml": None}, options=("--since", "1ms"), expect=0), [])
        self.assertIn("0 events", self.done.stderr)
        self.diff(options=("--since", "soon"), expect=2)
        self.diff({"other.yaml": "name: x\n"}, expect=1)
        self.assertIn("missing-key", self.done.stderr)
        self.p.cli("diff", "/nowhere", expect=1)


class Seeded(harness.Case):
    """Changes of many kinds, each found and nothing else."""

    def test_exactly_the_change(self):
        p = self.service(start=False)
        rules = {f"r{i}.yaml": f"name: R{i}\ntrigger: {{event: seed.E{i % 3}, match: {{n: [{{numeric: ['>=', {i}]}}]}}}}\nconditions: [event.k ~= 'k{i}']\n"
                               f"actions: [{{operator: core.log, params: {{message: 'r{i} {{{{ event.n }}}}'}}}}]\n" for i in range(6)}
        for name, text in rules.items():
            p.write_rule(name, text)
        rng = random.Random(7)
        events = [{"type": f"seed.E{rng.randrange(4)}", "data": {"n": rng.randrange(12), "k": f"k{rng.randrange(8)}"},
                   "time": f"2026-01-01T{i // 60:02}:{i % 60:02}:00Z"} for i in range(400)]
        path, folder = os.path.join(p.dir, "e.jsonl"), os.path.join(p.dir, "new")
        with open(path, "w") as f:
            f.writelines(json.dumps(e) + "\n" for e in events)
        os.mkdir(folder)

        def fires(i, low, key):
            return [e["time"] for e in events if e["type"] == f"seed.E{i % 3}" and e["data"]["n"] >= low and e["data"]["k"] != key]

        for i, old, new, low, key in ((0, ">=', 0]", ">=', 3]", 3, "k0"), (4, ">=', 4]", ">=', 2]", 2, "k4"), (5, "~= 'k5'", "~= 'k2'", 5, "k2")):
            for name, text in rules.items():
                with open(os.path.join(folder, name), "w") as f:
                    f.write(text.replace(old, new) if name == f"r{i}.yaml" else text)
            rows = lines(p.cli("diff", folder, "--events", path, "--json", expect=1).stdout)
            before, after = set(fires(i, i, f"k{i}")), set(fires(i, low, key))
            self.assertEqual({r["rule"] for r in rows}, {f"r{i}"})
            self.assertEqual({r["time"][:19] + "Z" for r in rows if r["change"] == "gained"}, after - before)
            self.assertEqual({r["time"][:19] + "Z" for r in rows if r["change"] == "lost"}, before - after)
            self.assertEqual(len(rows), len(before ^ after))


if __name__ == "__main__":
    harness.main()
