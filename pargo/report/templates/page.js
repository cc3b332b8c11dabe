"use strict";
const data = (id) => { const found = document.getElementById(id); return found ? JSON.parse(found.textContent) : null; };
const make = (name, text, kind) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
};

// Tables: a click on a title sorts the rows of each block by that column
for (const button of document.querySelectorAll("table.sortable thead button")) {
  const head = button.closest("th"), table = head.closest("table");
  button.addEventListener("click", () => {
    const column = Array.prototype.indexOf.call(head.parentNode.children, head);
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.querySelectorAll("thead [aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.children[column].dataset.value ?? row.children[column].textContent.trim().replaceAll(",", "");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("block"));
      rows.sort((one, two) => {
        const [a, b] = [key(one), key(two)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      });
      body.append(...rows);
    }
  });
}
for (const box of document.querySelectorAll("input[data-seeds]"))
  box.addEventListener("change", () => document.getElementById(box.dataset.seeds).classList.toggle("seeds", box.checked));

// Numbers: where each comes from
const cells = data("cells"), files = data("files"), dialog = document.getElementById("origin");
document.addEventListener("click", (event) => {
  const number = event.target.closest("a[data-cell]");
  if (!number || event.ctrlKey || event.metaKey) return;
  const id = number.dataset.cell, cell = cells[id], list = dialog.querySelector("dl");
  event.preventDefault();
  dialog.querySelector("h2").textContent = `${number.textContent} ${number.parentNode.querySelector("small")?.textContent ?? ""}`;
  const line = (title, ...parts) => {
    const value = make("dd");
    value.append(...parts);
    list.append(make("dt", title), value);
  };
  list.replaceChildren();
  line("Number", make("code", id));
  line("Status", cell.status);
  if (cell.formula) line("How", cell.formula);
  if (cell.images) line("Images", String(cell.images));
  (cell.seeds ?? []).forEach((seed, i) => cell.values && line(`Seed ${seed}`, String(cell.values[i])));
  if (cell.note) line("Note", cell.note);
  if (cell.where) line("In the files", make("code", cell.where));
  (cell.files ?? []).forEach((place) => {
    const link = make("a", files[place].path);
    link.href = files[place].link;
    line("File", link);
  });
  line("All of it", make("code", `pargo trace ${id.split("/").map((part) => /^[\w.-]+$/.test(part) ? part : `'${part}'`).join(" ")} --config ${dialog.dataset.config}`));
  dialog.showModal();
});

// Attention: a token at a time
const maps = data("maps-data");
if (maps) {
  const slider = document.getElementById("token"), name = document.getElementById("token-name");
  const bytes = Uint8Array.from(atob(maps.maps), (letter) => letter.charCodeAt(0));
  const tokens = maps.partial + maps.global, side = Math.sqrt(maps.patches), size = 256;
  const canvases = maps.images.map((uri, i) => {
    const figure = make("figure"), canvas = make("canvas"), image = new Image();
    canvas.width = canvas.height = size;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Attention to ${maps.names[i]}`);
    figure.append(canvas, make("figcaption", maps.names[i]));
    document.getElementById("maps").append(figure);
    image.onload = () => draw(i);
    image.src = uri;
    return { canvas, image };
  });
  const draw = (i) => {
    const { canvas, image } = canvases[i], pen = canvas.getContext("2d"), step = size / side;
    const start = (i * tokens + Number(slider.value) - 1) * maps.patches;
    pen.globalAlpha = 1;
    pen.filter = "grayscale(1) opacity(.35)";
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, size, size);
    pen.drawImage(image, 0, 0, size, size);
    pen.filter = "none";
    pen.fillStyle = "#d55e00";
    for (let patch = 0; patch < maps.patches; patch++) {
      pen.globalAlpha = 0.9 * bytes[start + patch] / 255;
      pen.fillRect((patch % side) * step, Math.floor(patch / side) * step, step, step);
    }
  };
  const show = () => {
    const token = Number(slider.value);
    name.textContent = token <= maps.partial ? `Partial token ${token} of ${maps.partial}`
      : `Global token ${token - maps.partial} of ${maps.global}`;
    canvases.forEach((_, i) => draw(i));
  };
  slider.addEventListener("input", show);
  show();
}

// Answers: every question of a benchmark, filtered
const search = data("answers-data");
if (search) {
  const at = (id) => document.getElementById(id), PAGE = 24;
  let begin = 0;
  const option = (text, value) => { const node = make("option", text); node.value = value; return node; };
  const right = (answer) => answer[1] > 0.5;
  const graded = (row, arm) => row[5][arm].every((answer) => answer[1] !== null);
  const state = (row, arm) => row[5][arm].map(right);
  const fill = () => {
    const benchmark = search.benchmarks[at("benchmark").value];
    at("task").replaceChildren(option("all", ""), ...Object.entries(benchmark.tasks).map(([key, text]) => option(text, key)));
    begin = 0;
    show();
  };
  const wanted = (row) => {
    const [task, how, arm] = [at("task").value, at("how").value, Number(at("arm").value)];
    if (task && row[1] !== task) return false;
    const text = at("text").value.toLowerCase();
    const said = () => row[5].some((seeds) => seeds.some((answer) => answer[0].toLowerCase().includes(text)));
    if (text && !`${row[0]} ${row[3]} ${row[4]}`.toLowerCase().includes(text) && !said()) return false;
    if (how === "disagree") return new Set(row[5].map((_, i) => state(row, i).join())).size > 1;
    if (how && how !== "disagree" && !graded(row, arm)) return false;
    if (how === "right") return state(row, arm).every(Boolean);
    if (how === "wrong") return state(row, arm).some((one) => !one);
    return true;
  };
  const card = (benchmark, row) => {
    const article = make("article", undefined, "card"), body = make("div"), list = make("ul");
    if (benchmark.thumbnails.length) {
      const image = make("img");
      image.src = benchmark.thumbnails[row[2]];
      image.alt = `Image ${benchmark.images[row[2]]}`;
      article.append(image);
    }
    body.append(make("p", `${benchmark.tasks[row[1]]}, ${row[0]}`, "sub"));
    if (row[3]) body.append(make("p", row[3]));
    const answer = make("p", "Right answer: ");
    answer.append(make("b", row[4] || "not published"));
    row[5].forEach((seeds, arm) => {
      const item = make("li"), groups = new Map();
      seeds.forEach(([text, mark], i) => {
        const key = JSON.stringify([text, mark]);
        groups.set(key, [...(groups.get(key) ?? []), search.seeds[i]]);
      });
      item.append(make("b", `${search.arms[arm]}: `));
      [...groups].forEach(([key, seeds_], i) => {
        const [text, mark] = JSON.parse(key), graded = mark === null ? "" : mark > 0.5 ? "\u2713 " : "\u2717 ";
        const which = seeds_.length === search.seeds.length ? "" : ` (seed ${seeds_.join(", ")})`;
        item.append(i ? "; " : "", make("span", graded + (text || "(nothing)") + which, mark === null ? "" : mark > 0.5 ? "right" : "wrong"));
      });
      list.append(item);
    });
    body.append(answer, list);
    article.append(body);
    return article;
  };
  const show = () => {
    const benchmark = search.benchmarks[at("benchmark").value], rows = benchmark.rows.filter(wanted);
    begin = Math.min(begin, Math.max(0, rows.length - 1));
    const end = Math.min(begin + PAGE, rows.length);
    const missing = benchmark.all > benchmark.rows.length ? `; the page holds the first ${benchmark.rows.length} of ${benchmark.all}` : "";
    at("count").textContent = rows.length ? `${begin + 1} to ${end} of ${rows.length} questions${missing}` : `no question${missing}`;
    at("found").replaceChildren(...rows.slice(begin, end).map((row) => card(benchmark, row)));
    at("before").disabled = !begin;
    at("after").disabled = end >= rows.length;
  };
  at("benchmark").append(...Object.entries(search.benchmarks).map(([key, of]) => option(of.title, key)));
  at("arm").append(...search.arms.map((name, i) => option(name, i)));
  at("benchmark").addEventListener("change", fill);
  for (const id of ["task", "how", "arm", "text"]) at(id).addEventListener("input", () => { begin = 0; show(); });
  at("before").addEventListener("click", () => { begin = Math.max(0, begin - PAGE); show(); });
  at("after").addEventListener("click", () => { begin += PAGE; show(); });
  fill();
}
