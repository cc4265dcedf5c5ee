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

  document.getElementById("every")?.addEventListener("change", (event) => {
    table.classList.toggle("few", !event.target.checked);
  });

  const names = heads.map((head) => [head.dataset.name || "", head.textContent.trim().toLowerCase()]);
  const others = { rate: "firing_rate_hz", amplitude: "amplitude_uv", isi: "isi_percent", spread: "std_norm", verdict: "failed_on", spikes: "spike_count", unit: "unit_id", channel: "channel_id", y: "y_um" };
  const columnOf = (word) => {
    const wanted = others[word] || word;
    return names.findIndex(([name, title]) => name && (name === wanted || title === word));
  };
  const compare = {
    ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
    "=": (a, b) => a === b,
  };
  const test = (word) => {
    const parts = word.match(/^([\p{L}_][\p{L}\d_]*)(>=|<=|>|<|=)(.+)$/u);
    const column = parts ? columnOf(parts[1].toLowerCase()) : -1;
    if (column < 0) return (row) => row.textContent.toLowerCase().includes(word.toLowerCase());
    const bound = Number(parts[3]);
    if (isNaN(bound))
      return (row) => row.cells[column].textContent.trim().toLowerCase() === parts[3].toLowerCase();
    return (row) => key(row, column) !== "" && compare[parts[2]](Number(key(row, column)), bound);
  };
  const filter = document.getElementById("filter");
  const cards = new Map([...document.querySelectorAll(".unit[data-unit]")].map((card) => [card.dataset.unit, card]));
  filter.addEventListener("input", () => {
    const tests = filter.value.split(/\s+/).filter(Boolean).map(test);
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = !tests.every((holds) => holds(row));
      shown += !row.hidden;
      const card = cards.get(row.dataset.unit);
      if (card) card.hidden = row.hidden;
    }
    document.getElementById("filter-told").textContent = `${shown} of ${body.rows.length} units`;
  });

  document.getElementById("csv").addEventListener("click", () => {
    // A spreadsheet takes text that begins like this for a formula and runs it; numbers stay.
    const plain = (text) => (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = [names.slice(1).map(([name]) => name)];
    for (const row of body.rows)
      if (!row.hidden) lines.push([...row.cells].slice(1).map((_, column) => key(row, column + 1)));
    const text = lines.map((line) => line.map((text) => quoted(plain(text))).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "units.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
