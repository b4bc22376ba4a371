// The report's data, and how its text reaches the page: as text, never as markup.

const report = JSON.parse(document.getElementById('data').textContent);
const operators = new Map(report.operators.map((operator) => [operator.name, operator]));

const byId = (id) => document.getElementById(id);

/** An element with this text and these properties. */
function make(tag, text = '', properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.textContent = text;
  return element;
}

/** A number with four digits, as a person would write it. */
function format(value) {
  const size = Math.abs(value);
  if (size && (size >= 1e7 || size < 1e-4)) return value.toExponential(2);
  return value.toLocaleString('en', { maximumSignificantDigits: size >= 1000 ? 6 : 4, maximumFractionDigits: 6 });
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** Fills a select with (value, text) pairs. */
function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => make('option', text, { value: String(value) })));
}

/** Fills a select with the tables of measurements; a single one is not asked for. */
function fillTables(select) {
  const measured = [...report.tables.entries()].filter(([, table]) => table.measured);
  fill(select, measured.map(([place, table]) => [place, table.title]));
  select.closest('label').hidden = measured.length < 2;
}

/** The table's column of this name: its place, or -1. */
const columnAt = (table, name) => table.columns.findIndex((column) => column.name === name);
