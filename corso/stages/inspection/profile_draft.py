"""A profile to fill in, for files that no profile knows: their form, their headers, and what Corso needs.

A rule stands in it only where a header is, letter for letter, a canonical column's name or one of a few well-known
names; everything else is a TODO, which `load_profile` refuses with file, line and key until somebody has filled it in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from corso.extract.headers import normal
from corso.extract.profile import TABLES, TableName
from corso.stages.inspection.facts import FileFacts
from corso.stages.inspection.loader_draft import quoted
from schemas.fields import PROVENANCE
from schemas.orders import CUSTOMER

_WELL_KNOWN: Mapping[TableName, Mapping[str, Sequence[str]]] = {
    "orders": {
        "source_order_id": ("orderid", "订单编号", "订单号"),
        "order_number": ("ordernumber", "orderno"),
        "order_name": ("ordername",),
        "source_created_on": (
            "orderdate",
            "createdat",
            "placedat",
            "purchasedate",
            "datecreated",
            "下单时间",
        ),
        "source_updated_on": ("updatedat", "lastmodified"),
        "source_canceled_on": ("cancelledat", "canceledat"),
        "customer_source_customer_id": ("customerid",),
        "customer_first_name": ("customerfirstname",),
        "customer_last_name": ("customerlastname",),
        "customer_email": ("customeremail", "email", "buyeremail", "emailaddress"),
        "customer_phone": ("customerphone", "phone", "phonenumber"),
        "customer_currency_code": ("currency", "currencycode", "ordercurrency"),
        "notes": ("notes", "note", "customernote", "备注"),
        **{
            f"{which}_address_{part}": tuple(which + name for name in names)
            for which in ("billing", "shipping")
            for part, names in {
                "name": ("name", "fullname"),
                "first_name": ("firstname",),
                "last_name": ("lastname",),
                "line1": ("address1", "addressline1"),
                "line2": ("address2", "addressline2"),
                "city": ("city",),
                "state_or_province_code": ("state", "province", "region"),
                "postal_code": ("zip", "zipcode", "postcode", "postalcode"),
                "country_code": ("country", "countrycode"),
            }.items()
        },
    },
    "line_items": {
        "source_order_id": ("orderid", "订单编号", "订单号"),
        "source_line_item_id": ("lineitemid", "lineid", "orderitemid", "orderlineid"),
        "name": ("productname", "itemname", "producttitle", "商品名称"),
        "quantity": ("quantity", "qty", "数量"),
        "sku": ("productsku", "itemsku"),
        "price": ("unitprice", "单价"),
        "tax": ("linetax", "itemtax"),
        "product_id": (),
        "variant_id": ("variationid",),
        "vendor": (),
    },
    "fulfillments": {
        "source_order_id": ("orderid",),
        "source_fulfillment_id": ("fulfillmentid", "shipmentid"),
        "tracking_info_number": ("trackingnumber",),
        "tracking_info_company": ("carrier",),
        "tracking_info_url": ("trackingurl",),
    },
}
"""Canonical column -> what else it is called everywhere, as `headers.normal` writes it. Amounts of an order are not here:
one shop's subtotal holds what another's leaves out."""
_OF_THE_STORE = "fulfillment_location_id"
_WIDTH = 100
_PLAIN_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_TAKEN = {"profile", "null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""What no role can be called: a key of its own under `exports:`, and what YAML takes for something else."""
_HEAD = """\
# A profile to fill in, written by corso-loader inspect. It says which header fills which of Corso's columns.
#   - Put a header in place of each `{}` that says TODO. Headers match without regard to case, spaces and underscores.
#   - Take out a line for which the files have nothing: a fallback in loader.yaml may fill it (docs/fallbacks.md).
#   - Rules below were written where a header has exactly the column's name, or a well-known one. See that they are right.
#   - Every other word: corso-loader profiles --vocabulary. Examples: corso-loader profiles shopify.
# Then see what comes of it: corso-loader inspect FILES --profile profile.yaml
name: my-export
title: An export of my shop
"""


def unknown_roles(files: Sequence[FileFacts]) -> dict[str, list[FileFacts]]:
    """Return file role -> the files without a profile: files with the same headers are one role, named after the first."""
    groups: dict[tuple[object, ...], list[FileFacts]] = {}
    for file in files:
        key = (
            tuple(map(normal, file.ignored)),
            file.form.delimiter,
            file.form.encoding,
            file.form.skip_lines,
        )
        groups.setdefault(key, []).append(file)
    if len(groups) == 1:
        return {"orders": list(files)}
    roles: dict[str, list[FileFacts]] = {}
    for number, group in enumerate(groups.values(), 1):
        stem = re.sub(r"[^a-z0-9]+", "_", group[0].path.name.split(".")[0].lower()).strip("_")
        role = stem if _PLAIN_KEY.match(stem) and stem not in {*roles, *_TAKEN} else f"file_{number}"
        roles[role] = group
    return roles


def profile_yaml(roles: Mapping[str, Sequence[FileFacts]]) -> str:
    """Return the text of a profile to fill in for files of these roles (`unknown_roles`)."""
    first = next(iter(roles))
    chosen: dict[TableName, str] = (
        {"orders": first, "line_items": first}
        if len(roles) == 1
        else {name: name for name in ("orders", "line_items") if name in roles}
    )
    lines = [*_HEAD.splitlines(), "files:"]
    used: dict[str, set[str]] = {role: set() for role in roles}
    tables = [
        line
        for name in ("orders", "line_items", "fulfillments")
        for line in _table(name, roles, chosen.get(name), used)
    ]
    for role, files in roles.items():
        lines += _file(role, files, is_alone=len(roles) == 1)
        lines += _unread(files, used[role])
    return "\n".join([*lines, "tables:", *tables]) + "\n"


def _file(role: str, files: Sequence[FileFacts], *, is_alone: bool) -> Iterator[str]:
    form, headers = files[0].form, files[0].ignored
    yield f"  {role}:  # {', '.join(quoted(file.name) for file in files[:3])}{', …' if len(files) > 3 else ''}"
    yield f"    delimiter: {quoted(form.delimiter)}"
    sure = "" if form.encoding_is_sure else "  # a suspicion: see that names with accents come out right"
    yield f"    encoding: {form.encoding}{sure}"
    if form.skip_lines:
        yield f"    skip_lines: {form.skip_lines}"
    if any(file.twice for file in files):
        yield "    duplicate_headers: number"
    key = _header_for("orders", "source_order_id", headers)
    yield f"    needs: [{quoted(key or headers[0])}]  # headers without which a file is another one"
    if is_alone:
        todo = "  # of several rows with the same value the first is the order's; each is a line"
        yield (
            f"    order_key: {quoted(key)}{todo}"
            if key
            else "    order_key: []  # TODO the header that is the same on all rows of an order"
        )
    yield '    # dates: ["%m/%d/%Y %H:%M"]  # how dates are written, where not like 2026-11-24 10:30:00'
    yield '    # amounts: {decimal: ","}  # how amounts are written, where not like 1234.50'


def _unread(files: Sequence[FileFacts], used: set[str]) -> Iterator[str]:
    """Yield the headers that no rule reads, each with what its values look like."""
    columns = [column for column in files[0].columns if column.header not in used]
    if not columns:
        return
    yield "    # Headers that nothing reads yet, with how many of the first rows have a value and what most look like:"
    width = min(30, max(len(quoted(column.header)) for column in columns))
    for column in columns:
        shape = f", {quoted(column.shapes[0].shape)}" if column.shapes else ""
        yield f"    #   {quoted(column.header):{width}}  {column.filled:,}{shape}"


def _table(
    name: TableName, roles: Mapping[str, Sequence[FileFacts]], role: str | None, used: dict[str, set[str]]
) -> Iterator[str]:
    headers = roles[role][0].ignored if role else []
    mark = ""
    if name == "fulfillments":
        yield "  # Fulfillments, where the files have them: take the `# ` off.  TODO"
        mark = "# "
    yield f"  {mark}{name}:"
    yield f"  {mark}  file: {role or 'TODO'}{'' if role else '  # TODO one of the files above'}"
    if name == "orders" and len(roles) == 1:
        yield f"  {mark}  rows: first_of_order"
    yield f"  {mark}  columns:"
    for column, is_needed in _columns(name):
        header = None if mark else _header_for(name, column, headers)
        if header is not None and role:
            used[role].add(header)
            yield f"  {mark}    {column}: {quoted(header)}"
        elif is_needed:
            yield f"  {mark}    {column}: {{}}  # TODO which column?{_hint(name, column)}"
    optional = [
        column
        for column, is_needed in _columns(name)
        if not is_needed and (mark or _header_for(name, column, headers) is None)
    ]
    yield f"  {mark}    # Corso takes these, too:"
    yield from (f"  {mark}    #   {line}" for line in _wrapped(optional))


def _hint(name: TableName, column: str) -> str:
    if (name, column) == ("line_items", "source_line_item_id"):
        return ' Or, where lines have no number: {template: "{ORDER HEADER}-{row_in_order}"}'
    if (name, column) == ("line_items", "price"):
        return " The price of one. Of a line's total: {divide: [TOTAL, QUANTITY]}"
    return ""


def _columns(name: TableName) -> Iterator[tuple[str, bool]]:
    """Yield the columns of a table, and whether Corso refuses an order without it."""
    for column, declared in TABLES[name].columns.items():
        if column not in PROVENANCE:
            needed = not declared.nullable or column == "source_order_id" or column in CUSTOMER
            yield column, (needed or column == "source_created_on") and column != _OF_THE_STORE


def _header_for(name: TableName, column: str, headers: Sequence[str]) -> str | None:
    """Return the header that has exactly this column's name, or a well-known one."""
    by_name = {normal(header): header for header in reversed(headers)}
    known = (normal(column), *_WELL_KNOWN[name].get(column, ()))
    return next((by_name[each] for each in known if each in by_name), None)


def _wrapped(words: Sequence[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) + 12 > _WIDTH:
            yield line.rstrip()
            line = ""
        line += f"{word}, "
    if line:
        yield line.rstrip(", ")
