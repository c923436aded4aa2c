#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out: in a start, in events, in runs, in a reload, in requests, in the end. What was acknowledged is kept, what failed
says so, and with memory again everything goes on.

The program is perigee itself with a malloc that refuses the n-th allocation (tests/e2e/shims/perigee_memory.c), its own, SQLite's and the other
libraries'. A spread of allocations is refused; PERIGEE_TEST_ALL=1 takes many more."""
import ctypes
import http.client
import json
import mmap
import os
import random
import signal
import subprocess
import time
import unittest

import harness

harness.BIN = os.path.join(os.path.dirname(harness.BIN), "perigee-memory")
ALL = bool(os.environ.get("PERIGEE_TEST_ALL"))
FOR_EVER = 1 << 40
RULES = {
    "steps.yaml": "name: Steps\ntrigger: {event: m.Go, match: {n: [{numeric: [\">=\", 0]}]}}\nmode: queued\nkey: \"{{ event.n }}\"\nactions:\n"
                  "  - set: {a: \"{{ event.n | default(1) }} and {{ event.text | upper }}\"}\n  - delay: 1ms\n  - emit: {event: m.Done, data: {n: \"{{ event.n }}\"}}\n",
    "done.yaml": "name: Done\ntrigger: {event: m.Done}\nthrottle: {once_within: 1ms}\nactions:\n  - operator: notify.send\n    params: {message: \"{{ event.n }}\"}\n",
}


class Limit(ctypes.Structure):
    _fields_ = [("left", ctypes.c_long), ("run", ctypes.c_long), ("hits", ctypes.c_long)]


class Memory:
    """The limit of one process, in a file that it maps."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "memory")
        with open(self.path, "wb") as f:
            f.write(bytes(4096))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.limit = Limit.from_buffer(self.map)

    def fail(self, n, run=1):
        self.limit.hits, self.limit.run, self.limit.left = 0, run, n

    def over(self):
        """No more refusals. How many were there?"""
        self.limit.left = 0
        return self.limit.hits

    def count(self, work):
        """How many allocations it takes."""
        self.fail(FOR_EVER)
        work()
        taken = FOR_EVER - self.limit.left
        self.limit.left = 0
        return taken


class OutOfMemory(harness.Case):
    def memory_service(self, **kw):
        p = self.service(rules=RULES, start=False, **kw)
        p.memory = Memory(p.dir)
        p.env["PERIGEE_MEMORY"] = p.memory.path
        return p

    def spread(self, most, samples):
        """Some of 1..most, more of the early ones; the same every time."""
        chance = random.Random(most // 1000)
        samples = samples * 20 if ALL else samples
        return sorted({int(most ** chance.random()) if i % 2 else chance.randrange(1, most + 1) for i in range(samples)})

    def acknowledge(self, p, n):
        """As senders do: the same event until it is taken."""
        def taken():
            try:
                answer = p.request("POST", f"/v1/events?type=m.Go&source=memory&id={n}", {"n": n, "text": "some text"})
            except (OSError, http.client.HTTPException):
                return None
            if answer.status != 202:
                self.assertIn(answer.status, (429, 500, 503), answer)
                return None
            return answer.json["id"]
        return harness.wait_for(taken, f"event {n} to be taken")

    def check_kept(self, p, acknowledged):
        harness.wait_for(lambda: p.get("/v1/status")["unmatched"] == 0 and p.get("/v1/status")["live_runs"] == 0, "the backlog to be done")
        for n, event in acknowledged.items():
            stored = p.get(f"/v1/events/{event}")
            self.assertEqual(stored["data"]["n"], n)
            if stored["state"] == "dead":  # told, and it can be sent once more
                self.assertIn("memory", json.dumps(p.get(f"/v1/events/{event}/verdicts")))
                continue
            self.assertEqual(stored["state"], "matched")
            verdicts = {v["rule"]: v for v in p.get(f"/v1/events/{event}/verdicts")["items"]}
            self.assertIn("steps", verdicts, verdicts)
            runs = p.get(f"/v1/runs?event={event}")["items"]
            if verdicts["steps"]["verdict"] in ("fired", "queued"):
                self.assertEqual(len(runs), 1, runs)
                self.assertIn(runs[0]["state"], ("succeeded", "failed"))
                if runs[0]["state"] == "failed":
                    self.assertIn("memory", json.dumps(runs[0]), runs[0])
            else:
                self.assertIn("memory", json.dumps(verdicts["steps"]))
                self.assertEqual(runs, [])

    def test_start(self):
        """It starts, or it ends with a message; nothing of what was stored is lost."""
        p = self.memory_service()
        acknowledged = {}
        total = p.memory.count(p.start)
        acknowledged[0] = self.acknowledge(p, 0)
        p.stop()
        ended = up = 0
        for i, n in enumerate(self.spread(total, 12)):
            p.memory.fail(n, 1 if i % 3 else FOR_EVER)
            before = os.path.getsize(p.log_file)
            p.start(ready=False)
            state = self.up_or_ended(p)
            p.memory.over()
            text = p.log_text()[before:]
            self.assertNotIn("Sanitizer", text, f"allocation {n}")
            if state is not None:
                self.assertGreater(state, 0, f"allocation {n}: ended by a signal or well\n{text}")
                self.assertIn("memory", text, f"allocation {n}: it ended without a reason")
                ended += 1
                continue
            harness.wait_for(p.is_ready, f"the service to be ready after allocation {n}")
            acknowledged[n] = self.acknowledge(p, n)
            p.stop()
            up += 1
        self.assertGreater(ended, 0)
        self.assertGreater(up, 0)
        p.start()
        self.check_kept(p, acknowledged)

    def up_or_ended(self, p):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if p.process.poll() is not None:
                return p.process.returncode
            try:
                if p.is_ready():
                    return None
            except (AssertionError, ValueError, IndexError):
                pass
            time.sleep(0.02)
        return None

    def test_events_and_runs(self):
        p = self.memory_service()
        p.start()
        acknowledged = {}
        def once():
            acknowledged[0] = self.acknowledge(p, 0)
            self.check_kept(p, acknowledged)
        total = p.memory.count(once)
        failed = 0
        for i, n in enumerate(self.spread(total, 40), 1):
            p.memory.fail(n, 1 if i % 4 else 40)
            acknowledged[i] = self.acknowledge(p, i)
            if i % 10 == 0:
                failed += p.memory.over() > 0
                harness.wait_for(lambda: p.get("/v1/status")["unmatched"] == 0, "the events to be matched")
        p.memory.over()
        self.check_kept(p, acknowledged)
        self.assertEqual(p.get("/v1/status").get("run_bugs", 0), 0)
        p.restart()
        self.check_kept(p, acknowledged)

    def test_requests(self):
        p = self.memory_service()
        p.start()
        event = self.acknowledge(p, 1)
        self.check_kept(p, {1: event})
        paths = ["/v1/status", "/v1/events?limit=5", f"/v1/events/{event}", f"/v1/events/{event}/verdicts", "/v1/runs", "/v1/rules", "/v1/plugins",
                 "/v1/operators", "/v1/audit", "/v1/data/contact", "/metrics", "/v1/dead", "/v1/errors", "/v1/top", "/v1/tasks", "/v1/outbox", "/v1/rules/steps"]
        refused = 0
        for path in paths:
            whole = p.request("GET", path)
            self.assertEqual(whole.status, 200, path)
            total = p.memory.count(lambda: p.request("GET", path))
            for n in self.spread(total, 8):
                p.memory.fail(n)
                try:
                    answer = p.request("GET", path)
                except (OSError, http.client.HTTPException):
                    answer = None
                p.memory.over()
                if answer is not None and answer.status == 200:
                    if path != "/metrics":
                        self.same_form(whole.json, answer.json, f"{path}, allocation {n}")
                elif answer is not None:
                    self.assertIn(answer.status, (500, 503), f"{path}, allocation {n}: {answer}")
                    refused += 1
            self.assertEqual(p.request("GET", path).status, 200, path)
        self.assertGreater(refused, 10)

    def same_form(self, a, b, where):
        """The same members, and as many entries in each list."""
        self.assertEqual(type(a), type(b), where)
        if isinstance(a, dict):
            self.assertEqual(set(a), set(b), where)
            for key in a:
                self.same_form(a[key], b[key], f"{where}: {key}")
        elif isinstance(a, list) and where.find("costs") < 0:
            self.assertEqual(len(a), len(b), where)

    def test_reload(self):
        """The rules that run are the old ones or the new ones, never half of them."""
        p = self.memory_service()
        p.start()
        text = "".join(f"  - name: Extra {i}\n    trigger: {{event: m.Extra}}\n    actions: [{{set: {{v: VERSION}}}}]\n" for i in range(10))
        def reload(version):
            p.write_rule("extra.yaml", "rules:\n" + text.replace("VERSION", str(version)))
            return p.request("POST", "/v1/reload")
        total = p.memory.count(lambda: reload(0))
        for i, n in enumerate(self.spread(total, 25), 1):
            p.memory.fail(n)
            try:
                reload(i)
            except (OSError, http.client.HTTPException):
                pass
            p.memory.over()
            names = [r["id"] for r in p.get("/v1/rules")["items"]]
            self.assertEqual(sum(x.startswith("extra") for x in names), 10, f"allocation {n}: {names}")
            self.assertEqual(len(names), 12, f"allocation {n}: {names}")
        self.assertEqual(reload(1000).status, 200)
        event = p.emit("m.Extra")
        self.assertEqual([v["verdict"] for v in p.matched(event).values()].count("fired"), 10)

    def test_the_end(self):
        p = self.memory_service()
        p.start()
        acknowledged = {0: self.acknowledge(p, 0)}
        p.stop()
        for i, n in enumerate(self.spread(3000, 4), 1):
            p.start()
            acknowledged[i] = self.acknowledge(p, i)
            p.memory.fail(n)
            p.process.send_signal(signal.SIGTERM)
            code = p.process.wait(harness.DEADLINE)
            p.memory.over()
            self.assertGreaterEqual(code, 0, p.log_text()[-3000:])
        p.start()
        self.check_kept(p, acknowledged)


if __name__ == "__main__":
    harness.main()
