"use strict";
// The controls of the page and its charts: which arms, which axis, which regime.

const KINDS = ["sensitivity", "trials", "best", "seeds", "times", "interaction", "speed", "settings"];

// first: the page has just been opened, so its address says where to go.
function start(first = true) {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = new Map(); // "kind-study-index" -> Chart
  const openRun = runs(data, first);

  for (const host of all(".chart")) {
    const { chart, study, index, label } = host.dataset;
    const Kind = chart === "settings" ? Parallel : Chart;
    charts.set(`${chart}-${study}-${index}`, new Kind(host, data.looks, label, openRun));
  }

  for (const table of all(".numbers table, table.forest[aria-label]")) {
    const about = table.closest("[aria-label]").getAttribute("aria-label");
    sortable(table);
    const button = html("button", { type: "button", textContent: "CSV", title: "Save as CSV", ariaLabel: `Save as CSV: ${about}`, onclick: () => save(`${slug(about)}.csv`, new Blob([csv(table)], { type: "text/csv" })) });
    (table.closest(".scroll") ?? table).before(html("div", { className: "saves" }, button));
  }

  const hidden = legend(data, drawAll);

  function show(name, spec, keepZoom) {
    const chart = charts.get(name), off = hidden();
    if (!chart || !spec) return;
    for (const s of spec.series) s.off = !spec.rows && off.has(s.arm);
    chart.show({ ...spec, arms: data.arms }, keepZoom);
  }

  function drawAll() {
    data.studies.forEach((_, number) => drawStudy(number, true));
    for (const kind of ["regimes", "profile"]) data[kind].forEach((spec, k) => show(`${kind}-${k}-0`, spec, true));
  }

  function drawStudy(number, keepZoom = false) {
    const study = data.studies[number];
    if (study.learning) for (const side of [0, 1]) show(`learning-${number}-${side}`, learning(number, side), keepZoom);
    if (study.scatter) show(`scatter-${number}-0`, scatter(number), keepZoom);
    for (const kind of KINDS) [study[kind] ?? []].flat().forEach((spec, k) => show(`${kind}-${number}-${k}`, spec, keepZoom));
  }

  function learning(number, side) {
    const figure = document.querySelector(`[data-learning="${number}"]`), study = data.studies[number], { learning } = study;
    const x = figure.querySelector(`input[name="x-${number}"]:checked`).value;
    const metric = figure.querySelector(`[data-metric="${side}"]`).value;
    const [bands, runs] = ["bands", "runs"].map((what) => figure.querySelector(`[data-show="${what}"]`).checked);
    const series = [];
    if (runs) for (const run of learning.runs) if (run[metric]) series.push({ arm: study.arms[run.arm], x: run[x], y: run[metric], faint: true, bridge: true, note: `seed ${run.seed}, run ${run.id.slice(0, 8)}` });
    learning.means[metric].forEach((mean, arm) => {
      if (mean && mean[x]) series.push({ arm: study.arms[arm], x: mean[x], y: mean.y, low: mean.low, high: mean.high, noBand: !bands, note: `n = ${mean.n}` });
    });
    const labels = { epoch: "epoch", step: "update", seconds: "training time (s)" };
    return { x: { label: labels[x], kind: "linear", whole: x !== "seconds" }, y: learning.axes[metric], series };
  }

  function scatter(number) {
    const { arms, scatter } = data.studies[number];
    const [x, y] = all(`[data-scatter="${number}"] select`).map((select) => select.value);
    const series = scatter.arms.map(({ arm, ids, notes, values }) => ({ arm: arms[arm], x: values[x], y: values[y], ids, notes, line: false }));
    return { x: scatter.axes[x], y: scatter.axes[y], series, hover: "point" };
  }

  data.studies.forEach((study, number) => {
    all(`[data-scatter="${number}"] select`).forEach((select, k) => {
      select.append(...Object.entries(study.scatter.axes).map(([name, axis]) => new Option(axis.label, name, false, name === study.scatter.first[k])));
      select.addEventListener("change", () => show(`scatter-${number}-0`, scatter(number)));
    });
    const figure = document.querySelector(`[data-learning="${number}"]`);
    if (figure && study.learning) {
      const metrics = Object.entries(study.learning.metrics);
      const { first } = study.learning;
      all("[data-metric]", figure).forEach((select, k) => {
        select.append(...metrics.map(([value, label]) => new Option(label, value, value === first[k], value === first[k])));
      });
      const { cut } = study.learning;
      if (cut) figure.querySelector(".cut").textContent = `Of up to ${cut.recorded} points recorded, means keep at most ${cut.means} and single runs ${cut.runs}, with the extremes of each stretch, so no spike is lost.`;
      const [a, b] = [0, 1].map((side) => charts.get(`learning-${number}-${side}`));
      a.linked = [b];
      b.linked = [a];
      figure.addEventListener("change", (event) => drawStudy(number, !event.target.name?.startsWith("x-")));
    }
  });
  drawAll();

  // One regime at a time on the screen, all of them in print.
  for (const ablation of all(".ablation")) {
    const picks = all(".regimes input", ablation);
    const choose = () => {
      const chosen = picks.find((pick) => pick.checked);
      for (const section of all(".study", ablation)) section.hidden = Boolean(chosen) && section.dataset.study !== chosen.value;
    };
    for (const pick of picks) pick.addEventListener("change", choose);
    choose();
  }

  // On paper, text has to stay as large as on the screen.
  const halved = (host) => host.closest(".pair") || host.closest(".grid > .card:not(:last-child:nth-child(odd))");
  window.onbeforeprint = () => { for (const chart of charts.values()) if (chart.spec) chart.draw(halved(chart.host) ? 330 : 660); };
  window.onafterprint = () => { for (const chart of charts.values()) if (chart.spec) chart.draw(); };
}

start();
