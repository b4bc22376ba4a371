// Tables are sorted by their headers' buttons: up, down, then as they came.

const NEXT = { none: 'ascending', ascending: 'descending', descending: 'none' };
const collator = new Intl.Collator('en', { numeric: true });

function sortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, place) => {
    header.querySelector('button')?.addEventListener('click', () => {
      const way = NEXT[header.getAttribute('aria-sort')];
      headers.forEach((one) => one.setAttribute('aria-sort', one === header ? way : 'none'));
      body.replaceChildren(...sorted(original, place, way));
    });
  });
}

function sorted(rows, place, way) {
  if (way === 'none') return rows;
  const sign = way === 'ascending' ? 1 : -1;
  return [...rows].sort((one, other) => compare(one, other, place, sign));
}

/** Numbers by size; what has no number comes last whichever way. */
function compare(one, other, place, sign) {
  if (place === 0) return sign * collator.compare(one.dataset.name, other.dataset.name);
  const [mine, theirs] = [one, other].map((row) => row.cells[place].dataset.value);
  if (mine === undefined || theirs === undefined) return (mine === undefined) - (theirs === undefined);
  return sign * (Number(mine) - Number(theirs));
}

function startTables() {
  document.querySelectorAll('table.measured').forEach(sortable);
}
