"use strict";
// The page's controls: which arms, which x axis, which regime; the list of runs and their records.

// first: the page has just been opened, so its address says where to go.
function start(first = true) {
  const data = JSON.parse(document.getElementById("data").textContent);
  const charts = new Map(); // "kind-study-index" -> Chart
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  for (const node of all("svg.swatch[data-look]")) swatch(data.looks, Number(node.dataset.look), node);
  for (const host of all(".chart")) {
    const { chart, study, index, label } = host.dataset;
    charts.set(`${chart}-${study}-${index}`, new Chart(host, data.looks, label, openRun));
  }

  for (const table of all(".numbers table, table.forest[aria-label]")) {
    const about = table.closest("[aria-label]").getAttribute("aria-label");
    sortable(table);
    const button = html("button", { type: "button", textContent: "CSV", title: "Save as CSV", ariaLabel: `Save as CSV: ${about}`, onclick: () => save(`${slug(about)}.csv`, new Blob([csv(table)], { type: "text/csv" })) });
    (table.closest(".scroll") ?? table).before(html("div", { className: "saves" }, button));
  }

  const hiddenArms = (study) => new Set(all(`[data-arms="${study}"] input`).filter((box) => !box.checked).map((box) => Number(box.value)));

  function drawStudy(number, keepZoom = false) {
    const study = data.studies[number], off = hiddenArms(number);
    const show = (kind, spec, index = 0) => {
      const chart = charts.get(`${kind}-${number}-${index}`);
      if (!chart || !spec) return;
      for (const s of spec.series) if (s.arm !== undefined) s.off = off.has(s.arm);
      chart.show({ ...spec, arms: study.arms }, keepZoom);
    };
    if (study.learning) for (const side of [0, 1]) show("learning", learning(number, side), side);
    show("sensitivity", study.sensitivity);
    study.trials.forEach((spec, k) => show("trials", spec, k));
    show("best", study.best);
    if (study.seeds) show("seeds", rows(study.seeds, off));
    study.times.forEach((spec, k) => show("times", spec, k));
    show("interaction", study.interaction);
    study.speed.forEach((spec, k) => show("speed", spec, k));
  }

  // Only the rows of the arms that are shown.
  function rows(spec, off) {
    const row = new Map();
    for (const s of spec.series) if (!off.has(s.arm)) row.set(s.arm, row.size);
    const joins = spec.joins.map((join) => join.filter(([, arm]) => row.has(arm)).map(([v, arm]) => [v, row.get(arm)]));
    const series = spec.series.map((s) => ({ ...s, y: s.x.map(() => row.get(s.arm) ?? null) }));
    return { ...spec, joins, series, y: { ...spec.y, names: spec.y.names.filter((_, arm) => row.has(arm)) } };
  }

  function learning(number, side) {
    const figure = document.querySelector(`[data-learning="${number}"]`), { learning } = data.studies[number];
    const x = figure.querySelector(`input[name="x-${number}"]:checked`).value;
    const metric = figure.querySelector(`[data-metric="${side}"]`).value;
    const [bands, runs] = ["bands", "runs"].map((what) => figure.querySelector(`[data-show="${what}"]`).checked);
    const series = [];
    if (runs) for (const run of learning.runs) if (run[metric]) series.push({ arm: run.arm, x: run[x], y: run[metric], faint: true, bridge: true, note: `seed ${run.seed}, run ${run.id.slice(0, 8)}` });
    learning.means[metric].forEach((mean, arm) => {
      if (mean && mean[x]) series.push({ arm, x: mean[x], y: mean.y, low: mean.low, high: mean.high, noBand: !bands, note: `n = ${mean.n}` });
    });
    const labels = { epoch: "epoch", step: "update", seconds: "training time (s)" };
    return { x: { label: labels[x], kind: "linear", whole: x !== "seconds" }, y: learning.axes[metric], series };
  }

  data.studies.forEach((study, number) => {
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
      figure.querySelector("[data-arms-all]").onclick = () => setArms(number, true);
      figure.querySelector("[data-arms-none]").onclick = () => setArms(number, false);
    }
    drawStudy(number);
  });

  function setArms(number, on) {
    for (const box of all(`[data-arms="${number}"] input`)) box.checked = on;
    drawStudy(number, true);
  }

  for (const list of all("[data-lines]")) {
    const lines = data.studies[Number(list.dataset.lines)].interaction.series;
    list.replaceChildren(...lines.map((s) => html("li", {}, swatch(data.looks, s.look), html("span", { textContent: s.name }))));
  }
  const key = (selector, numbers, arms) => document.querySelector(selector).append(
    ...numbers.map((k) => html("li", {}, swatch(data.looks, k), html("span", { textContent: arms[k] }))));
  if (data.profile) {
    const arms = data.studies[0].arms;
    charts.get("profile-0-0").show({ ...data.profile, arms });
    key("[data-tasks]", data.profile.series.map((s) => s.arm), arms);
  }

  if (data.regimes) {
    const chart = charts.get("regimes-0-0"), arms = data.studies[0].arms;
    chart.show({ ...data.regimes, arms });
    key("[data-key]", arms.map((_, k) => k), arms);
  }

  // One regime at a time on the screen, all of them in print.
  const picks = all('input[name="regime"]');
  const choose = () => {
    const chosen = picks.find((pick) => pick.checked);
    for (const section of all(".study")) section.hidden = Boolean(chosen) && section.dataset.study !== chosen.value;
  };
  for (const pick of picks) pick.addEventListener("change", choose);
  choose();

  // On paper, text has to stay as large as on the screen.
  const halved = (host) => host.closest(".pair") || host.closest(".grid > .card:not(:last-child:nth-child(odd))");
  window.onbeforeprint = () => { for (const chart of charts.values()) if (chart.spec) chart.draw(halved(chart.host) ? 330 : 660); };
  window.onafterprint = () => { for (const chart of charts.values()) if (chart.spec) chart.draw(); };

  // Runs: a number's link opens the list of its arm, a run's link its record.
  function follow() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id.startsWith("run-")) return openRun(id.slice(4));
    const target = document.getElementById(id);
    if (target?.tagName === "DETAILS") { target.open = true; target.scrollIntoView({ block: "start" }); }
  }
  const dialog = document.getElementById("record");
  dialog.onclose = () => { if (location.hash.startsWith("#run-")) history.replaceState(null, "", "#runs"); };
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  window.onhashchange = follow;

  function openRun(id) {
    const run = data.records.runs[id];
    if (!run) return;
    document.getElementById("record-title").textContent = `${run.arm}, seed ${run.seed ?? "–"}: ${run.status}`;
    const body = document.getElementById("record-body");
    const list = (title, entries) => {
      const rows = Object.entries(entries).filter(([, value]) => value !== null && value !== undefined && value !== "");
      return rows.length ? [html("h3", { textContent: title }), html("dl", {}, ...rows.map(([key, value]) => html("div", {}, html("dt", { textContent: key }), html("dd", { textContent: String(value) }))))] : [];
    };
    const host = html("div", { className: "chart" });
    body.replaceChildren(
      ...(run.command ? [command(run.command)] : []), host,
      ...list("Failure", run.failure), ...list("Metrics", run.metrics),
      ...list("Time", { ...run.timing, created: run.created, finished: run.finished }),
      ...list("Choices that runs differ in", run.choices), ...list("Choices that all runs share", data.records.common),
      ...list("Source", { id, parameters: run.parameters, ...data.records.sources[run.source] }),
    );
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    ownCurves(id, host);
  }

  function ownCurves(id, host) {
    const learning = data.studies.map((study) => study.learning).find((each) => each?.runs.some((run) => run.id === id));
    if (!learning) return;
    const run = learning.runs.find((each) => each.id === id);
    const names = learning.own.filter((metric) => run[metric]);
    if (!names.length) return;
    const series = names.map((metric, k) => ({ look: k, name: metric, x: run.epoch, y: run[metric], bridge: true }));
    new Chart(host, data.looks, "Curves of this run").show({ x: { label: "epoch", kind: "linear", whole: true }, y: { ...learning.axes[names[0]], label: names.join(" (black), ") + (names[1] ? " (blue)" : "") }, series });
  }

  function command(text) {
    return html("div", { className: "command" }, html("pre", { tabIndex: 0 }, html("code", { textContent: text })), html("button", { type: "button", className: "copy", textContent: "copy" }));
  }

  document.onclick = async (event) => {
    if (!event.target.classList?.contains("copy")) return;
    const code = event.target.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      event.target.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code); // a page opened from disk may not be allowed to copy
      event.target.textContent = "selected";
    }
  };

  const find = document.getElementById("find");
  find.oninput = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const group of all("details.runs")) {
      const about = all("summary b, summary .tag", group).map((node) => node.textContent.toLowerCase()).join(" ");
      let hits = 0;
      for (const row of all("tr[data-run]", group)) {
        const text = `${about} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => text.includes(word));
        hits += !row.hidden;
      }
      group.hidden = words.length > 0 && hits === 0;
      group.open = words.length > 0 && hits > 0;
      shown += hits;
    }
    document.getElementById("found").textContent = words.length ? `${shown} run${shown === 1 ? "" : "s"}` : "";
  };
  if (first) follow();
}

start();
