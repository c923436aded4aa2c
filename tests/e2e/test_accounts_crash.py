#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service that is killed while it renews a token."""
import http.client
import threading
import unittest

import harness
from accounts_case import Users

with open(harness.BIN, "rb") as program:
    HAS_FAILPOINTS = b"account.renewing" in program.read()


class Killed(Users):
    def begun(self, point=None, mode=None, **kw):
        """A service that is about to renew; killed there, and started again."""
        if point and not HAS_FAILPOINTS:
            raise unittest.SkipTest("a build without failpoints")
        p = self.usable(**kw)
        self.connect(p)
        self.assertTrue(self.fake.arrived.acquire(timeout=60))
        p.stop()
        if point:
            p.env["PERIGEE_FAILPOINT"] = point
        p.start()
        p.env.pop("PERIGEE_FAILPOINT", None)
        self.fake.expire()
        self.fake.mode = mode
        calling = threading.Thread(target=self.try_call, args=(p,))
        calling.start()
        if mode:
            self.assertTrue(self.fake.arrived.acquire(timeout=60))
            if mode == "late":
                harness.wait_for(lambda: self.fake.grants[0].old, "the provider to have replaced the refresh token")
            p.kill()
        else:
            p.process.wait(60)
        self.fake.mode = None
        calling.join()
        p.start()
        return p

    def try_call(self, p):
        try:
            self.call(p, "acc.get", url=self.fake.url + "/api")
        except (OSError, http.client.HTTPException, AssertionError):
            pass

    def lost(self, p):
        error = self.bad(p, "account_needs_attention")
        self.assertIn("was lost", error["message"])
        self.assertIn("was lost", self.facts(p)["error"]["message"])
        self.connect(p)
        self.assertEqual(self.good(p)["status"], 200)

    def test_before_the_request(self):
        p = self.begun("account.renewing")
        self.assertEqual(self.good(p)["status"], 200)
        self.assertEqual(len(self.fake.refreshes()), 1)

    def test_while_the_provider_thinks(self):
        p = self.begun(mode="slow")
        self.assertEqual(self.good(p)["status"], 200)

    def test_when_it_has_answered(self):
        """The provider has replaced the refresh token, and nobody here knows the new one: it is said, and can be mended."""
        self.lost(self.begun("account.answered"))

    def test_when_the_answer_is_on_its_way(self):
        self.lost(self.begun(mode="late"))

    def test_a_provider_that_forgives(self):
        p = self.begun("account.answered", grace=True)
        self.assertEqual(self.good(p)["status"], 200)
        self.assertNotIn("error", self.facts(p))

    def test_when_it_is_stored(self):
        p = self.begun("account.stored")
        self.assertEqual(self.good(p)["status"], 200)
        self.assertEqual(len(self.fake.refreshes()), 1, "what was stored is used")


if __name__ == "__main__":
    harness.main()
