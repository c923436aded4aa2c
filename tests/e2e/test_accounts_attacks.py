#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must not connect an account, and what a provider may answer."""
import threading
import urllib.parse

import harness
from accounts_case import Accounts
from oauth_provider import Browser


class Attacks(Accounts):
    """None of these connects anything, and the one who began can still finish."""

    def callback(self, p, browser=None, **query):
        return (browser or Browser()).get(f"http://127.0.0.1:{p.port}/oauth/callback?" + urllib.parse.urlencode(query))

    def at_the_provider(self, p, name="fake"):
        """A browser that is about to come back: (browser, the callback's parameters)."""
        browser = Browser()
        _, headers, _ = browser.get(self.begin(p, name))
        _, headers, _ = browser.get(headers["location"])
        return browser, dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["location"]).query))

    def refused(self, answer, p, what):
        self.assertEqual(answer[0], 403, answer)
        self.assertIn(what, answer[2])
        self.assertNotIn("location", answer[1])
        self.assertEqual(self.facts(p)["state"], "not_connected")

    def test_callbacks_that_nobody_asked_for(self):
        p = self.connectable()
        self.refused(self.callback(p, code="x", state="y"), p, "not known")
        self.refused(self.callback(p, code="x"), p, "not known")
        self.refused(self.callback(p, code="x", state=""), p, "not known")
        self.refused(Browser().get(f"http://127.0.0.1:{p.port}/oauth/authorize?ticket=abc"), p, "not known")
        self.refused(Browser().get(f"http://127.0.0.1:{p.port}/oauth/authorize"), p, "not known")
        self.refused(self.callback(p, error="access_denied", state="y"), p, "not known")
        self.assertEqual(self.fake.token_requests, [])

    def test_a_state_is_for_one_browser_and_one_time(self):
        p = self.connectable()
        browser, back = self.at_the_provider(p)
        self.refused(self.callback(p, browser, code=back["code"], state=back["state"][:-1] + "x"), p, "not known")
        self.refused(self.callback(p, **back), p, "another browser")  # without the cookie
        thief = Browser()
        thief.cookies = {"perigee_oauth_fake": "x" * 43, "perigee_oauth_": browser.cookies["perigee_oauth_fake"]}
        self.refused(self.callback(p, thief, **back), p, "another browser")
        self.assertEqual(self.fake.token_requests, [])
        self.assertEqual(self.callback(p, browser, **back)[0], 200)
        self.assertEqual(self.facts(p)["state"], "connected")
        p.cli("accounts", "disconnect", "fake", expect=0)
        self.refused(self.callback(p, browser, **back), p, "not known")  # once more
        self.assertEqual(len(self.fake.token_requests), 1)

    def test_an_address_is_for_the_browser_that_opens_it_first(self):
        p = self.connectable()
        url = self.begin(p)
        browser, other = Browser(), Browser()
        self.assertEqual(browser.get(url)[0], 303)
        self.refused(other.get(url), p, "another browser")
        self.assertEqual(browser.get(url)[0], 303, "again in the same one")
        self.assertEqual(Browser().get(url, "HEAD")[0], 405)
        cookie = browser.cookies["perigee_oauth_fake"]
        self.assertEqual(len(cookie), 43)

    def test_a_new_connect_ends_the_one_before(self):
        p = self.connectable()
        browser, back = self.at_the_provider(p)
        self.begin(p)
        self.refused(self.callback(p, browser, **back), p, "not known")

    def test_a_code_from_elsewhere(self):
        """Mix-up and injection: a state of ours with a code that was given to another authorization fails at the provider, by PKCE."""
        p = self.connectable()
        browser, mine = self.at_the_provider(p)
        _, other = self.at_the_provider(p)  # ends the first
        browser, mine = self.at_the_provider(p)
        answer = self.callback(p, browser, code=other["code"], state=mine["state"])
        self.assertEqual(answer[0], 403, answer)
        self.assertIn("invalid_grant", answer[2])
        self.assertEqual(self.facts(p)["state"], "not_connected")
        self.assertIn("connect_error", self.facts(p))
        self.refused(self.callback(p, browser, **mine), p, "not known")

    def test_an_answer_of_another_issuer(self):
        p = self.connectable(start=False)
        p.write_config("accounts:\n" + self.fake.config("fake", f"    issuer: {self.fake.url}\n") + self.fake.config("evil", "    issuer: https://other.example\n"), [p.rules])
        p.start()
        browser, back = self.at_the_provider(p, "evil")
        self.assertEqual(self.callback(p, browser, **back)[0], 403)
        self.assertEqual(self.fake.token_requests, [], "the code was sent to nobody")
        browser, back = self.at_the_provider(p)
        self.assertEqual(self.callback(p, browser, code=back["code"], state=back["state"])[0], 403)  # iss is missing
        browser, back = self.at_the_provider(p)
        self.assertEqual(self.callback(p, browser, **back)[0], 200)

    def test_a_refusal_is_shown_and_harmless(self):
        p = self.connectable()
        self.fake.deny = "access_denied"
        (status, _, body), _ = Browser().follow(self.begin(p))
        self.assertEqual(status, 403)
        self.assertIn("access_denied", body)
        self.assertIn("&lt;b&gt;no&lt;/b&gt; &amp; never", body)
        browser, back = self.at_the_provider(p)
        answer = self.callback(p, browser, error="<script>alert(1)</script>", error_description="\u202eevil", state=back["state"])
        self.assertEqual(answer[0], 403)
        self.assertNotIn("<script", answer[2])
        self.assertNotIn("\u202e", p.log_text() + answer[2])

    def test_no_redirect_leads_elsewhere(self):
        p = self.connectable()
        url = self.begin(p)
        for more in ("&redirect_uri=http://evil.example", "&next=//evil.example", "&state=x"):
            status, headers, _ = Browser().get(url + more)
            if status == 303:
                self.assertTrue(headers["location"].startswith(self.fake.url + "/authorize?tenant=a%20b&"), headers)
                self.assertNotIn("evil", headers["location"])

    def test_what_a_provider_may_answer(self):
        p = self.connectable()
        wanted = {"garbage": "no JSON", "huge": "larger", "html500": "500", "redirect": "307", "no_token": "no access_token", "bad_token": "cannot be used",
                  "mac": "token_type", "invalid_client": "invalid_client", "echo": "invalid_request"}
        for mode, text in wanted.items():
            with self.subTest(mode):
                self.fake.mode = mode
                (status, _, body), _ = Browser().follow(self.begin(p))
                self.assertGreaterEqual(status, 400)
                self.assertIn(text, body)
                self.assertNotIn("CaNaRy", body)
                self.assertEqual(self.facts(p)["state"], "not_connected")
        self.assertNotIn("CaNaRy", p.log_text())
        self.fake.mode = None
        self.connect(p)

    def test_a_provider_that_is_slow(self):
        p = self.connectable()
        self.fake.mode = "slow"
        browser, back = self.at_the_provider(p)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(self.callback(p, browser, **back)))
        waiting.start()
        self.assertTrue(self.fake.arrived.acquire(timeout=60))
        self.assertEqual(p.request("GET", "/healthz").status, 200, "others are served")
        self.refused(self.callback(p, browser, **back), p, "not known")  # used up, though not finished
        self.fake.gate.set()
        waiting.join()
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(self.facts(p)["state"], "connected")


if __name__ == "__main__":
    harness.main()
