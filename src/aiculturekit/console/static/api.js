// The public API with this session's CSRF token.
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";

export async function call(method, url, body) {
  const headers = { "x-csrf-token": csrf, "accept-language": document.documentElement.lang };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error([value.error?.message, value.error?.hint].filter(Boolean).join(" ") || answer.statusText);
  return value;
}

// Wait until an operation has ended; its error is thrown.
export function ended(operation) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/api/v1/operations/${operation.id}/events`);
    source.addEventListener("done", (event) => {
      source.close();
      const last = JSON.parse(event.data);
      if (last.error) reject(new Error([last.error.message, last.error.hint].filter(Boolean).join(" ")));
      else resolve(last);
    });
  });
}

// Bytes in the unit that suits them.
export const amount = (bytes) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at += 1) bytes /= 1024;
  return `${bytes.toLocaleString("en", { maximumFractionDigits: at && bytes < 100 ? 1 : 0 })} ${units[at]}`;
};
