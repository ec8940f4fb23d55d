"""A DNS server of a test's own, on a UDP port of 127.0.0.1."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class Names:
    """What the server answers: `addresses` by name; NXDOMAIN for others. `place` is IP:port."""

    place: str
    addresses: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, content: bytes) -> bytes:
        asked = dns.message.from_wire(content)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        (question,) = asked.question
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if name not in self.addresses:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(question.name, 10, "IN", "A", *self.addresses[name]))
        return answer.to_wire()


@contextmanager
def name_server() -> Iterator[Names]:
    """Listens as long as it is open."""

    class Asked(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            content, wire = self.request
            wire.sendto(names.answer(content), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Asked) as server:
        names = Names(f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield names
        server.shutdown()
