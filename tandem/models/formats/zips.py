"""A file that is also a zip: its end-of-central-directory record is where readers look for it."""

from tandem.models.formats.window import Check, Unfit

WINDOW = (64 << 10) + 22  # a zip's comment is 64 KiB at most (PKWARE APPNOTE 4.3.16)
RECORD = b"PK\x05\x06"
STARTS = (b"PK\x03\x04", b"PK\x05\x06")


def check() -> Check:
    """Passes a file that no zip reader would open."""
    head = tail = b""
    while True:
        piece = yield
        if not piece:
            break
        head = (head + piece[:4])[:4]
        tail = (tail + piece)[-WINDOW:] if len(piece) < WINDOW else piece[-WINDOW:]
    if head in STARTS or RECORD in tail:
        raise Unfit("it is also a zip archive")
