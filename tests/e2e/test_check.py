#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee check: codes and their explanations, SARIF."""
import json
import os

import harness


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def whole(part, i):
    """A rule of its own from the keys of an example."""
    heads = {line.split(":")[0] for line in part.splitlines() if line[:1].isalpha()}
    text = part
    if "name" not in heads:
        text = f"name: Example {i}\n" + text
    if not heads & {"trigger", "triggers"}:
        text += "\ntrigger: {event: demo.Hello}"
    if "actions" not in heads:
        text += "\nactions:\n  - stop: true"
    return text + "\n"


class Codes(harness.Case):
    def setUp(self):
        self.p = self.service(start=False)
        self.codes = lines(self.p.cli("check", "--codes", "--json", expect=0, config=False).stdout)

    def examples(self, side):
        """{file name: finding codes} of all examples of rules, checked in one go."""
        folder = os.path.join(self.p.dir, side)
        os.mkdir(folder)
        for i, c in enumerate(self.codes):
            if c.get("example") in ("rule", "file"):
                with open(os.path.join(folder, f"{c['code']}.yaml"), "w") as f:
                    f.write(whole(c[side], i) if c["example"] == "rule" else c[side].replace("name: Hello", f"name: Hello {i}") + "\n")
        found = {name: [] for name in os.listdir(folder)}
        for finding in lines(self.p.cli("check", folder, "--json").stdout):
            if finding["file"].startswith(folder):
                found[os.path.basename(finding["file"])].append(finding["code"])
        self.assertGreater(len(found), 40)
        return found

    def test_every_wrong_example_has_its_finding(self):
        for name, found in self.examples("before").items():
            self.assertEqual(found, [name[:-5]])

    def test_every_right_example_is_right(self):
        for name, found in self.examples("after").items():
            self.assertEqual(found, [], name)

    def test_examples_of_the_configuration(self):
        os.environ["TZ"] = "UTC"
        for c in self.codes:
            if c.get("example") == "config":
                for side, want in (("before", [c["code"]]), ("after", [])):
                    self.p.write_rule("none.yaml", "")
                    with open(self.p.config_file, "w") as f:
                        f.write(f"rules: [{self.p.rules}]\n{c[side]}\n")
                    self.assertEqual([f["code"] for f in lines(self.p.cli("check", "--json").stdout)], want, c[side])

    def test_examples_of_manifests(self):
        good = {"id": "org.example.t", "name": "T", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua"}
        folder = os.path.join(self.p.dir, "plugin")
        os.mkdir(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write("return { }\n")
        for c in self.codes:
            if c.get("example") != "manifest":
                continue
            for side in ("before", "after"):
                text = c[side]
                if not text.startswith("{"):
                    text = json.dumps({**good, **json.loads("{" + text + "}")})
                elif side == "after":
                    text = json.dumps({**good, **json.loads(text)})
                with open(os.path.join(folder, "plugin.json"), "w") as f:
                    f.write(text)
                found = [f["code"] for f in lines(self.p.cli("plugins", "check", folder, "--json").stdout) if "code" in f]
                self.assertEqual(found, [c["code"]] if side == "before" else [], c)

    def test_explain(self):
        text = self.p.cli("check", "--explain", "cron-never", expect=0, config=False).stdout
        self.assertIn("a schedule that never fires", text)
        self.assertIn("31 2 *", text)
        one = json.loads(self.p.cli("check", "--explain", "cron-never", "--json", expect=0, config=False).stdout)
        self.assertEqual((one["code"], one["example"]), ("cron-never", "rule"))
        self.assertIn('did you mean "unknown-operator"?', self.p.cli("check", "--explain", "unknown-operater", expect=1, config=False).stderr)
        self.assertIn("--codes", self.p.cli("check", "--explain", "xyzzy", expect=1, config=False).stderr)


class Warnings(harness.Case):
    def test_what_plugins_declare_and_rules_emit(self):
        rule = "name: {0}\ntrigger: {{event: {1}}}\nactions:\n  - emit: {{event: {2}}}\n"
        p = self.service(start=False, rules={"a.yaml": rule.format("A", "comms.CallMised", "garden.Dry"), "b.yaml": rule.format("B", "garden.Dri", "x.Y"),
                                             "c.yaml": rule.format("C", "device.Sensor", "x.Y")})
        found = lines(p.cli("check", "--json", expect=0).stdout)
        self.assertEqual([(f["severity"], f["code"], f["hint"]) for f in found],
                         [("warning", "unknown-event", 'did you mean "comms.CallMissed"?'), ("warning", "unknown-event", 'did you mean "garden.Dry"?')])
        self.assertIn("0 errors, 2 warnings", p.cli("check", expect=0).stderr)


class Sarif(harness.Case):
    def test_findings(self):
        p = self.service(start=False, rules={"a b.yaml": 'name: A\ntrigger: {event: demo.Hello}\nactions:\n  - operator: core.logg\n    params: {message: "ä {{ evnt.x }}"}\n'})
        log = json.loads(p.cli("check", "--sarif", expect=1).stdout)
        self.assertEqual((log["version"], log["$schema"]), ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json"))
        run, = log["runs"]
        self.assertEqual(run["columnKind"], "unicodeCodePoints")
        self.assertEqual(run["tool"]["driver"]["name"], "perigee")
        self.assertEqual({r["id"] for r in run["tool"]["driver"]["rules"]}, {r["ruleId"] for r in run["results"]})
        first, second = run["results"]
        self.assertEqual((first["ruleId"], first["level"]), ("unknown-operator", "error"))
        self.assertIn('did you mean "core.log"', first["message"]["text"])
        place = second["locations"][0]["physicalLocation"]
        self.assertEqual(place["region"], {"startLine": 5, "startColumn": 29})
        self.assertTrue(place["artifactLocation"]["uri"].startswith("file:///") and place["artifactLocation"]["uri"].endswith("a%20b.yaml"))

    def test_nothing_found(self):
        p = self.service(start=False, rules={"a.yaml": "name: A\ntrigger: {event: demo.Hello}\nactions:\n  - stop: true\n"})
        self.assertEqual(json.loads(p.cli("check", "--sarif", expect=0).stdout)["runs"][0]["results"], [])

    def test_a_broken_configuration_is_in_it_too(self):
        p = self.service("log: {level: loud}", start=False)
        result, = json.loads(p.cli("check", "--sarif", expect=1).stdout)["runs"][0]["results"]
        self.assertEqual(result["ruleId"], "wrong-value")


class Fix(harness.Case):
    HEAD = "name: A\ntrigger: {event: demo.Hello}\n"
    TAIL = "actions:\n  - stop: true\n"
    # wrong line (between HEAD and TAIL) -> mended line
    LINES = [
        ("description: {{ event.name }}", 'description: "{{ event.name }}"'),
        ('description: {{ event.name | default("you") }}', "description: '{{ event.name | default(\"you\") }}'"),
        ("description: {{ event.name }} and you # both", 'description: "{{ event.name }} and you" # both'),
        ("enabled: yes", "enabled: true"),
        ("enabled: Off", "enabled: false"),
        ('enabled: "true"', "enabled: true"),
        ("priority: '3'", "priority: 3"),
        ("description: 12", 'description: "12"'),
        ("description: *all", 'description: "*all"'),
        ("throttle: {once_within: 10 minutes}", "throttle: {once_within: 10m}"),
        ("throttle: {once_within: 2 Hours}", "throttle: {once_within: 2h}"),
        ("throtle: {once_within: 2h}", "throttle: {once_within: 2h}"),
        ("mode: quued", "mode: queued"),
        ("conditions: [{expr: event.a != 1 && !evnt.b || event.c = null}]",
         "conditions: [{expr: event.a ~= 1 and not event.b or event.c == nil}]"),
        ("conditions: [{expr: (event.a | uper) == 'A'}]", "conditions: [{expr: (event.a | upper) == 'A'}]"),
        ("conditions: [{operator: contact.hasTag, params: {tag: vip}}]", "conditions: [{operator: contact.HasTag, params: {tag: vip}}]"),
        ("conditions: [{operator: contact.HasTag, params: {tags: vip}}]", "conditions: [{operator: contact.HasTag, params: {tag: vip}}]"),
        ("conditions: [{operator: contact.HasTag, params: {tag: 7}}]", 'conditions: [{operator: contact.HasTag, params: {tag: "7"}}]'),
        ("\tdescription: a", None),
    ]

    def fixed(self, text):
        p = self.service(start=False, rules={"a.yaml": text})
        path = os.path.join(p.rules, "a.yaml")
        os.chmod(path, 0o640)
        told = lines(p.cli("check", "--fix", "--json").stdout)
        with open(path) as f:
            after = f.read()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(p.rules), ["a.yaml"])
        return after, told

    def test_what_is_certain_is_mended(self):
        for wrong, right in self.LINES:
            with self.subTest(wrong):
                text = self.HEAD + wrong + "\n" + self.TAIL
                after, told = self.fixed(text)
                if right is None:
                    self.assertEqual([f["severity"] for f in told if f["severity"] == "error"], ["error"])
                    continue
                self.assertEqual(after, self.HEAD + right + "\n" + self.TAIL)
                self.assertEqual({f["severity"] for f in told}, {"fixed"})
                self.assertEqual(told[0]["fix"]["line"], 3)

    def test_tabs_and_what_stands_behind_them(self):
        after, told = self.fixed("name: A\ntrigger:\n\tevent: demo.Hello\naction:\n\t- operator: core.lg\n\t  params:\n\t\t\tmesage: {{ event.x }}\n")
        self.assertEqual(after, 'name: A\ntrigger:\n  event: demo.Hello\nactions:\n  - operator: core.log\n    params:\n      message: "{{ event.x }}"\n')
        self.assertEqual({f["severity"] for f in told}, {"fixed"})

    def test_a_list_of_triggers(self):
        after, _ = self.fixed("name: A\ntrigger:\n  - event: demo.A\n  - event: demo.B\n" + self.TAIL)
        self.assertEqual(after, "name: A\ntriggers:\n  - event: demo.A\n  - event: demo.B\n" + self.TAIL)

    def test_what_would_make_it_worse_stays(self):
        text = self.HEAD + "triger: {event: demo.Other}\n" + self.TAIL  # the rule has a trigger already
        after, told = self.fixed(text)
        self.assertEqual(after, text)
        self.assertEqual([f["code"] for f in told], ["unknown-key"])

    def test_good_files_are_left_alone(self):
        text = "# mine\n" + self.HEAD + self.TAIL
        after, told = self.fixed(text)
        self.assertEqual((after, told), (text, []))


if __name__ == "__main__":
    harness.main()
