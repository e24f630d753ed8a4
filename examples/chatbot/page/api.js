// The server's API, as functions.

/** What the server refused, with its status; other errors mean that it could not be reached. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body, signal) {
  const response = await fetch(path, {
    method,
    signal,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Refused(response.status, told.error ?? `The server answered with ${response.status}.`);
}

const json = async (...args) => (await request(...args)).json();
const one = (id) => `/api/conversations/${encodeURIComponent(id)}`;
const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null));

export const list = (after) => json("GET", `/api/conversations?${query({ after })}`);
export const create = () => json("POST", "/api/conversations", {});
export const conversation = (id) => json("GET", one(id));
export const messages = (id, before) => json("GET", `${one(id)}/messages?${query({ before })}`);
export const rename = (id, title) => json("PATCH", one(id), { title });
export const remove = (id) => request("DELETE", one(id));
export const search = (q, after, signal) =>
  json("GET", `/api/search?${query({ q, after })}`, undefined, signal);
export const exportAddress = (id, format) => `${one(id)}/export?${query({ format })}`;

/** Says something, and hands each event of the answer to `heard` as it comes. */
export async function say(id, message, signal, heard) {
  const response = await request("POST", `${one(id)}/messages`, message, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const field = (name) =>
        block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      // A block without an event only keeps the connection alive.
      if (field("event")) heard(field("event"), JSON.parse(field("data")));
    }
  }
}
