"use strict";
{
  const button = (name, press) => {
    const made = document.createElement("button");
    made.type = "button";
    made.append(...name);
    made.addEventListener("click", press);
    return made;
  };

  // The number in a cell: "+1.20", "96.58 %", "#12 l2", "1,024", "2 min 3 s"; what has none is sorted to the end.
  const number = text => {
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s(h|min|s)\b/g)];
    if (parts.length) return parts.reduce((sum, [, n, unit]) => sum + n * {h: 3600, min: 60, s: 1}[unit], 0);
    return parseFloat(text.replace(/^[#<\s]+|,/g, ""));
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (isNaN(x) && isNaN(y)) return a.localeCompare(b);
    return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
  };

  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    if (rows.length < 2) continue;
    heads.forEach((head, column) => head.append(button([...head.childNodes], () => {
      const now = head.getAttribute("aria-sort"), next = {ascending: "descending", descending: ""}[now] ?? "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const text = row => row.cells[column].textContent.trim(), turn = next === "descending" ? -1 : 1;
      const empty = row => /^\u2013?$/.test(text(row));
      const order = (a, b) => empty(a) - empty(b) || turn * compare(text(a), text(b));
      body.append(...(next ? [...rows].sort(order) : rows));
    })));
  }

  // The alternatives of a section, such as variants: all, or one.
  for (const section of document.querySelectorAll("section")) {
    const rows = [...section.querySelectorAll("[data-choice]")];
    const names = [...new Set(rows.map(row => row.dataset.choice))];
    if (names.length < 2) continue;
    const bar = document.createElement("div");
    bar.className = "choices";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Figures shown");
    const choose = (pressed, name) => {
      for (const one of bar.children) one.setAttribute("aria-pressed", one === pressed);
      for (const row of rows) row.hidden = name !== null && row.dataset.choice !== name;
    };
    for (const name of [null, ...names]) {
      bar.append(button([name ?? "all"], event => choose(event.currentTarget, name)));
    }
    choose(bar.firstChild, null);
    rows[0].before(bar);
  }

  // A seed under the pointer: the same seed in every claim.
  for (const spots of document.querySelectorAll(".spots")) {
    const tip = document.createElement("b"), all = [...spots.children];
    for (const spot of all) {
      spot.dataset.text = spot.title;
      spot.removeAttribute("title");
      spot.addEventListener("pointerenter", () => {
        const same = all.filter(one => one.dataset.key === spot.dataset.key);
        same.forEach(one => one.classList.add("same"));
        tip.textContent = same.map(one => one.dataset.text).join("\n");
        tip.style.top = spot.style.top;
        spots.append(tip);
      });
      spot.addEventListener("pointerleave", () => {
        all.forEach(one => one.classList.remove("same"));
        tip.remove();
      });
    }
  }
}
