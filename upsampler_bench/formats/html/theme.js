// Light and dark, by the system's wish until the button is pressed; paper is always light.

const PAPER = 1020;
const KEY = 'upsampler-bench-theme';

function startTheme() {
  const root = document.documentElement;
  const wish = matchMedia('(prefers-color-scheme: dark)');
  const button = byId('theme');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : wish.matches);
  const tell = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Change to ${isDark() ? 'light' : 'dark'} colours`);
  };
  const kept = remembered();
  if (kept) root.dataset.theme = kept;
  tell();
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    remember(root.dataset.theme);
    tell();
    redrawAll();
  });
  wish.addEventListener('change', () => {
    tell();
    redrawAll();
  });
}

// A page from a file may be refused its memory.
function remembered() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'dark' || kept === 'light' ? kept : '';
  } catch {
    return '';
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It lasts as long as the page does.
  }
}

function startPrinting() {
  const root = document.documentElement;
  let before = null;
  addEventListener('beforeprint', () => {
    before = root.dataset.theme ?? '';
    root.dataset.theme = 'light';
    drawAllNow();
    for (const [element, { after }] of drawn) {
      redraw(globalThis.Plotly, element);
      globalThis.Plotly.relayout(element, { width: element.closest('.chart') ? PAPER / 2 - 20 : PAPER });
      after?.(element);
    }
  });
  addEventListener('afterprint', () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    for (const element of drawn.keys()) globalThis.Plotly.relayout(element, { width: null, autosize: true });
    redrawAll();
  });
}
