"""Another Corso API than the sandbox: the same documents, read by somebody else.

Small and in this process. Its habits differ wherever CORSO's documents leave room: ids are strings, a create is
answered 200, there are no RateLimit headers, times and numbers come back in other spelling, e-mail comes back in lower
case, answers hold fields that nobody documented; and it can refuse what may be refused.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit


@dataclass
class OtherCorso:
    """Its state, and which readings of the documents it follows."""

    lists_unfiltered: bool = True
    """Whether the listing may be asked for without a filter."""
    filters_by_source_id: bool = True
    """Whether it knows the filter sourceOrderId."""
    page_size: int = 7
    """What it gives, whatever is asked for."""
    forgets: frozenset[str] = frozenset()
    """Members of an order that it takes and does not keep."""
    refuses: Callable[[dict[str, Any]], bool] = lambda _order: False
    """Which orders it answers 422."""
    url: str = ""
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fulfillments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Make a record of what was sent."""
        order_id = f"ord_{uuid.uuid4().hex}"
        kept = {name: value for name, value in sent.items() if name not in self.forgets}
        record = _respelled(kept) | {
            "orderId": order_id,
            "createdOn": _now(),
            "updatedOn": _now(),
            "riskScore": 3,
        }
        self.orders[order_id] = record
        return record


Corso = TypeVar("Corso", bound=OtherCorso)


@contextmanager
def other_corso(**habits: Any) -> Iterator[OtherCorso]:
    """Serve it on a free port of this machine."""
    with served(OtherCorso(**habits), Handler) as corso:
        yield corso


@contextmanager
def served(corso: Corso, kind: type["Handler"]) -> Iterator[Corso]:
    """Serve a Corso on a free port of this machine, answering as a kind of handler does."""
    handler = type("Handler", (kind,), {"corso": corso})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    corso.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield corso
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers as an OtherCorso does."""

    protocol_version = "HTTP/1.1"
    corso: OtherCorso

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer the listing, an order or its fulfillments."""
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        parts = path.strip("/").split("/")
        with self.corso.lock:
            if parts == ["v1", "orders"]:
                self._list({key: values[0] for key, values in query.items()})
            elif parts[2] not in self.corso.orders:
                self._answer(404, {"message": "no such order"})
            elif parts[-1] == "fulfillments":
                self._answer(200, {"fulfillments": self.corso.fulfillments.get(parts[2], [])})
            else:
                self._answer(200, self.corso.orders[parts[2]])

    def do_POST(self) -> None:
        """Give a token; create or change something."""
        body = self.rfile.read(int(self.headers["content-length"]))
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts == ["oauth", "token"]:
            self._answer(200, {"access_token": "a-token", "token_type": "Bearer"})
            return
        if self.headers["authorization"] != "Bearer a-token":
            self._answer(401, {"message": "who are you?"})
            return
        sent = json.loads(body)
        with self.corso.lock:
            if parts == ["v1", "orders"] and self.corso.refuses(sent):
                self._answer(422, {"message": f"order {sent['sourceOrderId']}: we do not ship there"})
            elif parts == ["v1", "orders"]:
                self._answer(200, self.corso.create(sent))
            elif parts[-1] == "fulfillments":
                made = sent | {"fulfillmentId": uuid.uuid4().hex}
                self.corso.fulfillments.setdefault(parts[2], []).append(made)
                self._answer(201, made)
            else:
                self.corso.orders[parts[2]] |= _respelled(sent) | {"updatedOn": _now()}
                self._answer(200, self.corso.orders[parts[2]])

    def do_DELETE(self) -> None:
        """Cancel an order."""
        sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        order_id = self.path.rsplit("/", 1)[-1]
        with self.corso.lock:
            self.corso.orders[order_id] |= sent
            self._answer(200, {})

    def _list(self, query: dict[str, str]) -> None:
        known = {"first", "after", "orderBy", "sourceOrderId"}
        records = list(self.corso.orders.values())
        if "sourceOrderId" in query:
            if not self.corso.filters_by_source_id:
                self._answer(400, {"message": "unknown filter"})
                return
            records = [record for record in records if record["sourceOrderId"] == query["sourceOrderId"]]
        elif not self.corso.lists_unfiltered or set(query) - known:
            self._answer(400, {"message": "customerEmail and orderNameOrNumber are required"})
            return
        start = int(query.get("after", "0"))
        page = records[start : start + self.corso.page_size]
        end = start + len(page)
        info = {
            "hasNextPage": end < len(records),
            "hasPreviousPage": start > 0,
            "startCursor": str(start) if page else None,
            "endCursor": str(end) if page else None,
        }
        self._answer(200, {"orders": page, "pageInfo": info})

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _respelled(sent: dict[str, Any]) -> dict[str, Any]:
    record = json.loads(json.dumps(sent))
    for name, value in record.items():
        if name.endswith("On"):
            record[name] = (
                value.replace("Z", ".000+00:00") if "." not in value else value.replace("Z", "+00:00")
            )
        elif name.endswith("Money"):
            record[name] = float(value)
    if email := record.get("customer", {}).get("email"):
        record["customer"]["email"] = email.lower()
    return record


def _now() -> str:
    return datetime.now(UTC).isoformat()
