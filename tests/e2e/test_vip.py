#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mission's first rule, byte for byte: three missed calls of a VIP, one e-mail in a real SMTP server."""
import os
import urllib.parse

import harness
import smtp_sink
import twilio_mock

PUBLIC = "https://hooks.example.com"


class Vip(harness.Case):
    def setUp(self):
        self.sink = smtp_sink.Sink()
        self.addCleanup(self.sink.close)
        self.p = self.service(start=False)
        with open(os.path.join(harness.SOURCE, "rules", "vip-missed-call.yaml")) as f:
            self.p.write_rule("vip.yaml", f.read())
        self.p.write_config(f"plugins:\n{self.sink.settings()}"
                            f"  twilio: {{config: {{accountSid: {twilio_mock.SID}, authToken: !secret twilio_token, from: \"+15005550006\"}}}}\n", [self.p.rules])
        with open(self.p.config_file) as f:
            text = f.read().replace('http: {listen: "127.0.0.1:0"}', f'http: {{listen: "127.0.0.1:0", public_url: "{PUBLIC}"}}')
        with open(self.p.config_file, "w") as f:
            f.write(text)
        self.p.cli("secrets", "set", "twilio_token", stdin=twilio_mock.TOKEN, expect=0)
        self.p.cli("secrets", "set", "smtp_password", stdin=smtp_sink.PASSWORD, expect=0)
        self.p.start()
        self.p.put("contact", {"id": "ada", "displayName": "Ada", "phoneNumbers": ["+14155550101"], "emails": ["ada@example.org"], "tags": ["vip"]})
        self.p.put("contact", {"id": "bob", "displayName": "Bob", "phoneNumbers": ["+14155550102"], "emails": ["bob@example.org"], "tags": ["friend"]})

    def call(self, sid, number, token=twilio_mock.TOKEN):
        path = "/hooks/twilio/call-status"
        form = {"CallSid": sid, "AccountSid": twilio_mock.SID, "From": number, "To": "+15005550006", "CallStatus": "no-answer", "Direction": "inbound",
                "CallDuration": "0"}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": twilio_mock.sign(PUBLIC + path, form, token)}
        return self.p.request("POST", path, urllib.parse.urlencode(form), headers)

    def events(self, type):
        return self.p.get(f"/v1/events?type={type}&limit=100")["items"]

    def settle(self):
        for event in self.events("comms.CallMissed"):
            self.p.runs_of(event["id"])

    def test_third_missed_call_of_a_vip_sends_one_mail(self):
        for i in range(2):
            self.assertEqual(self.call(f"CA{i:032x}", "+14155550101").status, 204)
        self.settle()
        self.assertEqual(self.sink.mails, [])
        self.assertEqual(self.call(f"CA{2:032x}", "+14155550101").status, 204)
        harness.wait_for(lambda: self.sink.mails, "the mail")
        self.settle()
        self.assertEqual(len(self.sink.mails), 1)
        sender, to, mail = self.sink.mails[0]
        self.assertEqual((sender, to), ("office@example.com", ["ada@example.org"]))
        self.assertEqual(mail["Subject"], "Sorry we missed you")
        self.assertEqual(mail["From"].addresses[0].display_name, "Büro")
        self.assertIn("call us back at your convenience", mail.get_content())
        self.assertEqual(len(self.p.get("/v1/data/call")["items"]), 3)

    def test_three_calls_at_once_send_one_mail(self):
        for i in range(3):
            self.assertEqual(self.call(f"CA{i:032x}", "+14155550101").status, 204)
        harness.wait_for(lambda: self.sink.mails, "the mail")
        self.settle()
        self.assertEqual(len(self.sink.mails), 1)

    def test_repeated_webhook_counts_once(self):
        for _ in range(3):
            self.assertEqual(self.call(f"CA{7:032x}", "+14155550101").status, 204)
        self.settle()
        self.assertEqual(len(self.events("comms.CallMissed")), 1)
        self.assertEqual(self.sink.mails, [])

    def test_without_the_tag_nothing_is_sent_and_the_verdict_says_why(self):
        for i in range(3):
            self.assertEqual(self.call(f"CA{i:032x}", "+14155550102").status, 204)
        self.settle()
        self.assertEqual(self.sink.mails, [])
        last = self.events("comms.CallMissed")[0]
        verdict = self.p.matched(last["id"])["vip-missed-call-follow-up"]
        self.assertEqual(verdict["verdict"], "no")
        self.assertEqual(verdict["operator"], "contact.HasTag")
        self.assertEqual(verdict["detail"]["actual"], ["friend"])

    def test_forged_signature_changes_nothing(self):
        answer = self.call(f"CA{1:032x}", "+14155550101", token="guess")
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.p.get("/v1/events?limit=100")["items"], [])
        self.assertEqual(self.p.get("/v1/data/call")["items"], [])


if __name__ == "__main__":
    harness.main()
