// Tables: sorted by their headers' buttons, filtered by text, family and condition, and by the chooser.
// The rows of a long page's later tables wait in templates, where they cost no layout, until their table is near.

const NEXT = { none: 'ascending', ascending: 'descending', descending: 'none' };
const collator = new Intl.Collator('en', { numeric: true });
// The names that the chooser lets through; null: all.
let allowed = null;

function startTables() {
  document.querySelectorAll('table.measured').forEach(makeSortable);
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) loadRows(target);
  }, { rootMargin: '800px' });
  document.querySelectorAll('[data-table]').forEach((block) => { if (waiting(block)) near.observe(block); });
  const form = byId('filters');
  if (!form) return;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', applyFilters);
  form.addEventListener('change', applyFilters);
  const details = byId('details');
  const showDetails = () => byId('tables').classList.toggle('detailed', details.checked);
  details.addEventListener('change', showDetails);
  showDetails(); // a browser may restore the choice of an earlier visit
  applyFilters();
}

/** The template in which a table's rows wait, or null. */
const waiting = (block) => block.querySelector('tbody > template');

function loadRows(block) {
  const template = waiting(block);
  template?.replaceWith(template.content);
}

/** The rows of a table, also those that wait. */
const rowsOf = (block) => [...(waiting(block)?.content.children ?? block.querySelector('tbody').rows)];

function makeSortable(table) {
  const body = table.tBodies[0];
  let original = null;
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, place) => {
    header.querySelector('button').addEventListener('click', () => {
      loadRows(table);
      original ??= [...body.rows];
      const order = NEXT[header.getAttribute('aria-sort')];
      headers.forEach((other) => other.setAttribute('aria-sort', other === header ? order : 'none'));
      const rows = [...original];
      if (order !== 'none') rows.sort((a, b) => compare(a, b, place, order === 'ascending' ? 1 : -1));
      body.replaceChildren(...rows);
    });
  });
}

/** Numbers by size; what has no number comes last in both orders, by its words. */
function compare(a, b, place, sign) {
  if (place === 0) return sign * collator.compare(a.dataset.name, b.dataset.name);
  const [mine, other] = [a, b].map((row) => row.cells[place].dataset.value);
  if (mine === undefined && other === undefined) return sign * collator.compare(a.cells[place].textContent, b.cells[place].textContent);
  if (mine === undefined || other === undefined) return (mine === undefined) - (other === undefined);
  return sign * (Number(mine) - Number(other));
}

function applyFilters() {
  if (!byId('filters')) return;
  const words = byId('find').value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const family = byId('family').value;
  const conditions = [...document.querySelectorAll('[data-condition]')].filter((select) => select.value);
  let [shown, all, hiddenByChooser] = [0, 0, 0];
  for (const block of document.querySelectorAll('[data-table]')) {
    const fits = conditions.every((select) => block.dataset[select.dataset.condition] === select.value);
    const rows = rowsOf(block);
    for (const row of rows) {
      const matches = fits && (!family || row.dataset.family === family) && hasWords(row, words);
      row.hidden = !matches || (allowed !== null && !allowed.has(row.dataset.name));
      hiddenByChooser += matches && row.hidden;
    }
    const visible = rows.filter((row) => !row.hidden).length;
    block.hidden = rows.length > 0 && !visible;
    shown += visible;
    all += rows.length;
  }
  byId('shown').textContent = `${shown} of ${count(all, 'row')} shown${hiddenByChooser ? `; the chooser hides ${hiddenByChooser}` : ''}`;
}

/** Whether each word is somewhere in the row, its reason included. */
function hasWords(row, words) {
  if (!words.length) return true;
  const reasons = [...row.querySelectorAll('a.badge')].map((badge) => badge.title);
  const text = [row.textContent, ...reasons].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}
