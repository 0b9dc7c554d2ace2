// Where an error is shown: at the picture, the texts or the key it is about, else below the button.

import { health, Problem } from "./api.js";
import { bytes } from "./pictures.js";

const INPUTS = { pictures: "#picker", texts: "#texts", key: "#key" };
const find = (selector) => document.querySelector(selector);

// asked: {lines, pictures, key, body}, what was sent. Nothing the person has put in is touched.
// Returns whether the service is gone.
export async function tell(error, asked, pictures, signal) {
  if (!(error instanceof Problem)) throw error;
  const [, kind, index] = /^(text|image)(?:\[(\d+)\])?$/.exec(error.field ?? "") ?? [];
  const picture = kind === "image" ? asked.pictures[index] : undefined;
  const line = kind === "text" ? asked.lines[index] : undefined;
  if (error.status === 401 || error.status === 403) {
    find("#key-details").open = true;
    problem("key", error.message);
  } else if (error.code === "unreadable") {
    // The pictures say so themselves.
  } else if (error.code === "body_too_large") {
    tooMuch(error.limit, asked, pictures);
  } else if (error.code === "image_too_large" && picture) {
    for (const large of asked.pictures.filter((one) => one.file.size > error.limit)) {
      const size = bytes(large.file.size);
      pictures.mark(large, `It has ${size}; one picture may have ${bytes(error.limit)}.`);
    }
  } else if (picture) {
    pictures.mark(picture, error.message.replace(error.field, "This file"));
  } else if (kind === "image") {
    problem("pictures", error.message);
  } else if (kind === "text") {
    const named = line ? error.message.replace(error.field, `Line ${line.number}`) : error.message;
    problem("texts", named);
  } else {
    return fail(error, asked, signal);
  }
  return false;
}

export function problem(place, message) {
  find(`#${place}-problem`).textContent = message;
  find(`#${place}-problem`).hidden = false;
  find(INPUTS[place]).setAttribute("aria-invalid", "true");
}

export function clearProblems() {
  find("#failure").hidden = true;
  for (const [place, input] of Object.entries(INPUTS)) {
    find(`#${place}-problem`).hidden = true;
    find(`#${place}-problem`).textContent = "";
    find(input).removeAttribute("aria-invalid");
  }
}

async function fail(error, asked, signal) {
  let message = error.message;
  const silent = error.status === 0;
  const gone = silent && !(await reachable(asked.key, signal));
  if (signal.aborted) return false;
  if (gone) {
    message = "The service does not answer. What you put in is kept.";
  } else if (silent) {
    message = "The service cut the connection";
    if (asked.pictures.length) {
      const size = bytes(new Blob([asked.body]).size);
      message += ` while ${size} were sent to it. Send fewer or smaller pictures`;
    }
    message += ".";
  }
  find("#failure-text").textContent = message;
  find("#failure").hidden = false;
  return gone;
}

async function reachable(key, signal) {
  try {
    await health(key, signal);
    return true;
  } catch (error) {
    return error instanceof Problem && error.status > 0;
  }
}

// The request as a whole is too large: mark the largest pictures, as many as have to go.
function tooMuch(limit, asked, pictures) {
  let size = new Blob([asked.body]).size;
  const message = `The request has ${bytes(size)}; this service takes ${bytes(limit)}.`;
  const largest = [...asked.pictures].sort((a, b) => b.file.size - a.file.size);
  for (const picture of largest) {
    if (size <= limit) break;
    size -= Math.ceil(picture.file.size / 3) * 4;
    pictures.mark(picture, `${message} This picture has ${bytes(picture.file.size)}.`);
  }
  if (size > limit) problem("texts", message);
}
