// The drawing library: unpacked when first needed, given escaped text, and the page's colours.

let unpacking = null;

/** The library; it is packed in this page, so that tables are there before it is read. */
function library() {
  unpacking ??= unpack();
  return unpacking;
}

async function unpack() {
  const letters = atob(byId('plotly').textContent);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const script = make('script', await new Response(stream).text());
  document.head.append(script);
  if (!globalThis.Plotly) throw new Error('the drawing library did not start');
  return globalThis.Plotly;
}

/** Text for the library, which reads some markup: none of what is given here is any. */
function plain(text, most = 80) {
  const flat = String(text).replace(/\s+/g, ' ');
  const short = flat.length > most ? `${flat.slice(0, most - 10)}…${flat.slice(-9)}` : flat;
  return short.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

const hover = (...lines) => lines.filter(Boolean).map((line) => plain(line, 200)).join('<br>');

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(['page', 'raised', 'line', 'strong', 'ink', 'soft', 'edge', 'halo'].map((name) => [name, read(name)]));
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const CONFIG = {
  displaylogo: false,
  responsive: true,
  // Named one by one, since the library knows buttons that would send data away.
  modeBarButtons: [['toImage'], ['zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
};

function axis(title, log, own = {}) {
  const look = colours();
  return {
    title: { text: plain(title, 60), font: { size: 12, color: look.soft }, standoff: 8 },
    type: log ? 'log' : 'linear',
    gridcolor: look.line,
    linecolor: look.strong,
    tickcolor: look.strong,
    tickfont: { size: 11, color: look.soft },
    zeroline: false,
    showline: true,
    automargin: true,
    ...own,
    ...(log && own.range && !own.tickvals ? logTicks(own.range) : {}),
  };
}

const brief = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

/** Ticks of a logarithmic axis: 1, 2, 5 of each decade, or the decades alone where there are many. */
function logTicks([from, to]) {
  const steps = to - from > 3.2 ? [1] : to - from > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const tickvals = [];
  for (let power = Math.floor(from) - 1; power <= to + 1; power += 1) tickvals.push(...steps.map((one) => Number(`${one}e${power}`)));
  const small = (value) => (value < 1 ? say(value) : brief.format(value));
  return { tickmode: 'array', tickvals, ticktext: tickvals.map(small) };
}

/** What an axis shows of these values, with room on either side; of a logarithmic one powers of ten. */
function rangeOf(values, log, room = 0.08) {
  const kept = log ? values.filter((one) => one > 0).map(Math.log10) : values;
  if (!kept.length) return [0, 1];
  const [least, most] = [Math.min(...kept), Math.max(...kept)];
  const spare = (most - least || Math.abs(most) || 1) * room;
  return [least - spare, most + spare];
}

function layout(own) {
  const look = colours();
  return {
    paper_bgcolor: look.page,
    plot_bgcolor: look.page,
    font: { family: FONT, size: 12, color: look.ink },
    margin: { l: 60, r: 24, t: 32, b: 50 },
    hovermode: 'closest',
    hoverlabel: { bgcolor: look.raised, bordercolor: look.strong, font: { color: look.ink, size: 12 }, align: 'left' },
    showlegend: false,
    // A finger that moves across a picture scrolls the page.
    dragmode: matchMedia('(pointer: coarse)').matches ? false : 'zoom',
    ...own,
  };
}

/** Every drawn picture's element with the function that makes its [traces, layout] anew. */
const drawn = new Map();

/** Draws into the element now and again whenever the colours change; `after` may place labels. */
async function draw(element, spec, after = null, own = {}) {
  const Plotly = await library();
  drawn.set(element, { spec, after, config: { ...CONFIG, ...own } });
  element.querySelector('.waiting')?.remove();
  redraw(Plotly, element);
}

function redraw(Plotly, element) {
  const { spec, after, config } = drawn.get(element);
  const [traces, look] = spec();
  Plotly.react(element, traces, look, config);
  element.dataset.drawn = 'yes';
  if (!after) return;
  after(element);
  if (element.dataset.watched) return;
  element.dataset.watched = 'yes';
  // Names are placed anew after a zoom, but not because names were placed.
  element.on('plotly_relayout', (changes) => 'annotations' in changes || drawn.get(element).after?.(element));
}

function redrawAll() {
  if (globalThis.Plotly) [...drawn.keys()].forEach((element) => redraw(globalThis.Plotly, element));
}
