#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The door: who is let in, who is told to come again and when, and that every event received is accounted for, also after a kill."""
import json
import re
import socket

import harness

RULE = "name: Tick\ntrigger: {event: t.Tick}\nactions: [{set: {n: 1}}]\n"
LOOP = """
rules:
  - name: Ping
    trigger: {event: t.Ping}
    actions: [{emit: {event: t.Pong}}]
  - name: Pong
    trigger: {event: t.Pong}
    actions: [{emit: {event: t.Ping}}]
"""
CONFIG = "limits: {source_rate: 5, source_burst: 10, sources: {bulk: 0, /slow: 1}}\n"
FATES = ("matched", "duplicate", "rejected", "shed", "dead")


class Door(harness.Case):
    def sources(self):
        """{source: {received, unmatched, fates}} of /metrics; each must balance."""
        text = self.p.request("GET", "/metrics").body.decode()
        rows = {}
        for name, source, fate, n in re.findall(r'^perigee_source_(received_total|events_total|unmatched)\{source="((?:[^"\\\\]|\\\\.)*)"(?:,fate="(\w+)")?\} (\d+)$', text, re.M):
            key = {"received_total": "received", "unmatched": "unmatched"}.get(name, fate)
            rows.setdefault(source, {})[key] = int(n)
        for source, row in rows.items():
            self.assertEqual(row["received"], row["unmatched"] + sum(row[f] for f in FATES), (source, row))
        return rows

    def send(self, source, n, first=0):
        events = [{"specversion": "1.0", "id": str(first + i), "source": source, "type": "t.Tick", "data": {}} for i in range(n)]
        return self.p.request("POST", "/v1/events", json.dumps(events), {"Content-Type": "application/cloudevents-batch+json"})

    def test_every_event_is_accounted_for_over_a_kill(self):
        self.p = self.service(CONFIG, rules={"tick.yaml": RULE})
        self.assertEqual(self.send("/a", 4).status, 202)
        self.assertEqual(self.send("/a", 2).status, 202)  # known ones
        self.assertEqual(self.p.request("POST", "/v1/events?type=t.Tick", "{bad", {"Content-Type": "application/json"}).status, 400)
        self.assertEqual(self.send("bulk", 50).status, 202)
        self.assertEqual(self.send("/slow", 10).status, 202)
        refused = self.send("/slow", 2, 10)
        self.assertEqual(refused.status, 429, refused)
        self.assertEqual(refused.headers["retry-after"], "2")
        self.assertEqual(refused.json["code"], "rate")
        harness.wait_for(lambda: self.p.get("/v1/status")["unmatched"] == 0, "all to be evaluated")
        rows = self.sources()
        self.assertEqual({k: rows["/a"][k] for k in ("received", "matched", "duplicate")}, {"received": 6, "matched": 4, "duplicate": 2})
        self.assertEqual(rows["/slow"]["shed"], 2)
        self.assertEqual(rows["(unknown)"]["rejected"], 1)
        harness.wait_for(lambda: "/slow: 12 received" in self.p.cli("doctor").stdout, "the refusals to be written")
        self.p.kill()
        self.p.start()
        after = self.sources()
        for source in ("/a", "bulk", "/slow"):
            self.assertEqual(after[source], rows[source])
        doctor = self.p.cli("doctor").stdout
        self.assertRegex(doctor, r"ok +conservation +all \d+ events received from \d+ sources are accounted for")
        self.assertNotRegex(doctor, "fail +(source|conservation)")

    def test_idle_connections_do_not_lock_anybody_out(self):
        self.p = self.service(rules={"tick.yaml": RULE})
        idle = [socket.create_connection(("127.0.0.1", self.p.port)) for _ in range(1100)]
        try:
            self.assertEqual(self.p.request("GET", "/healthz").status, 200)
            self.p.matched(self.p.emit("t.Tick"))
        finally:
            for s in idle:
                s.close()

    def test_listeners_are_counted(self):
        """The stream of events has room for 32; one more is told so, and there is room again when one has gone."""
        self.p = self.service(rules={"tick.yaml": RULE})
        listeners = []
        def listen():
            s = socket.create_connection(("127.0.0.1", self.p.port), timeout=harness.DEADLINE)
            s.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.p.token}\r\n\r\n".encode())
            listeners.append(s)
            return s.recv(15).decode()
        try:
            for _ in range(32):
                self.assertIn(" 200", listen())
            self.assertIn(" 503", listen())
            listeners[0].close()
            harness.wait_for(lambda: " 200" in listen(), "room for a listener")
        finally:
            for s in listeners:
                s.close()

    def test_a_loop_of_rules_ends_and_tells_its_path(self):
        self.p = self.service(rules={"loop.yaml": LOOP})
        self.p.emit("t.Ping")
        dead = harness.wait_for(lambda: [e for e in self.p.get("/v1/events?limit=100")["items"] if e["state"] == "dead"], "the loop to end")
        self.assertEqual(len(dead), 1)
        verdict, = self.p.get(f"/v1/events/{dead[0]['id']}/verdicts")["items"]
        self.assertIn("16 times in a row", verdict["reason"])
        self.assertIn("t.Pong -> rule pong (run-16) -> t.Ping", verdict["reason"])
        self.assertTrue(verdict["reason"].endswith("-> t.Ping"), verdict["reason"])
        self.assertEqual(self.sources()["perigee:rule"]["dead"], 1)


if __name__ == "__main__":
    harness.main()
