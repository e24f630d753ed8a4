// The sidebar: all conversations, and the search in them.

import * as api from "/page/api.js";
import { $, make } from "/page/dom.js";

const nav = $("conversations");
const results = $("results");
const input = $("search");

let conversations = [];
let next = null;
let current = null;
let failed = () => {};
let changed = () => {};

/** `onFailure` gets an error and what to do to try again; `onChange` is called when the list is up to date. */
export function start(onFailure, onChange) {
  failed = onFailure;
  changed = onChange;
  return refresh();
}

export const get = (id) => conversations.find((conversation) => conversation.id === id);

/** Marks the conversation that is open. */
export function select(id) {
  current = id;
  draw();
}

export function forget(id) {
  conversations = conversations.filter((conversation) => conversation.id !== id);
  draw();
}

/** Asks for the conversations that were written to last; those that were shown below them stay. */
export async function refresh() {
  try {
    const page = await api.list(null);
    const fresh = new Set(page.items.map(({ id }) => id));
    const older = page.next ? conversations.filter(({ id }) => !fresh.has(id)) : [];
    if (older.length === 0) next = page.next;
    conversations = [...page.items, ...older];
    draw();
    changed();
  } catch (error) {
    failed(error, refresh);
  }
}

async function more() {
  try {
    const page = await api.list(next);
    const known = new Set(conversations.map(({ id }) => id));
    conversations.push(...page.items.filter(({ id }) => !known.has(id)));
    next = page.next;
    draw();
  } catch (error) {
    failed(error, more);
  }
}

// Scrolling to the button does what pressing it does.
const scrolled = new IntersectionObserver((entries) => {
  const seen = entries.find((entry) => entry.isIntersecting);
  if (seen) seen.target.click();
});

function moreButton(load) {
  const button = make("button", { type: "button", className: "quiet" }, "Show more");
  button.onclick = () => {
    button.disabled = true;
    load();
  };
  scrolled.observe(button);
  return button;
}

function draw() {
  const groups = new Map();
  for (const conversation of conversations) {
    const name = day(new Date(conversation.updated_at));
    groups.set(name, [...(groups.get(name) ?? []), entry(conversation)]);
  }
  const drawn = [...groups].flatMap(([name, entries]) => [
    make("h2", {}, name),
    make("ul", {}, ...entries.map((link) => make("li", {}, link))),
  ]);
  if (drawn.length === 0) drawn.push(make("p", { className: "note" }, "No conversations yet."));
  if (next) drawn.push(moreButton(more));
  // Whoever walks through the list with the keyboard stays where they are.
  const focused = nav.contains(document.activeElement) && document.activeElement.href;
  nav.replaceChildren(...drawn);
  if (focused) [...nav.querySelectorAll("a")].find(({ href }) => href === focused)?.focus();
}

function entry({ id, title }) {
  const name = title ?? "Untitled";
  const link = make("a", { className: "entry", href: `/c/${encodeURIComponent(id)}`, title: name });
  if (id === current) link.setAttribute("aria-current", "page");
  link.append(make("span", { className: "name" }, name));
  return link;
}

function day(date) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.ceil((midnight - date) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Last 7 days";
  return date.toLocaleDateString(undefined, { month: "long", year: "numeric" });
}

// Search.

let searching = new AbortController();
let waiting;

input.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(find, 150);
});
$("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  find();
});

/** The text as a query: the last word may be its beginning only, as it is still being typed. */
function asQuery(text) {
  const isInQuotes = text.split('"').length % 2 === 0;
  return !isInQuotes && /[\p{L}\p{N}]$/u.test(text) ? `${text}*` : text;
}

function find() {
  searching.abort();
  const text = input.value.trim();
  nav.hidden = text !== "";
  results.hidden = text === "";
  if (text === "") return results.replaceChildren();
  searching = new AbortController();
  return findMore(asQuery(text), null, searching.signal);
}

async function findMore(query, after, signal) {
  try {
    const page = await api.search(query, after, signal);
    if (after === null) results.replaceChildren(make("h2", {}, "Found"), make("ul"));
    const list = results.querySelector("ul");
    list.append(...page.items.map((hit) => make("li", {}, found(hit))));
    results.querySelector(".quiet")?.remove();
    if (page.next) results.append(moreButton(() => findMore(query, page.next, signal)));
    if (!list.hasChildNodes()) {
      results.replaceChildren(make("p", { className: "note", role: "status" }, "Nothing was found."));
    }
  } catch (error) {
    if (error.name !== "AbortError") failed(error, () => findMore(query, after, signal));
  }
}

function found({ conversation, message, snippet }) {
  const link = entry(conversation);
  link.href += `#${message.seq}`;
  const who = message.role === "user" ? "You: " : "Chatbot: ";
  const pieces = snippet.map(({ text, matches }) => (matches ? make("mark", {}, text) : text));
  const name = make("span", { className: "who" }, who);
  link.append(make("span", { className: "snippet" }, name, ...pieces));
  return link;
}
