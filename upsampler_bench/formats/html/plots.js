// Pictures: plotly draws the figures that the report contains, and the free scatter, in the colours of the theme.

let unpacking = null;
// Every drawn element with the function that gives its figure.
const drawn = new Map();
const CONFIG = {
  displaylogo: false,
  responsive: true,
  // Named one by one, since the library has buttons that would send data away.
  modeBarButtons: [['toImage'], ['zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
};

/** The library, unpacked when first needed: tables are shown before it is read. */
async function unpack() {
  const bytes = Uint8Array.from(atob(byId('plotly').textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  document.head.append(make('script', await new Response(stream).text()));
}

async function startPlots() {
  startExplorer();
  document.querySelectorAll('[data-show]').forEach((button) => button.addEventListener('click', () => {
    const picture = button.closest('.picture');
    picture.dataset.shown = button.dataset.show;
    picture.querySelectorAll('[data-show]').forEach((other) => other.setAttribute('aria-pressed', String(other === button)));
    picture.querySelectorAll('.plot').forEach((plot) => drawn.has(plot) && draw(plot, drawn.get(plot)));
  }));
  for (const plot of document.querySelectorAll('[data-plot]')) {
    // Whatever the reader does comes first.
    await new Promise((done) => setTimeout(done));
    const { figure, ratio } = report.plots[Number(plot.dataset.plot)];
    await draw(plot, () => (plot.closest('.picture').dataset.shown === 'ratio' && ratio) || figure);
  }
}

/** Draws a figure; one that cannot be drawn says so, and the others are drawn all the same. */
async function draw(element, figure) {
  try {
    await (unpacking ??= unpack());
    drawn.set(element, figure);
    element.querySelector('.waiting')?.remove();
    redraw(element);
  } catch (problem) {
    element.replaceChildren(make('p', `This picture could not be drawn (${problem.message}).`, { className: 'warning' }));
    console.error(problem);
  }
}

function redraw(element) {
  const { data, layout } = drawn.get(element)();
  // A phone has no room for names between the marks: a tap shows them.
  const traces = innerWidth < 640 && !layout.yaxis.tickvals ? data.map((trace) => ({ ...trace, text: undefined })) : data;
  const config = layout.dragmode === false ? { displayModeBar: false, responsive: true } : CONFIG;
  globalThis.Plotly.react(element, traces, { ...layout, template: template(), uirevision: element.dataset.plot }, config);
}

const redrawAll = () => [...drawn.keys()].forEach(redraw);

/** What the theme gives to every figure. */
function template() {
  const style = getComputedStyle(document.documentElement);
  const [page, raised, line, strong, ink, soft, edge] = ['page', 'raised', 'line', 'strong', 'ink', 'soft', 'edge'].map((name) => style.getPropertyValue(`--${name}`).trim());
  const axis = {
    gridcolor: line, linecolor: strong, tickcolor: strong, tickfont: { size: 11, color: soft }, zeroline: false, showline: true,
    automargin: true, title: { font: { size: 12, color: soft }, standoff: 8 },
  };
  const error = { color: ink, thickness: 1, width: 2 };
  return {
    layout: {
      paper_bgcolor: page, plot_bgcolor: page, font: { family: style.getPropertyValue('--sans'), size: 12, color: ink },
      hovermode: 'closest', hoverlabel: { bgcolor: raised, bordercolor: strong, font: { color: ink, size: 12 }, align: 'left' },
      // A finger that moves across a picture scrolls the page.
      dragmode: matchMedia('(pointer: coarse)').matches ? false : 'zoom',
      showlegend: false, legend: innerWidth < 640 ? { x: 0, y: -0.2, yanchor: 'top' } : {},
      xaxis: axis, yaxis: axis, shapedefaults: { line: { color: ink } },
    },
    data: {
      bar: [{ error_x: error }],
      scatter: [{ error_x: error, error_y: error, line: { color: soft }, marker: { line: { color: edge, width: 1 } }, textfont: { size: 11, color: ink } }],
    },
  };
}

// The free scatter: any column of a table, and the mIoU that operators are chosen by, against any other.
const MIOU = { name: 'miou', heading: `${report.miou[0].toUpperCase()}${report.miou.slice(1)} mIoU (%)`, unit: '%' };

function startExplorer() {
  const form = byId('explorer');
  if (!form) return;
  fillTables(byId('explore-table'));
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('change', (event) => {
    if (event.target.id === 'explore-table') fillAxes();
    explore();
  });
  fillAxes();
  byId('explore-x-log').checked = byId('explore-x').value === 'latency';
  explore();
}

const explored = () => report.tables[Number(byId('explore-table').value)];

function fillAxes() {
  const table = explored();
  const columns = table.columns.filter((_, place) => table.rows.some((row) => row.cells[place][0] !== null));
  if (table.rows.some((row) => operators.get(row.name).miou !== null)) columns.push(MIOU);
  const names = columns.map((column) => column.name);
  for (const [id, first] of [['explore-x', 'latency'], ['explore-y', 'miou']]) {
    const wanted = byId(id).value || first;
    fill(byId(id), columns.map((column) => [column.name, column.heading]));
    byId(id).value = names.includes(wanted) ? wanted : names[id === 'explore-x' ? 0 : names.length - 1];
  }
}

/** A column's title and its [value, low, high] for each row; on request relative to the baseline's value. */
function values(table, name, relative) {
  if (name === 'miou') return { title: MIOU.heading, rows: table.rows.map((row) => [operators.get(row.name).miou, null, null]) };
  const paired = relative ? columnAt(table, `${name}_ratio`) : -1;
  const place = paired < 0 ? columnAt(table, name) : paired;
  const title = table.columns[place].heading;
  const rows = table.rows.map((row) => row.cells[place].slice(0, 3));
  if (!relative || paired >= 0 || table.columns[place].unit === '×') return { title, rows };
  const base = rows[table.rows.findIndex((row) => row.name === table.baseline)]?.[0];
  if (!base) return { title, rows, note: `${title} is not relative: ${table.baseline || 'the baseline'} has ${base === 0 ? '0' : 'no number'}.` };
  return { title: `${title} / ${table.baseline}`, rows: rows.map((row) => row.map((value) => (value === null ? null : value / base))) };
}

/** Text for plotly, which reads some markup. */
const escape = (text) => String(text).replace(/\s+/g, ' ').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

async function explore() {
  const table = explored();
  const [x, y] = ['x', 'y'].map((axis) => {
    const log = byId(`explore-${axis}-log`).checked;
    return { log, ...values(table, byId(`explore-${axis}`).value, byId('explore-ratio').checked) };
  });
  const drawable = ({ rows, log }, place) => rows[place][0] !== null && (!log || rows[place][0] > 0);
  const places = table.rows.map((_, place) => place).filter((place) => drawable(x, place) && drawable(y, place));
  const left = table.rows.filter((_, place) => !places.includes(place)).map((row) => row.name);
  byId('explore-said').textContent = [
    x.note, y.note, `${places.length} of ${count(table.rows.length, 'operator')} drawn.`,
    left.length && `Not drawn, no number${x.log || y.log ? ' above 0' : ''}: ${left.join(', ')}.`,
  ].filter(Boolean).join(' ');
  const number = ([value, low, high]) => format(value) + (low === null || low === high ? '' : ` (${format(low)}–${format(high)})`);
  const error = ({ rows }, sign) => places.map((place) => sign * ((rows[place][sign > 0 ? 2 : 1] ?? rows[place][0]) - rows[place][0]));
  const axis = ({ title, log }) => ({ title: { text: escape(title + (log ? ', log scale' : '')) }, type: log ? 'log' : 'linear' });
  const shown = places.map((place) => operators.get(table.rows[place].name));
  const trace = {
    type: 'scatter', mode: 'markers+text', x: places.map((place) => x.rows[place][0]), y: places.map((place) => y.rows[place][0]),
    error_x: { type: 'data', symmetric: false, array: error(x, 1), arrayminus: error(x, -1) },
    error_y: { type: 'data', symmetric: false, array: error(y, 1), arrayminus: error(y, -1) },
    text: shown.map(({ name }) => escape(name.slice(0, 24))), textposition: 'top center', cliponaxis: false,
    marker: { size: 9, color: shown.map(({ colour }) => colour), symbol: shown.map(({ symbol }) => symbol) },
    hovertext: places.map((place) => `${escape(table.rows[place].name)}<br>${escape(x.title)}: ${number(x.rows[place])}<br>${escape(y.title)}: ${number(y.rows[place])}`),
    hoverinfo: 'text',
  };
  await draw(byId('explore-plot'), () => ({ data: [trace], layout: { xaxis: axis(x), yaxis: axis(y), margin: { l: 60, r: 24, t: 32, b: 50 } } }));
}
