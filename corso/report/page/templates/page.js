"use strict";
// The table of findings: filters, search, order, pages, and one finding opened. The data stands in the page as columns of
// JSON. Elements are made, never parsed from text, so that nothing in the data can become markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const el = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const count = (number) => number.toLocaleString("en");
  const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  const words = (name) => name.replaceAll("_", " ").replace("corso", "Corso");
  const money = (text) => {
    const [whole, decimals] = text.replace("-", "\u2212").split(".");
    return `${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${decimals}`;
  };
  const NOBODY = "nobody", PRINTED = 500, SIZES = [50, 100, 500];
  const SIDES = { export: "In the export", sent: "Sent" };
  const SENT = { rejected: "Sent, refused", unknown: "Sent, no answer", not_sent: "To be sent", quarantined: "Not sent" };

  const start = () => {
    const { rows: total, columns } = read("findings-data");
    const get = (name, row) => {
      const column = columns[name];
      if (!column) return null;
      if (!column.words) return column.values[row];
      return column.codes[row] < 0 ? null : column.words[column.codes[row]];
    };

    // What can be filtered by: a choice for each value there is, with its number of findings.
    const signed = (row) => get("signed_off_by", row) !== null ? "signed off" : get("fallen_sign_off", row) !== null ? "the sign-off fell" : "not signed off";
    const facet = (name, title, values, write = (value) => value) => ({ name, title, values, write });
    const facets = [
      facet("kind", "What", (row) => [get("kind", row)]),
      facet("cause", "Cause", (row) => [get("cause", row)], words),
      facet("field", "Field", (row) => [get("field", row) ?? ""], (value) => value || "the whole order"),
      facet("currency", "Currency", (row) => Array.from(new Set([get("currency", row) ?? "", get("corso_currency", row) ?? get("currency", row) ?? ""])), (value) => value || "none"),
      facet("month", "Month", (row) => [get("month", row) ?? ""], (value) => value || "none"),
      facet("owner", "Owner", (row) => [get("owner", row) ?? NOBODY]),
      facet("signed", "Sign-off", (row) => [signed(row)]),
      facet("step", "Step of the money", (row) => (get("steps", row) ?? "").split(" ").filter(Boolean), words),
    ];
    for (const each of facets) {
      each.counts = new Map();
      for (let row = 0; row < total; row += 1) for (const value of each.values(row)) each.counts.set(value, (each.counts.get(value) ?? 0) + 1);
    }

    // The table's columns: how a cell is shown, and by what the column is sorted.
    const text = (value) => (value === null ? null : el("bdi", {}, value));
    const small = (value) => (value === null ? null : el("small", {}, value));
    // A long name may break behind its dots and underscores, nowhere else.
    const code = (value) => (value === null ? null : el("code", {}, ...value.split(/(?<=[._])/).flatMap((piece, place) => (place ? [el("wbr"), piece] : [piece]))));
    const part = (row) => get("source_line_item_id", row) !== null ? `line ${get("source_line_item_id", row)}`
      : get("source_fulfillment_id", row) !== null ? `fulfillment ${get("source_fulfillment_id", row)}` : null;
    const shown = [
      { title: "What", key: (row) => get("kind", row), cells: (row) => [opener(row)], css: "first" },
      { title: "Cause", key: (row) => get("cause", row), cells: (row) => [words(get("cause", row))] },
      { title: "Order", key: (row) => get("source_order_id", row), css: "id",
        cells: (row) => [text(get("source_order_id", row)), get("corso_order_id", row) === null ? null : small(`Corso ${get("corso_order_id", row)}`)] },
      { title: "Field", key: (row) => get("field", row), cells: (row) => [code(get("field", row)), small(part(row))] },
      { title: "Source says", css: "value", key: (row) => get("source_value", row), cells: (row) => [text(get("source_value", row))] },
      { title: "Corso says", css: "value", key: (row) => get("corso_value", row), cells: (row) => [text(get("corso_value", row))] },
      { title: "Apart", key: (row) => get("apart", row) ?? get("apart_in_corso", row), css: "n",
        cells: (row) => [["apart", "currency"], ["apart_in_corso", "corso_currency"]].filter(([name]) => get(name, row) !== null)
          .flatMap(([name, currency]) => [money(get(name, row)), small(get(currency, row))]) },
      { title: "Month", key: (row) => get("month", row), css: "id", cells: (row) => [get("month", row)] },
      { title: "Owner", key: (row) => get("owner", row), cells: (row) => [text(get("owner", row)), small(get("note", row))] },
      { title: "Signed off", key: (row) => get("signed_off_by", row),
        cells: (row) => [text(get("signed_off_by", row)), small(get("signed_off_at", row)), small(get("fallen_sign_off", row))] },
      { title: "Days", key: (row) => get("age_days", row), css: "n", cells: (row) => [count(get("age_days", row))] },
    ];

    const state = { chosen: {}, search: "", by: -1, down: false, page: 0, size: SIZES[0], open: new Set() };
    let found = [];

    // ---- which findings, in which order
    let texts = null;
    const searched = () => {
      const names = ["finding_id", "kind", "source_order_id", "corso_order_id", "source_line_item_id", "source_fulfillment_id", "field",
        "source_value", "corso_value", "currency", "month", "owner", "note", "signed_off_by"].filter((name) => columns[name]);
      texts ??= Array.from({ length: total }, (_, row) => {
        const parts = names.map((name) => get(name, row) ?? "");
        return `${parts.join("\n")}\n${words(get("cause", row))}\n${get("file", row) ?? ""}:${get("line", row) ?? ""}`.toLowerCase();
      });
      return texts;
    };
    const ranks = shown.map(() => null);
    const ranksOf = (column) => {
      if (ranks[column]) return ranks[column];
      const keys = Array.from({ length: total }, (_, row) => shown[column].key(row));
      const values = Array.from(new Set(keys)).filter((value) => value !== null);
      const isNumber = values.every((value) => Number.isFinite(Number(value)) && String(value).trim() !== "");
      values.sort(isNumber ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : a > b ? 1 : 0));
      const rank = new Map(values.map((value, place) => [value, place]));
      ranks[column] = Int32Array.from(keys, (key) => (key === null ? -1 : rank.get(key)));
      return ranks[column];
    };
    const find = () => {
      const chosen = facets.filter((each) => each.name in state.chosen);
      const wanted = state.search.toLowerCase().split(/\s+/).filter(Boolean);
      const all = wanted.length ? searched() : null;
      const rows = [];
      for (let row = 0; row < total; row += 1) {
        if (chosen.every((each) => each.values(row).includes(state.chosen[each.name])) && wanted.every((word) => all[row].includes(word))) rows.push(row);
      }
      if (state.by >= 0) {
        const rank = ranksOf(state.by), sign = state.down ? -1 : 1;
        rows.sort((a, b) => (rank[a] < 0) - (rank[b] < 0) || sign * (rank[a] - rank[b]) || a - b);
      }
      found = rows;
    };

    // ---- one finding opened: its facts, and its order side by side
    const orders = read("orders-data"), causes = read("words-data");
    const opener = (row) => {
      const isOpen = state.open.has(row);
      const button = el("button", { type: "button", class: "open", "aria-expanded": isOpen, "aria-controls": isOpen ? `opened-${row}` : null }, get("kind", row));
      button.setAttribute("aria-label", `${get("kind", row)}, order ${get("source_order_id", row) ?? "without an id"}${get("field", row) ? `, ${get("field", row)}` : ""}: ${isOpen ? "close" : "open"}`);
      button.addEventListener("click", () => {
        if (!state.open.delete(row)) state.open.add(row);
        draw();
        body.querySelector(`[data-row="${row}"] .open`)?.focus();
      });
      return button;
    };
    const fact = (name, ...value) => (value.every((each) => each === null || each === "") ? null : el("div", {}, el("dt", {}, name), el("dd", {}, ...value)));
    const amount = (name, row, currency) => (get(name, row) === null ? null : `${money(get(name, row))} ${currency ?? get("currency", row) ?? ""}`);
    const facts = (row) => el("dl", { class: "facts" },
      fact("Finding", code(get("finding_id", row))),
      fact("First seen", `${get("first_seen", row)} UTC${get("age_days", row) ? `, ${counted(get("age_days", row), "day")} ago` : ""}`),
      fact("In the exports", text(get("file", row) === null ? null : `${get("file", row)}:${get("line", row)}`)),
      fact("Total in the source", amount("source_money", row)),
      fact("Total in Corso", amount("corso_money", row, get("corso_currency", row))),
      fact("Owner", text(get("owner", row))),
      fact("Note", text(get("note", row))),
      fact("Signed off", text(get("signed_off_by", row)), get("signed_off_at", row) === null ? null : `, ${get("signed_off_at", row)} UTC`),
      fact("Sign-off", text(get("fallen_sign_off", row))),
    );
    const differing = (id) => {
      const differ = new Set();
      for (let row = 0; row < total; row += 1) {
        if (get("source_order_id", row) === id && (get("kind", row) === "different" || part(row) !== null)) differ.add(`${get("source_line_item_id", row) ?? get("source_fulfillment_id", row) ?? ""}\n${get("field", row) ?? ""}`);
      }
      return (kind, partId, field) => differ.has(`${partId ?? ""}\n${field}`) || (kind !== "order" && (differ.has(`${partId ?? ""}\n${kind === "line" ? "line_items" : "fulfillments"}`) || (kind === "fulfillment" && differ.has(`${partId ?? ""}\n`))));
    };
    const sideTable = (titles, rows, label) => el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
      el("table", { class: "grid side" },
        el("thead", {}, el("tr", {}, ...["Field", ...titles].map((title) => el("th", { scope: "col" }, title)))),
        el("tbody", {}, ...rows.map(([isApart, name, where, ...values]) => el("tr", { class: isApart ? "apart" : null },
          el("th", { scope: "row" }, code(name), small(where)), ...values.map((value) => el("td", {}, text(value))))))));
    const sides = (row) => {
      const id = get("source_order_id", row), order = id === null ? null : orders[id];
      if (!order || !order.rows.length) {
        const own = get("field", row) === null && get("corso_value", row) === null ? null
          : sideTable(["Source", "Corso"], [[true, get("field", row) ?? get("kind", row), part(row), get("source_value", row), get("corso_value", row)]], "What each side says");
        const trace = id === null ? null : el("p", {}, "The whole order is not on this page. On the loader’s machine: ", el("code", {}, `corso-loader trace -c loader.yaml ${id}`));
        return [own, trace];
      }
      const differs = differing(id);
      const rows = order.rows.map(([kind, partId, field, ...values]) => [differs(kind, partId, field), field, kind === "order" ? null : `${kind} ${partId ?? ""}`, ...values]);
      const titles = order.sides.map((side) => (side === "sent" ? SENT[order.outcome] ?? SIDES.sent : SIDES[side] ?? `Corso ${side}`));
      if (order.sides.length === 2) titles.push("In Corso"), rows.forEach((each) => each.push(null));
      const apart = rows.filter(([isApart]) => isApart);
      const all = el("details", apart.length ? {} : { open: "" }, el("summary", {}, order.left_out ? `${counted(rows.length, "field")} of the order, ${count(order.left_out)} more are left out` : `All ${counted(rows.length, "field")} of the order`), sideTable(titles, rows, `Order ${id}, all fields side by side`));
      return [apart.length ? sideTable(titles, apart, `Order ${id}, what differs, side by side`) : null, all];
    };
    const opened = (row) => {
      const id = get("source_order_id", row), order = id === null ? null : orders[id];
      const [means, todo] = causes[get("cause", row)] ?? ["", ""];
      const said = order && order.said.length ? el("ul", {}, ...order.said.map((reason) => el("li", {}, text(reason)))) : null;
      return el("tr", { class: "opened", id: `opened-${row}`, role: "row" },
        el("td", { colspan: shown.length, role: "cell" }, facts(row), el("p", {}, `${means} `, el("b", {}, todo)), said, ...sides(row).filter(Boolean)));
    };

    // ---- drawing
    const table = byId("table"), body = table.tBodies[0], told = byId("told"), clear = byId("clear"), pages = byId("pages"), tools = byId("tools");
    let printing = false;
    const draw = () => {
      const size = printing ? PRINTED : state.size, last = Math.max(0, Math.ceil(found.length / size) - 1);
      state.page = Math.min(state.page, last);
      const first = printing ? 0 : state.page * size, rows = found.slice(first, first + size);
      const lines = [];
      for (const row of rows) {
        lines.push(el("tr", { class: get("cause", row) === "unexplained" ? "row unexplained" : "row", role: "row", "data-row": row },
          ...shown.map((column) => el("td", { class: column.css ?? null, role: "cell", "data-name": column.title }, ...column.cells(row)))));
        if (state.open.has(row)) lines.push(opened(row));
      }
      if (!rows.length) lines.push(el("tr", { role: "row" }, el("td", { colspan: shown.length, role: "cell", class: "none" }, "No finding is like that.")));
      body.replaceChildren(...lines);
      const isNarrowed = state.search !== "" || Object.keys(state.chosen).length > 0;
      clear.hidden = !isNarrowed;
      const which = rows.length < found.length ? `, ${count(first + 1)} to ${count(first + rows.length)} shown` : "";
      const message = isNarrowed ? `${count(found.length)} of ${counted(total, "finding")}${which}` : `${counted(total, "finding")}${which}`;
      if (told.textContent !== message) told.textContent = message;
      pages.hidden = found.length <= SIZES[0];
      place.textContent = `Page ${count(state.page + 1)} of ${count(last + 1)}`;
      steps[0].disabled = steps[1].disabled = state.page === 0;
      steps[2].disabled = steps[3].disabled = state.page === last;
      heads.forEach((head, column) => (column === state.by ? head.setAttribute("aria-sort", state.down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    };
    const narrow = () => {
      performance.mark("asked");
      state.page = 0;
      find();
      draw();
      performance.measure("found", "asked");
    };
    const sortBy = (column) => {
      state.down = column === state.by && !state.down;
      state.by = column;
      sorter.value = String(column);
      narrow();
    };

    const heads = shown.map((column, place) => {
      const button = el("button", { type: "button" }, column.title);
      button.addEventListener("click", () => sortBy(place));
      return el("th", { scope: "col", role: "columnheader", class: column.css === "n" ? "n" : null, "data-title": column.title }, button);
    });
    table.tHead.append(el("tr", { role: "row" }, ...heads));
    for (const [element, role] of [[table, "table"], [table.tHead, "rowgroup"], [body, "rowgroup"]]) element.setAttribute("role", role);
    table.setAttribute("aria-label", "Findings");

    const labelled = (id, title, control, css) => { control.id = id; return el("div", { class: css ?? null }, el("label", { for: id }, title), control); };
    const find_ = el("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Order, value, note, finding …" });
    let timer = 0;
    find_.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => { state.search = find_.value.trim(); narrow(); }, total > 5000 ? 150 : 0);
    });
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.append(labelled("find", "Search", find_, "search"));
    const selects = {};
    for (const each of facets) {
      if (each.counts.size < 2 && each.name !== "cause" && !(each.name === "step" && each.counts.size)) continue;
      const values = Array.from(each.counts.keys()).sort();
      const select = el("select", {}, el("option", { value: "all" }, "all"), ...values.map((value) => el("option", { value: `=${value}` }, `${each.write(value)} (${count(each.counts.get(value))})`)));
      select.addEventListener("change", () => {
        if (select.value === "all") delete state.chosen[each.name]; else state.chosen[each.name] = select.value.slice(1);
        address();
        narrow();
      });
      selects[each.name] = select;
      tools.append(labelled(`by-${each.name}`, each.title, select));
    }
    const sorter = el("select", {}, el("option", { value: "-1" }, "the gravest first"), ...shown.map((column, place) => el("option", { value: String(place) }, column.title)));
    sorter.addEventListener("change", () => { state.by = Number(sorter.value); state.down = false; narrow(); });
    tools.append(labelled("sort", "Sort by", sorter, "narrow"));

    const place = el("span", { class: "soft" });
    const steps = [["First", () => 0], ["Previous", () => state.page - 1], ["Next", () => state.page + 1], ["Last", () => Infinity]].map(([title, to]) => {
      const button = el("button", { type: "button", class: "button", "aria-label": `${title} page` }, title);
      button.addEventListener("click", () => { state.page = to(); draw(); byId("frame").scrollIntoView({ block: "start" }); });
      return button;
    });
    const size = el("select", { id: "size" }, ...SIZES.map((number) => el("option", {}, number)));
    size.addEventListener("change", () => { state.size = Number(size.value); state.page = 0; draw(); });
    pages.append(steps[0], steps[1], place, steps[2], steps[3], el("label", { for: "size" }, "Findings a page"), size);

    // ---- the address names the filters, so that pictures and tables lead to their findings and a view can be passed on
    const address = () => {
      const query = new URLSearchParams(state.chosen).toString();
      history.replaceState(null, "", query ? `#${query}` : "#findings");
    };
    const choose = (chosen) => {
      state.chosen = chosen;
      for (const [name, select] of Object.entries(selects)) select.value = name in chosen ? `=${chosen[name]}` : "all";
    };
    const follow = () => {
      if (!location.hash.includes("=")) return false;
      const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      choose(Object.fromEntries(Object.entries(wanted).filter(([name]) => facets.some((each) => each.name === name))));
      return true;
    };
    const lead = () => {
      if (!follow()) return;
      state.search = find_.value = "";
      narrow();
      byId("findings").scrollIntoView();
      tools.querySelector("select, input").focus({ preventScroll: true });
    };
    window.addEventListener("hashchange", lead);
    clear.addEventListener("click", () => { choose({}); state.search = find_.value = ""; address(); narrow(); find_.focus(); });
    // On paper nothing can be opened: what belongs to the report is open there.
    const closed = new Set();
    window.addEventListener("beforeprint", () => {
      for (const details of document.querySelectorAll("section > details, .card > details")) if (!details.open) closed.add(details);
      for (const details of closed) details.open = true;
      printing = true;
      draw();
    });
    window.addEventListener("afterprint", () => {
      for (const details of closed) details.open = false;
      closed.clear();
      printing = false;
      draw();
    });

    tools.hidden = byId("frame").hidden = false;
    follow();
    narrow();
    document.documentElement.dataset.ready = "findings";
    performance.mark("findings");
  };
  // The verdict and the pictures are painted first; a hundred thousand findings are read after that.
  if (!byId("findings-data")) return;
  if (document.visibilityState === "hidden") setTimeout(start); else requestAnimationFrame(() => setTimeout(start));
})();
