#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in the middle: every acknowledged event is in the journal once, every match has its run, delays go on."""
import http.client
import json
import threading
import urllib.parse

import harness

RULE = """
name: Count
trigger:
  event: load.Tick
  match: {n: [{numeric: [">=", 0]}], hit: [true]}
actions:
  - set: {seen: "{{ event.n }}"}
"""
TOTAL, BATCH, KILLS = 10000, 100, 10


class Crash(harness.Case):
    def post_batch(self, first):
        """One batch of CloudEvents until it is acknowledged: the sender repeats what was not answered."""
        batch = [{"specversion": "1.0", "id": str(n), "source": "/crash", "type": "load.Tick", "data": {"n": n, "hit": n % 4 == 0}} for n in range(first, first + BATCH)]
        try:
            answer = self.p.request("POST", "/v1/events", json.dumps(batch), {"Content-Type": "application/cloudevents-batch+json"})
        except (OSError, http.client.HTTPException):
            return False
        self.assertIn(answer.status, (202, 503), answer)
        return answer.status == 202

    def sender(self):
        for first in range(0, TOTAL, BATCH):
            while not self.stop and not self.post_batch(first):
                self.gone.wait(0.01)
            self.acknowledged += BATCH
        self.done = True

    def test_nothing_acknowledged_is_lost(self):
        self.p = self.service(rules={"count.yaml": RULE})
        self.acknowledged, self.done, self.stop, self.gone = 0, False, False, threading.Event()
        thread = threading.Thread(target=self.sender, daemon=True)
        thread.start()
        for kill in range(KILLS):
            target = (kill + 1) * TOTAL // (KILLS + 2)
            harness.wait_for(lambda: self.acknowledged >= target, "some events")
            self.p.kill()
            self.p.start()
        harness.wait_for(lambda: self.done, "all events to be acknowledged", 240)
        thread.join()
        self.p.kill()
        self.p.start()
        harness.wait_for(lambda: self.p.get("/v1/status")["unmatched"] == 0 and self.p.get("/v1/status")["live_runs"] == 0, "the backlog", 240)
        numbers = [e["data"]["n"] for e in self.pages("/v1/events?type=load.Tick")]
        self.assertEqual(sorted(numbers), list(range(TOTAL)))
        runs = list(self.pages("/v1/runs?rule=count"))
        self.assertEqual(len({r["event"] for r in runs}), len(runs), "one run an event")
        self.assertEqual(len(runs), TOTAL // 4)
        self.assertEqual({r["state"] for r in runs}, {"succeeded"})

    def pages(self, path):
        after = ""
        while True:
            page = self.p.get(f"{path}&limit=1000{after}")
            yield from page["items"]
            if "next" not in page:
                return
            after = "&after=" + urllib.parse.quote(page["next"])

    def test_effects_happen_once_over_kills(self):
        """Outbox messages are keyed: a run that was killed in its step goes on by itself and nothing is sent twice."""
        total, batch = 600, 50
        rule = """
rules:
  - name: Tell
    trigger: {event: s.T}
    actions:
      - operator: notify.send
        params: {message: "n{{ event.n }}"}
      - delay: 300ms
      - emit: {event: s.U, data: {n: "{{ event.n }}"}}
  - name: Follow
    trigger: {event: s.U}
    conditions:
      - operator: comms.missedCalls
    actions:
      - set: {n: "{{ event.n }}"}
"""
        self.p = self.service(rules={"r.yaml": rule})
        self.p.put("call", {"missed": True, "direction": "inbound", "startedAt": self.p.get("/v1/status")["started"]})
        state = {"sent": 0}

        def send():
            for first in range(0, total, batch):
                body = json.dumps([{"specversion": "1.0", "id": str(n), "source": "/s", "type": "s.T", "data": {"n": n}} for n in range(first, first + batch)])
                while True:
                    try:
                        if self.p.request("POST", "/v1/events", body, {"Content-Type": "application/cloudevents-batch+json"}).status == 202:
                            break
                    except (OSError, http.client.HTTPException):
                        pass
                    self.gone.wait(0.01)
                state["sent"] += batch

        self.gone = threading.Event()
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        for kill in range(4):
            harness.wait_for(lambda: state["sent"] >= (kill + 1) * total // 6, "some events")
            self.p.kill()
            self.p.start()
        harness.wait_for(lambda: state["sent"] == total, "all events", 240)
        thread.join()
        harness.wait_for(lambda: sum(r["state"] == "succeeded" for r in self.pages("/v1/runs?rule=follow")) == total, "every run to end", 240)
        told = [r["state"] for r in self.pages("/v1/runs?rule=tell")]
        self.assertEqual(told, ["succeeded"] * total)
        self.assertEqual(sorted(m["body"] for m in self.pages("/v1/outbox?")), sorted(f"n{n}" for n in range(total)))

    def test_a_delay_goes_on_after_a_kill(self):
        self.p = self.service(rules={"delay.yaml": "name: Late\ntrigger: {event: t.Late}\nactions:\n  - delay: 2s\n  - operator: notify.send\n    params: {message: late}\n"})
        event = self.p.emit("t.Late")
        harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "sleeping"], "the run to sleep")
        self.p.restart()
        run, = self.p.runs_of(event)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual([m["body"] for m in self.p.outbox()], ["late"])

    def test_a_delay_goes_on_though_its_rule_was_deleted(self):
        import os
        self.p = self.service(rules={"delay.yaml": "name: Late\ntrigger: {event: t.Late}\nactions:\n  - delay: 2s\n  - operator: notify.send\n    params: {message: late}\n"})
        event = self.p.emit("t.Late")
        harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "sleeping"], "the run to sleep")
        os.unlink(os.path.join(self.p.rules, "delay.yaml"))
        self.p.restart()
        run, = self.p.runs_of(event)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(len(self.p.outbox()), 1)


if __name__ == "__main__":
    harness.main()
