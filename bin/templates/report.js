"use strict";
// A click on a heading sorts its table. A page that is served is refreshed in place.

// Column and direction of each table that was sorted, by the id of its section.
const sorted = new Map();

function sort(table, column, descending) {
  const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    // What is not known comes last in both directions.
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return descending ? -order : order;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const heading of table.tHead.rows[0].cells) heading.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

document.addEventListener("click", (event) => {
  const heading = event.target.closest("th");
  if (!heading) return;
  const before = heading.getAttribute("aria-sort");
  const descending = before ? before === "ascending" : heading.classList.contains("n");
  sort(heading.closest("table"), heading.cellIndex, descending);
  sorted.set(heading.closest("section").id, [heading.cellIndex, descending]);
});

function replace(next) {
  const open = [...document.querySelectorAll("details[open]")].map((details) => details.id);
  for (const part of ["header", "main"]) document.querySelector(part).replaceWith(next.querySelector(part));
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, [column, descending]] of sorted) {
    const table = document.getElementById(id)?.querySelector("table");
    if (table) sort(table, column, descending);
  }
  document.title = next.title;
}

async function refresh() {
  if (document.hidden) return;
  const stale = document.getElementById("stale");
  let problem = "";
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) replace(next);
    else problem = next.getElementById("problem")?.textContent ?? answer.statusText;
  } catch {
    problem = "The server of this page does not answer.";
  }
  stale.hidden = problem === "";
  if (problem) stale.textContent = `Not refreshed: ${problem}`;
}

const seconds = Number(document.body.dataset.refresh);
const again = () => setTimeout(() => refresh().finally(again), seconds * 1000);
if (seconds) again();
