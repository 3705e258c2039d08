"use strict";
// What a reader takes along: tables that sort at their heads, and are saved as CSV; charts that are saved as pictures.

// The first number of a cell, with − and < as they are printed; NaN where it holds words.
function numberIn(text) {
  const found = text.replace(/[,\u2007]/g, "").replace("−", "-").match(/-?\d+(\.\d+)?(e[+−-]?\d+)?/i);
  return found && /^[\s<+−-]*\d/.test(text) ? Number(found[0].replace("−", "-")) : NaN;
}

// Heads become buttons: down, up, and back as it was. Rows without a number stay at the end.
function sortable(table) {
  const body = table.tBodies[0], before = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.textContent.trim() || before.some((row) => row.cells.length !== table.tHead.rows[0].cells.length)) return;
    const button = html("button", { type: "button", className: "sort", title: "Sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const next = { none: "descending", descending: "ascending", ascending: "none" }[head.ariaSort ?? "none"];
      for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
      head.ariaSort = next;
      const value = (row) => row.cells[column].textContent.trim(), sign = next === "descending" ? -1 : 1;
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)].map(numberIn);
        if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        return sign * (Number.isNaN(x) ? value(a).localeCompare(value(b)) : x - y);
      };
      body.append(...(next === "none" ? before : [...before].sort(order)));
    };
  });
}

function save(name, blob) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// As it stands on the page. A spreadsheet takes what begins with = or the like for a formula, so that is quoted.
function csv(table) {
  const cell = (node) => {
    const text = node.innerText.trim().replace(/\s+/g, " ").replace(/\u2007/g, ""), plain = text.replace(/^−(?=\d)/, "-");
    return `"${(/^[=@\t\r]|^[+-](?!\d)/.test(plain) ? `'${plain}` : plain).replace(/"/g, '""')}"`;
  };
  return [...table.tHead.rows, ...table.tBodies[0].rows].map((row) => [...row.cells].map(cell).join(",")).join("\n") + "\n";
}

const STYLE = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "visibility"];

// A chart by itself: with the colours and letters that the page gives it.
function picture(root) {
  const copy = root.cloneNode(true), { width, height } = root.viewBox.baseVal;
  const [from, to] = [root, copy].map((node) => [node, ...node.querySelectorAll("*")]);
  from.forEach((node, k) => {
    const style = getComputedStyle(node);
    for (const name of STYLE) to[k].setAttribute(name, style.getPropertyValue(name));
    to[k].removeAttribute("class");
  });
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.prepend(svg("rect", { width, height, fill: getComputedStyle(document.querySelector(".card")).backgroundColor }));
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

function savePicture(root, name, kind) {
  const { text, width, height } = picture(root);
  if (kind === "svg") return save(`${name}.svg`, new Blob([text], { type: "image/svg+xml" }));
  const image = new Image(), canvas = html("canvas", { width: 2 * width, height: 2 * height });
  image.onload = () => {
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    canvas.toBlob((blob) => save(`${name}.png`, blob));
  };
  image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
}
