#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plugins act with accounts (test_accounts_process.py: from a process of their own). Tokens reach the provider and nobody else."""
import datetime
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import harness
from accounts_case import Users


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Use(Users):
    def test_with_a_plugin(self):
        p = self.usable()
        error = self.bad(p, "account_not_connected")
        self.assertIn("perigee accounts connect fake", error["message"])
        self.bad(p, "account_unknown", account="nobody")
        self.bad(p, "denied", account="stranger")
        self.assertEqual(self.good(p, "other.has"), {"account": False})
        self.connect(p)
        p.cli("accounts", "connect", "weather", stdin="k-CaNaRy-weather", expect=0)
        facts = self.good(p, "acc.facts")
        self.assertEqual(facts, {"provider": "fake", "user": "ada@fake.example", "scopes": ["read", "https://fake.example/write"], "state": "connected", "kind": "oauth2",
                                 "expires": "string", "prefix": "Bearer ", "hosts": [self.fake.host], "token": facts["token"], "kind_of": "userdata"})
        self.assertNotIn("CaNaRy", json.dumps(facts))
        grant, = self.fake.grants
        token, = grant.access
        told = self.good(p)
        self.assertEqual(told["status"], 200)
        self.assertEqual(self.fake.api_requests[-1]["token"], token)
        self.assertEqual(json.loads(told["body"])["echo"], "Bearer [secret account.fake]")
        self.assertEqual(self.good(p, "acc.named", account="fake")["status"], 200)
        self.assertEqual(self.fake.api_requests[-1]["headers"]["X-Key"], token)
        self.assertEqual(self.good(p, "acc.named", account="weather")["status"], 401)  # a key is as it is
        self.assertEqual(self.fake.api_requests[-1]["headers"]["X-Key"], "k-CaNaRy-weather")
        self.good(p, "acc.basic")
        self.assertTrue(self.fake.api_requests[-1]["headers"]["Authorization"].startswith("Basic "))
        self.good(p, "acc.keep")
        self.assertEqual(self.good(p, "acc.kept")["status"], 200)
        self.fake.expire()
        self.assertEqual(self.good(p, "acc.kept")["status"], 200)  # what is kept is a name, not a token

        # Where it must not go, and what must not be made of it.
        seen = len(self.fake.api_requests)
        elsewhere = f"http://127.0.0.1:{self.there.server_port}/"
        error = self.bad(p, "account_host", url=elsewhere)
        self.assertIn("hosts", error["message"])
        self.bad(p, "account_host", url=elsewhere, operator="acc.named", account="weather")
        self.bad(p, "account_host", "acc.ca")
        self.bad(p, "bad_argument", "acc.cert")
        self.bad(p, "bad_argument", "acc.hmac")
        self.bad(p, "bad_argument", "acc.equals")
        self.assertFalse(self.call(p, "acc.text")["ok"])
        self.bad(p, "denied", "acc.lend")
        self.assertEqual((self.there.seen, len(self.fake.api_requests)), ([], seen))
        unused = json.loads(p.cli("plugins", "show", "test.acc", "--json", expect=0).stdout)["unused"]
        self.assertNotIn("accounts:fake", unused)
        p.cli("accounts", "disconnect", "fake", expect=0)
        self.bad(p, "account_not_connected", "acc.kept")

    def test_a_token_that_the_server_does_not_take_is_renewed_once(self):
        p = self.usable()
        self.connect(p)
        self.fake.expire()
        self.assertEqual(self.good(p, method="POST", body="hello")["status"], 200)
        self.assertEqual([(r["path"], r["body"]) for r in self.fake.api_requests], [("/api", "hello")] * 2)
        self.assertEqual(len(self.fake.refreshes()), 1)
        self.assertIn("renewed_at", self.facts(p))
        self.assertEqual(self.stored(p)["refresh_token"], self.fake.grants[0].refresh)
        self.fake.grants[0].alive = False  # a new one is of no use either
        self.fake.mode = "invalid_client"
        self.bad(p, "account_renewal")
        self.fake.mode = None

    def test_all_who_wait_are_served_by_one_renewal(self):
        p = self.usable()
        self.connect(p)
        self.assertTrue(self.fake.arrived.acquire(timeout=60))  # with the code
        self.fake.expire()
        self.fake.mode = "slow"
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(self.good, p) for _ in range(8)]
            self.assertTrue(self.fake.arrived.acquire(timeout=20))
            harness.wait_for(lambda: len(self.fake.api_requests) == 8, "all to be refused")
            self.fake.gate.set()
            self.assertEqual([c.result()["status"] for c in calls], [200] * 8)
        self.assertEqual(len(self.fake.refreshes()), 1)
        self.assertTrue(self.fake.grants[0].alive, "no refresh token was used twice")

    def test_a_provider_that_takes_it_back(self):
        p = self.usable(start=False)
        p.write_rule("ear.yaml", "name: Ear\ntrigger: {event: account.NeedsAttention}\n"
                     "actions: [{operator: notify.send, params: {message: \"{{ event.provider }}: {{ event.code }}\"}}]\n")
        p.start()
        self.connect(p)
        self.fake.revoke_all()
        error = self.bad(p, "account_needs_attention")
        self.assertIn("perigee accounts connect fake", error["message"])
        self.assertFalse(error["retryable"])
        asked = len(self.fake.token_requests)
        self.bad(p, "account_needs_attention")
        self.assertEqual(len(self.fake.token_requests), asked, "it is not asked again")
        facts = self.facts(p)
        self.assertEqual((facts["state"], facts["error"]["code"]), ("needs_attention", "invalid_grant"))
        self.assertNotIn("\x1b", json.dumps(facts["error"]["message"], ensure_ascii=False))
        self.assertEqual(p.cli("accounts", "status", "fake").returncode, 1)
        self.assertIn("invalid_grant", p.cli("accounts", "list").stdout)
        attention, = p.get("/v1/audit?action=account.attention")["items"]
        self.assertEqual((attention["target"], attention["detail"]["code"]), ("fake", "invalid_grant"))
        sent = harness.wait_for(p.outbox, "the rule that hears of it")
        self.assertIn("fake: invalid_grant", json.dumps(sent))
        self.assertIn("perigee accounts connect fake", p.cli("doctor").stdout)
        p.restart()
        self.bad(p, "account_needs_attention")
        self.connect(p)
        self.assertEqual(self.good(p)["status"], 200)

    def age(self, p, left):
        """So much of an hour is left of the token when the service starts."""
        p.stop()
        record = self.stored(p)
        record["expires_ms"] = int(time.time() * 1000 + 3600000 * left)
        with open(os.path.join(p.state, "accounts", "fake"), "w", encoding="utf-8") as f:
            json.dump(record, f)
        p.start()

    def test_it_is_renewed_before_anybody_asks(self):
        p = self.usable()
        self.connect(p)
        facts = self.facts(p)
        due = seconds(facts["renews_at"]) - seconds(facts["expires_at"])
        self.assertTrue(-3600 * 0.251 < due < -3600 * 0.199, due)
        self.assertEqual(self.fake.refreshes(), [])
        self.age(p, 0.15)  # not old yet: a call would use it
        harness.wait_for(lambda: "renewed_at" in self.facts(p), "a renewal that nobody has asked for")
        self.assertEqual(len(self.fake.refreshes()), 1)
        self.assertEqual(self.good(p)["status"], 200)
        self.assertEqual(len(self.fake.refreshes()), 1)
        p.cli("plugins", "disable", "test.acc", expect=0)
        harness.wait_for(lambda: "renews_at" not in self.facts(p), "nobody to renew it for")

    def test_renewals_that_fail_are_told_while_the_token_is_good(self):
        p = self.usable(start=False)
        p.write_rule("ear.yaml", "name: Ear\ntrigger: {event: account.RenewalFailing}\n"
                     "actions: [{operator: notify.send, params: {message: \"{{ event.provider }} {{ event.message }} {{ event.expires_at }}\"}}]\n")
        p.start()
        self.connect(p)
        self.fake.mode = "html500"
        self.age(p, 0.005)  # 18 seconds: tried again after ten
        error = harness.wait_for(lambda: self.facts(p).get("error"), "the first failure")
        self.assertEqual(self.facts(p)["state"], "connected")
        self.assertIn(error["message"], p.cli("doctor").stdout)
        sent = harness.wait_for(p.outbox, "the rule that hears of it")
        self.assertIn("fake", json.dumps(sent))
        failing, = p.get("/v1/audit?action=account.failing")["items"]
        self.assertEqual(failing["target"], "fake")

    def test_a_backup_and_its_way_back(self):
        """As docs/operations.md has it: the database alone holds no token; with the folders beside it the account goes on."""
        p = self.usable()
        self.connect(p)
        copy = os.path.join(p.dir, "copy.db")
        p.cli("backup", copy, expect=0)
        with open(copy, "rb") as f:
            self.assertNotIn(b"CaNaRy", f.read())
        p.stop()
        kept = os.path.join(p.dir, "kept")
        shutil.move(p.state, kept)
        os.mkdir(p.state, 0o700)
        shutil.copy(copy, os.path.join(p.state, "perigee.db"))
        for name in ("policy.yaml", "token"):
            shutil.copy(os.path.join(kept, name), p.state)
        p.start()
        self.bad(p, "account_not_connected")
        p.stop()
        for name in ("secrets", "accounts"):
            shutil.copytree(os.path.join(kept, name), os.path.join(p.state, name), dirs_exist_ok=True)
        p.start()
        self.assertEqual(self.good(p)["status"], 200)
        self.fake.expire()
        self.assertEqual(self.good(p)["status"], 200)

    def test_a_provider_that_is_down_for_a_while(self):
        p = self.usable()
        self.connect(p)
        self.fake.expire()
        self.fake.mode = "html500"
        error = self.bad(p, "account_renewal")
        self.assertTrue(error["retryable"])
        asked = len(self.fake.token_requests)
        self.bad(p, "account_renewal")
        self.assertEqual(len(self.fake.token_requests), asked, "it is left alone for a while")
        self.assertEqual(self.facts(p)["state"], "connected")
        self.fake.mode = None
        self.connect(p)  # connecting anew does not wait
        self.assertEqual(self.good(p)["status"], 200)


if __name__ == "__main__":
    harness.main()
