"""A double of Entra's and ACR's token services, whose tokens a real registry verifies.

`python entra.py FOLDER` writes FOLDER/cert.pem and FOLDER/address, then serves POST /oauth2/exchange, and POST and
GET /oauth2/token. `python entra.py token` prints what `az account get-access-token` would. An Entra token here is a
JWT that `entra_token` signs; its claim "role" says what it may: "push" or "pull".
"""

import base64
import datetime
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

KEY = "entra's own key, which is as long as such a key must be"
AUDIENCE = "https://containerregistry.azure.net"
ROLES = {"push": {"pull", "push", "delete"}, "pull": {"pull"}}


def entra_token(role: str = "push", audience: str = AUDIENCE, lives: float = 3600) -> str:
    return jwt.encode({"aud": audience, "exp": time.time() + lives, "role": role}, KEY, "HS256")


def refresh_token(service: str, role: str) -> str:
    return jwt.encode({"aud": service, "role": role, "exp": time.time() + 3600}, KEY, "HS256")


def certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acr double")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )


class Acr(BaseHTTPRequestHandler):
    key: ec.EllipticCurvePrivateKey
    chain: list[str]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = {key: values[0] for key, values in parse_qs(self.rfile.read(length).decode()).items()}
        try:
            if urlsplit(self.path).path == "/oauth2/exchange":
                said = jwt.decode(form["access_token"], KEY, ["HS256"], audience=AUDIENCE)
                self.answer(200, {"refresh_token": refresh_token(form["service"], said["role"])})
            else:
                self.grant(form["refresh_token"], form["service"], form["scope"].split())
        except (jwt.InvalidTokenError, KeyError) as error:
            self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": str(error)}]})

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        try:
            account = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            self.grant(account.partition(":")[2], asked["service"][0], asked.get("scope", []))
        except (jwt.InvalidTokenError, KeyError) as error:
            self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": str(error)}]})

    def grant(self, refresh: str, service: str, scopes: list[str]) -> None:
        allowed = ROLES[jwt.decode(refresh, KEY, ["HS256"], audience=service)["role"]]
        access = [
            {"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        now = int(time.time())
        claims = {"iss": "acr double", "aud": service, "sub": "", "iat": now, "nbf": now - 5, "exp": now + 3600}
        claims |= {"jti": secrets.token_hex(8), "access": access}
        self.answer(200, {"access_token": jwt.encode(claims, self.key, "ES256", {"x5c": self.chain})})

    def answer(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def main(folder: Path) -> None:
    Acr.key = ec.generate_private_key(ec.SECP256R1())
    signed = certificate(Acr.key)
    Acr.chain = [base64.b64encode(signed.public_bytes(Encoding.DER)).decode()]
    (folder / "cert.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Acr)
    (folder / "address.new").write_text(f"127.0.0.1:{server.server_port}")
    (folder / "address.new").rename(folder / "address")
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "token":
        print(json.dumps({"accessToken": entra_token(), "expires_on": int(time.time()) + 3600, "tokenType": "Bearer"}))
    elif sys.argv[1] == "refresh":
        print(refresh_token(sys.argv[2], "push"))
    else:
        main(Path(sys.argv[1]))
