"use strict";
// Asks the server for news, and puts the new page's content in the place of the old, with the reader's choices kept.

(function watch() {
  const EVERY = 2000;
  const state = () => Object.fromEntries([...document.querySelectorAll("main input, main select")].map((node, k) => [node.name ? `${node.name}=${node.value}` : `${node.dataset.show || node.dataset.metric || node.id || ""}#${node.closest("[data-learning]")?.dataset.learning}#${node.value}#${node.type === "checkbox" && !node.dataset.show ? k : ""}`, node]));

  async function refresh() {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const before = state(), open = [...document.querySelectorAll("main details[open]")].map((node) => node.id).filter(Boolean);
    const find = document.getElementById("find").value, at = scrollY;
    for (const id of ["main", "data"]) document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
    for (const [key, node] of Object.entries(state())) if (before[key] && node.checked !== undefined) node.checked = before[key].checked;
    for (const id of open) { const node = document.getElementById(id); if (node) node.open = true; }
    document.getElementById("find").value = find;
    if (!document.getElementById("record").open) start();
    scrollTo(0, at);
  }

  async function ask() {
    const text = () => document.getElementById("progress-text");
    try {
      const news = await (await fetch("/progress")).json();
      text().textContent = news.text;
      const bar = document.querySelector(".live progress");
      bar.max = news.total;
      bar.value = news.done;
      const busy = document.getElementById("record").open || document.activeElement?.closest?.("main select, .chart");
      if (news.version !== document.querySelector(".live").dataset.version && !busy) await refresh();
    } catch {
      text().textContent = "paribus watch has stopped: this is how far it was.";
    }
    setTimeout(ask, EVERY);
  }
  setTimeout(ask, EVERY);
})();
