// The report's data, and how its text reaches the page: as text, never as markup.

const report = JSON.parse(document.getElementById('data').textContent);
const operators = new Map(report.operators.map((one) => [one.name, one]));

const byId = (id) => document.getElementById(id);

/** An element with this text and these properties. */
function make(tag, text = '', properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.textContent = text;
  return made;
}

/** A number with four digits, as a person would write it. */
function say(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  if (size && (size >= 1e7 || size < 1e-4)) return value.toExponential(2);
  return value.toLocaleString('en', { maximumSignificantDigits: size >= 1000 ? 6 : 4, maximumFractionDigits: 6 });
}

const sayBetween = (low, high) => `${say(low)}–${say(high)}`;

const count = (number, what) => `${number} ${what}${number === 1 ? '' : 's'}`;

/** Fills a select with (value, text) pairs. */
function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => make('option', text, { value: String(value) })));
}

/** The table's column of this name: its place, or -1. */
const columnAt = (table, name) => table.columns.findIndex((one) => one.name === name);

/** A row's [value, low, high, text] in the column of this name, or null. */
function cellOf(table, row, name) {
  const place = columnAt(table, name);
  return place < 0 ? null : row.cells[place];
}

/** The tables that hold measurements, as [place, table]. */
const measuredTables = () => [...report.tables.entries()].filter(([, one]) => one.measured);
