"""The script and the style of the page that can be touched: pointer and keys in, what they point at shown."""

STYLE = """
main.touch { max-width: none; padding: .5rem 1.25rem 1rem; font-size: 1.0625rem; }
.touch h1 { font-size: 1.375rem; margin: 0; }
.touch h2 { font-size: 1.1875rem; margin: 0; padding: 0; border: 0; }
.touch h2 small { font-weight: 400; font-size: .875rem; color: var(--faint); }
.touch p { margin: 0; }
.touch [hidden], .touch .row:empty, .touch .sum:empty { display: none; }
.touch .sum { min-height: 1.6em; font-variant-numeric: tabular-nums; }
.touch button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); }
.touch button { cursor: pointer; }
.touch button:focus-visible { outline: 3px solid var(--focus); outline-offset: 1px; }
.row { display: flex; flex-wrap: wrap; gap: .375rem; align-items: center; margin: .375rem 0; }
.row button { border-radius: 1rem; padding: .05rem .75rem; font-variant-numeric: tabular-nums; }
.row button[aria-pressed=true], .row button.on { background: var(--ink); color: var(--paper); }
.row button .for, .row button .against { font-size: .875em; }
.for { color: var(--for); } .against { color: var(--against); }
.on .for, .on .against, [aria-pressed=true] .for, [aria-pressed=true] .against { color: inherit; }
:root { --for: #a34a00; --against: #5b3a9d; --focus: #0969da; --tint-for: 230 97 1; --tint-against: 106 61 180; }
@media (prefers-color-scheme: dark) {
  :root { --for: #ffa657; --against: #c8a8ff; --focus: #58a6ff; }
}
.roads { display: grid; gap: 1.25rem 1.5rem; grid-template-columns: minmax(0, 1fr); }
.road { min-width: 0; display: grid; gap: 0 .75rem; align-content: start; }
.road { grid-template: "head" "stage" "word" "told" "bars" "about" / minmax(0, 1fr); }
.head { grid-area: head; display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: center; }
.told { grid-area: told; min-height: 1.5em; font-variant-numeric: tabular-nums; }
.about { grid-area: about; font-size: .875rem; color: var(--faint); }
.stage { grid-area: stage; position: relative; line-height: 0; align-self: start; }
.stage { width: min(100%, calc(var(--tall, 24rem) * var(--ratio))); aspect-ratio: var(--ratio); }
.stage img { width: 100%; height: 100%; border-radius: .25rem; }
.stage .light { position: absolute; inset: 0; background-size: 100% 100%; pointer-events: none; }
.cells { position: absolute; display: grid; }
.cells button {
  background: transparent; border: 1px solid #fff; border-radius: 0; padding: 0; min-width: 0; min-height: 0;
  box-shadow: inset 0 0 0 1px rgb(0 0 0 / .55); overflow: hidden; line-height: 1; white-space: nowrap;
  font-size: .9375rem; color: #fff;
  text-shadow: 0 0 3px #000, 0 0 3px #000, 0 0 2px #000; font-variant-numeric: tabular-nums;
}
.cells.fine button { font-size: .75rem; }
.cells button.on { box-shadow: inset 0 0 0 4px #ffd33d, inset 0 0 0 6px rgb(0 0 0 / .6); }
.cells button.pinned { box-shadow: inset 0 0 0 6px #ffd33d, inset 0 0 0 8px #000; }
.bars { grid-area: bars; position: relative; display: flex; height: 8rem; border-bottom: 2px solid var(--ink); }
.bars.signed { border-bottom-color: var(--line); }
.bars.signed::before { content: ""; position: absolute; inset: 50% 0 auto; border-top: 1px solid var(--ink); }
.bars button {
  position: relative; flex: 1 1 0; min-width: 0; padding: 0; border: 0; border-radius: 0; background: transparent;
}
.bars button:hover, .bars button.on { background: var(--bar); }
.bars i { position: absolute; left: 8%; right: 8%; background: var(--faint); }
.bars i.for { background: rgb(var(--tint-for)); } .bars i.against { background: rgb(var(--tint-against)); }
.bars u { position: absolute; left: 0; right: 0; height: 2px; background: var(--ink); opacity: .55; }
.bars .on i { outline: 2px solid var(--ink); }
.word { grid-area: word; min-height: 4.25rem; }
.word p { line-height: 1.35; min-height: 4em; }
.patches { display: flex; flex-wrap: wrap; gap: .25rem; margin-top: .375rem; }
.patches b { width: 3.5rem; height: 3.5rem; border-radius: .25rem; background-color: var(--card); }
.keys { color: var(--faint); font-size: .9375rem; }
.keys kbd { font: inherit; border: 1px solid var(--line); border-radius: .25rem; padding: 0 .3rem; }
@media (min-width: 60rem) {
  .roads { grid-template-columns: repeat(2, minmax(0, 1fr)); --tall: max(14rem, calc(100vh - 26.5rem)); }
  .classes:empty ~ .roads { --tall: max(14rem, calc(100vh - 20rem)); }
  .road { grid-template: "head head" "stage word" "told told" "bars bars" "about about" / var(--left) minmax(0, 1fr); }
  .roads:not(.single) { row-gap: 0; }
  .roads:not(.single) .road { grid-row: span 5; grid-template-rows: subgrid; }  /* both photographs at one height */
  .roads:not(.single) .row button { padding: .05rem .5rem; }
  .roads.single { grid-template-columns: minmax(0, 1fr); --tall: max(14rem, calc(100vh - 14.5rem)); }
  .single .road { grid-template-areas: "head head" "stage told" "stage bars" "stage word" "stage about"; }
  .single .road { grid-template-rows: repeat(4, auto) 1fr; }
  .road { --left: min(66%, calc(var(--tall) * var(--ratio))); }  /* the photograph, and no more */
  .single .road { --left: min(60%, calc(var(--tall) * var(--ratio))); }
  .single .bars { height: 11rem; }
}
"""

SCRIPT = r"""
"use strict";
(() => {
const page = JSON.parse(document.getElementById("data").textContent);
const find = (selector, within = document) => within.querySelector(selector);
const roads = page.roads.map((road, k) => ({...road, box: find(`[data-road="${k}"]`), level: 0, cell: 0,
  unit: null, held: {cell: false, unit: null}}));
const state = {label: null, held: null};

const signed = value => {
  const size = Math.abs(value);
  const text = size >= 100 ? size.toFixed(0) : size >= 0.0995 ? size.toFixed(2) : size.toFixed(3);
  return size < 0.0005 ? "0" : (value < 0 ? "−" : "+") + text;
};
const plain = value => value === 0 ? "0" : Math.abs(value) >= 100 ? value.toFixed(0) : String(+value.toPrecision(3));
const side = value => value < 0 ? "against" : "for";
const sum = values => values.reduce((total, value) => total + value, 0);

const make = (tag, text = "", name = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = name;
  return made;
};

// A number of votes in its colour; nothing has none.
const vote = value => make("span", signed(value), signed(value) === "0" ? "" : side(value));

// One stop of Tab for a row or a grid of buttons, and arrows within it.
const rove = (box, columns = 1) => {
  const items = [...box.children];
  const stop = to => items.forEach((item, k) => { item.tabIndex = k === to ? 0 : -1; });
  stop(0);
  box.onkeydown = event => {
    const at = items.indexOf(document.activeElement);
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[event.key];
    const to = {Home: 0, End: items.length - 1}[event.key] ?? at + step;
    if (at < 0 || Number.isNaN(to)) return;
    event.preventDefault();
    if (items[to]) { stop(to); items[to].focus(); }
  };
  box.onfocusin = event => stop(items.indexOf(event.target));
};

// Where a level's cells begin among all cells, and how many it has.
const span = (road, level) => {
  const sizes = road.levels.map(([rows, columns]) => rows * columns);
  return [sum(sizes.slice(0, level)), sizes[level]];
};
const voting = () => state.label;
const levelVotes = (road, level, label) => {
  const [start, count] = span(road, level);
  return sum(road.sums[label].slice(start, start + count));
};
const across = road => road.levels[road.level][1];
const cellName = (road, cell) => {
  const [rows, columns] = road.levels[road.level];
  return rows * columns === 1 ? "the whole image"
    : `row ${Math.floor(cell / columns) + 1}, column ${cell % columns + 1} of ${rows} × ${columns}`;
};

const showClasses = () => {
  const label = voting();
  [...find(".classes").children].forEach((button, k) => {
    button.classList.toggle("on", k === label);
    button.setAttribute("aria-pressed", String(k === state.held));
  });
  const box = find(".sum");
  box.replaceChildren();
  if (!page.labels.length) return;
  if (label === null) {
    box.append(page.labels[0].name + " has the highest decision value, " + signed(page.labels[0].score) +
      ". Point at a class to see what votes for it.");
    return;
  }
  const {name, score, intercept} = page.labels[label];
  box.append(make("strong", `${name}: ${signed(score)}`), ` = intercept ${signed(intercept)}`);
  roads.forEach(road => {
    const total = sum(road.sums[label]);
    box.append(` and ${roads.length > 1 ? road.title : "votes"} `,
      vote(total));
  });
  box.append(roads.length > 1 ? "" : ", level by level below");
};

const showLevels = road => [...find(".levels", road.box).children].forEach((button, level) => {
  const [rows, columns, weight] = road.levels[level];
  const alike = road.levels.every(other => other[2] === weight);
  button.replaceChildren(`${rows} × ${columns} `);
  if (voting() !== null) {
    const total = levelVotes(road, level, voting());
    button.append(vote(total));
  } else if (!alike) {
    button.append(make("small", `weight ${plain(weight)}`));
  }
  button.setAttribute("aria-pressed", String(level === road.level));
});

const showCells = road => {
  const [start, count] = span(road, road.level);
  const sums = voting() === null ? null : road.sums[voting()].slice(start, start + count);
  const most = sums && Math.max(...sums.map(Math.abs), 1e-12);
  [...find(".cells", road.box).children].forEach((button, cell) => {
    button.classList.toggle("on", cell === road.cell);
    button.classList.toggle("pinned", cell === road.cell && road.held.cell);
    button.setAttribute("aria-pressed", String(cell === road.cell && road.held.cell));
    const tint = sums && road.unit === null ? 0.5 * Math.sqrt(Math.abs(sums[cell]) / most) : 0;
    button.style.background = sums ? `rgb(var(--tint-${side(sums[cell])}) / ${tint.toFixed(3)})` : "";
    button.textContent = sums && count <= 64 ? signed(sums[cell]) : "";
    button.setAttribute("aria-label", cellName(road, cell) + (sums ? `, votes ${signed(sums[cell])}` : ""));
  });
};

const showBars = road => {
  const [start, count] = span(road, road.level);
  const table = voting() === null ? road.values : road.votes[voting()];
  const level = table.slice(start, start + count), own = level[road.cell];
  const most = Math.max(...level.flat().map(Math.abs), 1e-12);
  const minus = voting() !== null || level.flat().some(value => value < 0);
  const zero = minus ? 50 : 0, room = minus ? 50 : 100;
  const box = find(".bars", road.box);
  box.classList.toggle("signed", minus);
  [...box.children].forEach((button, unit) => {
    const bar = button.firstChild, mean = button.lastChild;
    const height = room * Math.abs(own[unit]) / most;
    bar.style.height = height + "%";
    bar.style.bottom = (own[unit] < 0 ? zero - height : zero) + "%";
    bar.className = voting() === null ? "" : side(own[unit]);
    mean.style.bottom = zero + room * sum(level.map(cell => cell[unit])) / count / most + "%";
    mean.hidden = count === 1 || voting() !== null;
    button.classList.toggle("on", unit === road.unit);
    button.setAttribute("aria-pressed", String(unit === road.held.unit));
    const number = voting() === null ? plain(own[unit]) : `votes ${signed(own[unit])}`;
    button.setAttribute("aria-label", `${road.names[unit]}: ${number}`);
  });
  const name = cellName(road, road.cell);
  let text = name[0].toUpperCase() + name.slice(1);
  if (voting() !== null) {
    const all = road.sums[voting()][start + road.cell];
    text += `: ${signed(all)} for ${page.labels[voting()].name}`;
    const rest = all - sum(own);
    if (road.hidden) text += `, ${signed(rest)} not shown`;
  } else if (count > 1) {
    text += "; the lines are the mean of the level's cells";
  }
  find(".told", road.box).textContent = text;
};

const showUnit = road => {
  const light = find(".light", road.box), patches = find(".patches", road.box), text = find(".word p", road.box);
  const unit = road.unit;
  light.style.backgroundImage = unit === null ? "" : `url(${road.places[unit]})`;
  light.dataset.unit = unit === null ? "" : road.names[unit];
  [...patches.children].forEach((patch, column) => {
    patch.hidden = unit !== null && column >= road.found[unit];
    patch.style.backgroundImage = unit === null ? "" : `url(${road.patches})`;
    patch.style.backgroundSize = `${100 * road.tiles}% ${100 * road.names.length}%`;
    const down = road.names.length > 1 ? 100 * unit / (road.names.length - 1) : 0;
    patch.style.backgroundPosition = `${100 * column / (road.tiles - 1)}% ${down}%`;
  });
  text.replaceChildren();
  if (unit === null) {
    text.append("Point at a bar: where it lies in the photograph, and its patches.");
    return;
  }
  const [start] = span(road, road.level), cell = start + road.cell, count = road.counts[unit];
  text.append(make("strong", road.names[unit]), count === null ? "" :
    `: ${count} ${count === 1 ? road.one : road.one === "patch" ? "patches" : "cells"} in the image`);
  text.append(`; its value in this cell ${plain(road.values[cell][unit])}`);
  if (voting() !== null) {
    text.append(", votes ", vote(road.votes[voting()][cell][unit]));
  }
};

const show = road => { showLevels(road); showCells(road); showBars(road); showUnit(road); };
const showAll = () => { showClasses(); roads.forEach(show); };

const buildCells = road => {
  const [rows, columns] = road.levels[road.level], box = find(".cells", road.box);
  box.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  box.classList.toggle("fine", Math.max(rows, columns) > 4);
  box.replaceChildren(...Array.from({length: rows * columns}, (_, cell) => {
    const button = make("button");
    const look = () => { if (!road.held.cell) { road.cell = cell; show(road); } };
    button.onpointerenter = look;
    button.onfocus = look;
    button.onclick = () => {
      road.held.cell = !(road.held.cell && road.cell === cell);
      road.cell = cell;
      show(road);
    };
    return button;
  }));
  rove(box, columns);
};

// The cell of another level that holds the middle of this one.
const setLevel = (road, level) => {
  if (level >= road.levels.length) return;
  const [rows, columns] = road.levels[road.level], [down, right] = road.levels[level];
  const y = (Math.floor(road.cell / columns) + 0.5) / rows, x = (road.cell % columns + 0.5) / columns;
  road.level = level;
  road.cell = Math.floor(y * down) * right + Math.floor(x * right);
  road.held.cell = false;
  buildCells(road);
  show(road);
};

const build = road => {
  find("img", road.box).src = page.photograph;
  road.box.style.setProperty("--ratio", page.ratio);
  const [x0, y0, x1, y1] = road.region.map(edge => 100 * edge), cells = find(".cells", road.box);
  Object.assign(cells.style, {left: x0 + "%", top: y0 + "%", width: x1 - x0 + "%", height: y1 - y0 + "%"});
  const levels = find(".levels", road.box);
  levels.append(...road.levels.map((_, level) => {
    const button = make("button");
    button.onclick = () => setLevel(road, level);
    return button;
  }));
  rove(levels);
  const bars = find(".bars", road.box);
  bars.append(...road.names.map((name, unit) => {
    const button = make("button");
    button.title = name;
    button.append(make("i"), make("u"));
    const look = () => { road.unit = unit; show(road); };
    button.onpointerenter = look;
    button.onfocus = look;
    button.onclick = () => { road.held.unit = road.held.unit === unit ? null : unit; look(); };
    return button;
  }));
  bars.onpointerleave = () => { road.unit = road.held.unit; show(road); };
  rove(bars);
  find(".patches", road.box).append(...Array.from({length: road.tiles}, () => make("b")));
  road.level = Math.min(1, road.levels.length - 1);
  buildCells(road);
};

const classes = find(".classes");
classes.append(...page.labels.map(({name, score}, k) => {
  const button = make("button", name + " ");
  button.append(vote(score));
  const look = () => { state.label = k; showAll(); };
  button.onpointerenter = look;
  button.onfocus = look;
  button.onblur = () => { state.label = state.held; showAll(); };
  button.onclick = () => { state.held = state.held === k ? null : k; look(); };
  return button;
}));
classes.onpointerleave = () => { state.label = state.held; showAll(); };
rove(classes);

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") {
    state.label = state.held = null;
    roads.forEach(road => { road.unit = road.held.unit = null; road.held.cell = false; });
    showAll();
  } else if (/^[1-9]$/.test(event.key)) {
    roads.forEach(road => setLevel(road, event.key - 1));
  }
});

roads.forEach(build);
showAll();
})();
"""
