"use strict";
// Asks the server for news, and puts the new page's content in the place of the old, with the reader's choices kept.

(function watch() {
  const EVERY = 2000; // milliseconds

  // What a control is called, in this page and in the next.
  function key(node) {
    const figure = node.closest("[data-learning]")?.dataset.learning;
    return [node.name, node.dataset.show, node.dataset.metric, figure, node.tagName === "SELECT" ? "" : node.value].join("|");
  }

  async function refresh() {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const checked = new Map(), chosen = new Map();
    for (const node of document.querySelectorAll("main input")) checked.set(key(node), node.checked);
    for (const node of document.querySelectorAll("main select")) chosen.set(key(node), node.value);
    const open = [...document.querySelectorAll("main details[id]")].map((node) => [node.id, node.open]);
    const find = document.getElementById("find").value, at = scrollY;
    for (const id of ["main", "data"]) document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
    for (const node of document.querySelectorAll("main input")) if (checked.has(key(node))) node.checked = checked.get(key(node));
    start(false);
    for (const node of document.querySelectorAll("main select")) {
      if (chosen.has(key(node))) node.value = chosen.get(key(node));
      node.dispatchEvent(new Event("change", { bubbles: true }));
    }
    for (const [id, was] of open) document.getElementById(id)?.toggleAttribute("open", was);
    const search = document.getElementById("find");
    search.value = find;
    if (find) search.dispatchEvent(new Event("input"));
    scrollTo({ top: at, behavior: "instant" });
  }

  async function ask() {
    const say = (text) => { document.getElementById("progress-text").textContent = text; };
    try {
      const news = await (await fetch("/progress")).json();
      say(news.text);
      Object.assign(document.querySelector(".live progress"), { max: news.total, value: news.done });
      // Not under the hands of a reader who is at a chart, a menu or a record.
      const busy = document.getElementById("record").open || document.activeElement?.closest?.("main select, main [type=search], .chart");
      if (news.version !== document.querySelector(".live").dataset.version && !busy) await refresh();
    } catch {
      say("paribus watch has stopped. The page shows the last state.");
    }
    setTimeout(ask, EVERY);
  }
  setTimeout(ask, EVERY);
})();
