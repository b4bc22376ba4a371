// The best operator within limits, by mIoU. The rule is that of `upsampler-bench recommend`: a limit is
// compared with the interval, and only an operator that passes everything is recommended.

const RESULTS = ['passes', 'borderline', 'unknown', 'fails'];
const LIMITS = [
  { id: 'choose-latency', column: 'latency_ratio', about: 'latency' },
  { id: 'choose-memory', column: 'inference_memory', about: 'memory' },
];
const NEEDS = [
  { id: 'choose-guide', about: 'no guide', answer: ({ guide }) => (guide === null ? null : !guide) },
  { id: 'choose-onnx', about: 'ONNX export', answer: (operator) => capability(operator, 'onnx_export') },
  { id: 'choose-deterministic', about: 'determinism', answer: (operator) => capability(operator, 'deterministic') },
];

/** Whether an operator has a capability; null: not known. */
function capability(operator, name) {
  const pair = operator.capabilities.find(([key]) => key === name);
  return pair ? pair[1] : null;
}

function startChooser() {
  const form = byId('chooser');
  if (!form) return;
  fillTables(byId('choose-table'));
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', choose);
  form.addEventListener('change', choose);
  form.addEventListener('reset', () => setTimeout(choose));
  choose();
}

function choose() {
  const table = report.tables[Number(byId('choose-table').value)];
  for (const { id, column } of LIMITS) byId(id).disabled = columnAt(table, column) < 0;
  const tests = [
    ...LIMITS.filter(({ id }) => byId(id).value !== '' && !byId(id).disabled).map(({ id, column, about }) => {
      const [place, limit] = [columnAt(table, column), Number(byId(id).value)];
      return { about, judge: (row) => judge(row.cells[place], limit) };
    }),
    ...NEEDS.filter(({ id }) => byId(id).checked).map(({ about, answer }) => (
      { about, judge: (row, operator) => ({ true: 'passes', false: 'fails', null: 'unknown' })[answer(operator)] }
    )),
  ];
  const latency = columnAt(table, 'latency');
  const candidates = table.rows.map((row) => {
    const operator = operators.get(row.name);
    const results = tests.map((test) => test.judge(row, operator));
    // Without a latency, or in a table without latencies without any number, an operator did not run here.
    const ran = latency < 0 ? row.cells.some(([value]) => value !== null) : row.cells[latency][0] !== null;
    const result = ran ? RESULTS[Math.max(0, ...results.map((one) => RESULTS.indexOf(one)))] : 'not run';
    return { row, operator, results, result };
  });
  const speed = ({ row }) => row.cells[latency]?.[0] ?? Infinity;
  const passing = candidates.filter(({ result }) => result === 'passes');
  passing.sort((a, b) => (b.operator.miou ?? -1) - (a.operator.miou ?? -1) || speed(a) - speed(b));
  showBest(passing, tests);
  showPassing(table, passing);
  showOthers(candidates, passing, tests);
  allowed = tests.length && byId('choose-narrow').checked ? new Set(passing.map(({ row }) => row.name)) : null;
  applyFilters();
}

/** Passes if the whole interval is within the limit, fails if the whole of it is beyond, else borderline. */
function judge([value, low, high], limit) {
  if (value === null) return 'unknown';
  if (high <= limit) return 'passes';
  return low > limit ? 'fails' : 'borderline';
}

function showBest(passing, tests) {
  const [best, second] = passing;
  if (!best) {
    byId('chosen').textContent = 'No operator passes. The reasons are listed below.';
  } else if (best.operator.miou === null) {
    byId('chosen').textContent = `${count(passing.length, 'operator')} passed, but without a ${report.miou} mIoU.`;
  } else {
    const tie = second && second.operator.miou === best.operator.miou ? `, like ${second.row.name}` : '';
    const why = `: ${best.operator.miou.toFixed(2)} % mIoU${tie}, the best ${tests.length ? 'within these limits' : 'of all'}`;
    byId('chosen').replaceChildren(tests.length ? 'Choose ' : '', make('b', best.row.name), `${why} (${passing.length} pass).`);
  }
}

function showPassing(table, passing) {
  const places = LIMITS.map(({ column }) => columnAt(table, column)).filter((place) => place >= 0);
  const heads = ['Upsampler', 'mIoU (%)', ...places.map((place) => table.columns[place].heading), 'Guide', 'ONNX', 'Deterministic'];
  const head = make('tr');
  head.append(...heads.map((text) => make('th', text, { scope: 'col' })));
  const yesNo = (known) => ({ true: 'yes', false: 'no', null: 'unknown' })[known];
  const rows = passing.map(({ row, operator }) => {
    const texts = [
      operator.miou === null ? `not ${report.miou}` : operator.miou.toFixed(2),
      ...places.map((place) => row.cells[place][3]),
      ...[operator.guide, capability(operator, 'onnx_export'), capability(operator, 'deterministic')].map(yesNo),
    ];
    const swatch = make('span', '', { className: 'swatch' });
    swatch.style.background = operator.colour;
    const name = make('th', '', { scope: 'row' });
    name.append(swatch, make('span', row.name, { className: 'name' }));
    const line = make('tr');
    line.append(name, ...texts.map((text) => make('td', text)));
    return line;
  });
  byId('fitting').tHead.replaceChildren(head);
  byId('fitting').tBodies[0].replaceChildren(...rows);
}

/** Who does not pass, by what decided it. */
function showOthers(candidates, passing, tests) {
  const lines = [];
  const list = (why, found) => {
    if (found.length) lines.push(`${why} (${found.length}): ${found.map(({ row }) => row.name).join(', ')}.`);
  };
  for (const result of ['borderline', 'unknown', 'fails']) {
    tests.forEach(({ about }, place) => {
      list(`${about}: ${result}`, candidates.filter((one) => one.result === result && one.results[place] === result));
    });
  }
  list('Not measured here', candidates.filter(({ result }) => result === 'not run'));
  list(`Pass, but without a ${report.miou} mIoU`, passing.filter(({ operator }) => operator.miou === null));
  byId('unfit').replaceChildren(...lines.map((text) => make('li', text)));
}
