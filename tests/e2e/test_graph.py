#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee rules graph: which rule emits what which rule hears."""
import json
import re
import shutil
import subprocess

import harness

RULE = "name: {0}\ntrigger: {{event: {1}}}\nactions:\n  - emit: {{event: {2}}}\n"


class Graph(harness.Case):
    def setUp(self):
        self.p = self.service(start=False, rules={"a.yaml": RULE.format("A", "device.Sensor", "ring.One"), "b.yaml": RULE.format("B", "ring.One", "ring.Two"),
                                                  "c.yaml": RULE.format("C", "ring.Two", "ring.One"), "d.yaml": RULE.format("D", '"odd.*"', "nobody.Hears")})

    def test_text(self):
        text = self.p.cli("rules", "graph", expect=0).stdout
        self.assertRegex(text, r"device\.Sensor +plugin device +a\n")
        self.assertRegex(text, r"ring\.One +a, c +b\n")
        self.assertRegex(text, r"nobody\.Hears +d +\(nobody\)\n")
        self.assertRegex(text, r"odd\.\* +\(outside\) +d\n")
        self.assertIn("Cycles:\n  b -(ring.Two)-> c -(ring.One)-> b\n", text)
        self.assertIn("  d hears odd.*\n", text)

    def test_json(self):
        graph = json.loads(self.p.cli("rules", "graph", "--json", expect=0).stdout)
        self.assertEqual(graph["cycles"], [[{"rule": "b", "event": "ring.Two"}, {"rule": "c", "event": "ring.One"}]])
        self.assertEqual(graph["unreached"], ["d"])
        self.assertEqual([r["id"] for r in graph["rules"]], ["a", "b", "c", "d"])

    def test_dot(self):
        text = self.p.cli("rules", "graph", "--dot", expect=0).stdout
        self.assertTrue(text.startswith("digraph rules {") and text.endswith("}\n"))
        for edge in ('"plugin:device" -> "event:device.Sensor"', '"event:device.Sensor" -> "rule:a"', '"rule:a" -> "event:ring.One"'):
            self.assertIn(edge + ";", text)
        self.assertEqual(len(re.findall(r"\[shape=box", text)), 4)
        if shutil.which("dot"):
            subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, stdout=subprocess.DEVNULL, timeout=60)


WAITS = """rules:
  - name: Ask
    trigger: {event: device.Sensor}
    actions:
      - if: event.value > 1
        then:
          - parallel:
              - [{emit: {event: work.Wanted}}]
              - [{for_each: {in: [1, 2], as: x}, do: [{emit: {event: work.Counted}}]}]
        on_error: [{emit: {event: work.Gone}}]
      - {wait_for: {event: work.Done, timeout: 1h}}
    on_error: [{emit: {event: ask.Failed}}]
  - {name: Work, trigger: {event: work.Wanted}, actions: [{emit: {event: work.Done}}, {wait_for: {event: "never.*"}}], cancel_on: [{event: work.Gone}, {event: boss.Left}]}
  - {name: Late, trigger: {event: never.Sent}, actions: [{stop: true}]}
"""


class Waits(harness.Case):
    def setUp(self):
        self.p = self.service(start=False, rules={"a.yaml": WAITS})

    def test_runs_that_wait_and_end(self):
        graph = json.loads(self.p.cli("rules", "graph", "--json", expect=0).stdout)
        rules = {r["id"]: r for r in graph["rules"]}
        self.assertEqual(rules["ask"]["emits"], ["work.Wanted", "work.Counted", "work.Gone", "ask.Failed"], "also deep inside")
        self.assertEqual((rules["ask"]["waits_for"], rules["work"]["cancelled_by"]), (["work.Done"], ["work.Gone", "boss.Left"]))
        self.assertEqual(graph["cycles"], [[{"rule": "ask", "event": "work.Wanted"}, {"rule": "work", "event": "work.Done", "waits": True}]])
        self.assertEqual(graph["unreached"], ["late"], "to wait for an event does not start anything")
        text = self.p.cli("rules", "graph", expect=0).stdout
        self.assertRegex(text, r"work\.Done +work +ask \(waits\)\n")
        self.assertRegex(text, r"work\.Gone +ask +work \(ends\)\n")
        self.assertRegex(text, r"boss\.Left +\(outside\) +work \(ends\)\n")
        self.assertIn("  ask -(work.Wanted)-> work -(work.Done, waited for)-> ask\n", text)
        dot = self.p.cli("rules", "graph", "--dot", expect=0).stdout
        self.assertIn('"event:work.Done" -> "rule:ask" [style=dashed, label="waits"];', dot)
        self.assertIn('"event:boss.Left" -> "rule:work" [style=dotted, label="ends"];', dot)


if __name__ == "__main__":
    harness.main()
