// The pictures to compare: added by drop, paste, file dialog or as examples, shown as thumbnails.

let made = 0;

export class Pictures {
  constructor(list, changed) {
    this.items = [];
    this.list = list;
    this.changed = changed;
  }

  // address: where the file came from, if it can be fetched again.
  add(files, address = null) {
    for (const file of files) {
      const name = file.name || "picture";
      const url = URL.createObjectURL(file);
      this.items.push({ id: `picture-${++made}`, file, name, url, address, problem: "" });
    }
    this.draw();
    this.changed();
  }

  remove(picture) {
    const index = this.items.indexOf(picture);
    this.items.splice(index, 1);
    this.draw();
    this.changed();
    // The button that had the focus is gone: on to the next picture's, or back to the file dialog.
    const next = this.items[Math.min(index, this.items.length - 1)];
    (next ? this.button(next) : document.querySelector("#picker")).focus();
  }

  clear() {
    this.items = [];
    this.draw();
    this.changed();
  }

  mark(picture, problem) {
    picture.problem = problem;
    this.draw();
  }

  unmark() {
    for (const picture of this.items) picture.problem = "";
    this.draw();
  }

  // Returns base64 of every file, or marks those that cannot be read and returns null.
  async read() {
    const read = await Promise.all(
      this.items.map((picture) => base64(picture.file).catch(() => this.unreadable(picture))),
    );
    return read.includes(null) ? null : read;
  }

  unreadable(picture) {
    this.mark(picture, "This file cannot be read; was it moved or deleted, or is it a folder?");
    return null;
  }

  button(picture) {
    return this.list.querySelector(`#${picture.id} button`);
  }

  draw() {
    const known = new Map([...this.list.children].map((node) => [node.id, node]));
    this.list.replaceChildren(
      ...this.items.map((picture) => {
        const node = known.get(picture.id) ?? this.thumbnail(picture);
        const problem = node.querySelector(".problem");
        node.classList.toggle("wrong", Boolean(picture.problem));
        if (problem.textContent !== picture.problem) problem.textContent = picture.problem;
        return node;
      }),
    );
  }

  thumbnail(picture) {
    const node = document.createElement("li");
    node.id = picture.id;
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = picture.name;
    name.title = `${picture.name}, ${bytes(picture.file.size)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    remove.addEventListener("click", () => this.remove(picture));
    const problem = document.createElement("p");
    problem.className = "problem";
    problem.setAttribute("role", "alert");
    node.append(image(picture), name, remove, problem);
    return node;
  }
}

// An <img>, or what stands for it where the browser cannot show the format, such as TIFF.
export function image(picture) {
  const frame = document.createElement("span");
  frame.className = "thumbnail";
  const shown = document.createElement("img");
  shown.alt = "";
  shown.addEventListener("error", () => {
    frame.textContent = picture.name.includes(".") ? picture.name.split(".").pop().slice(0, 5) : "?";
  });
  shown.src = picture.url;
  frame.append(shown);
  return frame;
}

export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  const [unit, name] = count < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${Number((count / unit).toFixed(1))} ${name}`;
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
