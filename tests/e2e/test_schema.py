#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of rule files agrees with the engine: docs/rule.schema.json is current, takes what loads, and refuses what does not."""
import copy
import glob
import json
import os
import re

import jsonschema
import yaml

import harness
from test_check import lines, whole

RULES = sorted(f for f in glob.glob(os.path.join(harness.SOURCE, "rules", "*.yaml")) if not f.endswith(".test.yaml"))
FREE = {"match", "input", "data", "set", "json", "where", "headers", "query"}  # mappings whose keys the author chooses
# What a schema can see of the mistakes that the engine finds.
SEEN = {"unknown-key", "missing-key", "misplaced-key", "misplaced-item", "conflicting-keys", "wrong-type", "bad-value", "out-of-range", "empty-text",
        "empty-list", "bad-name", "webhook-path", "webhook-unprotected", "duration", "unknown-operator", "operator-kind", "param-missing", "param-unknown", "param-type", "event-type",
        "pattern-type", "pattern-empty", "pattern-operator", "pattern-numeric", "pattern-or", "pattern-list"}


class Loader(yaml.SafeLoader):
    """YAML 1.2 core schema."""


Loader.yaml_implicit_resolvers = {}
for tag, regex, first in (("null", r"^(~|null|Null|NULL|)$", "~nN"), ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
                          ("int", r"^[-+]?[0-9]+$", "-+0123456789"), ("float", r"^[-+]?([0-9]*\.[0-9]+|[0-9]+\.?)([eE][-+]?[0-9]+)?$", "-+.0123456789")):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(regex), list(first) + ([""] if tag == "null" else []))
Loader.add_constructor("!secret", lambda loader, node: node.value)
Loader.add_constructor("!input", lambda loader, node: node.value)


def documents(text):
    return [d for d in yaml.load_all(text, Loader) if d is not None]


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def keys_of(node, path=()):
    """Paths of all keys that the engine knows by name."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield path + (key,)
            if key not in FREE:
                yield from keys_of(value, path + (key,))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from keys_of(value, path + (i,))


def renamed(node, path, new):
    node = copy.deepcopy(node)
    at = node
    for part in path[:-1]:
        at = at[part]
    at[new] = at.pop(path[-1])
    return node


class Schema(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.committed = text_of(os.path.join(harness.SOURCE, "docs", "rule.schema.json"))
        cls.schema = json.loads(cls.committed)
        cls.validator = jsonschema.Draft7Validator(cls.schema)

    def setUp(self):
        self.p = self.service(start=False)

    def valid(self, document):
        return self.validator.is_valid(document)

    def engine(self, documents):
        """Finding codes of each document, in one go."""
        folder = os.path.join(self.p.dir, "m")
        os.mkdir(folder)
        for i, d in enumerate(documents):
            with open(os.path.join(folder, f"{i:04}.yaml"), "w") as f:
                json.dump({**d, "id": f"r{i}"} if "id" not in d else d, f)
        found = [[] for _ in documents]
        for f in lines(self.p.cli("check", folder, "--json").stdout):
            if f["severity"] == "error":
                found[int(os.path.basename(f["file"])[:4])].append(f["code"])
        return found

    def test_is_current(self):
        printed = self.p.cli("check", "--schema", expect=0).stdout
        self.assertEqual(json.loads(printed), self.schema, "run: perigee check --schema > docs/rule.schema.json")
        self.assertEqual(printed, self.committed)

    def test_is_a_draft_07_schema(self):
        self.assertEqual(self.schema["$schema"], "http://json-schema.org/draft-07/schema#")
        jsonschema.Draft7Validator.check_schema(self.schema)

    def test_takes_every_shipped_rule(self):
        for path in RULES:
            for document in documents(text_of(path)):
                self.assertEqual([e.message for e in self.validator.iter_errors(document)], [], path)

    def test_takes_every_rule_of_the_documents(self):
        n = 0
        for text in re.findall(r"```yaml\n(name: .*?)```", text_of(os.path.join(harness.SOURCE, "docs", "rules.md")) + text_of(os.path.join(harness.SOURCE, "README.md")), re.S):
            for document in documents(text):
                n += 1
                operators = set(re.findall(r"operator: ([\w.]+)", text))
                self.assertTrue(self.valid(document) or "example.pendingFollowUps" in operators, text)
        self.assertGreater(n, 3)

    def test_refuses_every_misspelt_key(self):
        mutants = []
        for path in RULES:
            for document in documents(text_of(path)):
                for key in keys_of(document):
                    if not isinstance(key[-1], int):
                        mutants.append((key, renamed(document, key, key[-1] + "x")))
        self.assertGreater(len(mutants), 150)
        for (key, mutant), found in zip(mutants, self.engine([m for _, m in mutants])):
            self.assertTrue(found, key)
            self.assertFalse(self.valid(mutant), key)

    def test_agrees_with_the_examples_of_the_codes(self):
        for c in lines(self.p.cli("check", "--codes", "--json", expect=0, config=False).stdout):
            if c.get("example") not in ("rule", "file"):
                continue
            after = whole(c["after"], 1) if c["example"] == "rule" else c["after"]
            for document in documents(after):
                self.assertEqual([e.message for e in self.validator.iter_errors(document)], [], c["code"])
            if c["code"] in SEEN:
                before = whole(c["before"], 1) if c["example"] == "rule" else c["before"]
                self.assertFalse(all(self.valid(d) for d in documents(before)), c["code"])

    def test_parameters_may_be_templates(self):
        rule = {"name": "A", "trigger": {"event": "demo.Hello"}, "conditions": [{"operator": "comms.missedCalls", "params": {"contactId": "ada", "count": 3}}],
                "actions": [{"stop": True}]}
        self.assertTrue(self.valid(rule))
        for value, good in (("{{ event.n }}", True), ("three", False), (0, False), (2.5, False)):
            rule["conditions"][0]["params"]["count"] = value
            self.assertEqual(self.valid(rule), good, value)

    def test_one_rule_or_a_list(self):
        rule = {"name": "A", "trigger": {"event": "demo.Hello"}, "actions": [{"stop": True}]}
        self.assertTrue(self.valid({"rules": [rule, rule]}))
        self.assertFalse(self.valid({"rules": [rule], "name": "B"}))
        self.assertFalse(self.valid([rule]))

    def test_examples_name_it_in_their_first_line(self):
        for path in RULES:
            if os.path.basename(path) != "vip-missed-call.yaml":
                self.assertEqual(text_of(path).splitlines()[0], "# yaml-language-server: $schema=../docs/rule.schema.json", path)


class OwnPlugin(harness.Case):
    def test_operators_of_installed_plugins_are_in_it(self):
        p = self.service(start=False)
        folder = os.path.join(p.dir, "plugins", "garden")
        os.makedirs(folder)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": "org.example.garden", "name": "G", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua"}, f)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write('return { actions = { ["garden.water"] = { description = "Waters.", params = { type = "object", additionalProperties = false,'
                    ' properties = { litres = { type = "number", minimum = 1 } } }, execute = function() return {} end } } }\n')
        schema = json.loads(p.cli("check", "--schema", "--plugins", os.path.dirname(folder), "--approve-all", expect=0).stdout)
        validator = jsonschema.Draft7Validator(schema)
        step = {"operator": "garden.water", "params": {"litres": 5}}
        rule = {"name": "A", "trigger": {"event": "demo.Hello"}, "actions": [step]}
        self.assertTrue(validator.is_valid(rule))
        step["params"]["litres"] = 0
        self.assertFalse(validator.is_valid(rule))
        step["params"] = {"liters": 5}
        self.assertFalse(validator.is_valid(rule))


if __name__ == "__main__":
    harness.main()
