#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perigee top: what plugins and rules cost."""
import http.server
import json
import os
import pty
import select
import subprocess
import threading
import time

import harness

RULES = """rules:
  - name: Busy
    trigger: {event: top.Busy}
    conditions:
      - lua: |
          local n = 0
          for i = 1, 100000 do n = n + i end
          return n > 0
    actions: [{operator: core.log, params: {message: busy}}]
  - {name: Idle, trigger: {event: top.Idle}, actions: [{operator: core.log, params: {message: idle}}]}
  - {name: Slow, trigger: {event: top.Slow}, actions: [{operator: http.request, params: {url: "http://127.0.0.1:%d/"}}]}
  - {name: Bad, trigger: {event: top.Bad}, actions: [{operator: http.request, params: {url: "http://127.0.0.1:1/"}, retry: {maximum_attempts: 1}}]}
"""


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.set()
        self.server.go.wait(harness.DEADLINE)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


class Top(harness.Case):
    def setUp(self):
        self.slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        self.slow.asked, self.slow.go = threading.Event(), threading.Event()
        threading.Thread(target=self.slow.serve_forever, daemon=True).start()
        self.addCleanup(self.slow.server_close)
        self.addCleanup(self.slow.shutdown)
        self.addCleanup(self.slow.go.set)
        self.p = self.service(config='plugins: {http: {config: {hosts: ["127.0.0.1:%d", "127.0.0.1:1"]}}}' % self.slow.server_port,
                              rules={"r.yaml": RULES % self.slow.server_port})

    def top(self):
        doc = json.loads(self.p.cli("top", "--json", expect=0).stdout)
        return doc, {r["id"]: r for r in doc["rules"]}, {p["id"]: p for p in doc["plugins"]}

    def test_calls_time_and_what_waits(self):
        self.assertIn("nothing was called yet", self.p.cli("top", "--once", expect=0).stdout)
        for _ in range(3):
            self.p.runs_of(self.p.emit("top.Busy"))
        self.p.runs_of(self.p.emit("top.Idle"))
        self.p.runs_of(self.p.emit("top.Bad"))
        slow = self.p.emit("top.Slow")
        self.assertTrue(self.slow.asked.wait(harness.DEADLINE))
        doc, rules, plugins = self.top()
        self.assertEqual((rules["busy"]["calls"], rules["idle"]["calls"], rules["busy"]["failures"]), (6, 1, 0))
        self.assertGreater(rules["busy"]["cpu_us"], rules["idle"]["cpu_us"])
        self.assertEqual((rules["bad"]["calls"], rules["bad"]["failures"]), (1, 1))
        self.assertEqual((rules["slow"]["calls"], rules["slow"]["waiting"], plugins["http"]["waiting"]), (0, 1, 1))
        self.assertEqual(plugins["core"]["calls"], 4)
        self.slow.go.set()
        self.p.runs_of(slow)
        doc, rules, plugins = self.top()
        self.assertEqual((rules["slow"]["calls"], rules["slow"]["waiting"], rules["slow"]["http_calls"], rules["slow"]["failures"]), (1, 0, 1, 0))
        self.assertGreater(rules["slow"]["http_us"], 0)
        self.assertLessEqual(rules["slow"]["http_us"], rules["slow"]["wall_us"])
        self.assertEqual(plugins["http"]["http_calls"], 2)
        self.assertGreater(doc["since_ms"], 0)
        lines = self.p.cli("top", "--once", "--sort", "calls", expect=0).stdout.splitlines()
        self.assertEqual(lines[1].split()[:2], ["rule", "busy"])
        self.assertEqual(self.p.cli("top", "--sort", "colour", expect=2).returncode, 2)

    def test_on_a_terminal_it_is_made_anew(self):
        self.p.runs_of(self.p.emit("top.Idle"))
        leader, follower = pty.openpty()
        process = subprocess.Popen([harness.BIN, "top", "--interval", "1", "--config", self.p.config_file], env={**self.p.env, "TERM": "xterm"},
                                   stdin=follower, stdout=follower, stderr=follower)
        os.close(follower)
        text, end = "", time.monotonic() + harness.DEADLINE
        while "since the last look" not in text and time.monotonic() < end:
            if select.select([leader], [], [], 0.2)[0]:
                text += os.read(leader, 65536).decode()
        self.assertIn("idle", text)
        self.assertEqual(text.count("\x1b[2J"), 2)
        os.write(leader, b"q\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        os.close(leader)

    def test_without_a_service(self):
        self.p.stop()
        self.p.cli("top", expect=69)


if __name__ == "__main__":
    harness.main()
