# SPDX-License-Identifier: Apache-2.0
"""A service with two accounts to connect: "fake", at a provider of its own, and "weather", which takes a key."""
import json
import os

import harness
from oauth_provider import CLIENT_SECRET, Browser, Provider


class Accounts(harness.Case):
    def connectable(self, start=True, **kw):
        self.fake = Provider(**kw)
        self.addCleanup(self.fake.close)
        p = self.service(start=False)
        p.write_config("accounts:\n" + self.fake.config() + "  weather: {kind: key, hosts: [api.example.com]}\n", [p.rules])
        p.cli("secrets", "set", "fake_client", stdin=CLIENT_SECRET, expect=0)
        if start:
            p.start()
        return p

    def begin(self, p, name="fake"):
        return json.loads(p.cli("accounts", "connect", name, "--json", expect=0).stdout)["url"]

    def connect(self, p, name="fake"):
        answer, _ = Browser().follow(self.begin(p, name))
        self.assertEqual(answer[0], 200, answer)

    def facts(self, p, name="fake"):
        return p.get(f"/v1/accounts/{name}")

    def stored(self, p, name="fake"):
        path = os.path.join(p.state, "accounts", name)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(path)).st_mode & 0o777, 0o700)
        with open(path) as f:
            return json.load(f)
