// What is made of an answer: matrix, ranking and vectors.

import { copy } from "./copying.js";
import { image } from "./pictures.js";

const RANKED = 10;
const find = (selector) => document.querySelector(selector);

// texts: [{text}], pictures: [{name, url}]; answer: the API's, vectors of unit length.
export function show(texts, pictures, answer) {
  const items = [
    ...texts.map((text) => ({ label: text, kind: "text" })),
    ...pictures.map((picture) => ({ label: picture.name, kind: "picture", picture })),
  ].map((item, index) => ({
    ...item,
    vector: answer.embeddings[index],
    cut: answer.truncated?.[index] ?? false,
  }));
  const ofTexts = items.filter((item) => item.kind === "text");
  const ofPictures = items.filter((item) => item.kind === "picture");
  // With one kind only, it is compared with itself.
  const rows = ofTexts.length ? ofTexts : ofPictures;
  const columns = ofPictures.length ? ofPictures : ofTexts;
  const cosines = rows.map((row) => columns.map((column) => dot(row.vector, column.vector)));
  const scale = range(rows, columns, cosines);

  find("#matrix").replaceChildren(matrix(rows, columns, cosines, scale));
  find("#lowest").textContent = number(scale.low, 2);
  find("#highest").textContent = number(scale.high, 2);
  find("#ranking").replaceChildren(
    ...columns.map((column, index) => ranking(column, index, rows, cosines, scale)),
  );
  find("#vectors").replaceChildren(...items.map(vector));
  find("#space").textContent =
    `${answer.dim} numbers each, unit length, space ${answer.space}. ` +
    "Only vectors of the same space can be compared.";
  const cut = items.filter((item) => item.cut).map((item) => `“${item.label.slice(0, 40)}…”`);
  find("#cut").hidden = !cut.length;
  find("#cut").textContent = `Longer than the model reads, and cut: ${cut.join(", ")}`;
  find("#results").hidden = false;
}

function dot(a, b) {
  return a.reduce((sum, value, index) => sum + value * b[index], 0);
}

// Lowest and highest, leaving out what is compared with itself: that is always 1.
function range(rows, columns, cosines) {
  const seen = cosines.flatMap((row, r) => row.filter((_, c) => rows[r] !== columns[c]));
  const low = seen.length ? Math.min(...seen) : 0;
  const high = seen.length ? Math.max(...seen) : 1;
  return { low, high, share: (value) => (high > low ? (value - low) / (high - low) : 1) };
}

function matrix(rows, columns, cosines, scale) {
  const table = make("table", "", "matrix");
  const caption = make("caption", "Cosine similarities", "unseen");
  const head = make("thead");
  const names = make("tr");
  names.append(make("td"));
  for (const column of columns) names.append(heading(column, "col"));
  head.append(names);
  const body = make("tbody");
  const best = columns.map((column, c) => bestRow(column, c, rows, cosines));
  rows.forEach((row, r) => {
    const line = make("tr");
    line.append(heading(row, "row"));
    columns.forEach((column, c) => line.append(cell(row, column, cosines[r][c], scale, best[c] === r)));
    body.append(line);
  });
  table.append(caption, head, body);
  return table;
}

function cell(row, column, cosine, scale, best) {
  const node = make("td", number(cosine, 3));
  if (row === column) {
    node.className = "itself";
    return node;
  }
  node.style.setProperty("--share", scale.share(cosine).toFixed(3));
  node.classList.toggle("best", best);
  if (best) node.append(make("span", ", best of this column", "unseen"));
  return node;
}

function bestRow(column, c, rows, cosines) {
  const ranked = order(column, c, rows, cosines);
  return ranked.length > 1 ? ranked[0] : -1;
}

function order(column, c, rows, cosines) {
  return rows
    .map((_, r) => r)
    .filter((r) => rows[r] !== column)
    .sort((a, b) => cosines[b][c] - cosines[a][c]);
}

function ranking(column, c, rows, cosines, scale) {
  const card = make("article");
  const title = make("h3");
  title.append(...label(column));
  const list = make("ol");
  const ranked = order(column, c, rows, cosines);
  for (const r of ranked.slice(0, RANKED)) {
    const line = make("li");
    const name = make("span", "", "label");
    name.append(...label(rows[r]));
    const bar = make("span", "", "bar");
    bar.style.setProperty("--share", scale.share(cosines[r][c]).toFixed(3));
    line.append(name, make("span", number(cosines[r][c], 3), "value"), bar);
    list.append(line);
  }
  card.append(title, list);
  if (ranked.length > RANKED) {
    card.append(make("p", `${ranked.length - RANKED} more in the table`, "hint"));
  }
  return card;
}

function vector(item) {
  const line = make("li");
  const name = make("span", "", "label");
  name.append(...label(item));
  const first = item.vector.slice(0, 4).map((value) => number(value, 3));
  const button = make("button", "Copy", "button");
  button.type = "button";
  button.setAttribute("aria-label", `Copy vector of ${item.label}`);
  button.addEventListener("click", () => copy(JSON.stringify(item.vector), button));
  line.append(name, make("code", `${first.join(", ")}, …`), button);
  return line;
}

function heading(item, scope) {
  const node = make("th");
  node.scope = scope;
  node.title = item.label;
  node.append(...label(item));
  return node;
}

function label(item) {
  const name = make("span", item.label, "name");
  return item.picture ? [image(item.picture), name] : [name];
}

function number(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) < 0 ? text.replace("-", "−") : text.replace("-", "");
}

function make(tag, text = "", className = "") {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
}
