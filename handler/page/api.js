// The service as the page sees it. Addresses are relative to the document's base, so the page works
// behind any prefix.

export const ENDPOINT = "embeddings";

// What went wrong, and where: `field` is the API's own, such as image[2]; status 0 means no answer.
export class Problem extends Error {
  constructor(message, { status = 0, code = "", field = null, limit = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field, limit });
  }
}

export async function health(key, signal) {
  return ask("health", { headers: keyHeaders(key), signal });
}

// body: a string of JSON. Returns the parsed answer or throws a Problem; an abort throws as it does.
export async function embed(body, key, signal) {
  const headers = { "content-type": "application/json", ...keyHeaders(key) };
  return ask(ENDPOINT, { method: "POST", headers, body, signal });
}

// Texts and base64 pictures as the API wants them.
export function requestBody(texts, images) {
  const parts = { normalize: true };
  if (texts.length) parts.text = texts;
  if (images.length) parts.image = images;
  return JSON.stringify(parts);
}

function keyHeaders(key) {
  // The service's own keys are bearer tokens, API Gateway's have a header of their own.
  return key ? { authorization: `Bearer ${key}`, "x-api-key": key } : {};
}

async function ask(address, options) {
  let response, text;
  try {
    response = await fetch(address, { cache: "no-store", ...options });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer.");
  }
  let found = null;
  try {
    found = JSON.parse(text);
  } catch {
    // Not from the service: a proxy's page, or nothing at all.
  }
  if (response.ok && found) return found;
  const told = found?.error ?? {};
  const message = told.message ?? found?.message ?? `HTTP ${response.status}, without a reason.`;
  throw new Problem(message, { ...told, status: response.status });
}
