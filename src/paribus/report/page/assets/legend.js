"use strict";
// The legend of the page: which arms are drawn, and which one is lit, in all charts and tables at once.

// Gives what tells the arms that are hidden. changed: called when others are.
function legend(data, changed) {
  const main = document.getElementById("main"), box = main.querySelector(".legend");
  if (!box) return () => new Set();
  for (const node of all("svg.swatch", box)) swatch(data.looks[Number(node.dataset.look)], undefined, node);
  const boxes = all("input", box);
  box.addEventListener("change", changed);
  for (const button of all("button", box)) button.onclick = () => {
    for (const each of boxes) each.checked = button.dataset.arms === "all";
    changed();
  };

  // What names an arm leads to its runs: rows of tables, and the lists of runs themselves.
  const arm = (place) => {
    const [, study, own] = place.split("-").map(Number);
    return data.studies[study].arms[own];
  };
  for (const link of all('tr a[href^="#runs-"]')) link.closest("tr").dataset.arm = arm(link.hash);
  for (const list of all('details[id^="runs-"]')) list.querySelector("summary").dataset.arm = arm(list.id);

  const lit = document.getElementById("lit");
  const light = (which) => {
    const rule = which === undefined ? "" : `.chart [data-arm]:not([data-arm="${which}"]) { opacity: .12; } :is(tr, label, summary)[data-arm="${which}"] { background: var(--lit); }`;
    if (lit.textContent !== rule) lit.textContent = rule;
  };
  const of = (event) => event.target.closest?.("[data-arm]")?.dataset.arm;
  main.addEventListener("arm", (event) => light(event.detail));
  main.addEventListener("pointerover", (event) => { if (!event.target.closest(".chart")) light(of(event)); });
  main.addEventListener("pointerleave", () => light());
  main.addEventListener("focusin", (event) => light(of(event)));

  // What is scrolled to, or reached by keys, must not lie below the legend.
  const stuck = () => document.documentElement.style.setProperty("--legend", `${box.offsetHeight}px`);
  new ResizeObserver(stuck).observe(box);
  return () => new Set(boxes.filter((each) => !each.checked).map((each) => Number(each.value)));
}
