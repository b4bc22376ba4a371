// The best operator within limits, by published mIoU. What is not known is told as unknown, never as a no.

const LIMITS = [
  { id: 'choose-latency', column: 'latency_ratio', lost: 'Above the latency limit', unknown: 'their latency' },
  { id: 'choose-memory', column: 'inference_memory', lost: 'Above the memory limit', unknown: 'their memory' },
];
const NEEDS = [
  { id: 'choose-guide', lost: 'In need of a guide', unknown: 'whether they need a guide', has: (one) => (one.guide === null ? null : !one.guide) },
  { id: 'choose-onnx', lost: 'Not to be exported to ONNX', unknown: 'whether they export to ONNX', has: (one) => able(one, 'onnx_export') },
  { id: 'choose-deterministic', lost: 'Not deterministic', unknown: 'whether they are deterministic', has: (one) => able(one, 'deterministic') },
];

function able(operator, capability) {
  const found = operator.able.find(([name]) => name === capability);
  return found ? found[1] : null;
}

function startChooser() {
  const form = byId('chooser');
  if (!form) return;
  fill(byId('choose-table'), measuredTables().map(([place, one]) => [place, one.title]));
  byId('choose-table').closest('label').hidden = measuredTables().length < 2;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', choose);
  form.addEventListener('change', choose);
  form.addEventListener('reset', () => setTimeout(choose));
  choose();
}

function choose() {
  const table = report.tables[Number(byId('choose-table').value)];
  for (const { id, column } of LIMITS) byId(id).disabled = columnAt(table, column) < 0;
  const tests = [...activeLimits(table), ...activeNeeds()];
  const judged = table.rows.map((row) => judge(row, operators.get(row.name), tests));
  const fitting = judged.filter((one) => one.fits).sort(byQuality);
  tellBest(fitting, tests);
  tellFitting(table, fitting);
  tellUnfit(judged, fitting, tests);
  const narrows = tests.length && byId('choose-narrow').checked;
  narrowTables(narrows ? new Set(fitting.map((one) => one.row.name)) : null);
}

/** A test answers true, false, or null where nothing is known. */
function activeLimits(table) {
  return LIMITS.filter(({ id }) => byId(id).value !== '' && !byId(id).disabled).map(({ id, column, ...words }) => {
    const most = Number(byId(id).value);
    return {
      ...words,
      passes: (row) => {
        const value = cellOf(table, row, column)[0];
        return value === null ? null : value <= most;
      },
    };
  });
}

function activeNeeds() {
  return NEEDS.filter(({ id }) => byId(id).checked).map(({ has, ...words }) => ({
    ...words,
    passes: (row, operator) => (operator.known ? has(operator) : null),
  }));
}

function judge(row, operator, tests) {
  const answers = tests.map((test) => test.passes(row, operator));
  // Without a single number an operator did not run here, so it cannot be chosen.
  const ran = row.cells.some(([value]) => value !== null);
  return { row, operator, answers, ran, fits: ran && answers.every((one) => one === true) };
}

const byQuality = (one, other) => (other.operator.miou ?? -1) - (one.operator.miou ?? -1);

function tellBest(fitting, tests) {
  const [best, second] = fitting;
  const place = byId('chosen');
  if (!best) {
    place.textContent = 'Nothing fits. What each limit leaves out stands below.';
  } else if (best.operator.miou === null) {
    place.textContent = `${count(fitting.length, 'operator')} fit, but the paper gives none of them an mIoU.`;
  } else {
    const tied = second && second.operator.miou === best.operator.miou ? `, as ${second.row.name}` : '';
    const name = make('b', best.row.name);
    const why = ` ${best.operator.miou.toFixed(2)} % mIoU${tied}, the best ${tests.length ? 'within these limits' : 'of all'}`;
    place.replaceChildren(tests.length ? 'Choose ' : '', name, `:${why} (${fitting.length} fit).`);
  }
}

function tellFitting(table, fitting) {
  const columns = LIMITS.map(({ column }) => columnAt(table, column)).filter((place) => place >= 0);
  const heads = ['Upsampler', 'mIoU (%)', ...columns.map((place) => table.columns[place].heading), 'Guide', 'ONNX', 'Deterministic'];
  const head = make('tr');
  head.append(...heads.map((text) => make('th', text, { scope: 'col' })));
  const rows = fitting.map(({ row, operator }) => {
    const line = make('tr');
    const texts = [
      operator.miou === null ? 'not published' : operator.miou.toFixed(2),
      ...columns.map((place) => row.cells[place][3]),
      answer(operator.guide),
      ...['onnx_export', 'deterministic'].map((name) => answer(able(operator, name))),
    ];
    const name = make('th', '', { scope: 'row' });
    const swatch = make('span', '', { className: 'swatch' });
    swatch.style.background = operator.colour;
    name.append(swatch, make('span', row.name, { className: 'name' }));
    line.append(name, ...texts.map((text) => make('td', text)));
    return line;
  });
  byId('fitting').tHead.replaceChildren(head);
  byId('fitting').tBodies[0].replaceChildren(...rows);
}

const answer = (known) => (known === null ? 'unknown' : known ? 'yes' : 'no');

function tellUnfit(judged, fitting, tests) {
  const names = (found) => found.map((one) => one.row.name).join(', ');
  const lines = [];
  const tell = (why, found) => found.length && lines.push(`${why} (${found.length}): ${names(found)}.`);
  tests.forEach(({ lost, unknown }, place) => {
    tell(lost, judged.filter((one) => one.ran && one.answers[place] === false));
    tell(`Left out, since nothing is known of ${unknown}`, judged.filter((one) => one.ran && one.answers[place] === null));
  });
  tell('Did not run here', judged.filter((one) => !one.ran));
  tell('Fit, but without a published mIoU', fitting.filter((one) => one.operator.miou === null));
  byId('unfit').replaceChildren(...lines.map((text) => make('li', text)));
}
