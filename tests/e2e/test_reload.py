#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is read again while the service runs: rules without a pause for anybody, the policy, and the settings of plugins."""
import os

import harness

SWITCH = "name: Switch\ntrigger: {event: t.T}\nactions: [{operator: notify.send, params: {message: hi}}]\n"


class Reload(harness.Case):
    def verdicts(self):
        return {rule: v["verdict"] for rule, v in self.p.matched(self.p.emit("t.T")).items()}

    def test_a_disabled_rule_says_so(self):
        self.p = self.service(rules={"switch.yaml": SWITCH, "off.yaml": SWITCH.replace("Switch", "Off") + "enabled: false\n"})
        self.assertEqual(self.verdicts(), {"switch": "fired", "off": "disabled"})
        self.p.cli("rules", "disable", "switch", expect=0)
        event = self.p.emit("t.T")
        self.assertEqual({v["verdict"] for v in self.p.matched(event).values()}, {"disabled"})
        self.assertIn("the rule is disabled", self.p.cli("why", "switch", "--event", event, expect=1).stdout)
        self.p.restart()
        self.assertEqual(self.verdicts(), {"switch": "disabled", "off": "disabled"})
        self.p.cli("rules", "enable", "switch", expect=0)
        self.assertEqual(self.verdicts(), {"switch": "fired", "off": "disabled"})
        harness.wait_for(lambda: len(self.p.outbox()) == 2, "both messages")

    def test_many_rules_are_read_while_others_are_served(self):
        self.p = self.service(rules={f"r{n}.yaml": SWITCH.replace("Switch", f"Rule {n}").replace("t.T", f"x.T{n}") for n in range(300)})
        self.p.write_rule("switch.yaml", SWITCH)
        answer = self.p.request("POST", "/v1/reload", {})
        self.assertEqual((answer.status, answer.json["errors"]), (200, 0))  # answered when all of them run
        self.assertEqual(self.verdicts(), {"switch": "fired"})
        self.p.write_rule("bad.yaml", "nonsense: true\n")
        answer = self.p.request("POST", "/v1/reload", {})
        self.assertEqual(answer.json["errors"] > 0, True)
        self.assertEqual(self.verdicts(), {"switch": "fired"})

    def test_settings_and_policy_are_watched(self):
        self.p = self.service('plugins: {http: {config: {hosts: ["a.example"]}}}\n', rules={"switch.yaml": SWITCH})
        self.p.write_config('plugins: {http: {config: {hosts: ["a.example"]}}, notify: {enabled: false}}\nlog: {level: debug}\n', [self.p.rules])

        def state():
            return {p["id"]: p["state"] for p in self.p.get("/v1/plugins")["items"]}["notify"]

        harness.wait_for(lambda: state() == "disabled", "the plugin to be switched off")
        self.assertIn("changes of log.level count from the next start on", self.p.log_text())
        self.p.write_config("plugins: {notify: {enabled: perhaps}}\n", [self.p.rules])
        harness.wait_for(lambda: "the settings are not changed" in self.p.log_text(), "the mistake to be told")
        self.assertEqual(state(), "disabled")
        self.p.write_config("", [self.p.rules])
        harness.wait_for(lambda: state() == "active", "the plugin to be switched on")
        self.assertEqual(self.verdicts(), {"switch": "fired"})
        with open(os.path.join(self.p.state, "policy.yaml"), "a") as f:
            f.write("# seen\n")
        harness.wait_for(lambda: "policy.yaml has changed" in self.p.log_text(), "the policy to be noticed")


if __name__ == "__main__":
    harness.main()
