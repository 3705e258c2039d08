"use strict";
// What charts are made of: elements, markers, scales, ticks, numbers, and the swatches of legends.

const SVG = "http://www.w3.org/2000/svg";
const ERRORS = [0, 40, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 100];
// Of a marker with radius 1, in the order of the style's markers.
const MARKS = [
  "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.9-.9H.9V.9H-.9Z", "M0-1.15L1.1.85H-1.1Z", "M0-1.2L1.2 0 0 1.2-1.2 0Z",
  "M0 1.15L1.1-.85H-1.1Z", "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
  "M-1.05-.55L-.55-1.05 0-.5.55-1.05 1.05-.55.5 0 1.05.55.55 1.05 0 .5-.55 1.05-1.05.55-.5 0Z",
  "M-1.15 0L.85-1.1V1.1Z", "M1.15 0L-.85-1.1V1.1Z", "M0-1.1L1.05-.34.65.9H-.65L-1.05-.34Z",
  "M0-1.25L.36-.4 1.2-.4.55.15.75 1.05 0 .5-.75 1.05-.55.15-1.2-.4-.36-.4Z",
];
const SCALES = {
  linear: [(v) => v, (v) => v],
  band: [(v) => v, (v) => v],
  log: [(v) => Math.log(v), (v) => Math.exp(v)],
  error: [(v) => -Math.log(Math.max(101 - v, 1e-3)), (v) => 101 - Math.exp(-v)],
};

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function html(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// As a name of a file.
const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");

// Names of arms begin and end in different ways, so what is left out stands in the middle.
const shortened = (text, most) => text.length <= most ? text : `${text.slice(0, Math.ceil((most - 1) / 2))}…${text.slice(text.length - Math.floor((most - 1) / 2))}`;

function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(2).replace(/\.?0+e/, "e").replace("-", "−");
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 8 }).replace("-", "−");
}

// Ticks of one axis, as people write them: 0.1, 20k, and 1e−3 where a scale goes down to small numbers.
function tickTexts(axis, values) {
  const sizes = values.filter((v) => v !== 0).map(Math.abs), most = Math.max(...sizes);
  const small = axis.kind === "log" ? (v) => Math.abs(v) < 0.01 : () => most < 0.01;
  return values.map((v) => {
    const size = Math.abs(v);
    if (v === 0) return "0";
    let text;
    if (size >= 1e12 || small(v)) text = Number(v.toPrecision(3)).toExponential().replace("e+", "e");
    else if (size >= 1e4) text = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].filter(([by]) => size >= by).map(([by, letter]) => `${Number((v / by).toPrecision(4))}${letter}`)[0];
    else text = String(Number(v.toPrecision(axis.ticks ? 3 : 6)));
    return text.replaceAll("-", "−");
  });
}

// Whether all are written with two digits at most.
const round = (values) => values.every((v) => Number(v.toPrecision(2)) === v);

function ticks(axis, low, high, room) {
  const most = Math.max(2, Math.floor(room));
  if (axis.kind === "band") return axis.names.map((_, k) => k);
  let found = [];
  const given = axis.ticks && (axis.kind !== "log" || round(axis.ticks));
  if (given) found = axis.ticks.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  else if (axis.kind === "error") found = ERRORS.filter((v) => v >= low && v <= high);
  else if (axis.kind === "log") {
    const of = (steps) => {
      const all = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const s of steps) all.push(Number((s * 10 ** e).toPrecision(6)));
      return all.filter((v) => v >= low && v <= high);
    };
    const finest = [[1, 2, 5], [1, 3]].map(of).find((all) => all.length <= most);
    found = finest ?? of([1]);
  }
  if (!given && (axis.kind === "linear" || found.length < (axis.kind === "error" ? 4 : 2))) {
    const raw = (high - low) / most, size = 10 ** Math.floor(Math.log10(raw));
    const of = (step) => {
      const all = [];
      for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) all.push(Number(v.toPrecision(12)));
      return all;
    };
    const steps = [10, 5, 2, 1, 0.5, 0.2].map((s) => (axis.whole ? Math.max(1, Math.round(s * size)) : s * size));
    const few = steps.filter((step) => step >= raw).at(-1) ?? steps[0];
    // One tick tells no distance: then the next smaller step is taken, however narrow the place.
    found = of(steps.slice(steps.indexOf(few)).find((step) => of(step).length > 1) ?? few);
    if (found.length <= 3) return found;
  }
  const every = Math.ceil(found.length / most);
  if (axis.kind === "error") return found.filter((v) => v <= 100);
  return found.filter((_, k) => k % every === 0);
}

// An arm's line and marker, as in a legend.
function swatch([colour, dashes, marker], paint = `var(--c${colour})`, node = svg("svg", { class: "swatch", width: 34, height: 12, "aria-hidden": "true" })) {
  node.replaceChildren(
    svg("line", { x1: 1, x2: 33, y1: 6, y2: 6, stroke: paint, "stroke-width": 1.9, "stroke-dasharray": dashes ? dashes.split(" ").map((d) => d * 1.9).join(" ") : undefined }),
    svg("path", { d: MARKS[marker], fill: paint, transform: "translate(17 6) scale(3.8)" }),
  );
  return node;
}
