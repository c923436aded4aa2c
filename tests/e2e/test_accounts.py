#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accounts at other services, against a provider that keeps to the protocol: connecting, taking back, settings."""
import json
import os
import threading

import harness
from accounts_case import Accounts
from oauth_provider import CLIENT_ID, CLIENT_SECRET, Browser

KEY = "k-CaNaRy-0123456789"


class Connecting(Accounts):
    def test_in_a_browser(self):
        p = self.connectable()
        self.assertEqual(p.cli("accounts", "status", "fake").returncode, 1)
        self.assertEqual(self.facts(p)["state"], "not_connected")
        browser = Browser()
        url = self.begin(p)
        self.assertTrue(url.startswith(f"http://127.0.0.1:{p.port}/oauth/authorize?ticket="), url)
        (status, headers, body), went = browser.follow(url)
        self.assertEqual(status, 200, body)
        self.assertIn("The account fake is connected", body)
        self.assertEqual(headers["referrer-policy"], "no-referrer")
        self.assertEqual(headers["cache-control"], "no-store")
        asked, = self.fake.authorize_requests
        self.assertEqual((asked["client_id"], asked["tenant"], asked["scope"]), (CLIENT_ID, "a b", "read https://fake.example/write"))
        self.assertGreaterEqual(len(asked["state"]), 43)
        self.assertNotIn(CLIENT_SECRET, "".join(went))
        facts = self.facts(p)
        self.assertEqual((facts["state"], facts["user"], facts["renewable"]), ("connected", "ada@fake.example", True))
        self.assertEqual(facts["scopes"], ["read", "https://fake.example/write"])
        self.assertIn("access_token", self.stored(p))
        self.assertEqual(p.cli("accounts", "status", "fake").returncode, 0)
        table = p.cli("accounts", "list", expect=0).stdout
        self.assertIn("ada@fake.example", table)
        self.assertEqual([a["id"] for a in p.get("/v1/accounts")["items"]], ["fake", "weather"])
        self.assertEqual(p.get("/v1/accounts?limit=1"), {"items": [facts], "next": "fake"})
        audit = p.get("/v1/audit?action=account.")["items"]
        self.assertEqual([(a["action"], a["target"]) for a in audit], [("account.connected", "fake")])
        p.restart()
        self.assertEqual(self.facts(p), facts)

    def test_however_the_provider_wants_it(self):
        for kw in ({"auth": "body"}, {"auth": "basic", "form": "json"}, {"auth": "body", "form": "json"}, {"refresh": False, "life": None}):
            with self.subTest(kw):
                p = self.connectable(**kw)
                self.connect(p)
                self.assertEqual(self.facts(p)["state"], "connected")
                self.assertEqual("expires_at" in self.facts(p), kw.get("life", 1) is not None)
                p.stop()

    def test_waiting_for_it_on_the_command_line(self):
        p = self.connectable()
        ended = []
        for deny, code in (("access_denied", 1), (None, 0)):
            self.fake.deny = deny
            waiting = threading.Thread(target=lambda: ended.append(p.cli("accounts", "connect", "fake", "--wait=60")))
            before = len(self.fake.authorize_requests)
            pending = {}

            def url():
                facts = self.facts(p)
                return facts.get("connecting_until") and facts["connecting_until"] != pending.get("last")

            waiting.start()
            harness.wait_for(url, "the command to have begun")
            # What the command printed is its own; the same account once more is the same way.
            Browser().follow(self.begin(p))
            waiting.join()
            self.assertEqual(len(self.fake.authorize_requests), before + 1)
            self.assertEqual(ended[-1].returncode, code, ended[-1])
        self.assertIn("access_denied", ended[0].stderr)
        self.assertIn("is connected", ended[1].stderr)

    def test_a_key(self):
        p = self.connectable(start=False)
        for running in (False, True):
            if running:
                p.start()
            p.cli("accounts", "connect", "weather", stdin=KEY + "\n", expect=0)
            self.assertEqual(self.stored(p, "weather")["access_token"], KEY)
            self.assertEqual(p.cli("accounts", "status", "weather").returncode, 0)
            shown = p.cli("accounts", "list", "--json").stdout + p.cli("accounts", "status", "weather").stdout
            self.assertNotIn(KEY, shown)
            self.assertEqual(p.cli("accounts", "connect", "weather", stdin="two\nlines").returncode, 1)
            self.assertEqual(p.cli("accounts", "connect", "weather", stdin="").returncode, 1)
            p.cli("accounts", "disconnect", "weather", expect=0)
            self.assertFalse(os.path.exists(os.path.join(p.state, "accounts", "weather")))
            self.assertEqual(p.cli("accounts", "disconnect", "weather").returncode, 1)

    def test_taking_it_back(self):
        p = self.connectable()
        self.connect(p)
        done = json.loads(p.cli("accounts", "disconnect", "fake", "--json", expect=0).stdout)
        self.assertEqual((done["state"], done["revoked"]), ("not_connected", True))
        self.assertEqual([(r["token"], r["token_type_hint"]) for r in self.fake.revocations], [(self.fake.grants[0].refresh, "refresh_token")])
        self.assertFalse(self.fake.grants[0].alive)
        self.assertEqual(self.facts(p)["state"], "not_connected")
        self.connect(p)
        self.fake.mode = "html500"
        done = json.loads(p.cli("accounts", "disconnect", "fake", "--json", expect=0).stdout)
        self.assertEqual(done["revoked"], False)
        self.assertIn("perhaps not revoked", done["warning"])
        self.assertFalse(os.path.exists(os.path.join(p.state, "accounts", "fake")))
        self.fake.mode = None
        self.connect(p)
        p.stop()
        self.assertIn("revoked", p.cli("accounts", "disconnect", "fake", expect=0).stderr)  # without the service
        self.assertFalse(self.fake.grants[-1].alive)
        self.assertEqual(p.cli("accounts", "connect", "fake").returncode, 69)

    def test_the_command_line(self):
        p = self.connectable()
        self.assertEqual(p.cli("accounts", "connect").returncode, 2)
        self.assertEqual(p.cli("accounts", "connct", "x").returncode, 2)
        self.assertEqual(p.cli("accounts", "connect", "nobody").returncode, 1)
        self.assertIn("perigee.yaml", p.cli("accounts", "status", "nobody").stderr)
        self.assertEqual(p.request("POST", "/v1/accounts/fake/connect", {"key": "x"}).status, 400)
        self.assertEqual(p.request("POST", "/v1/accounts/weather/connect", {}).status, 400)
        self.assertEqual(p.request("POST", "/v1/accounts/weather/connect", {"key": 5}).status, 400)
        self.assertEqual(p.request("POST", "/v1/accounts/fake/connect", {}, token=False).status, 401)


class Settings(Accounts):
    def check(self, accounts):
        """accounts: {text of an entry: code of its only finding, or None}; all in one file."""
        p = self.service(start=False)
        lines, wanted = [], []
        for text, code in accounts.items():
            if code:
                wanted.append((len(lines) + 5, code))
            lines.append("  " + text)
        p.write_config("accounts:\n" + "\n".join(lines) + "\n", [p.rules])
        found = [json.loads(line) for line in p.cli("check", "--json", p.rules).stdout.splitlines()]
        found = [f for f in found if f["file"].endswith("perigee.yaml")]
        self.assertEqual([(f["line"], f["code"]) for f in found], wanted, found)
        return found

    def test_presets_need_only_a_client(self):
        names = ("asana", "fitbit", "gmail", "google-fit", "google-health", "microsoft", "notion", "slack", "google")
        texts = {f"{name}: {{client_id: 123456, client_secret: !secret x}}": None for name in names}
        self.check({**texts, "ntfy:": None, "usda-fdc: {}": None, "work: {preset: whatsapp}": None})

    def test_findings_have_their_place(self):
        found = self.check({
            "gmail: {client_id: x}": "missing-key", "a: {preset: gogle}": "unknown-preset", "b: {clientid: x}": "unknown-key",
            "c: {preset: gmail, client_id: x, client_secret: hush-hush}": "plain-secret", "d: {preset: gmail, client_id: !secret x}": "secret-here",
            "Bad Name: {kind: key, hosts: [a.example]}": "wrong-value", "e: 5": "wrong-type", "f: {kind: key}": "missing-key",
            "g: {kind: cookie, hosts: [a.example]}": "wrong-value", "h: {kind: key, hosts: a.example}": "wrong-type"})
        self.assertEqual([f["column"] for f in found[:3]], [3, 15, 7])
        self.assertIn('did you mean "google"', found[1]["message"])
        self.assertNotIn("hush-hush", json.dumps(found))
        bad = ("https://a.example", "*", "*.com", "a.example/x", "a..b", "a:0", "-a")
        good = ("a.example", "*.a.example", "127.0.0.1:80", "[::1]:8080", "localhost")
        self.check({f'x{n}: {{kind: key, hosts: ["{host}"]}}': "wrong-value" if host in bad else None for n, host in enumerate(bad + good)})

    def test_urls_are_encrypted(self):
        urls = {"https://a.example/x?y=1": None, "http://127.0.0.1:99/x": None, "http://localhost/x": None, "http://a.example/x": "insecure-url",
                "http://127.0.0.1.evil.example/x": "insecure-url", "http://localhost.evil.example/x": "insecure-url", "https://u:p@a.example/": "wrong-value",
                "https://a.example/#x": "wrong-value", "ftp://a.example/": "wrong-value", "a.example": "wrong-value"}
        entry = '{{authorize_url: "{}", token_url: "https://a.example/t", client_id: c, token_auth: none, hosts: [a.example]{}}}'
        texts = {f"x{n}: " + entry.format(url, ""): code for n, (url, code) in enumerate(urls.items())}
        for n, more in enumerate((", pkce: none", ", authorize_params: {state: x}", ", token_params: {n: 1}", ", scopes: [\"a b\"]", ", pkce: plain")):
            texts[f"y{n}: " + entry.format("https://a.example/a", more)] = "wrong-value"
        self.check(texts)

    def test_a_changed_file_counts_at_once(self):
        p = self.connectable()
        self.connect(p)
        p.write_config("accounts:\n  weather: {kind: key, label: Wetter, hosts: [api.example.com]}\n", [p.rules])
        harness.wait_for(lambda: self.facts(p, "weather").get("label") == "Wetter", "the settings to be read")
        self.assertEqual(self.facts(p)["state"], "unconfigured")
        self.assertEqual(p.request("POST", "/v1/accounts/fake/connect", {}).status, 404)


if __name__ == "__main__":
    harness.main()
