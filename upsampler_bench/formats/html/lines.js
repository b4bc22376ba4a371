// Operators as lines: the curves over sizes. Buttons below show and hide each.

const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash'];
// More lines than this at once cannot be followed.
const CROWD = 6;

/** What tells line `place` apart besides its colour. */
const lineLook = (name, place) => ({ color: operators.get(name).colour, width: 2.2, dash: DASHES[place % DASHES.length] });

function curves(picture, hidden) {
  const look = colours();
  const kept = picture.curves.filter((one) => one.points.length && !hidden.has(one.name));
  const pairs = kept.map((one) => {
    const x = one.points.map((point) => point[0]);
    const y = one.points.map((point) => point[1]);
    const own = operators.get(one.name);
    // A pale line beneath lets a dark colour be seen on a dark page.
    const beneath = { type: 'scatter', mode: 'lines', x, y, line: { color: look.halo, width: 5 }, hoverinfo: 'skip' };
    const line = {
      type: 'scatter',
      mode: 'lines+markers',
      x,
      y,
      line: lineLook(one.name, picture.curves.indexOf(one)),
      marker: { size: 9, symbol: own.symbol, color: own.colour, line: { width: 1, color: look.edge } },
      error_y: { type: 'data', symmetric: false, array: one.points.map((p) => p[3] - p[1]), arrayminus: one.points.map((p) => p[1] - p[2]), color: look.soft, thickness: 1, width: 2 },
      hovertext: one.points.map((point) => hover(
        one.name,
        `${picture.x_axis}: ${say(point[0])}`,
        `${picture.y_axis}: ${say(point[1])} (${sayBetween(point[2], point[3])})`,
        one.slope !== null && `slope ${one.slope.toFixed(2)}`,
      )),
      hoverinfo: 'text',
    };
    return [beneath, line];
  });
  const traces = [...pairs.map(([beneath]) => beneath), ...pairs.map(([, line]) => line)];
  return [traces, curvePlane(picture, kept, { margin: { l: 60, r: 140, t: 32, b: 50 }, annotations: endNames(kept, look) })];
}

function curvePlane(picture, kept, own) {
  const all = kept.flatMap((one) => one.points);
  const made = plane([picture.x_axis, true, rangeOf(all.map(([x]) => x), true)], [picture.y_axis, true, rangeOf(all.flatMap(([, , low, high]) => [low, high]), true)], own);
  const sizes = picture.sizes ?? [];
  if (sizes.length) Object.assign(made.xaxis, { tickmode: 'array', tickvals: sizes.map(([x]) => x), ticktext: sizes.map(([, text]) => plain(text, 24)) });
  return made;
}

/** Each curve's name at its end, pushed apart where two would lie on each other. */
function endNames(kept, look) {
  const ends = kept.map((one) => [one, one.points.reduce((last, point) => (point[0] > last[0] ? point : last))]);
  ends.sort((one, other) => other[1][1] - one[1][1]);
  const logs = kept.flatMap((one) => one.points.map((point) => Math.log10(point[1])));
  const height = 380 / (Math.max(...logs) - Math.min(...logs) || 1);
  let free = -Infinity;
  return ends.map(([one, point]) => {
    const wanted = -Math.log10(point[1]) * height;
    const given = Math.max(wanted, free);
    free = given + 14;
    return {
      x: Math.log10(point[0]), y: Math.log10(point[1]), text: plain(one.slope === null ? one.name : `${one.name} ${one.slope.toFixed(2)}`, 28), font: { size: 11.5, color: look.ink },
      xanchor: 'left', yanchor: 'middle', ax: 16, ay: given - wanted, arrowhead: 0, arrowwidth: 0.8, arrowcolor: look.strong, standoff: 4,
    };
  });
}

/** Buttons that show and hide each line; a crowd begins with the baseline and the best by published mIoU. */
function seriesButtons(names, figure, again) {
  const hidden = new Set(names);
  firstShown(names).forEach((name) => hidden.delete(name));
  const box = make('div', '', { className: 'series' });
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'Shown lines');
  const press = () => box.querySelectorAll('[aria-pressed]').forEach((one, place) => one.setAttribute('aria-pressed', String(!hidden.has(names[place]))));
  const button = (text, act) => {
    const made = make('button', text, { type: 'button' });
    made.addEventListener('click', () => {
      act();
      press();
      again();
    });
    return made;
  };
  const each = names.map((name) => {
    const swatch = make('span', '', { className: 'swatch' });
    swatch.style.background = operators.get(name).colour;
    const made = button(name, () => hidden.delete(name) || hidden.add(name));
    made.prepend(swatch);
    made.setAttribute('aria-pressed', 'true');
    return made;
  });
  box.append(...each, button('all', () => hidden.clear()), button('none', () => names.forEach((name) => hidden.add(name))));
  press();
  figure.querySelector('.plots').after(box);
  return hidden;
}

function firstShown(names) {
  if (names.length <= CROWD) return names;
  const quality = (name) => (name === report.baseline ? Infinity : operators.get(name).miou ?? 0);
  return [...names].sort((one, other) => quality(other) - quality(one)).slice(0, CROWD);
}
