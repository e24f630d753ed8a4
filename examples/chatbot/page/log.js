// The messages of the conversation that is open.

import { $, make } from "/page/dom.js";
import { render } from "/page/markdown.js";

const log = $("log");
const scroll = $("scroll");
/** By id: a message, its element, and the part of this that shows the text. */
const shown = new Map();
let tryAgain = () => {};

/** Is called with a question when its answer is wanted again. */
export function onTryAgain(call) {
  tryAgain = call;
}

export function clear() {
  shown.clear();
  log.replaceChildren();
}

export const last = () => shown.get(log.lastElementChild?.dataset.id)?.message;
const isNearEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
export const toEnd = () => scroll.scrollTo(0, scroll.scrollHeight);

/** Shows messages, each where its number says; one that has none yet is the last. */
export function put(messages) {
  const follows = isNearEnd();
  for (const message of messages) {
    const entry = shown.get(message.id) ?? add(message);
    entry.message = { ...entry.message, ...message };
    show(entry);
    place(entry);
  }
  if (follows) toEnd();
}

/** Shows messages that were said before the others; what is looked at stays where it is. */
export function putBefore(messages) {
  const height = scroll.scrollHeight;
  put(messages);
  scroll.scrollTop += scroll.scrollHeight - height;
}

/** Shows what has come of an answer. Several pieces that come at once are shown at once. */
export function write(id, text) {
  const entry = shown.get(id);
  if (!entry) return;
  entry.message.text = text;
  entry.frame ??= requestAnimationFrame(() => {
    entry.frame = null;
    const follows = isNearEnd();
    show(entry);
    if (follows) toEnd();
  });
}

/** Scrolls to a message and marks it; false if it is not shown. */
export function find(seq) {
  log.querySelector(".is-found")?.classList.remove("is-found");
  const found = [...shown.values()].find(({ message }) => message.seq === seq);
  if (!found) return false;
  found.element.classList.add("is-found");
  found.element.scrollIntoView({ block: "center" });
  return true;
}

function add(message) {
  const body = make("div", { className: "body" });
  const element = make("li", { className: `message ${message.role}` }, body);
  element.dataset.id = message.id;
  const who = message.role === "user" ? "You" : "Chatbot";
  element.prepend(make("span", { className: "unseen" }, `${who}:`));
  const entry = { message, element, body };
  shown.set(message.id, entry);
  return entry;
}

function place({ message, element }) {
  const order = (other) => shown.get(other.dataset.id).message.seq ?? Infinity;
  const seq = message.seq ?? Infinity;
  const next = [...log.children].find((other) => other !== element && order(other) > seq);
  if (element.nextElementSibling !== (next ?? null) || !element.parentNode) {
    log.insertBefore(element, next ?? null);
  }
}

function show({ message, element, body }) {
  const isAnswer = message.role !== "user";
  if (isAnswer) body.replaceChildren(...render(message.text));
  else body.textContent = message.text;
  element.dataset.status = message.status;
  element.classList.toggle("is-writing", message.status === "pending");
  element.querySelectorAll(".state, .figures").forEach((old) => old.remove());
  element.append(...(isAnswer ? figures(message) : []), ...state(message));
}

function figures({ status, model, tokens, latency_ms }) {
  if (status !== "delivered") return [];
  const parts = [model, tokens && `${tokens} tokens`, latency_ms && `${(latency_ms / 1000).toFixed(1)} s`];
  return [make("div", { className: "figures" }, parts.filter(Boolean).join(" · "))];
}

/** What is to be said of a message that is not as it should be. */
function state({ role, status, error }) {
  const told = {
    interrupted: "Interrupted",
    error: error ? `The answer failed: ${error}` : "The answer failed",
    unanswered: "Not answered",
    unsent: "Not sent",
  }[status];
  if (!told) return [];
  const button = make("button", { type: "button", onclick: askAgain }, "Try again");
  const isError = status === "error" || status === "unsent";
  const className = isError ? "state is-error" : "state";
  return [make("div", { className, "data-role": role }, make("span", {}, told), button)];
}

function askAgain() {
  const questions = [...log.children].map((element) => shown.get(element.dataset.id).message);
  const question = questions.findLast(({ role }) => role === "user");
  if (question) tryAgain({ id: question.id, text: question.text });
}
