"""Which headers of a file a profile reads; the others are kept for the merchant, and nothing looks at them."""

from collections.abc import Sequence

from corso.extract.headers import normal
from corso.extract.layouts import spread_numbers
from corso.extract.profile import TABLES, Profile, TableName, factors
from schemas.fields import PROVENANCE


def used_headers(profile: Profile, role: str, headers: Sequence[str]) -> set[str]:
    """Return the headers of a role's files that the profile reads, as `normal` writes them."""
    form = profile.files[role]
    used = {
        *form.order_key,
        *form.descriptions,
        *(header for each in form.needs for header in each),
        *form.order_starts_with,
        form.order_named_by or "",
    }
    if profile.tables["orders"].file == role:
        used |= {header for each in profile.money.moved for header in each.headers}
    for name, table in profile.tables.items():
        for join in table.join:
            if join.file == role:
                used |= {
                    join.also_called or join.by,
                    *join.where,
                    *join.except_,
                    *(h for own in join.totals.values() for part in own for h in factors(part)),
                }
        read = [header for rule in table.columns.values() for header in rule.headers]
        prefixes = [f"{join.prefix}." for join in table.join if join.file == role]
        used |= {header.removeprefix(p) for p in prefixes for header in read if header.startswith(p)}
        if table.file == role:
            used |= {
                *read,
                *table.first_of,
                *table.where,
                *table.except_,
                table.filled or "",
                table.spread or "",
                *(join.by for join in table.join),
            }
            used |= {header for each in (table.unpack.chain if table.unpack else ()) for header in each.from_}
            used |= set(canonical_columns(name)) if table.by_name else set()
    numbered = {
        each.replace("{n}", str(number))
        for each in used
        if "{n}" in each
        for number in spread_numbers(each, headers)
    }
    names = {normal(header) for header in used | numbered if header}
    return names | {other for other, name in form.other_names.items() if name in names}


def canonical_columns(name: TableName) -> list[str]:
    """Return the columns of a canonical table that a profile may fill."""
    return [column for column in TABLES[name].columns if column not in PROVENANCE]
