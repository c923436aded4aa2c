#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens that stand out go every way there is; afterwards nothing but their files holds them."""
import base64
import os
import urllib.parse

import harness
from accounts_case import Users
from oauth_provider import CLIENT_ID, CLIENT_SECRET, Browser

MARK = "CaNaRy"
BASIC = base64.b64encode(f"{urllib.parse.quote_plus(CLIENT_ID)}:{urllib.parse.quote_plus(CLIENT_SECRET)}".encode()).decode()


class Canaries(Users):
    def test_tokens_are_in_their_files_only(self):
        p = self.usable()
        seen = []
        self.fake.mode = "echo"
        for url in (self.begin(p), self.begin(p)):
            answer, went = Browser().follow(url)
            seen.append((went[-1].split("?")[0], answer[2]))
            self.fake.mode = None
        p.cli("accounts", "connect", "weather", stdin=f"k-{MARK}-0123456789", expect=0)
        self.good(p, "acc.named", account="weather")
        for turn in range(2):
            self.good(p, "acc.leak")
            self.call(p, "acc.leak", url=self.fake.url + "/api", fail=True)
            self.assertFalse(self.call(p, "acc.stored", url=self.fake.url + "/api")["ok"], "what is stored is no handle")
            self.fake.expire()
        self.fake.mode = "echo"
        self.bad(p, "account_renewal")
        self.fake.mode = None
        self.assertTrue(all(r["token"].startswith("access-") or r["token"] == "" for r in self.fake.api_requests[1:]))
        for path in ("accounts", "accounts/fake", "events?limit=1000", "plugins", "plugins/test.acc", "status", "audit?limit=1000", "errors", "findings"):
            seen.append((path, p.request("GET", "/v1/" + path).body.decode(errors="replace")))
        seen.append(("metrics", p.request("GET", "/metrics").body.decode()))
        for words in (("accounts", "list"), ("accounts", "status", "fake"), ("doctor",), ("plugins", "audit"), ("check",), ("secrets", "list")):
            for option in ((), ("--json",)):
                done = p.cli(*words, *option)
                seen.append((words, done.stdout + done.stderr))
        p.cli("backup", os.path.join(p.dir, "copy.db"), expect=0)
        p.cli("accounts", "disconnect", "fake", expect=0)
        p.stop()
        inside = {}
        for folder, _, names in os.walk(p.dir):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path) and os.path.isfile(path):
                    with open(path, "rb") as f:
                        text = f.read().decode(errors="replace")
                    if MARK in text:
                        inside[os.path.relpath(path, p.dir)] = None
                    seen.append((path, "" if os.path.basename(folder) in ("secrets", "accounts") else text))
        self.assertEqual(sorted(inside), ["state/accounts/weather", "state/secrets/fake_client"])
        forms = [MARK, BASIC] + [base64.b64encode(t.encode()).decode() for t in self.fake.given]
        self.assertEqual([(where, text[max(0, text.find(form) - 100):][:160]) for where, text in seen for form in forms if form in text], [])
        self.assertIn("[secret account.fake]", p.log_text())


if __name__ == "__main__":
    harness.main()
