// Starts the page. Light and dark follow the system until the button is pressed; paper is always light.

const KEY = 'upsampler-bench-theme';
// Pixels: the width of a page of paper.
const PAPER = 1020;

function startTheme() {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const update = () => {
    byId('theme').textContent = isDark() ? 'Light' : 'Dark';
    byId('theme').setAttribute('aria-label', `Change to ${isDark() ? 'light' : 'dark'} colours`);
    redrawAll();
  };
  const stored = storage((kept) => kept.getItem(KEY));
  if (stored === 'dark' || stored === 'light') root.dataset.theme = stored;
  update();
  system.addEventListener('change', update);
  byId('theme').addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    storage((kept) => kept.setItem(KEY, root.dataset.theme));
    update();
  });
}

/** A page from a file may have no storage: the choice then lasts as long as the page. */
function storage(use) {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}

function startPrinting() {
  const root = document.documentElement;
  let theme = null;
  addEventListener('beforeprint', () => {
    document.querySelectorAll('[data-table]').forEach(loadRows);
    theme = root.dataset.theme ?? null;
    root.dataset.theme = 'light';
    redrawAll();
    for (const plot of drawn.keys()) globalThis.Plotly.relayout(plot, { width: plot.closest('.panel') ? PAPER / 2 - 20 : PAPER });
  });
  addEventListener('afterprint', () => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    for (const plot of drawn.keys()) globalThis.Plotly.relayout(plot, { width: null, autosize: true });
    redrawAll();
  });
}

document.documentElement.classList.add('scripts');
document.querySelectorAll('.base').forEach((element) => { element.textContent = report.baseline || 'baseline'; });
startTheme();
startTables();
startChooser();
startPrinting();
// The library follows in the page.
addEventListener('DOMContentLoaded', startPlots);
performance.mark('interactive');
