"use strict";
// One chart: axes, lines, bands, dots; hover, zoom by dragging or by keys. Drawn as SVG from plain data; names of arms
// only ever become text nodes and attributes.

const SLANTED = 16; // letters of a slanted name

class Chart {
  // looks: [colour, dashes, marker] of each arm. spec: see charts.py. onOpen(id): a dot was chosen.
  constructor(host, looks, label, onOpen) {
    Object.assign(this, { host, looks, label, onOpen, spec: null, zoom: null, linked: [] });
    this.tip = html("div", { className: "tip", hidden: true });
    new ResizeObserver(() => this.spec && this.host.clientWidth && this.host.clientWidth !== this.width && this.draw()).observe(host);
  }

  show(spec, keepZoom = false) {
    this.spec = spec;
    if (!keepZoom) this.zoom = null;
    this.draw();
  }

  look(s) { return this.looks[(s.arm ?? s.look) % this.looks.length]; }
  // Colours are those of arms: lines that are none have their names at their ends, and the colour of ink.
  colour(s) { return this.spec.direct ? "var(--ink)" : `var(--c${this.look(s)[0]})`; }
  visible() { return this.spec.series.filter((s) => !s.off); }
  zoomable() { return this.spec.x.kind !== "band"; }

  domains() {
    const { x, y } = this.spec;
    const xs = [], ys = [];
    for (const s of this.visible()) s.x.forEach((v, k) => { if (v !== null && s.y[k] !== null) xs.push(v); });
    let [left, right] = x.kind === "band" ? [-0.5, x.names.length - 0.5] : this.span(xs, x.kind);
    if (this.zoom) [left, right] = this.zoom;
    for (const s of this.visible()) s.x.forEach((v, k) => {
      if (v === null || v < left || v > right || s.y[k] === null) return;
      ys.push(s.y[k]);
      if (s.whiskers && s.low && s.low[k] !== null) ys.push(s.low[k], s.high[k]);
    });
    for (const line of this.spec.lines || []) ys.push(line.y);
    const [low, high] = y.kind === "band" ? [-0.5, y.names.length - 0.5] : this.span(ys, y.kind);
    return { x: [left, right], y: [low, y.kind === "error" ? Math.min(high, 100.2) : high] };
  }

  span(values, kind) {
    const [to, from] = SCALES[kind];
    const known = values.filter((v) => v !== null && (kind !== "log" || v > 0)).map(to);
    if (!known.length) return kind === "log" ? [1, 10] : [0, 1];
    let low = Infinity, high = -Infinity;
    for (const v of known) { low = Math.min(low, v); high = Math.max(high, v); }
    const margin = high > low ? 0.05 * (high - low) : Math.max(0.05 * Math.abs(high), kind === "log" ? 0.3 : 1e-3);
    return [from(low - margin), from(high + margin)];
  }

  draw(width = this.host.clientWidth || 560) {
    const { x, y } = this.spec;
    this.width = width;
    const rows = y.kind === "band" ? y.names.length : 0;
    const domain = this.domains();
    const letters = (texts, wide = 6.9) => Math.max(0, ...texts.map((t) => Math.min(t.length, 40))) * wide;
    let height = rows ? 64 + rows * Math.max(17, Math.min(34, 420 / rows)) : Math.round(Math.min(330, Math.max(230, width * 0.62)));
    const yTicks = ticks(y, ...domain.y, (height - 60) / 34);
    const yTexts = rows ? y.names : tickTexts(y, yTicks);
    const left = Math.min(letters(yTexts, rows ? 7.9 : 6.9) + (rows ? 14 : 30), width * 0.42), top = 26;
    const ends = this.spec.direct ? this.visible().filter((s) => !s.dots) : [];
    const right = ends.length > 1 ? Math.min(letters(ends.map((s) => s.name)) + 22, width * 0.36) : 14;
    // Names that have no room beside each other are slanted.
    this.slanted = x.kind === "band" && x.names.some((name) => name.length * 7 > (width - left - right) / x.names.length);
    const bottom = this.slanted ? 34 + 4.4 * Math.min(SLANTED, Math.max(...x.names.map((name) => name.length))) : 42;
    height += bottom - 42;
    const inner = { left, top, bottom, width: width - left - right, height: height - top - bottom };
    const place = (axis, [a, b], size, flip) => {
      const to = SCALES[axis.kind][0], from = SCALES[axis.kind][1], p = to(a), q = to(b);
      const at = (v) => (flip ? 1 - (to(v) - p) / (q - p) : (to(v) - p) / (q - p)) * size;
      at.back = (pixel) => from(p + (flip ? 1 - pixel / size : pixel / size) * (q - p));
      return at;
    };
    this.inner = inner;
    this.toX = place(x, domain.x, inner.width, false);
    this.toY = place(y, domain.y, inner.height, !rows);
    this.domain = domain;

    const clip = `clip-${Chart.count = (Chart.count || 0) + 1}`;
    const plot = svg("g", { transform: `translate(${left} ${top})` });
    const data = svg("g", { "clip-path": `url(#${clip})` }), bands = svg("g", { "clip-path": `url(#${clip}-in)` });
    plot.append(svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", { x: -6, y: -6, width: inner.width + 12, height: inner.height + 12 })),
      svg("clipPath", { id: `${clip}-in` }, svg("rect", { width: inner.width, height: inner.height }))));
    this.axes(plot, inner, yTicks, yTexts, rows);
    const labels = [];
    plot.append(bands, data);
    for (const line of this.spec.lines || []) {
      const at = this.toY(line.y);
      data.append(svg("line", { class: "rule", x1: 0, x2: inner.width, y1: at, y2: at }));
      if (labels.every((other) => Math.abs(other.getAttribute("y") - at + 6) > 14)) labels.push(this.text(line.label, 6, at - 6, "start", "halo"));
    }
    for (const join of this.spec.joins || []) this.join(data, join);
    for (const s of this.visible()) {
      const [over, under] = [data, bands].map((layer) => layer.appendChild(svg("g", { "data-arm": s.arm })));
      this.series(over, under, s);
    }
    if (ends.length > 1) this.names(plot, ends, right);
    plot.append(...labels);
    this.cross = svg("line", { class: "cross", y1: 0, y2: inner.height, visibility: "hidden" });
    this.brush = svg("rect", { class: "brush", y: 0, height: inner.height, visibility: "hidden" });
    plot.append(this.cross, this.brush);
    const keys = this.zoomable() ? " Keys: plus and minus zoom, arrows read values or move, 0 resets." : " Arrows read values.";
    const root = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application", "aria-roledescription": "chart",
      "aria-label": `${this.label}: ${y.label || "arms"} over ${x.label}.${keys}`,
    }, plot);
    const focused = this.root && document.activeElement === this.root;
    this.root = root;
    this.listen(root);
    this.host.replaceChildren(root, this.tip, this.buttons());
    if (focused) root.focus({ preventScroll: true });
  }

  text(content, x, y, anchor, name) {
    const node = svg("text", { x, y, "text-anchor": anchor, class: name });
    node.textContent = content;
    return node;
  }

  axes(plot, inner, yTicks, yTexts, rows) {
    const { x, y } = this.spec;
    let above = Infinity;
    yTicks.forEach((v, k) => {
      const at = this.toY(v);
      plot.append(svg("line", { class: "tick", x1: 0, x2: inner.width, y1: at, y2: at }));
      if (!rows && above - at < 13) return; // no room for its number
      above = at;
      const full = yTexts[k], most = Math.floor((inner.left - 10) / (rows ? 7.9 : 7.1)); // names of arms have wider letters than numbers
      const label = this.text(shortened(full, most), -8, at + 4, "end", rows ? "label" : undefined);
      if (full.length > most) label.append(svg("title", {}, full));
      plot.append(label);
    });
    let last = -Infinity;
    const xTicks = ticks(x, ...this.domain.x, inner.width / 64), xTexts = x.kind === "band" ? x.names : tickTexts(x, xTicks);
    xTicks.forEach((v, k) => {
      const at = this.toX(v), text = xTexts[k];
      plot.append(svg("line", { class: "tick", x1: at, x2: at, y1: 0, y2: inner.height }));
      if (at - last < text.length * 6.4 && x.kind !== "band") return;
      const name = this.slanted ? this.text(shortened(text, SLANTED), at + 4, inner.height + 14, "end") : this.text(text, at, inner.height + 17, "middle");
      if (this.slanted) name.setAttribute("transform", `rotate(-38 ${at + 4} ${inner.height + 14})`);
      plot.append(name);
      last = at;
    });
    plot.append(svg("path", { class: "frame", fill: "none", d: `M0 0V${inner.height}H${inner.width}` }));
    plot.append(this.text(x.label, inner.width / 2, inner.height + inner.bottom - 6, "middle", "label"));
    if (y.label) plot.append(this.text(y.label, -inner.left + 2, -11, "start", "label"));
  }

  // What each line is called, at its end: as near as the names leave room for each other.
  names(plot, lines, room) {
    const found = lines.map((s) => [this.pieces(s).flat().at(-1)?.[1], s]).filter(([at]) => at !== undefined).sort(([a], [b]) => a - b);
    let last = -Infinity;
    const lowest = found.map(([at], k) => (last = Math.max(at, last + 14, k * 14)));
    const over = Math.max(0, last - this.inner.height);
    found.forEach(([, s], k) => {
      const name = this.text(shortened(s.name, Math.floor((room - 10) / 6.9)), this.inner.width + 10, lowest[k] - over + 4, "start", "label");
      name.append(svg("title", {}, s.name));
      plot.append(name);
    });
  }

  join(data, points) {
    const at = points.filter((p) => p[0] !== null).map(([v, row]) => `${this.toX(v).toFixed(1)} ${this.toY(row).toFixed(1)}`);
    if (at.length > 1) data.append(svg("path", { class: "join", d: `M${at.join("L")}` }));
  }

  // Where the lower end of an interval is drawn: on a logarithmic axis one at or below zero ends at the axis.
  floor(v) { return v !== null && this.spec.y.kind === "log" && v <= 0 ? this.domain.y[0] : v; }

  // Runs of neighbouring points that have a value.
  pieces(s, ys = s.y) {
    const found = [[]];
    s.x.forEach((v, k) => {
      const ok = v !== null && ys[k] !== null && ys[k] !== undefined && (this.spec.y.kind !== "log" || ys[k] > 0) && (this.spec.x.kind !== "log" || v > 0);
      if (ok) found[found.length - 1].push([this.toX(v), this.toY(ys[k]), k]);
      else if (!s.bridge && found[found.length - 1].length) found.push([]);
    });
    return found.filter((piece) => piece.length);
  }

  series(data, bands, s) {
    const [, dashes, marker] = this.look(s), colour = this.colour(s);
    const path = (points) => `M${points.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`;
    const mark = (a, b, size, extra = {}) => svg("path", { d: MARKS[marker], fill: colour, transform: `translate(${a.toFixed(1)} ${b.toFixed(1)}) scale(${size})`, ...extra });
    if (s.low && s.high && !s.whiskers && !s.noBand) {
      const highs = this.pieces(s, s.high);
      this.pieces(s, s.low.map((v) => this.floor(v))).forEach((low, k) => {
        if (highs[k]) bands.append(svg("path", { class: "band", fill: colour, d: `${path([...low, ...highs[k].slice().reverse()])}Z` }));
      });
    }
    const pieces = this.pieces(s), points = pieces.flat();
    if (s.whiskers && s.low) for (const [a, , k] of points) if (s.low[k] !== null) data.append(svg("path", { stroke: colour, "stroke-width": 1.4, d: `M${a} ${this.toY(this.floor(s.low[k]))}V${this.toY(s.high[k])}` }));
    if (s.line !== false && !s.dots) for (const piece of pieces)
      data.append(svg("path", { d: path(piece), fill: "none", stroke: colour, "stroke-width": s.faint ? 0.9 : 1.9, opacity: s.faint ? 0.55 : 1, "stroke-dasharray": dashes ? dashes.split(" ").map((d) => d * 1.9).join(" ") : undefined, "stroke-linejoin": "round" }));
    if (s.faint) {
      if (s.cut && points.length) { const [a, b] = points[points.length - 1]; data.append(svg("path", { d: `M${a - 4} ${b - 4}l8 8m0-8l-8 8`, stroke: colour, "stroke-width": 1.6 })); }
      return;
    }
    if (s.dots) { for (const [a, b] of points) data.append(svg("circle", { cx: a, cy: b, r: 2.2, fill: colour, opacity: 0.5 })); return; }
    if (s.mean !== undefined && s.mean !== null) {
      const at = this.toX(s.mean), row = this.toY(s.y[0]);
      data.append(svg("path", { d: `M${at} ${row - 8}V${row + 8}`, stroke: colour, "stroke-width": 2.6 }));
    }
    const gap = s.line !== false && points.length > 12 ? Math.ceil(points.length / 6) : 1, phase = (s.arm ?? s.look) % gap;
    points.forEach(([a, b, k], n) => {
      if (n % gap !== phase) return;
      const node = mark(a, b, s.line === false ? 4.2 : 3.6, { stroke: "var(--sheet)", "stroke-width": 0.2 });
      if (s.ids && s.ids[k]) { node.setAttribute("class", "dot-link"); node.addEventListener("click", () => this.onOpen(s.ids[k])); }
      data.append(node);
    });
    if ((s.ring ?? s.chosen ?? null) !== null) {
      const point = points.find(([, , k]) => (s.chosen === undefined ? s.x[k] === s.ring : k === s.chosen));
      if (point) data.append(svg("circle", { cx: point[0], cy: point[1], r: 8, fill: "none", stroke: colour, "stroke-width": 1.8 }));
    }
    for (const [v, lost, of] of s.lost || []) {
      const a = this.toX(v), up = this.spec.better !== "low";
      const b = up ? this.inner.height - 5 - (s.arm % 8) * 9 : 5 + (s.arm % 8) * 9;
      const node = svg("path", { d: `M${a - 4} ${b - 4}l8 8m0-8l-8 8`, stroke: colour, "stroke-width": 2 });
      node.append(svg("title", {}, `${this.name(s)}: ${lost} of ${of} runs diverged at ${number(v)}`));
      data.append(node);
    }
  }

  name(s) { return s.name ?? this.spec.arms[s.arm]; }

  buttons() {
    const make = (text, label, act) => html("button", { type: "button", textContent: text, ariaLabel: `${label}: ${this.label}`, title: label, onclick: act });
    const found = this.zoomable() ? [make("+", "Zoom in", () => this.scale(0.5)), make("−", "Zoom out", () => this.scale(2))] : [];
    for (const kind of ["svg", "png"]) found.push(make(kind.toUpperCase(), `Save as ${kind.toUpperCase()}`, () => savePicture(this.root, slug(this.label), kind)));
    if (this.zoom) found.push(make("↺", "Reset zoom", () => this.setZoom(null)));
    return html("div", { className: "zoom" }, ...found);
  }

  setZoom(range) {
    for (const chart of [this, ...this.linked]) { chart.zoom = range; chart.draw(); }
  }

  scale(factor, shift = 0) {
    if (!this.zoomable()) return;
    const [to, from] = SCALES[this.spec.x.kind];
    const saved = this.zoom;
    this.zoom = null;
    const whole = this.domains().x.map(to);
    this.zoom = saved;
    const [a, b] = this.domain.x.map(to), half = ((b - a) / 2) * factor, middle = (a + b) / 2 + shift * (b - a);
    if (half * 2 >= (whole[1] - whole[0]) * 0.999) return this.setZoom(null);
    const low = Math.min(Math.max(middle - half, whole[0]), whole[1] - 2 * half);
    this.setZoom([from(low), from(low + 2 * half)]);
  }

  listen(root) {
    let start = null;
    const inside = (event) => {
      const box = root.getBoundingClientRect(), k = this.width / box.width;
      return [(event.clientX - box.left) * k - this.inner.left, (event.clientY - box.top) * k - this.inner.top];
    };
    root.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && this.zoomable() && !event.target.classList.contains("dot-link")) { start = inside(event)[0]; root.setPointerCapture(event.pointerId); }
    });
    root.addEventListener("pointermove", (event) => {
      const [px, py] = inside(event);
      if (start !== null && Math.abs(px - start) > 6) {
        const [a, b] = [Math.max(0, Math.min(px, start)), Math.min(this.inner.width, Math.max(px, start))];
        for (const [key, value] of Object.entries({ x: a, width: Math.max(0, b - a), visibility: "visible" })) this.brush.setAttribute(key, value);
        return this.hide();
      }
      this.hover(px, py);
    });
    root.addEventListener("pointerup", (event) => {
      const from = start, px = inside(event)[0];
      start = null;
      this.brush.setAttribute("visibility", "hidden");
      if (from === null || Math.abs(px - from) <= 6) return;
      const ends = [from, px].map((p) => this.toX.back(Math.max(0, Math.min(this.inner.width, p)))).sort((a, b) => a - b);
      this.setZoom(ends);
    });
    root.addEventListener("pointercancel", () => { start = null; this.brush.setAttribute("visibility", "hidden"); });
    root.addEventListener("pointerleave", () => this.hide());
    root.addEventListener("blur", () => this.hide());
    root.addEventListener("dblclick", () => this.zoomable() && this.setZoom(null));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "+": () => this.scale(0.5), "=": () => this.scale(0.5), "-": () => this.scale(2), 0: () => this.zoomable() && this.setZoom(null),
      Escape: () => this.hide(), ArrowLeft: () => this.step(-1, event.shiftKey), ArrowRight: () => this.step(1, event.shiftKey),
    };
    if (!acts[event.key]) return;
    if (event.key !== "Escape") event.preventDefault();
    acts[event.key]();
  }

  // The next x that has a value; with shift, the window moves.
  step(side, moves) {
    if (moves && this.zoom) return this.scale(1, side * 0.25);
    const xs = [...new Set(this.visible().filter((s) => !s.faint).flatMap((s) => s.x.filter((v, k) => v !== null && s.y[k] !== null)))]
      .filter((v) => v >= this.domain.x[0] && v <= this.domain.x[1]).sort((a, b) => a - b);
    if (!xs.length) return;
    this.cursor = Math.max(0, Math.min(xs.length - 1, (this.cursor ?? (side > 0 ? -1 : xs.length)) + side));
    this.tip.setAttribute("role", "status");
    const at = this.toX(xs[this.cursor]);
    if (this.spec.hover === "point") {
      const hit = this.visible().flatMap((s) => s.x.map((v, k) => [s, k, v])).find(([s, k, v]) => v === xs[this.cursor] && s.y[k] !== null);
      return this.hover(at, this.toY(hit[0].y[hit[1]]));
    }
    this.hover(at, 0);
  }

  hover(px, py) {
    const points = [];
    for (const s of this.visible()) {
      let best = null;
      s.x.forEach((v, k) => {
        if (v === null || s.y[k] === null || v < this.domain.x[0] || v > this.domain.x[1]) return;
        const a = this.toX(v), b = this.toY(s.y[k]);
        const far = this.spec.hover === "point" || s.faint || s.dots ? Math.hypot(a - px, b - py) : Math.abs(a - px);
        if (!best || far < best.far) best = { s, k, far, a, b };
      });
      if (best) points.push(best);
    }
    const close = (limit) => points.filter((p) => p.far < limit).sort((p, q) => p.far - q.far);
    let rows;
    if (this.spec.hover === "point") rows = close(28).slice(0, 1);
    else {
      const means = points.filter((p) => !p.s.faint && !p.s.dots);
      const nearest = Math.min(...means.map((p) => p.far));
      rows = means.filter((p) => p.far <= Math.max(nearest + 1, 14) && nearest < 60).sort((p, q) => p.b - q.b);
      const run = points.filter((p) => p.s.faint && p.far < 14).sort((p, q) => p.far - q.far)[0];
      if (run) rows.push(run);
    }
    if (!rows.length) return this.hide();
    this.light(points.filter((p) => p.s.arm !== undefined && Math.hypot(p.a - px, p.b - py) < 24).sort((p, q) => Math.hypot(p.a - px, p.b - py) - Math.hypot(q.a - px, q.b - py))[0]?.s.arm);
    const at = rows[0].s.x[rows[0].k], many = rows.length - 12;
    const items = rows.slice(0, many > 0 ? 12 : undefined).map(({ s, k }) => {
      const band = s.low && s.low[k] !== null && s.low[k] !== undefined ? ` (${number(s.low[k])} to ${number(s.high[k])})` : "";
      const value = this.spec.y.kind === "band" ? number(s.x[k]) : number(s.y[k]) + band;
      const note = s.notes ? ` · ${s.notes[k]}` : s.note ? ` · ${s.note}` : "";
      const item = html("li", {}, swatch(this.look(s), this.colour(s)), html("span", { textContent: `${this.name(s)}${note}` }), html("b", { textContent: value }));
      return item;
    });
    if (many > 0) items.push(html("li", { textContent: `and ${many} more` }));
    const heading = this.spec.hover === "point" ? (this.spec.x.kind === "band" ? this.spec.x.names[Math.round(at)] : "") : `${this.spec.x.label} ${number(at)}`;
    this.tip.replaceChildren(...(heading ? [html("p", { textContent: heading })] : []), html("ul", {}, ...items));
    this.tip.hidden = false;
    const scale = (this.root.getBoundingClientRect().width || this.width) / this.width;
    const x = (rows[0].a + this.inner.left) * scale, wide = this.tip.offsetWidth;
    this.tip.style.left = `${x + 14 + wide > this.host.clientWidth ? Math.max(0, x - wide - 14) : x + 14}px`;
    this.tip.style.top = `${Math.max(0, Math.min((this.spec.hover === "point" ? rows[0].b : py) + 4, this.inner.height - this.tip.offsetHeight / 2))}px`;
    if (this.spec.hover !== "point") { this.cross.setAttribute("x1", rows[0].a); this.cross.setAttribute("x2", rows[0].a); this.cross.setAttribute("visibility", "visible"); }
  }

  hide() {
    this.tip.hidden = true;
    this.cross.setAttribute("visibility", "hidden");
    this.light();
  }

  // Which arm the pointer is at, if any: the whole page shows it (legend.js).
  light(arm) { this.host.dispatchEvent(new CustomEvent("arm", { detail: arm, bubbles: true })); }
}
