#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page behind a signed link in Chromium, driven over WebDriver. Skipped where chromium and chromedriver are not installed."""
import json
import re
import shutil
import subprocess
import unittest
import urllib.error
import urllib.request

import harness

RULE = """name: Discount
trigger: {event: sales.Asked}
actions:
  - approve:
      prompt: "<b>{{ event.who }}</b> & co. ask"
      schema: {type: object, required: [percent], properties: {percent: {type: integer, maximum: 20}, note: {type: string}, urgent: {type: boolean}}}
    id: boss
"""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name of element references in W3C WebDriver


class Browser:
    """One Chromium without a window."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                self.url = f"http://127.0.0.1:{found.group(1)}"
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}/chromium"]
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}})
        self.url += "/session/" + answer["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=harness.DEADLINE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(e.read().decode()) from None

    def find(self, selector):
        return "/element/" + self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def shows(self, selector, words):
        """Waits for an element with these words: a click returns before the next page is there."""
        def look():
            try:
                return words in self.call("GET", self.find(selector) + "/text")
            except AssertionError:  # not there yet, or of the page that goes
                return False

        harness.wait_for(look, f"{selector} with {words!r}")

    def type(self, selector, text):
        self.call("POST", self.find(selector) + "/clear", {})
        self.call("POST", self.find(selector) + "/value", {"text": text})

    def click(self, selector):
        self.call("POST", self.find(selector) + "/click", {})

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()


@unittest.skipUnless(shutil.which("chromium") and shutil.which("chromedriver"), "Chromium is not installed")
class Page(harness.Case):
    def test_a_person_answers_in_a_browser(self):
        p = self.service(rules={"discount.yaml": RULE})
        event = p.emit("sales.Asked", {"who": "Ada"})
        question, = harness.wait_for(lambda: p.get("/v1/approvals")["items"], "the question")
        browser = Browser(p.dir)
        self.addCleanup(browser.close)
        browser.call("POST", "/url", {"url": f"http://127.0.0.1:{p.port}/approve/" + question["link"].rsplit("/", 1)[1]})
        browser.shows("h1", "<b>Ada</b> & co. ask")
        browser.type("input[name='f.percent']", "50")
        browser.click("button")
        browser.shows("p.note", "percent")  # more than the schema allows: asked again
        browser.type("input[name='f.percent']", "10")
        browser.type("input[name='f.note']", "for \"friends\" ä")
        browser.click("input[name='f.urgent']")
        browser.click("button")
        browser.shows("h1", "Thank you")
        run, = p.runs_of(event)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual(run["steps"][0]["result"], {"percent": 10, "note": "for \"friends\" ä", "urgent": True})


if __name__ == "__main__":
    harness.main()
