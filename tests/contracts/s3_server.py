"""moto's S3 on 127.0.0.1:PORT, for tests: `python s3_server.py PORT`.

Writes take turns, since moto compares and stores without a lock; a real store does both at once.
"""

import sys
from threading import Lock

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

turn = Lock()
app = DomainDispatcherApplication(create_backend_app)


def taking_turns(environ, start_response):
    """The WSGI app; what is written, is written by one at a time."""
    if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
        return app(environ, start_response)
    with turn:
        return list(app(environ, start_response))


run_simple("127.0.0.1", int(sys.argv[1]), taking_turns, threaded=True)
