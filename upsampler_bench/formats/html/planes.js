// Operators in a plane: the scatters (bubbles, fronts, the free one) and the roofline.

const LEAST = 8;
const MOST = 44;

/** Marks with names; each point: {name, x, y, radius?, open?, bounds?, text}. */
function marks(points) {
  const look = colours();
  const seen = points.map((one) => operators.get(one.name));
  return {
    type: 'scatter',
    mode: 'markers',
    meta: NAMED,
    x: points.map((one) => one.x),
    y: points.map((one) => one.y),
    text: points.map(labelOf),
    marker: {
      size: points.map((one) => one.size ?? 11),
      symbol: points.map((one, place) => (one.sized ? 'circle' : seen[place].symbol) + (one.open ? '-open' : '')),
      color: seen.map((one) => one.colour),
      opacity: 0.92,
      line: { width: points.map((one) => (one.open ? 2.5 : 1)), color: points.map((one, place) => (one.open ? seen[place].colour : look.edge)) },
    },
    error_x: around(points, 'x', look),
    error_y: around(points, 'y', look),
    hovertext: points.map((one) => one.text),
    hoverinfo: 'text',
    cliponaxis: false,
  };
}

/** A point's name at its mark; bold on a front, nothing where another of its marks has the name. */
function labelOf(one) {
  if (one.unnamed) return '';
  const name = plain(one.label ?? one.name, 36);
  return one.bold ? `<b>${name}</b>` : name;
}

function around(points, along, look) {
  const ends = points.map((one) => one[`${along}Between`] ?? [one[along], one[along]]);
  const up = ends.map(([, high], place) => high - points[place][along]);
  const down = ends.map(([low], place) => points[place][along] - low);
  if (![...up, ...down].some((one) => one > 0)) return { visible: false };
  return { type: 'data', symmetric: false, array: up, arrayminus: down, color: look.soft, thickness: 1, width: 2 };
}

function scatter(picture) {
  const largest = Math.max(...picture.points.map((one) => one.size), 0);
  const sized = Boolean(picture.size_title) && largest > 0;
  const sources = [...new Set(picture.points.map((one) => one.source))];
  const points = picture.points.map((one) => ({
    name: one.name,
    x: one.x,
    y: one.y,
    unnamed: picture.points.some((other) => other.name === one.name && sources.indexOf(other.source) < sources.indexOf(one.source)),
    bold: picture.front.includes(one.name),
    sized,
    size: sized ? Math.max(LEAST, MOST * Math.sqrt(Math.max(one.size, 0) / largest)) : 11,
    open: sources.length > 1 && sources.indexOf(one.source) > 0,
    xBetween: [one.low, one.high],
    text: hover(
      one.source ? `${one.name} (${one.source})` : one.name,
      `${picture.x_axis}: ${say(one.x)}`,
      one.low < one.high && `95 % interval ${sayBetween(one.low, one.high)}`,
      `${picture.y_axis}: ${say(one.y)}`,
      picture.size_title && `Area: ${say(one.size)} ${picture.size_title}`,
    ),
  }));
  // The largest first, so that a small one lies above it.
  points.sort((one, other) => other.size - one.size);
  const ranges = {
    x: rangeOf(picture.points.flatMap((one) => [one.x, one.low, one.high]), picture.log),
    y: rangeOf(picture.points.map((one) => one.y), picture.y_log, 0.12),
  };
  const lines = [...pairs(picture), front(picture, picture.learned, 'dash', ranges), front(picture, picture.front, 'solid', ranges)];
  return [[...lines, marks(points)].filter(Boolean), plane([picture.x_axis, picture.log, ranges.x], [picture.y_axis, picture.y_log, ranges.y])];
}

/** The layout of two axes, each [title, log, range]. */
function plane(x, y, own = {}) {
  const [xaxis, yaxis] = [x, y].map(([title, log, range]) => axis(title, log, range ? { range } : {}));
  return layout({ xaxis, yaxis, ...own });
}

/** A line between an operator's marks, where figures of several sources are drawn. */
function pairs(picture) {
  const names = [...new Set(picture.points.map((one) => one.name))];
  const each = names.map((name) => picture.points.filter((one) => one.name === name)).filter((found) => found.length > 1);
  return each.map((found) => ({
    type: 'scatter', mode: 'lines', x: found.map((one) => one.x), y: found.map((one) => one.y),
    line: { color: operators.get(found[0].name).colour, width: 1.5 }, hoverinfo: 'skip',
  }));
}

/** The stairs along a front: what lies above and to the right of them is beaten. */
function front(picture, names, dash, { x, y }) {
  const at = names.map((name) => picture.points.find((one) => one.name === name)).filter(Boolean);
  if (!at.length) return null;
  const [right, top] = [picture.log ? 10 ** (x[1] + 1) : x[1] + (x[1] - x[0]), picture.y_log ? 10 ** (y[1] + 1) : y[1] + (y[1] - y[0])];
  const [first, last] = [at[0], at[at.length - 1]];
  return {
    type: 'scatter',
    mode: 'lines',
    x: [first.x, ...at.map((one) => one.x), right],
    y: [top, ...at.map((one) => one.y), last.y],
    line: { color: colours().soft, width: 1.5, dash, shape: 'hv' },
    hoverinfo: 'skip',
  };
}

function roofline(picture, busy, narrow) {
  const look = colours();
  const ridge = picture.multiplying / picture.copying;
  const reach = [...busy.map((one) => one.intensity), ridge].filter((one) => one > 0);
  const [from, to] = [Math.min(...reach) / 3, Math.max(...reach) * 3];
  const giga = picture.multiplying / 1e9;
  const roof = {
    type: 'scatter',
    mode: 'lines',
    x: [from, ridge, to],
    y: [(from * picture.copying) / 1e9, giga, giga],
    line: { color: look.ink, width: 1.5 },
    hovertext: hover('Roof', `copy: ${say(picture.copying / 1e9)} GB/s`, `products: ${say(giga)} G multiply-adds/s`),
    hoverinfo: 'text',
  };
  const points = busy.map((one) => reached(one, one.intensity, one.multiplying / 1e9, narrow));
  const up = rangeOf([...roof.y, ...points.map((one) => one.y)], true, 0.1);
  const across = ['Multiply-adds a byte (log)', true, [Math.log10(from), Math.log10(to)]];
  return [[roof, marks(points)], plane(across, ['10⁹ multiply-adds a second (log)', true, up])];
}

/** Operators that multiply nothing, by their share of a copy's rate. */
function strip(picture, idle) {
  const most = { type: 'scatter', mode: 'lines', x: [-1, 1], y: [1, 1], line: { color: colours().ink, width: 1.5 }, hoverinfo: 'skip' };
  const title = `Share of a copy's ${say(picture.copying / 1e9)} GB/s`;
  const look = plane(['no multiply-add', false, [-1, 1]], [title, false, [0, 1.08 * Math.max(1, ...idle.map((one) => one.share))]]);
  Object.assign(look.xaxis, { showticklabels: false, showgrid: false });
  look.yaxis.tickformat = '.0%';
  return [[most, marks(idle.map((one) => reached(one, 0, one.share, false)))], look];
}

function reached(one, x, y, narrow) {
  const share = `${say(Number((100 * one.share).toPrecision(2)))} %`;
  const text = hover(
    one.name,
    one.intensity > 0 && `${say(one.intensity)} multiply-adds a byte`,
    one.intensity > 0 && `${say(one.multiplying / 1e9)} G multiply-adds/s`,
    `${say(one.copying / 1e9)} GB/s`,
    `${share} of ${one.intensity > 0 ? 'the roof above it' : "a copy's rate"}`,
  );
  return { name: one.name, label: narrow ? one.name : `${one.name} ${share}`, x, y, text };
}
