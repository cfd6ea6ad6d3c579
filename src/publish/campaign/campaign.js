(() => {
  const table = document.querySelector(".tests");
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const field = document.createElement("input");
  field.id = "search";
  field.type = "search";
  field.placeholder = "Search: name, family, condition, seen, ...";
  field.setAttribute("aria-label", "Search the tests");
  const shown = document.createElement("p");
  shown.setAttribute("role", "status");
  const squares = new Map([...document.querySelectorAll(".map .one")].map((one) => [one.dataset.t, one]));
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, at) => {
      const fits = words.every((word) => texts[at].includes(word));
      row.hidden = !fits;
      count += fits ? 1 : 0;
      const one = squares.get(row.id.slice(1));
      if (one) one.hidden = !fits;
    });
    shown.textContent = words.length ? `${count} of ${rows.length} tests` : "";
  });
  table.before(field, shown);
})();
