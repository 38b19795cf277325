"""Listing: filters, pages in both directions, cursors, and orders that come in while somebody pages."""

import httpx
import pytest

from sandbox.listing import CursorCodec
from tests.sandbox.bodies import Json, a_customer, an_order, unique
from tests.sandbox_process import running_sandbox


class Shelf:
    """Orders that share a customer and a name, so that the filters list these and no others."""

    def __init__(self, api: httpx.Client, size: int) -> None:
        self.api = api
        self.email = f"{unique('ada')}@example.com"
        self.name = unique("name")
        self.ids: list[int] = []
        """Oldest first."""
        for _ in range(size):
            self.add()

    def add(self) -> None:
        """Create one more order."""
        order = an_order(customer=a_customer(email=self.email), orderName=self.name)
        self.ids.append(self.api.post("/orders", json=order).json()["orderId"])

    def list(self, **parameters: str | int) -> tuple[list[int], Json]:
        """List the shelf: the ids of the page, and its pageInfo."""
        filters: dict[str, str | int] = {"customerEmail": self.email, "orderNameOrNumber": self.name}
        answer = self.api.get("/orders", params=filters | parameters)
        assert answer.status_code == 200, answer.text
        return [order["orderId"] for order in answer.json()["orders"]], answer.json()["pageInfo"]


def test_the_newest_order_comes_first(api: httpx.Client):
    """By default; `asc` turns it round."""
    shelf = Shelf(api, 3)
    assert shelf.list()[0] == shelf.ids[::-1]
    assert shelf.list(orderBy="desc")[0] == shelf.ids[::-1]
    assert shelf.list(orderBy="asc")[0] == shelf.ids


@pytest.mark.parametrize("order_by", ["asc", "desc"])
def test_pages_forward_hold_every_order_once(api: httpx.Client, order_by: str):
    """`first` with `after`, until there is no next page."""
    shelf = Shelf(api, 7)
    wanted = shelf.ids if order_by == "asc" else shelf.ids[::-1]
    page, info = shelf.list(first=3, orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[:3], True, False)
    page, info = shelf.list(first=3, after=info["endCursor"], orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[3:6], True, True)
    page, info = shelf.list(first=3, after=info["endCursor"], orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[6:], False, True)


@pytest.mark.parametrize("order_by", ["asc", "desc"])
def test_pages_backward_keep_the_order_of_the_listing(api: httpx.Client, order_by: str):
    """`last` with `before`: the page just before the cursor, not turned round."""
    shelf = Shelf(api, 7)
    wanted = shelf.ids if order_by == "asc" else shelf.ids[::-1]
    page, info = shelf.list(last=3, orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[4:], False, True)
    page, info = shelf.list(last=3, before=info["startCursor"], orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[1:4], True, True)
    page, info = shelf.list(last=3, before=info["startCursor"], orderBy=order_by)
    assert (page, info["hasNextPage"], info["hasPreviousPage"]) == (wanted[:1], True, False)


def test_a_page_that_ends_with_the_list_has_no_next_page(api: httpx.Client):
    """Exactly as many orders as asked for: no empty page follows."""
    shelf = Shelf(api, 4)
    assert shelf.list(first=4)[1]["hasNextPage"] is False
    assert shelf.list(last=4)[1]["hasPreviousPage"] is False


def test_a_single_order_before_a_page_is_a_previous_page(api: httpx.Client):
    """The order that the cursor itself stands on counts."""
    shelf = Shelf(api, 2)
    _, info = shelf.list(first=1)
    assert shelf.list(first=1, after=info["endCursor"])[1]["hasPreviousPage"] is True
    _, info = shelf.list(last=1)
    assert shelf.list(last=1, before=info["startCursor"])[1]["hasNextPage"] is True


def test_a_cursor_is_a_position_bound_to_no_filter(api: httpx.Client):
    """The cursor of an older order lies before all of these, whichever way they are listed."""
    older = Shelf(api, 1).list()[1]["endCursor"]
    shelf = Shelf(api, 2)
    page, info = shelf.list(after=older, orderBy="asc")
    assert (page, info["hasPreviousPage"], info["hasNextPage"]) == (shelf.ids, False, False)
    page, info = shelf.list(after=older)
    assert (page, info["hasPreviousPage"], info["hasNextPage"]) == ([], True, False)


def test_an_empty_page_has_no_cursors(api: httpx.Client):
    """Both are null; what lies before the page is still told."""
    shelf = Shelf(api, 2)
    _, info = shelf.list()
    page, info = shelf.list(after=info["endCursor"])
    assert page == []
    assert info == {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None}
    nothing = api.get("/orders", params={"sourceOrderId": "there is none"}).json()
    assert nothing["orders"] == []
    assert nothing["pageInfo"] == info | {"hasPreviousPage": False}


def test_orders_that_come_in_neither_repeat_nor_hide_others(api: httpx.Client):
    """Who pages newest first sees what was there at the start; who pages oldest first meets the new ones too."""
    shelf = Shelf(api, 6)
    at_start = list(shelf.ids)
    newest_first, down = shelf.list(first=2)
    oldest_first, up = shelf.list(first=2, orderBy="asc")
    while down["hasNextPage"]:
        if len(shelf.ids) < 9:
            shelf.add()
        page, down = shelf.list(first=2, after=down["endCursor"])
        newest_first += page
    while up["hasNextPage"]:
        page, up = shelf.list(first=2, after=up["endCursor"], orderBy="asc")
        oldest_first += page
    assert newest_first == at_start[::-1]
    assert oldest_first == shelf.ids
    page, _ = shelf.list(before=shelf.list(last=6)[1]["startCursor"])
    assert page == shelf.ids[:5:-1]


def test_filters_find_by_email_and_by_name_or_number(api: httpx.Client):
    """The e-mail is compared without case, the name as it is; the number's fallback counts."""
    email = f"{unique('Ada')}@Example.com"
    order = an_order(customer=a_customer(email=email), orderName="#1001", orderNumber="1001")
    order_id = api.post("/orders", json=order).json()["orderId"]
    for name, found in (("#1001", [order_id]), ("1001", [order_id]), ("100", []), ("", [])):
        parameters = {"customerEmail": email.upper(), "orderNameOrNumber": name}
        assert [o["orderId"] for o in api.get("/orders", params=parameters).json()["orders"]] == found
    del order["orderNumber"]
    order["sourceOrderId"] = unique("fallback")
    api.post("/orders", json=order)
    parameters = {"customerEmail": email, "orderNameOrNumber": order["sourceOrderId"]}
    assert len(api.get("/orders", params=parameters).json()["orders"]) == 1


def test_the_source_order_id_finds_its_order(api: httpx.Client):
    """In every store of the client; together with the other filters all must fit."""
    order = an_order()
    api.post("/orders", json=order)
    api.post("/orders", json=order | {"storeId": 9360})
    found = api.get("/orders", params={"sourceOrderId": order["sourceOrderId"]}).json()["orders"]
    assert [one["storeId"] for one in found] == [9360, 9359]
    filters = {
        "sourceOrderId": order["sourceOrderId"],
        "customerEmail": "x@example.com",
        "orderNameOrNumber": "x",
    }
    assert api.get("/orders", params=filters).json()["orders"] == []


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"customerEmail": "ada@example.com"}, "orderNameOrNumber"),
        ({"orderNameOrNumber": "1001"}, "customerEmail"),
        ({"first": "0"}, "first"),
        ({"first": "-1"}, "first"),
        ({"first": "ten"}, "first"),
        ({"first": "1.5"}, "first"),
        ({"first": "\u0661"}, "first"),
        ({"last": ""}, "last"),
        ({"orderBy": "newest"}, "orderBy"),
        ({"orderBy": "ASC"}, "orderBy"),
        ({"after": "tampered"}, "after"),
        ({"before": ""}, "before"),
        ({"first": "1", "last": "1"}, "first"),
    ],
)
def test_a_wrong_parameter_is_refused(api: httpx.Client, parameters: dict[str, str], path: str):
    """400, naming the parameter."""
    answer = api.get("/orders", params=parameters)
    assert answer.status_code == 400
    assert [problem["path"] for problem in answer.json()["error"]["problems"]] == [path]


def test_a_cursor_that_was_tampered_with_is_refused(api: httpx.Client):
    """Whichever of its characters was changed."""
    cursor = Shelf(api, 1).list()[1]["endCursor"]
    for index, character in enumerate(cursor):
        changed = cursor[:index] + ("B" if character == "A" else "A") + cursor[index + 1 :]
        assert api.get("/orders", params={"after": changed}).status_code == 400, changed


def test_cursors_of_another_sandbox_are_no_cursors():
    """The signature is the database's own."""
    ours, theirs = CursorCodec(b"one key"), CursorCodec(b"another key")
    assert ours.decode(ours.encode(2**63 - 1)) == 2**63 - 1
    assert ours.decode(theirs.encode(1)) is None
    assert ours.decode("ü") is None


@pytest.mark.slow
def test_pages_have_a_default_and_a_largest_size():
    """Who asks for more than the largest page gets fewer, and can page on."""
    with running_sandbox("--page-size", "2", "--max-page", "3") as sandbox, sandbox.client() as client:
        for _ in range(4):
            client.post("/orders", json=an_order())
        assert len(client.get("/orders").json()["orders"]) == 2
        newest = client.get("/orders", params={"first": 100}).json()
        assert (len(newest["orders"]), newest["pageInfo"]["hasNextPage"]) == (3, True)
        oldest = client.get("/orders", params={"last": 100}).json()
        assert (len(oldest["orders"]), oldest["pageInfo"]["hasPreviousPage"]) == (3, True)
