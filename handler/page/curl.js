// The shell command that repeats a request, for sh, bash and zsh on Linux and macOS.

// pictures: [{name, address}], address where an example can be fetched, else null: a file at hand.
export function curlCommand({ url, texts, pictures, hasKey }) {
  const lines = [`curl -sS ${quoted(url)}`];
  if (hasKey) lines.push('-H "authorization: Bearer $API_KEY" -H "x-api-key: $API_KEY"');
  lines.push("-H 'content-type: application/json'");
  if (!pictures.length) {
    lines.push(`-d ${quoted(JSON.stringify({ normalize: true, text: texts }))}`);
    return lines.join(" \\\n  ");
  }
  // The text is an argument, not a part of the format, so that % and \ in it stay what they are.
  const slots = pictures.map(() => '"%s"').join(",");
  const format = `{"normalize":true,${texts.length ? '"text":%s,' : ""}"image":[${slots}]}`;
  const values = pictures.map(({ name, address }) =>
    address
      ? `"$(curl -sS ${quoted(address)} | base64 | tr -d '\\n')"`
      : `"$(base64 < ${quoted(name)} | tr -d '\\n')"`,
  );
  if (texts.length) values.unshift(quoted(JSON.stringify(texts)));
  lines.push("-d @-");
  return [`printf ${quoted(format)}`, ...values].join(" \\\n  ") + ` |\n${lines.join(" \\\n  ")}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
