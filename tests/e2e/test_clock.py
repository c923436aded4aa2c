#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody sets the wall clock of the machine under the running service: by minus two hours, then by plus three days. The clock is
libfaketime's; the monotonic clock stays the machine's, as it does when a clock is set."""
import datetime
import glob
import os
import subprocess
import time
import unittest

import harness

FAKE = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
RULES = """
rules:
  - {name: delay, trigger: {event: a.B}, actions: [{delay: 6s}, {operator: core.log, params: {message: delay over}}]}
  - {name: hold, trigger: {event: a.B, match: {n: [1]}, for: 6s}, actions: [{operator: core.log, params: {message: hold over}}]}
  - {name: every, trigger: {schedule: {every: 2s}}, actions: [{operator: core.log, params: {message: tick}}]}
"""
LONG = """
rules:
  - {name: delay, trigger: {event: a.B}, actions: [{delay: 10m}, {operator: core.log, params: {message: delay over}}]}
  - {name: wait, trigger: {event: a.B}, actions: [{wait_for: {event: c.D, timeout: 10m}}, {operator: core.log, params: {message: wait over}}]}
  - {name: whole, trigger: {event: a.B}, timeout: 10m, actions: [{delay: 9h}], on_error: [{operator: core.log, params: {message: whole over}}]}
"""


def sanitizer():
    """It has to come before everything else that is loaded."""
    libraries = subprocess.run(["ldd", harness.BIN], capture_output=True, text=True, check=True).stdout
    return [line.split()[2] for line in libraries.splitlines() if "libasan" in line]


@unittest.skipUnless(FAKE, "libfaketime is not installed")
class Clock(harness.Case):
    def set_clock(self, p, offset):
        with open(self.file + ".new", "w") as f:
            f.write(offset)
        os.rename(self.file + ".new", self.file)

    def jumps(self, p):
        return [row["detail"]["by_ms"] for row in reversed(p.get("/v1/audit?action=clock.jump")["items"])]

    def test_minus_two_hours_and_plus_three_days(self):
        p = self.begin(RULES)
        self.set_clock(p, "-7200")
        harness.wait_for(lambda: len(self.jumps(p)) == 1, "the first jump to be noticed")
        seen = p.log_text().count("tick")
        harness.wait_for(lambda: p.log_text().count("tick") > seen, "every to go on although its hours have been")
        self.set_clock(p, "+259200")
        harness.wait_for(lambda: len(self.jumps(p)) == 2, "the second jump to be noticed")
        back, ahead = self.jumps(p)
        self.assertAlmostEqual(back, -2 * 3600_000, delta=1000)
        self.assertAlmostEqual(ahead, 74 * 3600_000, delta=1000)
        self.assertIn("the clock was set by -2h", p.log_text())
        for what in ("delay over", "hold over"):
            harness.wait_for(lambda: what in p.log_text(), what)
            self.assertGreaterEqual(time.monotonic() - self.begun, 6, "three days are no time")
        self.assertEqual(p.log_text().count("over"), 2, "each once")

    def begin(self, rules):
        p = self.service(rules={"rules.yaml": rules}, start=False)
        self.file = os.path.join(p.dir, "clock")
        self.set_clock(p, "+0")
        p.env.update({"LD_PRELOAD": " ".join(sanitizer() + FAKE[:1]), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
                      "FAKETIME_TIMESTAMP_FILE": self.file, "ASAN_OPTIONS": "detect_leaks=0"})
        p.start()
        self.begun = time.monotonic()
        p.matched(p.emit("a.B", {"n": 1}))
        return p

    def asleep(self, p):
        return [r for r in p.get("/v1/runs")["items"] if r["state"] in ("sleeping", "waiting")]

    def rest(self, p, run, now):
        """How much longer it waits, as it is shown, in seconds."""
        wake = p.get("/v1/runs/" + run)["wake"]
        return datetime.datetime.fromisoformat(wake.replace("Z", "+00:00")).timestamp() - now

    def test_a_jump_and_a_restart_within_a_wait(self):
        for offset in (259200, -7200):
            p = self.begin(LONG)
            harness.wait_for(lambda: len(self.asleep(p)) == 3, "the runs to wait")
            self.set_clock(p, "%+d" % offset)
            harness.wait_for(lambda: len(self.jumps(p)) == 1, "the jump to be noticed")
            p.kill()
            p.start()
            self.assertEqual(len(self.asleep(p)), 3)
            for run in self.asleep(p):
                self.assertTrue(500 < self.rest(p, run["id"], time.time() + offset) <= 600, run)
            p.stop()

    def test_a_clock_that_is_set_while_the_service_is_down(self):
        p = self.begin(LONG)
        harness.wait_for(lambda: len(self.asleep(p)) == 3, "the runs to wait")
        p.kill()
        self.set_clock(p, "-7200")
        p.start()
        harness.wait_for(lambda: all(self.rest(p, r["id"], time.time() - 7200) <= 600 for r in self.asleep(p)), "no wait to be longer than it was")
        self.assertEqual(len(self.asleep(p)), 3)
        p.kill()
        self.set_clock(p, "+259200")
        p.start()
        harness.wait_for(lambda: p.log_text().count("over") == 3, "what looks as if it were three days late to go on at once")


if __name__ == "__main__":
    harness.main()
