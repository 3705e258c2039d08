"use strict";
// The list of runs and their records: a number leads to the runs of its arm, a run to its record.

// Gives what opens the record of a run. first: the page has just been opened, so its address may name one.
function runs(data, first) {
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
  if (first) setTimeout(follow);
  return openRun;
}
