#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blueprints through the program: rules made of one, a service that reloads them, what may and may not be named as one."""
import json
import os
import shutil
import subprocess

import harness
from test_check import lines
from test_readme import BLOCK, commands

BLUEPRINT = """blueprint:
  name: Greet
  input:
    tag: {type: string, min: 1}
    text: {type: string, default: "Hello {{ event.name }}"}
    wait: {type: duration, required: false}
    secret: {type: secret, required: false}
trigger: {event: t.Arrived, match: {tag: [!input tag]}}
actions:
  - operator: notify.send
    params: {message: !input text}
"""
USES = """rules:
  - {name: Ada, use_blueprint: {path: blueprints/greet.yaml, input: {tag: a}}}
  - {name: Bob, use_blueprint: {path: blueprints/greet.yaml, input: {tag: b, text: Hi}}}
"""


class Case(harness.Case):
    def blueprint(self, text, name="greet.yaml"):
        os.makedirs(os.path.join(self.p.rules, "blueprints"), exist_ok=True)
        self.p.write_rule("blueprints/" + name, text)

    def codes(self, *arguments):
        return [(f["code"], f["file"][len(self.p.rules) + 1:], f["line"]) for f in lines(self.p.cli("check", *arguments, "--json").stdout)]


class Service(Case):
    def setUp(self):
        self.p = self.service(start=False)
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", USES)

    def reload(self):
        answer = self.p.request("POST", "/v1/reload", {})
        self.assertEqual(answer.status, 200)
        return answer.json

    def greet(self, tag):
        before = len(self.p.outbox())
        runs = self.p.runs_of(self.p.emit("t.Arrived", {"tag": tag, "name": "you"}))
        if not runs:
            return None
        return harness.wait_for(lambda: len(self.p.outbox()) > before and self.p.outbox(), "a message")[-1]["body"]

    def test_two_rules_of_one_blueprint_and_an_edit(self):
        self.p.start()
        self.assertEqual((self.greet("a"), self.greet("b"), self.greet("c")), ("Hello you", "Hi", None))
        ada, = [r for r in self.p.get("/v1/rules")["items"] if r["id"] == "ada"]
        self.assertEqual((ada["blueprint"], os.path.basename(ada["file"]), ada["line"]), ("blueprints/greet.yaml", "uses.yaml", 2))
        self.blueprint(BLUEPRINT.replace("Hello {{", "Good day {{"))  # the watcher sees it, in a folder below
        harness.wait_for(lambda: self.greet("a") == "Good day you", "the edit")
        self.assertEqual(self.greet("b"), "Hi")
        self.blueprint(BLUEPRINT.replace("!input text", "!input txet"))
        found = self.reload()
        self.assertEqual([f["code"] for f in found["items"]], ["unknown-input", "broken-blueprint", "broken-blueprint"])
        self.assertEqual((self.greet("a"), self.greet("b")), ("Good day you", "Hi"), "they run on as they were")
        os.unlink(os.path.join(self.p.rules, "blueprints", "greet.yaml"))
        self.assertEqual([f["code"] for f in self.reload()["items"]], ["no-blueprint", "no-blueprint"])
        self.assertEqual(self.greet("a"), "Good day you")

    def test_a_run_that_waits_goes_on_with_what_it_began_with(self):
        text = BLUEPRINT.replace("actions:\n", "actions:\n  - {wait_for: {event: t.Go}}\n")
        self.blueprint(text)
        self.p.start()
        event = self.p.emit("t.Arrived", {"tag": "a", "name": "you"})
        run, = self.p.runs_of(event, ended=False)
        self.blueprint(text.replace("Hello", "Good day"))
        self.reload()
        self.p.restart()
        os.unlink(os.path.join(self.p.rules, "blueprints", "greet.yaml"))
        self.p.emit("t.Go")
        harness.wait_for(lambda: self.p.outbox(), "the message")
        self.assertEqual([m["body"] for m in self.p.outbox()], ["Hello you"])

    def test_why_and_traces_name_the_rule(self):
        self.p.start()
        event = self.p.emit("t.Arrived", {"tag": "a", "name": "you"})
        run, = self.p.runs_of(event)
        self.assertIn("notify.send", self.p.cli("runs", "show", run["id"], expect=0).stdout)
        self.assertIn("bob: no, at match: tag", self.p.cli("why", "bob", "--event", event, expect=1).stdout)
        self.assertIn("ada: fired", self.p.cli("why", "ada", "--event", event, expect=0).stdout)


class Tools(Case):
    def setUp(self):
        self.p = self.service(start=False)

    def test_findings_have_the_place_of_the_user(self):
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", USES.replace("tag: a", "tga: a").replace("text: Hi", "text: 7"))
        self.assertEqual(self.codes(), [("unused-input", "blueprints/greet.yaml", 6), ("unused-input", "blueprints/greet.yaml", 7), ("unknown-input", "uses.yaml", 2),
                                        ("input-type", "uses.yaml", 3)])
        text = self.p.cli("check", expect=1).stdout
        self.assertIn("uses.yaml:2:70: error: the blueprint has no input \"tga\" [unknown-input]", text)
        self.assertIn('did you mean "tag"?', text)

    def test_fix_mends_the_use_and_leaves_the_blueprint_whole(self):
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", "# kept\n" + USES.replace("tag: a", "tga: a").replace("greet.yaml, input: {tag: b", "gret.yaml, input: {tag: b"))
        self.p.cli("check", "--fix", expect=0)
        with open(os.path.join(self.p.rules, "uses.yaml")) as f:
            self.assertEqual(f.read(), "# kept\n" + USES)
        with open(os.path.join(self.p.rules, "blueprints", "greet.yaml")) as f:
            self.assertEqual(f.read(), BLUEPRINT)
        self.blueprint(BLUEPRINT.replace("!input text", "!input txet").replace("{type: string, min", "{type: strin, min"))
        self.p.cli("check", "--fix")
        with open(os.path.join(self.p.rules, "blueprints", "greet.yaml")) as f:
            self.assertIn("{type: string, min", f.read())

    def test_a_blueprint_in_a_blueprint_is_one_finding_that_says_what_to_do(self):
        self.blueprint("blueprint: {name: Outer, input: {tag: {type: string}}}\nuse_blueprint: {path: blueprints/greet.yaml, input: {tag: !input tag}}\n", "outer.yaml")
        self.p.write_rule("uses.yaml", "name: Use\nuse_blueprint: {path: blueprints/outer.yaml, input: {tag: a}}\n")
        self.assertEqual(self.codes(), [("misplaced-key", "blueprints/outer.yaml", 2), ("broken-blueprint", "uses.yaml", 2)])
        self.assertIn("a blueprint cannot use another: put what both do into one", self.p.cli("check").stdout)
        self.p.write_rule("uses.yaml", "name: Use\ntrigger: {event: a.B}\nactions: [{use_blueprint: {path: blueprints/greet.yaml}}]\n")
        self.assertIn("a blueprint is a whole rule: use_blueprint stands beside name", self.p.cli("check").stdout)

    def test_paths_do_not_lead_out(self):
        outside = os.path.join(self.p.dir, "outside.yaml")
        with open(outside, "w") as f:
            f.write(BLUEPRINT)
        self.blueprint(BLUEPRINT)
        os.symlink(outside, os.path.join(self.p.rules, "blueprints", "link.yaml"))
        os.symlink(self.p.dir, os.path.join(self.p.rules, "up"))
        self.blueprint("name: X\ntrigger: {event: a.B}\nactions: [{stop: true}]\n", "rule.yaml")
        for path, said in (("../outside.yaml", "out of the rule folder"), (outside, "relative to the rule folder"), ("blueprints/link.yaml", "symbolic link"),
                           ("up/outside.yaml", "symbolic link"), ("blueprints/../../outside.yaml", "out of the rule folder"), ("blueprints", ".yaml file"),
                           ("blueprints/rule.yaml", "this file is no blueprint"), ("blueprints/gone.yaml", "there is no blueprint"), ("./x.yaml", "dot")):
            self.p.write_rule("uses.yaml", json.dumps({"name": "X2", "use_blueprint": {"path": path, "input": {"tag": "a"}}}))
            text = self.p.cli("check", os.path.join(self.p.rules, "uses.yaml"), expect=1).stdout
            self.assertIn(said, text, path)
            self.assertIn("uses.yaml:1:42", text)

    def test_another_rule_folder_lends_its_blueprints(self):
        own = os.path.join(self.p.dir, "own")
        os.mkdir(own)
        self.blueprint(BLUEPRINT)
        self.p.write_config("", [own, self.p.rules])
        with open(os.path.join(own, "uses.yaml"), "w") as f:
            f.write(USES)
        self.assertEqual(sorted(r["id"] for r in lines(self.p.cli("rules", "list", "--json", expect=0).stdout)), ["ada", "bob"])
        os.mkdir(os.path.join(own, "blueprints"))  # one's own comes first
        with open(os.path.join(own, "blueprints", "greet.yaml"), "w") as f:
            f.write(BLUEPRINT.replace("t.Arrived", "t.Own"))
        self.assertIn("t.Own", self.p.cli("rules", "show", "ada", expect=0).stdout)

    def test_files_outside_of_the_rule_folders(self):
        self.blueprint(BLUEPRINT)
        away = os.path.join(self.p.dir, "away")
        shutil.copytree(self.p.rules, away)
        shutil.rmtree(os.path.join(self.p.rules, "blueprints"))
        file = os.path.join(away, "uses.yaml")
        with open(file, "w") as f:
            f.write(USES.replace("tag: a", "tga: a"))
        self.p.cli("check", "--fix", file, expect=0)
        with open(file) as f:
            self.assertEqual(f.read(), USES)

    def test_rules_in_folders_below(self):
        self.blueprint(BLUEPRINT)
        os.mkdir(os.path.join(self.p.rules, "house"))
        self.p.write_rule("house/uses.yaml", USES)
        self.p.write_rule("house/uses.test.yaml", "rules: uses.yaml\ntests:\n  - name: t\n    steps:\n      - {event: t.Arrived, data: {tag: b}, expect: {verdicts: {bob: fired}}}\n")
        self.assertEqual([c for c, _, _ in self.codes() if c != "unused-input"], [])
        self.p.cli("check", os.path.join(self.p.rules, "house"), expect=0)
        self.p.cli("test", os.path.join(self.p.rules, "house"), expect=0)

    def test_tests_mutation_and_coverage(self):
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", USES)
        self.p.write_rule("uses.test.yaml", """tests:
  - name: t
    steps:
      - event: t.Arrived
        data: {tag: a, name: you}
        expect: {verdicts: {ada: fired, bob: no}, messages: [{body: Hello you}]}
""")
        file = os.path.join(self.p.rules, "uses.test.yaml")
        self.p.cli("test", file, expect=0)
        changes = lines(self.p.cli("test", file, "--mutate", "--json", expect=1).stdout)
        changes = [c for c in changes if "change" in c]
        self.assertEqual([(c["rule"], c["path"], c["noticed"], os.path.basename(c["file"]), c["line"]) for c in changes],
                         [("ada", "trigger.match.tag", False, "uses.yaml", 2), ("bob", "trigger.match.tag", True, "uses.yaml", 3)])

    def test_backtest_sees_what_an_edit_of_the_blueprint_changes(self):
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", USES)
        self.p.start()
        self.p.runs_of(self.p.emit("t.Arrived", {"tag": "a", "name": "you"}))
        self.p.stop()
        other = os.path.join(self.p.dir, "other")
        shutil.copytree(self.p.rules, other)
        self.assertEqual(self.p.cli("diff", other, "--since", "1d", expect=0).returncode, 0)
        with open(os.path.join(other, "blueprints", "greet.yaml"), "w") as f:
            f.write(BLUEPRINT.replace("Hello", "Good day"))
        text = self.p.cli("diff", other, "--since", "1d", expect=1).stdout
        self.assertIn("ada", text)
        self.assertIn("Good day you", text)

    def test_a_secret_stays_one(self):
        canary = "canary-7f3a9"
        self.blueprint(BLUEPRINT.replace("params: {message: !input text}", "params: {message: \"{{ input.text }}\"}"))
        self.p.write_rule("uses.yaml", USES.replace("text: Hi", "text: !secret pin"))
        self.p.cli("secrets", "set", "pin", stdin=canary, expect=0)
        self.assertIn(("input-dynamic", "uses.yaml", 3), self.codes(), "what a template computes with would be written out")
        self.blueprint(BLUEPRINT)
        self.assertNotIn("input-dynamic", [c for c, _, _ in self.codes()])
        self.assertNotIn(canary, self.p.cli("rules", "show", "bob", expect=0).stdout)
        self.p.start()
        self.p.runs_of(self.p.emit("t.Arrived", {"tag": "b"}))
        for command in (("runs", "list", "--json"), ("rules", "show", "bob", "--json"), ("runs", "show", "run-1", "--json")):
            self.assertNotIn(canary, self.p.cli(*command).stdout)


class Command(Case):
    """perigee blueprints."""

    def setUp(self):
        self.p = self.service(start=False)
        self.blueprint(BLUEPRINT)
        self.p.write_rule("uses.yaml", USES)

    def update(self, text, *more, expect=1):
        file = os.path.join(self.p.dir, "update.yaml")
        with open(file, "w") as f:
            f.write(text)
        return json.loads(self.p.cli("blueprints", "diff", "blueprints/greet.yaml", file, *more, "--json", expect=expect).stdout)

    def test_list_and_show(self):
        row, = lines(self.p.cli("blueprints", "list", "--json", expect=0).stdout)
        self.assertEqual((row["path"], row["name"], row["inputs"], row["errors"], row["rules"]), ("blueprints/greet.yaml", "Greet", 4, 0, ["ada", "bob"]))
        about = json.loads(self.p.cli("blueprints", "show", "blueprints/greet.yaml", "--json", expect=0).stdout)
        self.assertEqual([(i["name"], i["type"], i["required"]) for i in about["inputs"]],
                         [("tag", "string", True), ("text", "string", False), ("wait", "duration", False), ("secret", "secret", False)])
        self.assertIn("string, default Hello {{ event.name }}", self.p.cli("blueprints", "show", "blueprints/greet.yaml", expect=0).stdout)
        self.assertIn('did you mean "blueprints/greet.yaml"?', self.p.cli("blueprints", "show", "blueprints/gret.yaml", expect=1).stderr)

    def test_an_update_as_a_difference(self):
        self.assertEqual(self.update(BLUEPRINT, expect=0)["changed"], False)
        doc = self.update(BLUEPRINT.replace("Hello", "Good day"))
        self.assertEqual([(i["name"], i["change"]) for i in doc["inputs"]], [("text", "changed")])
        self.assertEqual([(r["id"], r["change"], r["line"]) for r in doc["rules"]], [("ada", "changed", 2), ("bob", "same", 3)])
        diff = doc["rules"][0]["diff"].splitlines()
        self.assertTrue(any(line.startswith("-") and "Hello" in line for line in diff))
        self.assertTrue(any(line.startswith("+") and "Good day" in line for line in diff))
        doc = self.update(BLUEPRINT.replace("text: {", "words: {").replace("!input text", "!input words"))
        self.assertEqual([(r["id"], r["change"]) for r in doc["rules"]], [("ada", "changed"), ("bob", "broken")])
        self.assertEqual([(f["code"], f["line"]) for f in doc["findings"]], [("unknown-input", 3)])
        doc = self.update(BLUEPRINT.replace("!input text", "!input txet"))
        self.assertEqual({r["change"] for r in doc["rules"]}, {"broken"})
        self.assertIn("unknown-input", [f["code"] for f in doc["findings"]])
        self.p.cli("blueprints", "diff", "blueprints/greet.yaml", os.path.join(self.p.dir, "gone.yaml"), expect=1)
        elsewhere = os.path.join(self.p.dir, "update.yaml")
        self.p.cli("blueprints", "diff", elsewhere, elsewhere, expect=2)
        self.p.cli("blueprints", "diff", elsewhere, elsewhere, "--path", "blueprints/greet.yaml", expect=0)

    def test_a_rule_that_was_expanded_is_the_same_rule(self):
        text = self.p.cli("blueprints", "expand", "ada", expect=0).stdout
        before = json.loads(self.p.cli("rules", "show", "ada", "--json", expect=0).stdout)
        os.unlink(os.path.join(self.p.rules, "uses.yaml"))
        os.unlink(os.path.join(self.p.rules, "blueprints", "greet.yaml"))
        self.p.write_rule("ada.yaml", text)
        after = json.loads(self.p.cli("rules", "show", "ada", "--json", expect=0).stdout)
        self.assertEqual((after["hash"], after["text"]), (before["hash"], before["text"]))
        self.p.cli("blueprints", "expand", "nobody", expect=1)

    def test_shipped_rules_are_the_same_in_lines(self):
        shutil.rmtree(self.p.rules)
        shutil.copytree(os.path.join(harness.SOURCE, "rules"), self.p.rules, ignore=shutil.ignore_patterns("my-*", "*.test.yaml"))
        some = ("office-arrival-follow-ups", "order-unpaid", "after-hours-reply", "freezer-warm")
        before = {rule: json.loads(self.p.cli("rules", "show", rule, "--json", expect=0).stdout)["hash"] for rule in some}
        texts = [self.p.cli("blueprints", "expand", rule, expect=0).stdout for rule in before]
        shutil.rmtree(self.p.rules)
        os.mkdir(self.p.rules)
        self.p.write_rule("all.yaml", "---\n".join(texts))
        for rule, wanted in before.items():
            self.assertEqual(json.loads(self.p.cli("rules", "show", rule, "--json", expect=0).stdout)["hash"], wanted, rule)


class Walk(harness.Case):
    """What docs/rules.md shows of an update."""

    def test_prints_what_the_page_shows(self):
        p = self.service(start=False)
        shutil.rmtree(p.rules)
        shutil.copytree(os.path.join(harness.SOURCE, "rules"), p.rules, ignore=shutil.ignore_patterns("my-*"))
        os.mkdir(os.path.join(p.dir, "bin"))
        os.symlink(harness.BIN, os.path.join(p.dir, "bin", "perigee"))
        env = {**p.env, "PATH": os.path.join(p.dir, "bin") + ":" + os.environ["PATH"], "PERIGEE_CONFIG": p.config_file}
        with open(os.path.join(harness.SOURCE, "docs", "rules.md"), encoding="utf-8") as f:
            (name, block), = BLOCK.findall(f.read())
        self.assertEqual(name, "update")
        for command, output in commands(block):
            done = subprocess.run(["bash", "-c", command], cwd=p.dir, env=env, capture_output=True, text=True, timeout=harness.DEADLINE)
            self.assertEqual((done.stdout + done.stderr).rstrip("\n"), output.rstrip("\n"), command)


if __name__ == "__main__":
    harness.main()
