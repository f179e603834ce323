// Which rows of the tables are shown. The page is complete without it.
"use strict";
(() => {
  const set = document.querySelector(".show");
  if (!set) return;
  set.hidden = false;
  const shown = { all: () => true, differs: (v) => v !== "same", sure: (v) => v === "regression" || v === "improvement" };
  const turn = () => {
    const wanted = shown[set.querySelector("input:checked").value];
    for (const body of document.querySelectorAll(".task tbody")) {
      const rows = [...body.querySelectorAll("tr[data-verdict]")];
      for (const row of rows) row.hidden = !wanted(row.dataset.verdict);
      body.hidden = rows.every((row) => row.hidden);
    }
    for (const table of document.querySelectorAll(".task table")) {
      table.closest(".scroll").hidden = [...table.tBodies].every((body) => body.hidden);
    }
  };
  set.addEventListener("change", turn);
  turn();
})();
