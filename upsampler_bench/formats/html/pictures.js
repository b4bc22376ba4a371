// Each picture is drawn when it comes near the window, or when the browser has nothing else to do.

// What waits to be drawn: elements with what draws them.
const waiting = new Map();

function startPictures() {
  for (const figure of document.querySelectorAll('[data-picture]')) {
    const picture = report.pictures[Number(figure.dataset.picture)];
    const place = figure.querySelector('.plots');
    if (!place) continue;
    for (const { element, start } of prepared(picture, place, figure)) waiting.set(element, start);
  }
  watchWaiting();
}

/** The picture's drawings, each an element and what draws it. */
function prepared(picture, place, figure) {
  if (picture.kind === 'panel') return panel(picture, place, figure);
  if (picture.kind === 'roofline') return rooflines(picture, place);
  const plot = emptyPlot(place);
  if (picture.kind === 'scatter') return [{ element: plot, start: () => draw(plot, () => scatter(picture), placeLabels) }];
  const names = [...new Set(picture.curves.map((one) => one.name))];
  const again = () => draw(plot, () => curves(picture, hidden));
  const hidden = seriesButtons(names, figure, again);
  return [{ element: plot, start: again }];
}

/** Beside the roof a strip of those that multiply nothing, where there are any. */
function rooflines(picture, place) {
  const busy = picture.points.filter((one) => one.intensity > 0 && one.multiplying > 0);
  const idle = picture.points.filter((one) => !busy.includes(one));
  const made = [];
  const add = (points, drawing) => {
    if (!points.length) return;
    const plot = emptyPlot(place);
    made.push({ element: plot, start: () => draw(plot, () => drawing(picture, points, isNarrow(plot)), placeLabels) });
  };
  add(idle, strip);
  add(busy, roofline);
  return made;
}

function emptyPlot(place) {
  const plot = make('div', '', { className: 'plot tall' });
  plot.append(make('p', 'drawing …', { className: 'waiting' }));
  place.append(plot);
  return plot;
}

/** Whether names must be short: a phone's width. */
const isNarrow = (plot) => plot.clientWidth < 560;

function watchWaiting() {
  const near = new IntersectionObserver((entries) => {
    entries.filter((one) => one.isIntersecting).forEach((one) => drawWaiting(one.target));
  }, { rootMargin: '300px' });
  for (const element of waiting.keys()) near.observe(element);
  const idle = globalThis.requestIdleCallback ?? ((next) => setTimeout(next, 200));
  const next = async () => {
    const [element] = waiting.keys();
    if (element) await drawWaiting(element);
    if (waiting.size) idle(next);
  };
  addEventListener('load', () => setTimeout(() => idle(next), 300));
}

async function drawWaiting(element) {
  const start = waiting.get(element);
  waiting.delete(element);
  if (!start) return;
  try {
    await start();
  } catch (problem) {
    tellLost(element, problem);
  }
}

/** A picture that cannot be drawn says so; its numbers stand below it, and the others are drawn all the same. */
function tellLost(element, problem) {
  const said = make('p', `This picture could not be drawn (${problem.message}).`, { className: 'warning' });
  element.replaceChildren(said);
  console.error(problem);
}

/** Draws what is left at once, for a printer; only where the library is there. */
function drawAllNow() {
  if (globalThis.Plotly) [...waiting.keys()].forEach(drawWaiting);
}
