// Names at marks: each where it covers least, near its mark or, in a crowd, further off with a line to it.

// What a trace says of itself whose marks are to be named by its texts.
const NAMED = 'named';
const LETTER = 6.6;
const LINE = 14;
// What it costs a name to cover a pixel of a mark or another name, or of a line, or to leave the picture.
const SOLID = 3;
const THIN = 1;
const OUTSIDE = 60;
// What it costs to stand nearer to another mark than to its own, where no line says whose it is.
const ASTRAY = 400;

/** Names all marks of a drawing; also after it was zoomed. */
function placeLabels(element) {
  const annotations = element._fullData.filter((one) => one.meta === NAMED).flatMap((trace) => named(element, trace));
  globalThis.Plotly.relayout(element, { annotations });
}

function named(element, trace) {
  const [xaxis, yaxis] = [trace.xaxis, trace.yaxis].map((id) => element._fullLayout[`${id[0]}axis${id.slice(1)}`]);
  const place = (x, y) => [xaxis.d2p(x), yaxis.d2p(y)];
  const spots = Array.from(trace.x, (x, at) => spotOf(trace, at, place(x, trace.y[at])));
  const lines = element._fullData.filter((one) => one.mode === 'lines').map(cornersOf);
  const whiskers = spots.map((_, at) => whiskerOf(trace, at)).filter(Boolean);
  const inTheWay = [...lines, ...whiskers].flatMap((corners) => pieces(corners.map(([x, y]) => place(x, y))));
  const offsets = arranged(spots, inTheWay, xaxis._length, yaxis._length);
  const look = colours();
  const onAxis = (axis, value) => (axis.type === 'log' ? Math.log10(value) : value);
  return spots.flatMap(({ radius, width }, at) => (width ? [{
    x: onAxis(xaxis, trace.x[at]),
    y: onAxis(yaxis, trace.y[at]),
    text: trace.text[at],
    font: { size: 11.5, color: look.ink },
    ax: offsets[at].dx,
    ay: offsets[at].dy,
    arrowhead: 0,
    arrowwidth: 0.8,
    arrowcolor: offsets[at].far ? look.soft : 'rgba(0,0,0,0)',
    standoff: radius,
    borderpad: 0,
  }] : []));
}

function spotOf(trace, at, [x, y]) {
  const letters = trace.text[at].replace(/<\/?b>/g, '').replace(/&\w+;/g, '_').length;
  return { x, y, radius: trace.marker.size[at] / 2, width: LETTER * letters };
}

/** A drawn line's corners; stairs have one more at each step. */
function cornersOf({ x, y, line }) {
  const ends = Array.from(x, (one, at) => [one, y[at]]);
  return line.shape === 'hv' ? ends.flatMap((end, at) => (at ? [[end[0], ends[at - 1][1]], end] : [end])) : ends;
}

/** A mark's horizontal interval as a line, or null. */
function whiskerOf({ x, y, error_x: error }, at) {
  return error?.array ? [[x[at] - error.arrayminus[at], y[at]], [x[at] + error.array[at], y[at]]] : null;
}

/** A line as small boxes, for names to keep off. */
function pieces(corners) {
  return corners.slice(1).flatMap(([x, y], at) => {
    const [fromX, fromY] = corners[at];
    const steps = Math.min(200, Math.ceil(Math.hypot(x - fromX, y - fromY) / 10) || 1);
    return Array.from({ length: steps + 1 }, (_, step) => {
      const [atX, atY] = [fromX + ((x - fromX) * step) / steps, fromY + ((y - fromY) * step) / steps];
      return { left: atX - 5, top: atY - 2, right: atX + 5, bottom: atY + 2, weight: THIN };
    });
  });
}

/** Where each name stands from its mark: chosen one after the other, and twice more now that all stand. */
function arranged(spots, inTheWay, width, height) {
  const circles = spots.map(({ x, y, radius }) => ({ left: x - radius, top: y - radius, right: x + radius, bottom: y + radius, weight: SOLID }));
  const boxes = spots.map(() => null);
  const chosen = spots.map(() => ({ dx: 0, dy: 0, far: false }));
  for (let round = 0; round < 3; round += 1) {
    spots.forEach((spot, at) => {
      if (!spot.width) return;
      const taken = [...circles, ...inTheWay, ...boxes.filter((one, other) => one && other !== at)];
      const places = placesAround(spot);
      const others = spots.filter((_, other) => other !== at);
      const costs = places.map((one) => one.cost + coverage(boxAt(spot, one), taken, width, height) + astray(spot, one, others));
      chosen[at] = places[costs.indexOf(Math.min(...costs))];
      boxes[at] = boxAt(spot, chosen[at]);
    });
  }
  return chosen;
}

/** The places to try, the best first: beside the mark, then around it ever further off. */
function placesAround({ radius, width }) {
  const [aside, above] = [radius + 4 + width / 2, radius + 3 + LINE / 2];
  const near = [[aside, 0], [0, -above], [0, above], [-aside, 0], [aside * 0.8, -above], [aside * 0.8, above], [-aside * 0.8, -above], [-aside * 0.8, above]];
  const places = near.map(([dx, dy], rank) => ({ dx, dy, far: false, cost: rank }));
  for (const away of [20, 36, 54, 76]) {
    for (let turn = 0; turn < 16; turn += 1) {
      const angle = (Math.PI * turn) / 8;
      places.push({ dx: Math.cos(angle) * (radius + away + width / 2), dy: Math.sin(angle) * (radius + away), far: true, cost: 4 * away });
    }
  }
  return places;
}

function astray(spot, place, others) {
  const box = boxAt(spot, place);
  const own = distance(box, spot) + 2;
  return place.far ? 0 : ASTRAY * others.filter((one) => distance(box, one) < own).length;
}

/** From a box to a mark's edge. */
function distance({ left, top, right, bottom }, { x, y, radius }) {
  return Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom)) - radius;
}

function boxAt({ x, y, width }, { dx, dy }) {
  return { left: x + dx - width / 2, top: y + dy - LINE / 2, right: x + dx + width / 2, bottom: y + dy + LINE / 2, weight: SOLID };
}

function coverage(box, taken, width, height) {
  const outside = Math.max(0, -box.left) + Math.max(0, box.right - width) + Math.max(0, -box.top) + Math.max(0, box.bottom - height);
  return taken.reduce((sum, other) => sum + other.weight * overlap(box, other), OUTSIDE * outside);
}

function overlap(one, other) {
  const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
  return across > 0 && down > 0 ? across * down : 0;
}
