"""Read back: what Corso holds of the store, as the listing (`schemas.listing`), by the cheapest way that is sufficient.

`ways` counts requests and chooses, `pages` goes through the listing (`lanes`: its cursors), `looking_up` asks order by order
(`lateness`: again where nothing shows yet), `checkpoint` keeps how far it came, `known_records` what earlier passes have
seen, `records` puts each record once, `reading` joins them; `fulfillments` reads those order by order. How it differs from
what was sent is `corso.report`'s business.
"""
