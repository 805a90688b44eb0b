// The table of a job: it draws the rows that are looked at, and asks for no others.
// Whatever anybody says is set as a property of a node, never as HTML.

export const ROW = 24; // pixels
const TALLEST = 8e6; // pixels; browsers lay out little more

// The first row to draw, and how far it is pushed up.
export function firstRow(top, view, total) {
  const tall = total * ROW;
  if (tall <= TALLEST) return { first: Math.floor(top / ROW), push: top % ROW };
  const last = Math.max(total - Math.floor(view / ROW), 0);
  return { first: Math.min(Math.round((top / (TALLEST - view)) * last), last), push: 0 };
}

// How far to scroll to a row.
export function topOf(row, view, total) {
  if (total * ROW <= TALLEST) return row * ROW;
  return (row / Math.max(total - Math.floor(view / ROW), 1)) * (TALLEST - view);
}

export const height = (total) => Math.min(total * ROW, TALLEST);

// The rows to ask for: a page more on each side.
export function wanted(first, page, total) {
  const start = Math.max(first - page, 0);
  return [start, Math.min(first + 2 * page, total) - start];
}

// Where a key leads; null if it is none of ours.
export function moved(key, row, page, total) {
  const to = {
    ArrowDown: row + 1, ArrowUp: row - 1, PageDown: row + page, PageUp: row - page, Home: 0, End: total - 1,
  }[key];
  return to === undefined ? null : Math.max(0, Math.min(to, total - 1));
}

// Another click on a column: ascending, descending, as submitted.
export function nextSort(sort, column) {
  const again = sort.column === column;
  return again && sort.descending ? { column: "", descending: false } : { column, descending: again };
}

function put(node, told) {
  for (const [name, value] of Object.entries(told)) if (node[name] !== value) node[name] = value;
  return node;
}

function make(parent, tag, className = "", told) {
  const node = put(document.createElement(tag), { className, ...told });
  parent.append(node);
  return node;
}

const button = (parent, className, textContent, onclick) =>
  make(parent, "button", className, { type: "button", textContent, onclick });

function pair(parent, textContent = "") {
  make(parent, "span", "sma-icon", { textContent, ariaHidden: "true" });
  make(parent, "span");
  return parent;
}

// Where a page may not write to the clipboard there is the old way.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    const box = make(document.body, "textarea", "", { value: text });
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done ? "Copied" : "Not allowed";
  }
}

function copyButton(parent, label, text) {
  const node = button(parent, "", label, async () => {
    put(node, { textContent: await copy(text()) }).focus();
    setTimeout(() => put(node, { textContent: label }), 2000);
  });
  return node;
}

function render({ model, el }) {
  const root = make(el, "div", "sma");
  if (model.get("kind") === "copy") return void copyButton(root, model.get("label"), () => model.get("text"));
  const id = `sma-${Math.random()}`;
  const { columns, statuses, icons, gone } = model.get("labels");
  let { rows: saved, head } = model.get("saved"), { total } = head;
  const rows = new Map(saved.entries()), asking = () => model.get("asked");
  // A renewed output is drawn anew; who looks stays where they were.
  const place = model.get("place") || { row: 0, top: 0, open: null };
  model.set("place", place);
  let current = place.row, seq = 0, acked = 0, beats = 0, heardAt = 0, asked, drawn, timer, typing, shown, opening;
  // Since when an answer is awaited; whether what comes unasked is lost (Colab).
  let waits, lost;

  function send(type, more) {
    if (type !== "ack") waits ||= Date.now();
    try { model.send({ type, view: id, ...more }); } catch { waits = 1; }
  }
  const poll = () => send("poll", { seq, lost, open: place.open });
  const open = (row) => send("open", { row: (place.open = row) });

  const bar = make(root, "div", "sma-bar", { role: "img" });
  const parts = statuses.map((_, at) => make(bar, "i", `s${at}`));
  const figures = make(root, "div", "sma-figures");
  const notice = make(root, "div", "sma-gone", { role: "alert" });
  const tools = make(root, "div", "sma-tools", { role: "group", ariaLabel: "Filters" });
  const chips = statuses.map((_, at) => {
    const chip = button(tools, `sma-chip s${at}`, "", () => {
      const chosen = new Set(asking().statuses);
      if (!chosen.delete(at)) chosen.add(at);
      ask({ statuses: [...chosen] });
    });
    return pair(chip, icons[at]);
  });
  const ariaLabel = "Search ids, index and text";
  const search = make(tools, "input", "sma-search", { type: "search", placeholder: ariaLabel, ariaLabel });
  search.value = asking().text;
  const grid = make(root, "div", "sma-grid", { role: "grid", tabIndex: 0, ariaLabel: "Rows" });
  const header = make(grid, "div", "sma-row sma-head", { role: "row", ariaRowIndex: "1" });
  const heads = columns.map(([name, title], at) => {
    const cell = make(header, "div", `c${at}`, { role: "columnheader" });
    button(cell, "", title, () => ask(nextSort(asking(), name)));
    return cell;
  });
  const space = make(grid, "div", "sma-space");
  const status = make(root, "div", "sma-live", { role: "status" });
  const detail = make(root, "section", "sma-detail", { ariaLabel: "Detail of the row", hidden: true });
  const pool = [];

  const view = () => grid.clientHeight - ROW;
  const page = () => Math.max(Math.floor(view() / ROW), 1);
  const look = () => firstRow(grid.scrollTop, view(), total);
  const soon = () => (drawn ||= requestAnimationFrame(draw));

  function ask(change) {
    const now = { ...asking(), ...change };
    model.set("asked", now);
    current = grid.scrollTop = 0;
    send("asked", { asked: now });
    showAsked();
  }

  function showAsked() {
    const { statuses, column, descending } = asking();
    chips.forEach((chip, at) => put(chip, { ariaPressed: `${statuses.includes(at)}` }));
    const sorted = descending ? "descending" : "ascending";
    heads.forEach((cell, at) => put(cell, { ariaSort: column === columns[at][0] ? sorted : "none" }));
  }

  function showHead() {
    head.counts.forEach((count, at) => {
      put(parts[at], { hidden: !count }).style.flexGrow = count;
      put(chips[at], { hidden: !count && !asking().statuses.includes(at) });
      put(chips[at].lastChild, { textContent: `${count.toLocaleString("en")} ${statuses[at]}` });
    });
    put(bar, { ariaLabel: head.words });
    put(figures, { textContent: head.figures });
  }

  function addLine() {
    const row = make(space, "div", "", { role: "row", onclick: () => (go(row.ariaRowIndex - 2), enter()) });
    columns.forEach((_, c) => make(row, "div", `c${c}`, { role: "gridcell" }));
    pair(row.children[1]);
    pool.push(row);
  }

  function draw() {
    drawn = 0;
    put(grid, { ariaRowCount: `${total + 1}` });
    space.style.height = `${height(total)}px`;
    if (!grid.clientHeight) return;
    const { first, push } = look(), top = grid.scrollTop;
    Object.assign(place, { row: current, top, focus: grid.matches(":focus") });
    const count = Math.min(page() + 2, Math.max(total - first, 0));
    while (pool.length < count) addLine();
    pool.forEach((node, i) => {
      const at = first + i, row = rows.get(at), word = row?.[2], hidden = i >= count;
      put(node, { hidden, id: hidden ? "" : `${id}-${at}` });
      if (hidden) return;
      node.style.transform = `translateY(${top - push + i * ROW}px)`;
      const className = `sma-row s${word} ${row?.[8] ?? ""}`;
      put(node, { ariaRowIndex: `${at + 2}`, ariaSelected: `${at === current}`, className });
      columns.forEach((_, c) => {
        const [icon, text] = node.children[c].children;
        if (icon) put(icon, { textContent: icons[word] ?? "" });
        const textContent = (text ? statuses[word] : row?.[c + 1]) ?? "";
        put(text ?? node.children[c], { textContent, title: textContent });
      });
    });
    grid.setAttribute("aria-activedescendant", `${id}-${current}`);
    if (asked !== `${wanted(first, page() + 1, total)}`) timer ||= setTimeout(subscribe, 30);
  }

  function subscribe() {
    timer = 0;
    const { first } = look(), [start, count] = wanted(first, page() + 1, total);
    asked = `${[start, count]}`;
    for (const at of rows.keys()) if (at < start || at >= start + count) rows.delete(at);
    send("window", { start, count, first, page: page() + 1 });
  }

  function go(row) {
    current = row;
    const { first } = look();
    if (row < first) grid.scrollTop = topOf(row, view(), total);
    else if (row >= first + page()) grid.scrollTop = topOf(row - page() + 1, view(), total);
    soon();
  }

  function enter() {
    const row = rows.get(current);
    opening = !row;
    if (row) open(row[0]);
  }

  function close() {
    detail.hidden = true;
    place.open = shown = null;
    grid.focus();
  }

  function showDetail(told) {
    const text = JSON.stringify(told);
    if (told.row !== place.open || text === shown) return;
    shown = text;
    detail.replaceChildren();
    make(detail, "h4", "", { textContent: told.title });
    button(detail, "sma-close", "Close", close);
    const list = make(detail, "dl");
    for (const [name, textContent, kind] of told.fields) {
      make(list, "dt", "", { textContent: name });
      const said = make(list, "dd");
      const [tag, tabIndex] = kind === "text" ? ["pre", 0] : ["code", -1];
      make(said, tag, "", { textContent, tabIndex });
      if (kind) copyButton(said, "Copy", () => textContent).title = `Copy ${name}`;
    }
    detail.hidden = false;
  }

  function hear(message) {
    if (message.view !== id) return;
    heardAt = Date.now();
    if (!waits) lost = false;
    waits = 0;
    if (message.type === "detail") return showDetail(message);
    const { all } = message;
    if (message.seq > seq + 1) {
      lost = true;
      if (!all) poll();
    }
    ({ seq, head } = message);
    ({ total } = head);
    if (all) rows.clear();
    for (const [at, row] of message.rows) {
      rows.set(at, row);
      if (row[0] === place.open && !all) open(row[0]);
    }
    if (current >= total) current = 0;
    if (opening) enter();
    showHead();
    soon();
  }

  // The notebook would take these keys.
  root.onkeydown = (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    event.stopPropagation();
    if (key === "Escape" && !detail.hidden) return close();
    if (target !== grid || ctrlKey || metaKey || altKey) return;
    const to = moved(key, current, page(), total);
    if (to !== null) go(to);
    else if (key === "Enter") enter();
    else return;
    event.preventDefault();
  };
  grid.onscroll = soon;
  search.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ text: search.value }), 250);
  };
  new ResizeObserver(soon).observe(grid);
  model.on("msg:custom", hear);
  model.on("change:asked", showAsked);
  model.on("comm_live_update", poll);
  // Where nothing comes by itself it is asked for; where nothing answers, that is said.
  const beat = setInterval(() => {
    if (document.hidden) return;
    if (!(++beats % 5)) put(status, { textContent: head.words });
    const now = Date.now(), pause = head.over ? (lost ? 6000 : Infinity) : 1500;
    put(notice, { textContent: waits && now - waits > 5000 ? gone : "" });
    if (seq !== acked) send("ack", { seq: (acked = seq) });
    else if (waits ? !(beats % 2) : now - heardAt > pause) poll();
  }, 1000);
  showAsked();
  showHead();
  requestAnimationFrame(() => {
    grid.scrollTop = place.top;
    draw();
    subscribe();
    if (place.focus) grid.focus();
    if (place.open !== null) open(place.open);
  });
  return () => {
    clearInterval(beat);
    model.off(null, null);
    send("bye");
  };
}

export default {
  initialize: ({ model }) => void model.send({ type: "hello" }),
  render,
};
