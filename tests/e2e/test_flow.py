#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys, modes, throttles, waits: what the author of a rule sees, with a SIGKILL in the middle."""
import harness

QUEUE = """
name: One at a time
trigger: {event: t.Due}
key: "{{ event.who }}"
mode: queued
actions:
  - delay: 2s
  - operator: notify.send
    params: {message: "{{ event.who }} {{ event.n }}"}
"""


class Flow(harness.Case):
    def verdict(self, event):
        verdict, = self.p.matched(event).values()
        return verdict

    def test_queued_runs_keep_their_order_over_a_kill(self):
        self.p = self.service(rules={"queue.yaml": QUEUE})
        events = [self.p.emit("t.Due", {"who": "ann", "n": n}) for n in range(3)]
        other = self.p.emit("t.Due", {"who": "bob", "n": 0})
        self.assertEqual(self.verdict(events[0])["verdict"], "fired")
        self.assertEqual(self.verdict(events[2])["verdict"], "queued")
        self.assertRegex(self.verdict(events[2])["reason"], r"^queued behind run-\d+$")
        self.assertEqual(self.verdict(other)["verdict"], "fired")
        self.p.restart()
        for event in events + [other]:
            run, = self.p.runs_of(event)
            self.assertEqual(run["state"], "succeeded")
        bodies = [m["body"] for m in self.p.outbox()]
        self.assertEqual(sorted(bodies), ["ann 0", "ann 1", "ann 2", "bob 0"])
        self.assertEqual([b for b in bodies if b.startswith("ann")], ["ann 0", "ann 1", "ann 2"])

    def test_throttles_hold_over_a_kill(self):
        self.p = self.service(rules={"within.yaml": "name: Seldom\ntrigger: {event: t.Often}\nkey: \"{{ event.who }}\"\nthrottle: {once_within: 12h}\nactions: [{stop: true}]\n",
                                     "after.yaml": "name: Quiet\ntrigger: {event: t.Burst}\nthrottle: {once_after: 2s}\n"
                                                   "actions: [{operator: notify.send, params: {message: \"n {{ event.n }}\"}}]\n"})
        self.assertEqual(self.verdict(self.p.emit("t.Often", {"who": "ann"}))["verdict"], "fired")
        for n in range(3):
            self.assertEqual(self.verdict(self.p.emit("t.Burst", {"n": n}))["verdict"], "held")
        self.p.restart()
        again = self.p.emit("t.Often", {"who": "ann"})
        self.assertEqual(self.verdict(again)["verdict"], "throttled")
        self.assertRegex(self.p.cli("why", "seldom", "--event", again, expect=1).stdout, "throttled until 2")
        harness.wait_for(self.p.outbox, "the run after the burst")
        self.assertEqual([m["body"] for m in self.p.outbox()], ["n 2"])


if __name__ == "__main__":
    harness.main()
