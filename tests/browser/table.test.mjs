// The pure parts of the table: which rows are drawn, where keys lead, and how columns are sorted.
// Run by tests/unit/test_panel_javascript.py, which says in TABLE where the file under test is.
import assert from "node:assert/strict";
import test from "node:test";

const { ROW, firstRow, height, moved, nextSort, topOf, wanted } = await import(process.env.TABLE);

test("a short table scrolls pixel by pixel", () => {
  assert.deepEqual(firstRow(0, 240, 100), { first: 0, push: 0 });
  assert.deepEqual(firstRow(5 * ROW + 7, 240, 100), { first: 5, push: 7 });
  assert.equal(height(100), 100 * ROW);
});

test("a million rows are no taller than a browser can lay out, and both ends are reached", () => {
  assert.equal(height(1_000_000), 8e6);
  assert.deepEqual(firstRow(0, 240, 1_000_000), { first: 0, push: 0 });
  assert.equal(firstRow(8e6 - 240, 240, 1_000_000).first, 1_000_000 - 10);
});

test("scrolling to a row shows that row, also where a pixel stands for several", () => {
  for (const total of [100, 333_333, 333_334, 1_000_000, 5_000_000])
    for (const row of [0, 1, 49, total >> 1, total - 10])
      if (row >= 0 && row <= total - 10) assert.equal(firstRow(topOf(row, 240, total), 240, total).first, row, `${row} of ${total}`);
});

test("a page on each side is asked for, and nothing outside of the table", () => {
  assert.deepEqual(wanted(100, 10, 1000), [90, 30]);
  assert.deepEqual(wanted(0, 10, 1000), [0, 20]);
  assert.deepEqual(wanted(995, 10, 1000), [985, 15]);
  assert.deepEqual(wanted(0, 10, 0), [0, 0]);
});

test("keys lead to rows that are there, and others are none of ours", () => {
  assert.equal(moved("ArrowDown", 5, 10, 100), 6);
  assert.equal(moved("ArrowUp", 0, 10, 100), 0);
  assert.equal(moved("PageDown", 95, 10, 100), 99);
  assert.equal(moved("PageUp", 5, 10, 100), 0);
  assert.equal(moved("Home", 50, 10, 100), 0);
  assert.equal(moved("End", 50, 10, 100), 99);
  assert.equal(moved("a", 50, 10, 100), null);
});

test("clicks on a column sort up, then down, then not", () => {
  const first = nextSort({ column: "", descending: false }, "latency");
  const second = nextSort(first, "latency");
  assert.deepEqual(first, { column: "latency", descending: false });
  assert.deepEqual(second, { column: "latency", descending: true });
  assert.deepEqual(nextSort(second, "latency"), { column: "", descending: false });
  assert.deepEqual(nextSort(second, "status"), { column: "status", descending: false });
});
