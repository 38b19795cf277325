"""Each fault over a real socket: what the client meets, and what was carried out all the same."""

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.faults import Faults
from sandbox.options import SandboxOptions
from tests.sandbox.bodies import a_cancellation, a_fulfillment, an_order
from tests.sandbox_process import running_sandbox, sandbox_on_a_thread

pytestmark = pytest.mark.slow


def disturbed(**faults: Any) -> SandboxOptions:
    """Make options with these faults and no rate limit."""
    return SandboxOptions(limit=0, faults=Faults(**faults))


def outcome(client: httpx.Client, method: str, path: str, **arguments: Any) -> str:
    """Send a request; name what came of it.

    How httpx calls a reset depends on what it was doing just then: one that meets it while it still sends has the
    error swallowed, and becomes a RemoteProtocolError, "server disconnected without sending a response".
    """
    try:
        return str(client.request(method, path, **arguments).status_code)
    except httpx.TimeoutException:
        return "timeout"
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return "broken"


def test_a_dropped_answer_hides_a_write_that_was_carried_out():
    """Creates, updates, fulfillments and cancellations; not one byte comes back."""
    with sandbox_on_a_thread(disturbed(drop_answer=1.0)) as sandbox, sandbox.client() as client:
        for method, path, body in (
            ("POST", "/orders", an_order()),
            ("POST", "/orders/1", an_order(sourceOrderId="renamed")),
            ("POST", "/orders/1/fulfillments", a_fulfillment()),
            ("DELETE", "/orders/1", a_cancellation()),
        ):
            with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
                client.request(method, path, json=body)
        counts = sandbox.counts()
        assert (counts["orders"], counts["fulfillments"], counts["cancelled_orders"]) == (1, 1, 1)
        assert counts["requests_by_status"] == {}
        assert counts["faults"] == {"drop-answer": 4}


@pytest.mark.parametrize("kind", ["reset_before", "reset_during", "reset_after"])
@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_reset_comes_as_a_reset_and_nothing_is_carried_out(kind: str, size: int):
    """Whether the body is small or comes in many parts; the next connection works."""
    with (
        sandbox_on_a_thread(disturbed(**{kind: 1.0}, limit=2)) as sandbox,
        sandbox.client() as client,
    ):
        for _ in range(2):
            assert outcome(client, "POST", "/orders", json=an_order(notes="x" * size)) == "broken"
        counts = sandbox.counts()
        assert counts["orders"] == 0
        assert counts["faults"] == {kind.replace("_", "-"): 2}
        assert client.post("/orders", json=an_order()).status_code == 201


@pytest.mark.parametrize(
    ("kind", "error"),
    [("reset_before", ConnectionResetError), ("reset_during", ConnectionResetError), ("drop_answer", None)],
)
def test_a_reset_is_sent_as_such_and_a_drop_is_a_plain_close(kind: str, error: type[OSError] | None):
    """On the wire: RST, or FIN after not a single byte."""
    with sandbox_on_a_thread(disturbed(**{kind: 1.0})) as sandbox:
        body = httpx.Request("POST", sandbox.base_url, json=an_order()).content
        address = httpx.URL(sandbox.base_url)
        head = (
            f"POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {sandbox.token()}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((address.host, address.port), 10) as connection:
            connection.sendall(head.encode() + (body[:100] if kind == "reset_during" else body))
            if error:
                with pytest.raises(error):
                    connection.recv(1)
            else:
                assert connection.recv(1) == b""
        assert sandbox.counts()["orders"] == (0 if error else 1)


def test_a_reset_before_the_body_does_not_wait_for_it():
    """The client has sent its headers and nothing more."""
    with sandbox_on_a_thread(disturbed(reset_before=1.0)) as sandbox:
        address = httpx.URL(sandbox.base_url)
        with socket.create_connection((address.host, address.port), 10) as connection:
            connection.sendall(b"POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


@pytest.mark.parametrize(("kind", "carried_out"), [("error_before", 0), ("error_after", 1)])
def test_errors_have_many_faces_and_say_nothing_of_what_was_done(kind: str, carried_out: int):
    """500, 502 and 503, each with JSON, HTML or an empty body; the connection can be used on."""
    with sandbox_on_a_thread(disturbed(**{kind: 1.0})) as sandbox, sandbox.client() as client:
        answers = [client.post("/orders", json=an_order()) for _ in range(120)]
        assert {answer.status_code for answer in answers} == {500, 502, 503}
        types = {answer.headers.get("content-type") for answer in answers}
        assert types == {"application/json", "text/html; charset=utf-8", None}
        assert len({(answer.status_code, answer.text) for answer in answers}) == 9
        counts = sandbox.counts()
        assert counts["orders"] == carried_out * 120
        assert sum(counts["requests_by_status"].values()) == 120


def test_an_error_before_a_large_body_leaves_the_connection_usable():
    """The body is not read by the app, and yet not taken for the next request."""
    with sandbox_on_a_thread(disturbed(error_before=1.0, limit=1)) as sandbox, sandbox.client() as client:
        assert client.post("/orders", json=an_order(notes="x" * 2_000_000)).status_code >= 500
        assert client.post("/orders", json=an_order()).status_code == 201


def test_a_slow_answer_comes_late_and_holds_up_nobody():
    """It is carried out at once; another request is answered meanwhile."""
    options = disturbed(slow=1.0, slow_for_s=2, on="writes")
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client, ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        create = pool.submit(client.post, "/orders", json=an_order())
        while client.get("/orders/1").status_code == 404:
            assert not create.done()
        assert time.monotonic() - started < 2
        assert create.result().status_code == 201
        assert time.monotonic() - started >= 2


def test_a_stalled_write_is_carried_out_after_its_client_has_gone():
    """The look-up that finds nothing is answered while the write still waits: this is why one looks twice."""
    options = disturbed(stall=1.0, slow_for_s=2, on="writes")
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/orders", json=an_order(), timeout=0.2)
        assert client.get("/orders").json()["orders"] == []
        time.sleep(2.1)
        assert len(client.get("/orders").json()["orders"]) == 1


def test_a_slow_write_stays_carried_out_when_its_client_goes():
    """And the server lives on."""
    with sandbox_on_a_thread(disturbed(slow=1.0, slow_for_s=0.4, limit=1)) as sandbox:
        with sandbox.client(timeout_s=0.1) as client, pytest.raises(httpx.ReadTimeout):
            client.post("/orders", json=an_order())
        assert sandbox.counts()["orders"] == 1
        with sandbox.client() as client:
            assert client.get("/orders/1").status_code == 200


def test_a_truncated_answer_promises_more_than_it_holds():
    """The status has been read by then; the write was carried out."""
    with sandbox_on_a_thread(disturbed(truncate=1.0)) as sandbox, sandbox.client() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            client.post("/orders", json=an_order())
        with client.stream("GET", "/orders/1") as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
                answer.read()
        assert sandbox.counts()["orders"] == 1


def test_a_garbled_answer_is_a_success_without_a_record():
    """A proxy's page, nothing, or half of the JSON, each under a right Content-Length and 201."""
    with sandbox_on_a_thread(disturbed(garble=1.0, on="writes")) as sandbox, sandbox.client() as client:
        answers = [client.post("/orders", json=an_order()) for _ in range(30)]
        assert {answer.status_code for answer in answers} == {201}
        kinds = {(answer.headers["content-type"], answer.text[:1]) for answer in answers}
        assert kinds == {("text/html", "<"), ("application/json", ""), ("application/json", "{")}
        for answer in answers:
            assert int(answer.headers["content-length"]) == len(answer.content)
            with pytest.raises(ValueError, match=r"."):
                answer.json()
        assert sandbox.counts()["orders"] == 30


def test_refusals_are_disturbed_too():
    """A garbled 400 is a 400; nothing was carried out."""
    with sandbox_on_a_thread(disturbed(garble=1.0)) as sandbox, sandbox.client() as client:
        assert client.post("/orders", json={}).status_code == 400
        assert httpx.get(f"{sandbox.base_url}/orders", verify=False).status_code == 401


@pytest.mark.parametrize("kind", ["drop_answer", "truncate", "slow", "stall", "reset_after"])
def test_a_client_that_leaves_within_its_body_harms_nothing(kind: str):
    """Whatever fault was meant for it."""
    with sandbox_on_a_thread(disturbed(**{kind: 1.0}, slow_for_s=0.0, limit=1)) as sandbox:
        address = httpx.URL(sandbox.base_url)
        with socket.create_connection((address.host, address.port), 10) as connection:
            head = f"POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {sandbox.token()}\r\n"
            connection.sendall(f"{head}content-length: 500\r\n\r\n{{".encode())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with sandbox.client() as client:
            while not sandbox.counts()["faults"]:
                time.sleep(0.01)
            assert client.post("/orders", json=an_order()).status_code == 201


def test_a_client_that_leaves_within_its_body_is_counted_and_no_error():
    """499, which nobody hears; a server that logged an error for it would bury those that matter."""
    with running_sandbox() as sandbox:
        address = httpx.URL(sandbox.base_url)
        with socket.create_connection((address.host, address.port), 10) as connection:
            head = f"POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {sandbox.token()}\r\n"
            connection.sendall(f"{head}content-length: 500\r\n\r\n{{".encode())
        while not (answers := sandbox.counts()["requests_by_status"]):
            time.sleep(0.01)
        assert answers == {"499": 1}
        assert sandbox.stop() == 0
        assert sandbox.errors() == ""


def test_tokens_and_counts_meet_no_fault():
    """Or no test could be begun, or judged."""
    with sandbox_on_a_thread(disturbed(reset_before=1.0)) as sandbox:
        assert [bool(sandbox.token()) for _ in range(5)] == [True] * 5
        assert sandbox.counts()["faults"] == {}


EVERYTHING = (
    *("--seed", "11", "--limit", "0", "--normalise", "--extra-fields", "--duplicates", "accept"),
    *("--drop-answer", "0.05", "--reset-before", "0.05", "--reset-during", "0.05", "--reset-after", "0.05"),
    *("--error-before", "0.1", "--error-after", "0.1", "--truncate", "0.05", "--garble", "0.1"),
    *("--slow", "0.02", "--stall", "0.02", "--slow-for", "1.2", "--token-errors", "0.0"),
    *(
        "--revoke-after",
        "1000",
        "--forbid-after",
        "75",
        "--listing-lag",
        "0.1",
        "--page-size",
        "3",
        "--max-page",
        "3",
    ),
)


def all_at_once(db: Path) -> tuple[list[str], dict[str, Any], str]:
    """Meet every mode in one sandbox; return outcomes, counts, and what it said on stderr."""
    with running_sandbox(*EVERYTHING, db=db) as sandbox:
        orders = [an_order(sourceOrderId=f"source-{number}") for number in range(40)]
        with sandbox.client(timeout_s=0.8) as client:
            outcomes = []
            for order in orders:
                outcomes.append(outcome(client, "POST", "/orders", json=order))
                outcomes.append(outcome(client, "GET", "/orders/1"))
            time.sleep(0.5)  # for what was stalled
        counts = sandbox.counts()
        assert sandbox.stop() == 0
        return outcomes, counts, sandbox.errors()


def test_all_modes_together_repeat_themselves(tmp_path: Path):
    """The same options and the same requests: the same outcomes, counts and faults; and no traceback."""
    first, second = all_at_once(tmp_path / "first.sqlite"), all_at_once(tmp_path / "second.sqlite")
    assert first == second
    outcomes, counts, errors = first
    assert errors == ""
    assert len(counts["faults"]) >= 6
    assert outcomes[-5:] == ["403"] * 5
    assert {"201", "403", "broken", "timeout"} < set(outcomes)
    carried_out = outcomes[::2].count("201")
    assert carried_out < counts["orders"] < 38


def test_a_signal_does_not_wait_for_the_slow():
    """A stalled request of a minute, and a slow one, end with the server after its patience."""
    arguments = (
        "--slow",
        "0.5",
        "--stall",
        "0.5",
        "--slow-for",
        "60",
        "--faults-on",
        "writes",
        "--limit",
        "0",
    )
    with running_sandbox(*arguments) as sandbox, sandbox.client() as client:
        threads = [
            threading.Thread(target=outcome, args=(client, "POST", "/orders"), kwargs={"json": an_order()})
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        while sum(sandbox.counts()["faults"].values()) < 6:
            time.sleep(0.01)
        started = time.monotonic()
        assert sandbox.stop() == 0
        assert time.monotonic() - started < 7
        for thread in threads:
            thread.join()
