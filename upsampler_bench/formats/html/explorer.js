// The free scatter: any column of a table, and the published mIoU, against any other.

function startExplorer() {
  const form = byId('explorer');
  if (!form) return;
  fill(byId('explore-table'), measuredTables().map(([place, one]) => [place, one.title]));
  byId('explore-table').closest('label').hidden = measuredTables().length < 2;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('change', (event) => {
    if (event.target.id === 'explore-table') fillAxes();
    explore();
  });
  fillAxes();
  const plot = byId('explore-plot');
  plot.append(make('p', 'drawing …', { className: 'waiting' }));
  waiting.set(plot, explore);
}

const explored = () => report.tables[Number(byId('explore-table').value)];

/** The choices of both axes: (name, heading) of every column with a number. */
function axes(table) {
  const numeric = table.columns.filter((_, place) => table.rows.some((row) => row.cells[place][0] !== null));
  const known = table.rows.filter((row) => operators.get(row.name).miou !== null).length;
  return [...numeric.map((one) => [one.name, one.heading]), ...(known ? [['', report.quality]] : [])];
}

function fillAxes() {
  const table = explored();
  const found = axes(table);
  const names = found.map(([name]) => name);
  const kept = { x: byId('explore-x').value, y: byId('explore-y').value, first: !byId('explore-x').options.length };
  for (const id of ['explore-x', 'explore-y']) fill(byId(id), found);
  const wanted = kept.first ? ['latency', names.includes('') ? '' : 'inference_memory'] : [kept.x, kept.y];
  byId('explore-x').value = names.includes(wanted[0]) ? wanted[0] : names[0];
  byId('explore-y').value = names.includes(wanted[1]) ? wanted[1] : names[names.length - 1];
  if (kept.first && byId('explore-x').value === 'latency') byId('explore-x-log').checked = true;
}

/** A column's [value, low, high] of each row, or times of the baseline's; a ratio that the table holds is its own. */
function along(table, name, ratio) {
  if (name === '') return { title: report.quality, values: table.rows.map((row) => [operators.get(row.name).miou, null, null]), said: '' };
  const column = table.columns[columnAt(table, name)];
  const values = table.rows.map((row) => cellOf(table, row, name).slice(0, 3));
  const paired = columnAt(table, `${name}_ratio`);
  const base = table.rows.findIndex((row) => row.name === report.baseline);
  if (!ratio || column.unit === '×') return { title: column.heading, values, said: '' };
  if (paired >= 0) return { title: table.columns[paired].heading, values: table.rows.map((row) => row.cells[paired].slice(0, 3)), said: '' };
  const by = base < 0 ? null : values[base][0];
  if (!by) return { title: column.heading, values, said: `${column.heading} stays as it is: ${report.baseline || 'the baseline'} has ${by === 0 ? '0' : 'none'}.` };
  const times = values.map((one) => one.map((value) => (value === null ? null : value / by)));
  return { title: `${column.title ?? column.heading} / ${report.baseline}`, values: times, said: '' };
}

async function explore() {
  const table = explored();
  const ratio = byId('explore-ratio').checked;
  const [x, y] = ['x', 'y'].map((one) => ({ ...along(table, byId(`explore-${one}`).value, ratio), log: byId(`explore-${one}-log`).checked }));
  const drawable = ({ values, log }, place) => values[place][0] !== null && (!log || values[place][0] > 0);
  const places = [...table.rows.keys()].filter((place) => drawable(x, place) && drawable(y, place));
  const points = places.map((place) => point(table.rows[place].name, x, y, place));
  const left = table.rows.filter((_, place) => !places.includes(place)).map((row) => row.name);
  byId('explore-said').textContent = [
    x.said, y.said, `${points.length} of ${count(table.rows.length, 'operator')} drawn.`,
    left.length ? `Left out, for want of a number${x.log || y.log ? ' above 0' : ''}: ${left.join(', ')}.` : '',
  ].filter(Boolean).join(' ');
  await draw(byId('explore-plot'), () => [[marks(points)], explorePlane(points, x, y)], placeLabels);
}

function explorePlane(points, x, y) {
  const all = (which) => points.flatMap((one) => [one[which], ...one[`${which}Between`]]);
  const side = (one, which) => [one.title + (one.log ? ', log' : ''), one.log, rangeOf(all(which), one.log)];
  return plane(side(x, 'x'), side(y, 'y'));
}

function point(name, x, y, place) {
  const [across, up] = [x.values[place], y.values[place]];
  const between = ([value, low, high]) => (low === null || high === null ? [value, value] : [low, high]);
  const told = (one, [value, low, high]) => `${one.title}: ${say(value)}${low === null || high === null ? '' : ` (${sayBetween(low, high)})`}`;
  return { name, x: across[0], y: up[0], xBetween: between(across), yBetween: between(up), text: hover(name, told(x, across), told(y, up)) };
}
