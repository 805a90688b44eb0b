// The table of a job: it draws the rows that are looked at, and asks for no others.
// Whatever anybody says is put in as textContent, never as HTML.

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

// Where a key leads; null if it is no key of ours.
export function moved(key, row, page, total) {
  const to = {
    ArrowDown: row + 1, ArrowUp: row - 1, PageDown: row + page, PageUp: row - page, Home: 0, End: total - 1,
  }[key];
  return to === undefined ? null : Math.max(0, Math.min(to, total - 1));
}

// Another click on a column: ascending, descending, as submitted.
export function nextSort(sort, column) {
  if (sort.column !== column) return { column, descending: false };
  return sort.descending ? { column: "", descending: false } : { column, descending: true };
}

let views = 0;

function make(tag, classes, parent, attributes = {}) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

const set = (node, name, value) => node.getAttribute(name) !== `${value}` && node.setAttribute(name, value);
const say = (node, text) => node.textContent !== text && (node.textContent = text);

function render({ model, el }) {
  const id = `sma-${Date.now().toString(36)}-${++views}`;
  const { columns, statuses, icons } = model.get("labels");
  const saved = model.get("saved");
  let rows = new Map(saved.rows.map((row, at) => [at, row]));
  let head = saved.head;
  let total = head.total;
  // An output that is renewed is drawn anew; who looks at it stays where they were.
  const place = model.get("place") || { row: 0, top: 0, open: null };
  model.set("place", place);
  let current = place.row, seq = 0, acked = 0, asked = "", heardAt = 0, drawn = 0, timer = 0;
  const send = (type, more = {}) => model.send({ type, view: id, ...more });

  const root = make("div", "sma", el);
  const bar = make("div", "sma-bar", root, { role: "img" });
  const parts = statuses.map((word, at) => make("i", `s${at}`, bar));
  const figures = make("div", "sma-figures", root);
  const tools = make("div", "sma-tools", root, { role: "group", "aria-label": "Filters" });
  const chips = statuses.map((word, at) => {
    const chip = make("button", `sma-chip s${at}`, tools, { type: "button", "aria-pressed": "false" });
    make("span", "sma-icon", chip, { "aria-hidden": "true" }).textContent = icons[at];
    make("span", "", chip);
    chip.onclick = () => ask({ statuses: toggled(model.get("asked").statuses, at) });
    return chip;
  });
  const search = make("input", "sma-search", tools, {
    type: "search", placeholder: "Search ids, index and text", "aria-label": "Search ids, index and text",
  });
  search.value = model.get("asked").text;
  const grid = make("div", "sma-grid", root, { role: "grid", tabindex: "0", "aria-label": "Rows of the job" });
  const header = make("div", "sma-row sma-head", grid, { role: "row", "aria-rowindex": 1 });
  const heads = columns.map(([name, title], at) => {
    const cell = make("div", `c${at}`, header, { role: "columnheader", "aria-colindex": at + 1 });
    const button = make("button", "", cell, { type: "button" });
    make("span", "", button).textContent = title;
    make("span", "sma-arrow", button, { "aria-hidden": "true" });
    button.onclick = () => ask(nextSort(model.get("asked"), name));
    return cell;
  });
  const space = make("div", "sma-space", grid, { role: "presentation" });
  const empty = make("div", "sma-empty", root);
  const status = make("div", "sma-live", root, { role: "status" });
  const detail = make("section", "sma-detail", root, { "aria-label": "Detail of the row", tabindex: "-1" });
  detail.hidden = true;
  set(grid, "aria-colcount", columns.length);
  const pool = [];

  const toggled = (list, at) => (list.includes(at) ? list.filter((one) => one !== at) : [...list, at]);
  const view = () => grid.clientHeight - ROW;
  const page = () => Math.max(Math.floor(view() / ROW), 1);
  const look = () => firstRow(grid.scrollTop, view(), total);

  function ask(change) {
    const now = model.get("asked");
    model.set("asked", { ...now, ...change });
    current = 0;
    grid.scrollTop = 0;
    send("asked", { asked: { ...now, ...change } });
    showAsked();
  }

  function showAsked() {
    const now = model.get("asked");
    chips.forEach((chip, at) => set(chip, "aria-pressed", now.statuses.includes(at)));
    heads.forEach((cell, at) => {
      const sorted = now.column === columns[at][0];
      set(cell, "aria-sort", sorted ? (now.descending ? "descending" : "ascending") : "none");
      say(cell.querySelector(".sma-arrow"), sorted ? (now.descending ? " ▼" : " ▲") : "");
    });
  }

  function showHead() {
    head.counts.forEach((count, at) => {
      parts[at].style.flexGrow = count;
      parts[at].hidden = !count;
      say(chips[at].lastChild, `${count.toLocaleString("en")} ${statuses[at]}`);
      chips[at].hidden = !count && !model.get("asked").statuses.includes(at);
    });
    set(bar, "aria-label", head.words);
    say(figures, head.figures);
    say(empty, total ? "" : "No rows to show.");
    set(grid, "aria-rowcount", total + 1);
    space.style.height = `${height(total)}px`;
  }

  function line(at) {
    while (pool.length <= at) {
      const row = make("div", "sma-row", space, { role: "row" });
      columns.forEach((_, c) => make("div", `c${c}`, row, { role: "gridcell", "aria-colindex": c + 1 }));
      make("span", "sma-icon", row.children[1], { "aria-hidden": "true" });
      make("span", "", row.children[1]);
      row.onclick = () => (go(+row.dataset.at), open());
      pool.push(row);
    }
    return pool[at];
  }

  function draw() {
    drawn = 0;
    if (!grid.clientHeight) return;
    Object.assign(place, { row: current, top: grid.scrollTop, focus: document.activeElement === grid });
    const { first, push } = look();
    const count = Math.min(page() + 2, Math.max(total - first, 0));
    for (let i = 0; i < Math.max(count, pool.length); i++) {
      const node = line(i);
      node.hidden = i >= count;
      if (i >= count) {
        node.id = "";
        continue;
      }
      const at = first + i, row = rows.get(at);
      node.dataset.at = at;
      node.id = `${id}-${at}`;
      node.style.transform = `translateY(${grid.scrollTop - push + i * ROW}px)`;
      set(node, "aria-rowindex", at + 2);
      set(node, "aria-selected", at === current);
      const cells = node.children;
      const word = row ? row[2] : 0;
      const className = row ? `sma-row s${word}` : "sma-row sma-wait";
      if (node.className !== className) node.className = className;
      say(cells[1].firstChild, row ? icons[word] : "");
      say(cells[1].lastChild, row ? statuses[word] : "");
      for (let c = 0; c < columns.length; c++) if (c !== 1) say(cells[c], row ? row[c + 1] : "");
    }
    if (current >= first && current < first + count) set(grid, "aria-activedescendant", `${id}-${current}`);
    else grid.removeAttribute("aria-activedescendant");
    const [start, many] = wanted(first, page() + 1, total);
    if (asked !== `${start},${many}` && !timer) timer = setTimeout(subscribe, 30);
  }

  function subscribe() {
    timer = 0;
    const [start, count] = wanted(look().first, page() + 1, total || 40);
    asked = `${start},${count}`;
    send("window", { start, count, seq });
  }

  const soon = () => drawn || (drawn = requestAnimationFrame(draw));

  function go(row) {
    current = row;
    const { first } = look();
    if (row < first) grid.scrollTop = topOf(row, view(), total);
    else if (row >= first + page()) grid.scrollTop = topOf(row - page() + 1, view(), total);
    soon();
  }

  function open() {
    const row = rows.get(current);
    if (row) send("open", { row: (place.open = row[0]) });
  }

  function close() {
    detail.hidden = true;
    place.open = null;
    grid.focus();
  }

  function showDetail(told) {
    if (told.row !== place.open) return;
    detail.replaceChildren();
    make("h4", "", detail).textContent = told.title;
    const shut = make("button", "sma-close", detail, { type: "button" });
    shut.textContent = "Close";
    shut.onclick = close;
    const list = make("dl", "", detail);
    for (const [name, value, copies] of told.fields) {
      make("dt", "", list).textContent = name;
      const said = make("dd", "", list);
      make(copies === "text" ? "pre" : "code", "", said, copies === "text" ? { tabindex: "0" } : {}).textContent = value;
      if (!copies) continue;
      const copy = make("button", "", said, { type: "button", "aria-label": `Copy ${name}` });
      copy.textContent = "Copy";
      copy.onclick = () => navigator.clipboard.writeText(value).then(() => (copy.textContent = "Copied"), () => 0);
    }
    detail.hidden = false;
  }

  function hear(message) {
    heardAt = Date.now();
    if (message.view && message.view !== id) return;
    if (message.type === "detail") return showDetail(message);
    if (message.type !== "rows") return;
    seq = message.seq;
    head = message.head;
    total = head.total;
    if (message.all) rows = new Map();
    for (const [at, row] of message.rows) rows.set(at, row);
    if (rows.size > 2000) for (const at of rows.keys()) if (Math.abs(at - look().first) > 300) rows.delete(at);
    if (current >= total) current = Math.max(total - 1, 0);
    showHead();
    soon();
  }

  // The notebook would take these keys.
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape" && !detail.hidden) return close();
    if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = moved(event.key, current, page(), total);
    if (to !== null && total) go(to);
    else if (event.key === "Enter") open();
    else return;
    event.preventDefault();
  });
  grid.addEventListener("scroll", soon, { passive: true });
  let typing = 0;
  search.oninput = () => (clearTimeout(typing), (typing = setTimeout(() => ask({ text: search.value }), 250)));
  const size = new ResizeObserver(soon);
  size.observe(grid);
  model.on("msg:custom", hear);
  model.on("change:asked", showAsked);
  // Where nothing comes by itself, as in Colab, it is asked for.
  const beat = setInterval(() => {
    if (document.hidden) return;
    if (seq !== acked) send("ack", { seq: (acked = seq) });
    else if (!head.over && Date.now() - heardAt > 1500) send("poll");
  }, 1000);
  const speak = setInterval(() => say(status, head.words), 5000);
  showAsked();
  showHead();
  requestAnimationFrame(() => {
    grid.scrollTop = place.top;
    draw();
    subscribe();
    if (place.focus) grid.focus();
    if (place.open !== null) send("open", { row: place.open });
  });
  return () => {
    clearInterval(beat);
    clearInterval(speak);
    size.disconnect();
    model.off("msg:custom", hear);
    model.off("change:asked", showAsked);
    send("bye");
  };
}

export default {
  initialize({ model }) {
    model.send({ type: "hello" });
  },
  render,
};
