// Which rows and tables are shown: by text, family, and the parts of the condition; and by the chooser.

// The names that the chooser lets through; null: it does not narrow.
let allowed = null;

function startFilters() {
  const form = byId('filters');
  if (!form) return;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', applyFilters);
  form.addEventListener('change', applyFilters);
  byId('details').addEventListener('change', (event) => {
    byId('tables').classList.toggle('detailed', event.target.checked);
  });
  applyFilters();
}

/** Only these names from now on; null lifts it. */
function narrowTables(names) {
  allowed = names;
  applyFilters();
}

function applyFilters() {
  if (!byId('filters')) return;
  const words = byId('find').value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const family = byId('family').value;
  const tally = { shown: 0, all: 0, chosen: 0 };
  for (const block of document.querySelectorAll('[data-table]')) {
    const fits = fitsCondition(block);
    const table = report.tables[Number(block.dataset.table)];
    let visible = 0;
    for (const row of block.querySelector('table').tBodies[0].rows) {
      const matches = fits && (!family || row.dataset.family === family) && hasWords(row, words);
      row.hidden = !(matches && (!allowed || allowed.has(row.dataset.name)));
      tally.chosen += matches && row.hidden;
      visible += !row.hidden;
    }
    block.hidden = !visible && table.rows.length > 0;
    tally.shown += visible;
    tally.all += table.rows.length;
  }
  byId('shown').textContent = told(tally);
}

function fitsCondition(block) {
  return [...document.querySelectorAll('[data-condition]')].every(
    (select) => !select.value || block.dataset[select.dataset.condition] === select.value,
  );
}

/** Each word stands somewhere in the row, a reason included. */
function hasWords(row, words) {
  if (!words.length) return true;
  const reasons = [...row.querySelectorAll('a.badge')].map((one) => one.title);
  const text = [row.textContent, ...reasons].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

function told({ shown, all, chosen }) {
  const hidden = chosen ? `; the chooser hides ${chosen}` : '';
  return `${shown} of ${count(all, 'row')} shown${hidden}`;
}
