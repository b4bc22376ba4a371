// The panel: one bar chart a metric, as measured or as times of the baseline.

const BAR = 21;
const LONGEST = 24;
const STILL = { displayModeBar: false };

/** Fills a picture's element with the panel's charts, each drawn when it comes near. */
function panel(picture, place, figure) {
  let ratio = false;
  const charts = picture.charts.map((chart) => {
    const box = make('div', '', { className: 'chart' });
    const title = make('h4', `${chart.title} `);
    const unit = make('span');
    title.append(unit);
    const plot = make('div', '', { className: 'plot' });
    plot.style.height = `${BAR * chart.bars.length + 48}px`;
    plot.append(make('p', 'drawing …', { className: 'waiting' }));
    box.append(title, plot);
    place.append(box);
    const spec = () => bars(chart, picture, ratio);
    const label = () => { unit.textContent = ratioOf(chart, ratio) ? `× ${picture.baseline}${chart.log ? ', log scale' : ''}` : chart.axis; };
    label();
    return { plot, spec, label };
  });
  figure.querySelectorAll('[data-show]').forEach((button) => {
    button.addEventListener('click', () => {
      ratio = button.dataset.show === 'ratio';
      figure.querySelectorAll('[data-show]').forEach((one) => one.setAttribute('aria-pressed', String(one === button)));
      charts.forEach((one) => one.label());
      charts.filter((one) => drawn.has(one.plot)).forEach((one) => draw(one.plot, one.spec, null, STILL));
    });
  });
  return charts.map(({ plot, spec }) => ({ element: plot, start: () => draw(plot, spec, null, STILL) }));
}

/** Whether the chart is drawn as a ratio: what is an addition to the baseline has none. */
const ratioOf = (chart, ratio) => ratio && chart.bars.some((bar) => bar.ratio);

/** A bar's [value, low, high, text]. */
function shownBar(bar, ratio) {
  if (!ratio) return [bar.value, bar.low, bar.high, bar.text];
  if (!bar.ratio) return [null, null, null, bar.value === null ? bar.text : 'no ratio'];
  return [...bar.ratio, `${Number(bar.ratio[0].toPrecision(3))}×`];
}

function bars(chart, picture, wanted) {
  const look = colours();
  const ratio = ratioOf(chart, wanted);
  const shown = chart.bars.map((bar) => shownBar(bar, ratio));
  const [from, to] = chart.dots ? dotted(shown, chart.log) : extent(shown, chart.log);
  const names = chart.bars.map((bar) => bar.name);
  const start = chart.log ? 10 ** from : chart.dots ? from : 0;
  const ends = shown.map(([value, , high]) => (value === null ? start : Math.max(high ?? value, start)));
  const bar = {
    ...(chart.dots ? { type: 'scatter', mode: 'markers' } : { type: 'bar', orientation: 'h', width: 0.72 }),
    y: names.map((_, place) => place),
    x: shown.map(([value]) => value),
    marker: {
      size: 10,
      symbol: names.map((name) => (chart.dots ? operators.get(name).symbol : 'circle')),
      color: names.map((name) => operators.get(name).colour),
      line: { color: chart.dots ? look.edge : look.strong, width: 0.6 },
    },
    error_x: whiskers(shown, look),
    hovertext: chart.bars.map((one) => sayBar(one, chart, picture)),
    hoverinfo: 'text',
  };
  const label = {
    type: 'scatter',
    mode: 'text',
    x: ends,
    y: names.map((_, place) => place),
    text: shown.map(([, , , text]) => `${chart.dots ? '   ' : '  '}${plain(text, 16)}`),
    textposition: 'middle right',
    textfont: { size: 11, color: shown.map(([value]) => (value === null ? look.soft : look.ink)) },
    hovertext: bar.hovertext,
    hoverinfo: 'text',
    cliponaxis: false,
  };
  const dashed = ratio ? 1 : chart.baseline;
  return [[bar, label], layout({
    dragmode: false,
    margin: { l: 8, r: 8, t: 4, b: 28 },
    bargap: 0,
    xaxis: axis('', chart.log, { range: [from, to], fixedrange: true, nticks: 5, title: { text: '' } }),
    yaxis: axis('', false, {
      tickvals: names.map((_, place) => place),
      ticktext: names.map((name) => (name === picture.baseline ? `<b>${plain(name, LONGEST)}</b>` : plain(name, LONGEST))),
      range: [names.length - 0.4, -0.6],
      tickfont: { size: 11.5, color: look.ink },
      ticks: 'outside',
      ticklen: 6,
      tickcolor: look.page,
      showline: false,
      showgrid: false,
      fixedrange: true,
      title: { text: '' },
    }),
    shapes: dashed ? [{ type: 'line', x0: dashed, x1: dashed, yref: 'paper', y0: 0, y1: 1, layer: 'above', line: { color: look.ink, width: 1, dash: 'dash' } }] : [],
  })];
}

/** The axis of dots, which need not begin at 0. */
function dotted(shown, log) {
  const [from, to] = rangeOf(shown.flatMap(([value, low, high]) => (value === null ? [] : [low ?? value, high ?? value])), log);
  return [from, to + (to - from) * 0.25];
}

/** The value axis with room for the numbers behind the bars; of a logarithmic one the powers of ten. */
function extent(shown, log) {
  const values = shown.flatMap(([value, , high]) => (value === null ? [] : [high ?? value]));
  const most = Math.max(...values, log ? -Infinity : 0);
  if (!values.length || !Number.isFinite(most)) return [0, 1];
  if (!log) return [Math.min(...values, 0) * 1.3, (most || 1) * 1.3];
  const positive = values.filter((one) => one > 0);
  const left = Math.floor(Math.log10(Math.min(...positive) * 0.8));
  return [left, left + (Math.log10(most) - left) * 1.3];
}

function whiskers(shown, look) {
  const away = (end) => shown.map((one) => (one[end] === null || one[0] === null ? 0 : Math.abs(one[end] - one[0])));
  const [up, down] = [away(2), away(1)];
  if (!up.some(Boolean)) return { visible: false };
  return { type: 'data', symmetric: false, array: up, arrayminus: down, color: look.ink, thickness: 1, width: 2 };
}

function sayBar(bar, chart, picture) {
  if (bar.value === null) return hover(bar.name, `${chart.title}: ${bar.text}`);
  const [times, low, high] = bar.ratio ?? [null, null, null];
  return hover(
    bar.name,
    `${chart.title}: ${say(bar.value)} ${chart.axis}`,
    bar.low !== null && `95 % interval ${sayBetween(bar.low, bar.high)}`,
    times !== null && `${say(times)} × ${picture.baseline}${low === null ? '' : ` (${sayBetween(low, high)})`}`,
  );
}
