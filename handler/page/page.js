// The page: inputs, one request at a time of which the newest wins, and where its errors are shown.

import { embed, ENDPOINT, health, Problem, requestBody } from "./api.js";
import { copy } from "./copying.js";
import { curlCommand } from "./curl.js";
import { Pictures } from "./pictures.js";
import { clearProblems, problem, tell } from "./problems.js";
import { show } from "./results.js";

const EXAMPLES = ["red-circle", "blue-square", "green-star", "yellow-triangle", "purple-heart"];
const EXAMPLE_TEXTS = [
  "a large red circle",
  "a small blue square",
  "a green star",
  "a yellow triangle",
  "a purple heart",
  "a red heart",
];

const find = (selector) => document.querySelector(selector);
const texts = find("#texts");
const key = find("#key");
const pictures = new Pictures(find("#thumbnails"), changed);
let running = null;
let last = null;

async function compare() {
  running?.abort();
  const mine = (running = new AbortController());
  clearProblems();
  pictures.unmark();
  const asked = { lines: lines(), pictures: [...pictures.items], key: key.value.trim() };
  busy("Asking the service…");
  try {
    if (!asked.lines.length && !asked.pictures.length) {
      throw new Problem("Add a picture or type a text first.", { field: "text" });
    }
    const images = await pictures.read();
    if (mine.signal.aborted) return;
    if (!images) throw new Problem("not sent", { field: "image", code: "unreadable" });
    const written = asked.lines.map((line) => line.text);
    asked.body = requestBody(written, images);
    const answer = await embed(asked.body, asked.key, mine.signal);
    if (mine.signal.aborted) return;
    last = { ...asked, answer };
    show(written, asked.pictures, answer);
    showCurl(written, asked);
    busy("");
    say(`${count(asked)} in ${(answer.duration * 1000).toFixed(0)} ms.`);
    modelIs(answer.model, answer.dim, answer.space);
  } catch (error) {
    if (mine.signal.aborted) return;
    busy("");
    say("Not compared.");
    if (await tell(error, asked, pictures, mine.signal)) modelIs();
  } finally {
    if (running === mine) running = null;
    release();
  }
}

function lines() {
  return texts.value
    .split("\n")
    .map((text, index) => ({ text: text.trim(), number: index + 1 }))
    .filter((line) => line.text);
}

function showCurl(written, asked) {
  const url = new URL(ENDPOINT, document.baseURI).href;
  const command = { url, texts: written, pictures: asked.pictures, hasKey: Boolean(asked.key) };
  find("#curl").textContent = curlCommand(command);
  const notes = [];
  if (asked.pictures.some((picture) => !picture.address)) {
    notes.push("Run it in the folder the pictures are in.");
  }
  if (asked.key) notes.push("Put your key into the variable API_KEY first.");
  find("#curl-hint").textContent = notes.join(" ") || "Runs as it is, in sh, bash or zsh.";
}

function count({ lines, pictures }) {
  const some = (number, what) => (number === 1 ? `1 ${what}` : `${number} ${what}s`);
  const parts = [];
  if (pictures.length) parts.push(some(pictures.length, "picture"));
  if (lines.length) parts.push(some(lines.length, "text"));
  return `Compared ${parts.join(" and ")}`;
}

function busy(message) {
  document.body.classList.toggle("busy", Boolean(message));
  find("#results").setAttribute("aria-busy", String(Boolean(message)));
  if (message) say(message);
}

function say(message) {
  find("#status").textContent = message;
}

// The results stay until the next answer; say so once they no longer belong to what is put in.
function changed() {
  find("#clear").hidden = !pictures.items.length;
  if (running) return;
  if (last) say("Changed since the last comparison.");
  release();
}

// Picture files stay loaded while an input or a result shows them.
const held = new Set();
function release() {
  const needed = new Set([...pictures.items, ...(last?.pictures ?? [])].map((one) => one.url));
  for (const url of held) if (!needed.has(url)) URL.revokeObjectURL(url);
  held.clear();
  for (const url of needed) held.add(url);
}

async function examples() {
  let files;
  try {
    files = await Promise.all(
      EXAMPLES.map(async (name) => {
        const address = new URL(`page/examples/${name}.png`, document.baseURI).href;
        // Gateways decide by the first type accepted whether an answer is binary.
        const response = await fetch(address, { headers: { accept: "image/png" } });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const type = "image/png";
        return { address, file: new File([await response.blob()], `${name}.png`, { type }) };
      }),
    );
  } catch {
    problem("pictures", "The examples cannot be loaded: the service does not answer.");
    return;
  }
  pictures.clear();
  for (const { file, address } of files) pictures.add([file], address);
  texts.value = EXAMPLE_TEXTS.join("\n");
  await compare();
}

function modelIs(name, dim, space) {
  const line = find("#model");
  line.dataset.state = name ? "ready" : "gone";
  line.textContent = name ? `${name}, ${dim} dimensions, space ${space}` : "No answer";
}

async function askModel() {
  try {
    const found = await health(key.value.trim());
    modelIs(found.model, found.dim, found.space);
  } catch (error) {
    const line = find("#model");
    if (error.code === "not_ready") {
      line.textContent = "The model is loading…";
      setTimeout(askModel, 1000);
    } else if (error.status === 401 || error.status === 403) {
      line.textContent = "Asks for an API key";
      find("#key-details").open = true;
    } else {
      modelIs();
    }
  }
}

find("#inputs").addEventListener("submit", (event) => {
  event.preventDefault();
  compare();
});
find("#again").addEventListener("click", compare);
find("#examples").addEventListener("click", examples);
find("#clear").addEventListener("click", () => {
  pictures.clear();
  find("#picker").focus();
});
find("#copy-curl").addEventListener("click", (event) =>
  copy(find("#curl").textContent, event.currentTarget),
);
find("#copy-all").addEventListener("click", (event) =>
  copy(JSON.stringify(last.answer.embeddings), event.currentTarget),
);
find("#picker").addEventListener("change", (event) => {
  pictures.add(event.target.files);
  event.target.value = ""; // the same file may be chosen again
});
texts.addEventListener("input", changed);
texts.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) compare();
});
key.addEventListener("change", askModel);
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    pictures.add(event.clipboardData.files);
  }
});

// Dragging across child elements leaves and enters all the time: only the last leave counts.
let depth = 0;
const dragsFiles = (event) => event.dataTransfer?.types.includes("Files");
function dragging(change) {
  depth = Math.max(depth + change, 0);
  find("#drop").hidden = depth === 0;
}
document.addEventListener("dragenter", (event) => dragsFiles(event) && dragging(1));
document.addEventListener("dragleave", (event) => dragsFiles(event) && dragging(-1));
document.addEventListener("dragover", (event) => dragsFiles(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  dragging(-depth);
  pictures.add(event.dataTransfer.files);
});

askModel();
