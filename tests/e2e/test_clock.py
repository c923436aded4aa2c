#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody sets the wall clock of the machine under the running service: by minus two hours, then by plus three days. The clock is
libfaketime's; the monotonic clock stays the machine's, as it does when a clock is set."""
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
        p = self.service(rules={"rules.yaml": RULES}, start=False)
        self.file = os.path.join(p.dir, "clock")
        self.set_clock(p, "+0")
        p.env.update({"LD_PRELOAD": " ".join(sanitizer() + FAKE[:1]), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
                      "FAKETIME_TIMESTAMP_FILE": self.file, "ASAN_OPTIONS": "detect_leaks=0"})
        p.start()
        begun = time.monotonic()
        p.matched(p.emit("a.B", {"n": 1}))
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
            self.assertGreaterEqual(time.monotonic() - begun, 6, "three days are no time")
        self.assertEqual(p.log_text().count("over"), 2, "each once")


if __name__ == "__main__":
    harness.main()
