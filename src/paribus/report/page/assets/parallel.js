"use strict";
// Settings beside each other: an axis for each, a line for each point that was tried, the metric at the end.

class Parallel extends Chart {
  // spec: axes, and series with a value for each axis; see explore.py. most: how many of the best lines are drawn.
  visible() {
    const { series, higher } = this.spec, last = ({ values }) => (higher ? -1 : 1) * values.at(-1);
    const found = series.filter((s) => !s.off).sort((a, b) => last(a) - last(b));
    return found.slice(0, this.most ?? found.length);
  }

  draw(width = this.host.clientWidth || 560) {
    const { axes } = this.spec, height = 340, top = 66, bottom = 14;
    const first = (axes[0].names ?? []).map((name) => name.length), side = [Math.min(Math.max(46, 7.2 * Math.max(0, ...first) + 14), width * 0.24), 48];
    this.width = width;
    this.inner = { left: side[0], top, width: width - side[0] - side[1], height: height - top - bottom };
    const gap = this.inner.width / (axes.length - 1), plot = svg("g", { transform: `translate(${side[0]} ${top})` });
    this.places = axes.map((axis, k) => {
      const [to] = SCALES[axis.kind];
      const [low, high] = axis.kind === "band" ? [-0.5, axis.names.length - 0.5] : this.span(this.spec.series.map((s) => s.values[k]), axis.kind);
      const ends = [low, axis.kind === "error" ? Math.min(high, 100.2) : high];
      return { x: k * gap, ends, at: (v) => (1 - (to(v) - to(ends[0])) / (to(ends[1]) - to(ends[0]))) * this.inner.height };
    });
    const shown = this.visible();
    // The best are drawn last, and so lie on top.
    for (const s of [...shown].reverse()) {
      const d = this.points(s).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"), [, dashes] = this.look(s);
      plot.append(svg("g", { "data-arm": s.arm }, svg("path", {
        d: `M${d}`, fill: "none", stroke: this.colour(s), "stroke-width": s.chosen ? 2.6 : 1.2, opacity: s.chosen ? 1 : 0.6, "stroke-linejoin": "round",
        "stroke-dasharray": dashes ? dashes.split(" ").map((length) => length * 1.9).join(" ") : undefined,
      })));
    }
    axes.forEach((axis, k) => {
      const { x, ends, at } = this.places[k], marks = ticks(axis, ...ends, this.inner.height / 22);
      const texts = axis.kind === "band" ? axis.names : tickTexts(axis, marks), most = Math.max(3, Math.floor((gap - 12) / 6.9));
      plot.append(svg("path", { class: "frame", d: `M${x} 0V${this.inner.height}` }));
      let above = Infinity;
      marks.forEach((v, n) => {
        const last = k === axes.length - 1, room = k > 0 ? most : Math.floor((this.inner.left - 10) / 7.4);
        plot.append(svg("path", { class: "frame", d: `M${x} ${at(v)}h${last ? 4 : -4}` }));
        if (axis.kind !== "band" && above - at(v) < 13) return; // no room for its number
        above = at(v);
        const text = this.text(shortened(texts[n], room), x + (last ? 7 : -7), at(v) + 4, last ? "start" : "end", "halo");
        text.append(svg("title", {}, texts[n]));
        plot.append(text);
      });
      // Where axes are near to each other, their names take turns in two lines.
      const narrow = gap < 150, letters = Math.floor(((narrow ? 1.7 : 1) * gap - 8) / 6.6), line = narrow && k % 2 ? -28 : -12;
      const anchor = k === 0 ? "start" : k === axes.length - 1 ? "end" : "middle";
      const label = this.text(shortened(axis.label, Math.max(4, letters)), anchor === "start" ? -this.inner.left + 2 : anchor === "end" ? x + side[1] - 2 : x, line, anchor, "label");
      label.append(svg("title", {}, axis.label));
      plot.append(label);
    });
    this.over = svg("path", { class: "over", fill: "none", visibility: "hidden" });
    plot.append(this.over);
    const root = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "application", "aria-roledescription": "chart",
      "aria-label": `${this.label}: ${axes.map((axis) => axis.label).join(", ")}. Keys: arrows read lines from the best on, plus keeps the better half, minus takes more, 0 takes all.`,
    }, plot);
    const focused = this.root && document.activeElement === this.root;
    this.root = root;
    this.cross = svg("line");
    this.listen(root);
    this.host.replaceChildren(root, this.tip, this.buttons());
    if (focused) root.focus({ preventScroll: true });
  }

  zoomable() { return false; }

  // Of the axes at which a line has a value.
  points(s) { return s.values.flatMap((v, k) => (v === null ? [] : [[this.places[k].x, this.places[k].at(v), k]])); }

  buttons() {
    const { label } = this, make = (text, title, act) => html("button", { type: "button", textContent: text, title, ariaLabel: `${title}: ${label}`, onclick: act });
    const bar = super.buttons();
    bar.prepend(make("+", "Keep the better half", () => this.keep(0.5)), make("−", "Take more", () => this.keep(2)));
    return bar;
  }

  keep(factor) {
    const whole = this.spec.series.filter((s) => !s.off).length, now = Math.min(this.most ?? whole, whole);
    this.most = factor * now >= whole ? undefined : Math.max(1, Math.ceil(factor * now));
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "+": () => this.keep(0.5), "=": () => this.keep(0.5), "-": () => this.keep(2), 0: () => this.keep(Infinity), Escape: () => this.hide(),
      ArrowRight: () => this.step(1), ArrowDown: () => this.step(1), ArrowLeft: () => this.step(-1), ArrowUp: () => this.step(-1),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  step(side) {
    const lines = this.visible();
    this.cursor = Math.max(0, Math.min(lines.length - 1, (this.cursor ?? -1) + side));
    this.tip.setAttribute("role", "status");
    this.say(lines[this.cursor], this.inner.width / 2, 0);
  }

  // The line that is nearest to the pointer.
  hover(px, py) {
    let best = null;
    for (const s of this.visible()) {
      const points = this.points(s);
      for (let k = 1; k < points.length; k++) {
        const [[a, b], [c, d]] = [points[k - 1], points[k]];
        if (px < a || px > c) continue;
        const far = Math.abs(py - (b + ((px - a) / (c - a)) * (d - b)));
        if (!best || far < best.far) best = { s, far };
      }
    }
    if (!best || best.far > 16) return this.hide();
    this.say(best.s, px, py);
  }

  say(s, px, py) {
    if (!s) return;
    const texts = this.spec.axes.map((axis, k) => [axis.label, s.values[k] === null ? "–" : axis.kind === "band" ? axis.names[s.values[k]] : number(s.values[k])]);
    this.light(s.arm);
    this.over.setAttribute("d", `M${this.points(s).map(([x, y]) => `${x} ${y}`).join("L")}`);
    this.over.setAttribute("stroke", this.colour(s));
    this.over.setAttribute("visibility", "visible");
    this.tip.replaceChildren(
      html("p", {}, swatch(this.look(s)), ` ${this.name(s)}${s.chosen ? " · chosen" : ""}`),
      html("ul", {}, ...[...texts, ["", s.note]].filter(([, text]) => text).map(([name, text]) => html("li", {}, html("span", { textContent: name }), html("b", { textContent: text })))),
    );
    this.tip.hidden = false;
    const scale = (this.root.getBoundingClientRect().width || this.width) / this.width, x = (px + this.inner.left) * scale, wide = this.tip.offsetWidth;
    this.tip.style.left = `${x + 14 + wide > this.host.clientWidth ? Math.max(0, x - wide - 14) : x + 14}px`;
    this.tip.style.top = `${Math.max(0, Math.min(py + 4, this.inner.height - this.tip.offsetHeight / 2))}px`;
  }

  hide() {
    super.hide();
    this.over.setAttribute("visibility", "hidden");
  }
}
