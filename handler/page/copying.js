// Copy to the clipboard, and say so on the button that was pressed and to who cannot see it.

export async function copy(text, button) {
  const done = (await written(text)) ? "Copied" : "Not copied";
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = done;
  document.querySelector("#copied").textContent = done;
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = setTimeout(() => {
    button.textContent = label;
    document.querySelector("#copied").textContent = "";
  }, 1600);
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard on plain http, nor in most frames; the old way still works there.
    const area = document.createElement("textarea");
    const focused = document.activeElement;
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}
