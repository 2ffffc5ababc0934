// Requests to the server that this page comes from.

const KEY = "adamole-api-key";

/** What went wrong, in words for the reader. `status` is that of HTTP, or 0. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** The key is kept for this tab only. */
export const setApiKey = (key) => sessionStorage.setItem(KEY, key);

/** The models that can be asked, as the server lists them. */
export async function models() {
  const response = await request("v1/models");
  return (await response.json()).data;
}

/** The chunks of an answer as they come. Aborting `signal` throws an AbortError. */
export async function* chat(body, signal) {
  const response = await request("v1/chat/completions", { ...body, stream: true }, signal);
  for await (const data of events(response.body, signal)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError(chunk.error.message);
    yield chunk;
  }
  throw new ServerError("The connection ended before the answer did.");
}

async function request(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = { headers, signal, ...(body && { method: "POST", body: JSON.stringify(body) }) };
  const response = await fetch(path, options).catch(lost);
  if (!response.ok) throw new ServerError(await inWords(response), response.status);
  return response;
}

/** The data of server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(lost);
      if (done) return;
      text += value;
      const whole = text.split(/\r?\n\r?\n/);
      text = whole.pop();
      for (const event of whole) {
        const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        if (data.length) yield data.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function lost(error) {
  throw error.name === "AbortError" ? error : new ServerError("The server does not answer. Is it still running?");
}

async function inWords(response) {
  const said = await response.json().then((body) => body.error.message).catch(() => "");
  const again = response.headers.get("Retry-After");
  switch (response.status) {
    case 401: return said || "The server asks for an API key.";
    case 413: return `The request is too large. ${said}`.trim();
    case 503: return `The server is busy. ${said}`.trim() + (again ? ` Try again in ${again} seconds.` : "");
    default: return said || `The server answered ${response.status} ${response.statusText}`.trim();
  }
}
