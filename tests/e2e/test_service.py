#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everyday use over the public surface: reload, duplicates, errors in rules, schedules, replay, cancel, disable."""
import json
import os
import time

import harness

HELLO = """
name: Hello
trigger:
  event: demo.Hello
  match: {name: [{exists: true}]}
actions:
  - operator: notify.send
    params: {message: "Hello, {{ event.name }}!"}
"""


class Everyday(harness.Case):
    def test_hello(self):
        p = self.service(rules={"hello.yaml": HELLO})
        event = p.emit("demo.Hello", {"name": "Ada"})
        run, = p.runs_of(event)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(run["steps"][0]["params"]["message"], "Hello, Ada!")
        self.assertEqual([m["body"] for m in p.outbox()], ["Hello, Ada!"])
        verdict = p.matched(p.emit("demo.Hello", {}))["hello"]
        self.assertEqual(verdict["verdict"], "no")
        self.assertIn("name", json.dumps(verdict))

    def test_same_source_and_id_is_accepted_once(self):
        p = self.service(rules={"hello.yaml": HELLO})
        first = p.request("POST", "/v1/events?type=demo.Hello&source=s&id=7", {"name": "A"})
        again = p.request("POST", "/v1/events?type=demo.Hello&source=s&id=7", {"name": "B"})
        other = p.request("POST", "/v1/events?type=demo.Hello&source=t&id=7", {"name": "C"})
        self.assertEqual((again.status, again.json["id"], again.json["duplicate"]), (202, first.json["id"], True))
        self.assertNotEqual(other.json["id"], first.json["id"])
        p.runs_of(first.json["id"])
        p.runs_of(other.json["id"])
        self.assertEqual([m["body"] for m in p.outbox()], ["Hello, A!", "Hello, C!"])

    def test_an_edit_is_picked_up_and_a_broken_one_keeps_the_last_good_version(self):
        p = self.service(rules={"hello.yaml": HELLO})
        p.write_rule("hello.yaml", HELLO.replace("Hello, {{", "Bye, {{"))
        harness.wait_for(lambda: "Bye" in json.dumps(p.get("/v1/rules/hello")), "the edit")
        p.runs_of(p.emit("demo.Hello", {"name": "Ada"}))
        p.write_rule("hello.yaml", HELLO.replace("operator", "operater"))
        finding = harness.wait_for(lambda: p.get("/v1/findings")["items"], "the finding")[0]
        self.assertEqual((os.path.basename(finding["file"]), finding["line"], finding["column"]), ("hello.yaml", 7, 5))
        p.write_rule("other.yaml", HELLO.replace("name: Hello", "name: Other"))
        harness.wait_for(lambda: p.request("GET", "/v1/rules/other").status == 200, "the other rule")
        p.runs_of(p.emit("demo.Hello", {"name": "Eve"}))
        self.assertEqual(sorted(m["body"] for m in p.outbox()), ["Bye, Ada!", "Bye, Eve!", "Hello, Eve!"])

    def test_error_handling(self):
        rule = """
name: Errors
trigger: {event: t.E}
actions:
  - operator: http.request
    id: call
    params: {url: "http://127.0.0.1:9/x"}
    retry: {maximum_attempts: 1}
    on_error:
      - operator: core.log
        params: {message: "failed with {{ error.code }}"}
  - operator: notify.send
    params: {message: "{{ event.missing }}"}
    continue_on_error: true
  - operator: notify.send
    params: {message: "still here"}
"""
        p = self.service(rules={"e.yaml": rule})
        run, = p.runs_of(p.emit("t.E"))
        self.assertEqual(run["state"], "succeeded", run)
        self.assertEqual([m["body"] for m in p.outbox()], ["still here"])
        self.assertIn("missing event.missing", json.dumps(run["steps"]))

    def test_retry_resolve_cancel_replay(self):
        rules = {"fail.yaml": "name: Fail\ntrigger: {event: t.F}\nactions:\n  - operator: comms.sendSms\n    params: {to: nobody, body: x}\n",
                 "wait.yaml": "name: Wait\ntrigger: {event: t.W}\nactions:\n  - delay: 1d\n  - operator: notify.send\n    params: {message: x}\n"}
        p = self.service(rules=rules)
        run, = p.runs_of(p.emit("t.F"))
        self.assertEqual(run["error"]["code"], "contact_not_found")
        p.put("contact", {"id": "nobody", "phoneNumbers": ["+14155550100"]})
        p.cli("runs", "retry", run["id"], expect=0)
        harness.wait_for(lambda: len(p.outbox()) == 1, "the retried SMS")
        event = p.emit("t.W")
        sleeping = harness.wait_for(lambda: [r for r in p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "sleeping"], "the run to sleep")[0]
        p.cli("runs", "cancel", sleeping["id"], expect=0)
        self.assertEqual(p.runs_of(event)[0]["state"], "cancelled")
        again = json.loads(p.cli("events", "replay", event, "--json", expect=0).stdout)["id"]
        self.assertNotEqual(again, event)
        self.assertEqual(p.get("/v1/events/" + again)["replay_of"], event)

    def test_emit_chains_and_loops_end(self):
        rules = {"a.yaml": "name: A\ntrigger: {event: t.A}\nactions:\n  - emit: {event: t.B, data: {n: \"{{ event.n + 1 }}\"}}\n",
                 "b.yaml": "name: B\ntrigger: {event: t.B}\nactions:\n  - emit: {event: t.A, data: {n: \"{{ event.n }}\"}}\n"}
        p = self.service(rules=rules)
        p.emit("t.A", {"n": 0})

        def quiet():
            status = p.get("/v1/status")
            return status["unmatched"] == 0 and status["live_runs"] == 0 and len(p.get("/v1/events?limit=1000")["items"]) > 10
        harness.wait_for(quiet, "the loop to be stopped")
        count = len(p.get("/v1/events?limit=1000")["items"])
        self.assertLessEqual(count, 20)

    def test_schedule_every(self):
        p = self.service(rules={"tick.yaml": "name: Tick\ntrigger: {schedule: {every: 1s}}\nactions:\n  - operator: notify.send\n    params: {message: \"{{ trigger.scheduled_at }}\"}\n"})
        harness.wait_for(lambda: len(p.outbox()) >= 2, "two ticks")
        times = [m["body"] for m in p.outbox()]
        self.assertEqual(len(set(times)), len(times))

    def test_disabled_rule_stays_disabled_over_a_restart(self):
        p = self.service(rules={"hello.yaml": HELLO})
        p.cli("rules", "disable", "hello", expect=0)
        self.assertEqual(p.runs_of(p.emit("demo.Hello", {"name": "A"})), [])
        p.restart()
        self.assertEqual(p.runs_of(p.emit("demo.Hello", {"name": "A"})), [])
        p.cli("rules", "enable", "hello", expect=0)
        self.assertEqual(len(p.runs_of(p.emit("demo.Hello", {"name": "A"}))), 1)

    def test_metrics_and_stream(self):
        p = self.service(rules={"hello.yaml": HELLO})
        p.runs_of(p.emit("demo.Hello", {"name": "A"}))
        text = p.request("GET", "/metrics").body.decode()
        self.assertIn("perigee_build_info{version=", text)
        self.assertTrue(text.endswith("\n"))

    def test_stop_is_clean_and_quick(self):
        p = self.service(rules={"hello.yaml": HELLO})
        p.emit("demo.Hello", {"name": "A"})
        begin = time.monotonic()
        p.stop()
        self.assertLess(time.monotonic() - begin, 30)


if __name__ == "__main__":
    harness.main()
