#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scheduled actions: made, waited for over a kill, tried again, cancelled, retried."""
import json

import harness
from flaky_provider import Provider


class Tasks(harness.Case):
    def setUp(self):
        self.provider = Provider(honours=True)
        self.addCleanup(self.provider.close)
        self.p = self.service('plugins: {http: {config: {hosts: ["%s"]}}}' % self.provider.host)

    def create(self, *options, operator="notify.send", params=None, expect=0):
        result = self.p.cli("tasks", "create", operator, "--params", json.dumps(params or {"message": "bins"}), "--json", *options, expect=expect)
        return json.loads(result.stdout) if expect == 0 else result.stderr

    def state(self, task):
        return self.p.get("/v1/tasks/" + task)["state"]

    def test_a_task_waits_over_a_kill_and_runs_once(self):
        task = self.create("--after", "2s", "--key", "bins-monday")
        self.assertEqual(self.create("--after", "2s", "--key", "bins-monday"), {"id": task["id"], "duplicate": True})
        self.assertEqual(self.state(task["id"]), "scheduled")
        self.assertEqual(self.p.outbox(), [])
        self.p.restart()
        harness.wait_for(lambda: self.state(task["id"]) == "done", "the task")
        self.assertEqual([m["body"] for m in self.p.outbox()], ["bins"])
        listed, = [json.loads(line) for line in self.p.cli("tasks", "list", "--json", "--state", "done", expect=0).stdout.splitlines()]
        self.assertEqual((listed["id"], listed["key"]), (task["id"], "bins-monday"))
        self.assertIn(listed["run"], self.p.cli("tasks", "show", task["id"], expect=0).stdout)

    def test_parameters_are_no_templates_and_are_checked(self):
        self.create(params={"message": "{{ event.x }} {{{{ y", "data": {"{{ k }}": ["{{ v }}"]}})
        harness.wait_for(self.p.outbox, "the message")
        message, = self.p.outbox()
        self.assertEqual((message["body"], message["data"]), ("{{ event.x }} {{{{ y", {"{{ k }}": ["{{ v }}"]}))
        self.assertIn("message", self.create(params={"mesage": "x"}, expect=1))
        self.assertIn("no action", self.create(operator="contact.HasTag", expect=1))
        self.assertIn("$secret", self.create(params={"message": {"$secret": "x"}}, expect=1))
        self.create("--at", "tomorrow", expect=1)

    def test_it_is_tried_again_fails_is_dead_and_can_be_retried(self):
        self.provider.say("busy", "reject")
        call = {"url": self.provider.url, "method": "POST", "json": {}}
        task = self.create("--key", "order-7", operator="http.request", params=call)["id"]
        harness.wait_for(lambda: self.state(task) == "failed", "the task to fail")
        self.assertEqual(self.provider.requests["order-7"], ["busy", "reject"])
        self.assertEqual([s["state"] for s in self.p.get("/v1/tasks/" + task)["attempts"] if s["operator"] == "http.request"], ["retry", "failed"])
        self.assertIn("perigee-task", self.p.cli("dead", "list", expect=0).stdout)
        self.p.cli("tasks", "retry", task, expect=0)
        harness.wait_for(lambda: self.state(task) == "done", "the task to be done")
        self.assertEqual(self.provider.deliveries["order-7"], 1)
        self.assertNotIn("perigee-task", self.p.cli("dead", "list", expect=0).stdout)

    def test_a_cancelled_task_does_nothing(self):
        task = self.create("--after", "1h")["id"]
        self.p.cli("tasks", "cancel", task, expect=0)
        self.assertEqual(self.state(task), "cancelled")
        self.p.cli("tasks", "cancel", task, expect=1)
        self.assertEqual(self.p.outbox(), [])


if __name__ == "__main__":
    harness.main()
