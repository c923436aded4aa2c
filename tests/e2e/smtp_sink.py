# SPDX-License-Identifier: Apache-2.0
"""A real SMTP server (aiosmtpd) on loopback with STARTTLS and AUTH, in a thread of the test."""
import email
import email.policy
import os
import ssl
import subprocess
import tempfile

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "alice", "secret"


class Handler:
    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        user = address.split("@")[0]
        if user == "nobody":
            return "550 5.1.1 no such user"
        if user == "later":
            return "451 4.7.1 greylisted, try later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 2.0.0 queued as " + str(len(self.mails))


def login(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


class Sink:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="perigee-smtp-")
        os.chmod(self.dir, 0o755)
        self.ca = os.path.join(self.dir, "server.crt")
        key = os.path.join(self.dir, "server.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", self.ca], check=True, capture_output=True)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca, key)
        self.handler = Handler()
        import socket
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.controller = Controller(self.handler, hostname="127.0.0.1", port=self.port, authenticator=login, auth_required=True, auth_require_tls=True,
                                     tls_context=context, enable_SMTPUTF8=True)
        self.controller.start()

    @property
    def mails(self):
        return self.handler.mails

    def settings(self):
        """The smtp plugin's entry of perigee.yaml; the password is the secret smtp_password."""
        return (f"  smtp: {{config: {{host: localhost, port: {self.port}, security: starttls, username: {USER}, password: !secret smtp_password, "
                f"from: office@example.com, fromName: \"Büro\", caFile: {self.ca}}}}}\n")

    def close(self):
        self.controller.stop()
