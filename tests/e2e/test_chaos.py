#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chaos run (chaos.py) with a few kills: script/chaos has the long one."""
import harness
from chaos import Chaos
from flaky_provider import Provider

ONCE = """
name: Once
trigger: {event: t.T}
actions: [{operator: http.request, params: {url: "%s/x", method: POST, json: {n: 1}}}]
"""


class Short(harness.Case):
    def test_promises_are_kept(self):
        chaos = Chaos(20, 7, out=lambda text: None, patience=1.5)
        self.addCleanup(chaos.close)
        try:
            chaos.run()
        except BaseException:
            print(chaos.p.log_text()[-4000:])
            raise


class Kept(harness.Case):
    def test_a_call_on_a_kept_connection_that_ends_is_not_sent_again(self):
        """The HTTP library would, by itself and without a word."""
        provider = Provider()
        self.addCleanup(provider.close)
        self.p = self.service('plugins: {http: {config: {hosts: ["%s"]}}}\n' % provider.host, rules={"once.yaml": ONCE % provider.url})
        self.p.runs_of(self.p.emit("t.T"))
        provider.say("lost", "ok")
        event = self.p.emit("t.T")
        self.p.matched(event)
        run, = harness.wait_for(lambda: [r for r in self.p.get(f"/v1/runs?event={event}")["items"] if r["state"] == "unknown"], "the outcome to be unknown")
        key = self.p.get("/v1/runs/" + run["id"])["steps"][0]["idempotency_key"]
        self.assertEqual((provider.requests[key], provider.deliveries[key]), (["lost"], 1))


if __name__ == "__main__":
    harness.main()
