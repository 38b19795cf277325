"""A stand-in for the listing alone: any number of orders that never change, one fixed latency a page, next to no work.

    python benchmarks/listing_server.py ORDERS LATENCY_S

It prints its port. GET /counts answers how many pages went out, and how many of them more than once, since it was last asked
with ?forget=1. It allows 1,000 requests in 10 s, which no cursor uses.
"""

import asyncio
import json
import sys
from collections import Counter
from urllib.parse import parse_qs, urlsplit

LARGEST_PAGE = 250
_SECONDS_PER_DAY = 86_400
_ADDRESS = {
    "line1": "1 Main St",
    "city": "Springfield",
    "stateOrProvinceCode": "MA",
    "postalCode": "02101",
    "countryCode": "US",
}
_LINE = {
    "sourceLineItemId": "1",
    "name": "Blue mug",
    "quantity": 2,
    "sku": "MUG-1",
    "tax": 2.0,
    "price": 10.0,
    "productId": "p-1",
    "variantId": "v-1",
}
_ORDER = json.dumps(
    {
        "orderId": 0,
        "storeId": 1,
        "sourceOrderId": "o-NUMBER",
        "orderName": "#NUMBER",
        "customer": {
            "sourceCustomerId": "c-1",
            "firstName": "Ann",
            "lastName": "Lee",
            "email": "ann@example.com",
        },
        "lineItems": [_LINE, {**_LINE, "sourceLineItemId": "2"}],
        "createdOn": "CREATED",
        "updatedOn": "CREATED",
        "sourceCreatedOn": "2026-11-20T12:30:00Z",
        "shippingMoney": 5.0,
        "subtotalMoney": 20.0,
        "taxMoney": 2.0,
        "totalMoney": 27.0,
        "billingAddress": _ADDRESS,
        "shippingAddress": _ADDRESS,
        "customerCurrencyCode": "USD",
    }
).replace('"orderId": 0', '"orderId": NUMBER')


class Server:
    """The listing."""

    def __init__(self, orders: int, latency_s: float) -> None:
        self._orders = orders
        self._latency_s = latency_s
        self._pages: Counter[tuple[bool, int]] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                length = next(
                    (int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0
                )
                await reader.readexactly(length)
                body = await self._answer(lines[0].split()[1])
                fields = "RateLimit-Limit: 1000\r\nRateLimit-Remaining: 999\r\nRateLimit-Reset: 10\r\n"
                start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}content-length: {len(body)}\r\n\r\n"
                writer.write(start.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _answer(self, target: str) -> bytes:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/counts":
            total, again = self._pages.total(), self._pages.total() - len(self._pages)
            if "forget" in query:
                self._pages.clear()
            return json.dumps([total, again]).encode()
        if path != "/v1/orders":
            return b'{"access_token": "t", "token_type": "Bearer", "expires_in": 36000}'
        asked = {name: values[0] for name, values in query.items()}
        began = asyncio.get_running_loop().time()
        rises, start = asked.get("orderBy", "desc") == "asc", int(asked.get("after", "0"))
        body = self._page(start, int(asked["first"]), rises=rises)
        await asyncio.sleep(self._latency_s - (asyncio.get_running_loop().time() - began))
        self._pages[rises, start] += 1
        return body

    def _page(self, start: int, first: int, *, rises: bool) -> bytes:
        size = min(first, LARGEST_PAGE)
        places = range(start, min(start + size, self._orders))
        numbers = [place + 1 if rises else self._orders - place for place in places]
        orders = ",".join(
            _ORDER.replace("NUMBER", str(each)).replace("CREATED", _created(each)) for each in numbers
        )
        info = {
            "hasNextPage": places.stop < self._orders,
            "hasPreviousPage": start > 0,
            "startCursor": str(start),
            "endCursor": str(places.stop),
        }
        return f'{{"orders": [{orders}], "pageInfo": {json.dumps(info)}}}'.encode()


def _created(number: int) -> str:
    day, second = divmod(number, _SECONDS_PER_DAY)
    hours, rest = divmod(second, 3600)
    return f"2026-01-{1 + day:02}T{hours:02}:{rest // 60:02}:{rest % 60:02}Z"


async def _main(orders: int, latency_s: float) -> None:
    server = await asyncio.start_server(Server(orders, latency_s).serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
