"""Greets in a language: one file and the standard library, started as `python app.py`, on a port of its own."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 5057
RELEASE = "first"


def greet(words, language):
    return f"{words.get(language, words['en'])}!"


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self):
        words = json.load(open("model/words.json"))
        body = json.dumps({"greeting": greet(words, self.path.strip("/") or "en"), "release": RELEASE}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Greeter).serve_forever()
