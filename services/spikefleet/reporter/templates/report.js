(() => {
  const table = document.getElementById("units");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.key || "";
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) =>
        key(a, column).localeCompare(key(b, column), "en", { numeric: true }) ||
        0);
      const numbers = rows.every((row) => key(row, column) === "" || !isNaN(Number(key(row, column))));
      if (numbers) rows.sort((a, b) => Number(key(a, column)) - Number(key(b, column)));
      if (!up) rows.reverse();
      body.append(...rows);
    });
  });
  document.getElementById("all").addEventListener("change", (event) => {
    for (const id of ["units", "unit-cards"])
      document.getElementById(id)?.classList.toggle("kept-only", !event.target.checked);
  });
})();
