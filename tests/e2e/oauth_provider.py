# SPDX-License-Identifier: Apache-2.0
"""An OAuth 2.0 provider on loopback that speaks the real protocol (RFC 6749, 7636, 7009) and keeps to it: authorization codes for one use, PKCE,
exact redirect URIs, client authentication, refresh tokens that rotate (using an old one ends the whole grant), revocation. And it can misbehave."""
import base64
import hashlib
import http.server
import json
import secrets
import threading
import urllib.parse

CLIENT_ID, CLIENT_SECRET = "an id:with/signs", "S3cReT-of the+client=CaNaRy"
REDIRECT = "/oauth/callback"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that are killed, or have read enough."""


class Grant:
    def __init__(self, scope):
        self.scope, self.alive, self.refresh, self.access, self.old = scope, True, None, {}, set()


class Provider:
    """mode, for the next answers of the token endpoint: see Handler.spoilt."""

    def __init__(self, auth="basic", rotate=True, life=3600, refresh=True, grace=False, form="form"):
        self.auth, self.rotate, self.life, self.gives_refresh, self.grace, self.form = auth, rotate, life, refresh, grace, form
        self.mode = self.deny = None
        self.codes, self.grants = {}, []
        self.token_requests, self.authorize_requests, self.api_requests, self.revocations = [], [], [], []
        self.given = []  # every token and code there ever was
        self.lock = threading.Lock()
        self.gate = threading.Event()  # what "slow" and "late" wait for
        self.arrived = threading.Semaphore(0)  # a token request is there
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.provider = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def host(self):
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self):
        return f"http://{self.host}"

    def config(self, name="fake", extra=""):
        return (f"  {name}:\n    label: Fake\n    authorize_url: \"{self.url}/authorize?tenant=a%20b\"\n    token_url: {self.url}/token\n    revoke_url: {self.url}/revoke\n"
                f"    client_id: \"{CLIENT_ID}\"\n    client_secret: !secret fake_client\n    token_auth: {self.auth}\n    token_format: {self.form}\n"
                f"    scopes: [read, \"https://fake.example/write\"]\n    label_from: /owner/email\n    hosts: [\"{self.host}\"]\n{extra}")

    def new_token(self, kind):
        token = f"{kind}-CaNaRy-{secrets.token_urlsafe(24)}"
        self.given.append(token)
        return token

    def refreshes(self):
        return [r for r in self.token_requests if r.get("grant_type") == "refresh_token"]

    def expire(self):
        """Every access token there is ends now, whatever was said about its life."""
        with self.lock:
            for grant in self.grants:
                grant.access.clear()

    def revoke_all(self):
        with self.lock:
            for grant in self.grants:
                grant.alive = False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def provider(self):
        return self.server.provider

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # whoever asked was killed

    def fail(self, error, status=400):
        self.answer(status, {"error": error, "error_description": "because \x1b[31mit is so"})

    # --- for browsers ---

    def authorize(self, query):
        p = self.provider
        p.authorize_requests.append(query)
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID or not redirect.startswith("http://127.0.0.1:") or not redirect.endswith(REDIRECT):
            return self.answer(400, {"error": "bad client or redirect_uri"})
        back = {"state": query.get("state", "")}
        if p.deny:
            back.update({"error": p.deny, "error_description": "<b>no</b> & never"})
        elif query.get("response_type") != "code" or len(back["state"]) < 22 or query.get("code_challenge_method") != "S256":
            back["error"] = "invalid_request"
        else:
            code = p.new_token("code")
            p.codes[code] = {"redirect": redirect, "challenge": query["code_challenge"], "scope": query.get("scope", "")}
            back.update({"code": code, "iss": p.url})
        self.answer(302, b"", headers=[("Location", redirect + "?" + urllib.parse.urlencode(back))])

    # --- for clients ---

    def is_client(self, form):
        p = self.provider
        if p.auth == "body":
            return "Authorization" not in self.headers and (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if p.auth == "none":
            return "Authorization" not in self.headers and form.get("client_id") == CLIENT_ID and "client_secret" not in form
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        both = base64.b64decode(text).decode().split(":") if kind == "Basic" else []
        return [urllib.parse.unquote_plus(x) for x in both] == [CLIENT_ID, CLIENT_SECRET] and "client_secret" not in form

    def spoilt(self):
        """The answer that the mode asks for, before anything is done; True: it was given."""
        p = self.provider
        mode = p.mode
        if mode == "slow":
            p.gate.wait(60)
        elif mode == "garbage":
            self.answer(200, b"<html>\x00\xff{]", "text/html")
            return True
        elif mode == "huge":
            self.answer(200, {"access_token": "x", "token_type": "Bearer", "more": "y" * 500000})
            return True
        elif mode == "html500":
            self.answer(500, b"<h1>oops", "text/html")
            return True
        elif mode == "redirect":
            self.answer(307, b"", headers=[("Location", p.url + "/elsewhere")])
            return True
        elif mode == "no_token":
            self.answer(200, {"token_type": "Bearer", "expires_in": 3600})
            return True
        elif mode == "bad_token":
            self.answer(200, {"access_token": "a\r\nX-Evil: 1", "token_type": "Bearer"})
            return True
        elif mode == "mac":
            self.answer(200, {"access_token": "abc", "token_type": "mac"})
            return True
        elif mode == "echo":
            self.answer(400, {"error": "invalid_request", "error_description": self.body})
            return True
        elif mode and mode != "late":
            self.fail(mode, 401 if mode == "invalid_client" else 400)
            return True
        return False

    def token(self, form):
        p = self.provider
        p.token_requests.append(form)
        p.arrived.release()
        if self.spoilt():
            return None
        if not self.is_client(form):
            return self.fail("invalid_client", 401)
        with p.lock:
            grant = self.take_code(form) if form.get("grant_type") == "authorization_code" else self.take_refresh(form)
            if not grant:
                return self.fail("invalid_grant")
            answer = self.tokens(grant)
        if p.mode == "late":  # done, but nobody hears of it yet
            p.gate.wait(60)
        return self.answer(200, answer)

    def take_code(self, form):
        p = self.provider
        code = p.codes.pop(form.get("code"), None)
        verifier = form.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if not code or code["redirect"] != form.get("redirect_uri") or challenge != code["challenge"] or not 43 <= len(verifier) <= 128:
            return None
        p.grants.append(Grant(code["scope"]))
        return p.grants[-1]

    def take_refresh(self, form):
        token = form.get("refresh_token")
        for grant in self.provider.grants:
            if token in grant.old and not self.provider.grace:
                grant.alive = False  # somebody has it who should not
            if grant.alive and token and (token == grant.refresh or (self.provider.grace and token in grant.old)):
                return grant
        return None

    def tokens(self, grant):
        p = self.provider
        access = p.new_token("access")
        grant.access = {access: True}
        answer = {"access_token": access, "token_type": "bearer", "scope": grant.scope, "owner": {"email": "ada@fake.example"}}
        if p.life:
            answer["expires_in"] = p.life
        if p.gives_refresh and (p.rotate or not grant.refresh):
            if grant.refresh:
                grant.old.add(grant.refresh)
            grant.refresh = answer["refresh_token"] = p.new_token("refresh")
        return answer

    def revoke(self, form):
        p = self.provider
        p.revocations.append(form)
        if p.mode == "html500":
            return self.answer(500, b"no")
        for grant in p.grants:
            if form.get("token") in (grant.refresh, *grant.access):
                grant.alive = False
        return self.answer(200, {}) if self.is_client(form) else self.fail("invalid_client", 401)

    # --- what the tokens are for ---

    def api(self):
        p = self.provider
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        p.api_requests.append({"token": token, "path": self.path, "body": self.body, "headers": dict(self.headers)})
        good = kind == "Bearer" and any(grant.alive and token in grant.access for grant in p.grants)
        self.answer(200 if good else 401, {"ok": good, "echo": self.headers.get("Authorization")})

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        if url.path == "/authorize":
            return self.authorize(dict(urllib.parse.parse_qsl(url.query)))
        if url.path in ("/token", "/revoke"):
            form = json.loads(self.body) if self.provider.form == "json" else dict(urllib.parse.parse_qsl(self.body))
            return self.token(form) if url.path == "/token" else self.revoke(form)
        return self.api()

    do_GET = do_POST = handle_any


class Browser:
    """Follows redirects and keeps cookies, as far as this needs it."""

    def __init__(self):
        self.cookies = {}

    def get(self, url, method="GET"):
        import http.client
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        try:
            headers = {"Cookie": "other=1; " + "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
            connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
            response = connection.getresponse()
            body = response.read().decode(errors="replace")
            for value in response.headers.get_all("Set-Cookie") or []:
                name, _, rest = value.partition("=")
                self.cookies[name] = rest.split(";")[0]
            return response.status, dict((k.lower(), v) for k, v in response.getheaders()), body
        finally:
            connection.close()

    def follow(self, url, most=5):
        """To the end of the redirects; the addresses it went to."""
        went = [url]
        answer = self.get(url)
        while answer[0] in (301, 302, 303, 307) and len(went) < most:
            went.append(answer[1]["location"])
            answer = self.get(went[-1])
        return answer, went
