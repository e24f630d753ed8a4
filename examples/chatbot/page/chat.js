// The conversation that is open: reading it, talking in it, and what can be done with it.

import * as api from "/page/api.js";
import { $ } from "/page/dom.js";
import * as list from "/page/list.js";
import * as log from "/page/log.js";

/** What is open: a conversation, if it has begun, and the cursor of its earlier messages. */
let view = { id: null, title: null, earlier: null };
/** By the ids of conversations: the answers that this page hears, also of conversations that are not open. */
const writing = new Map();

// What is open.

/** Opens what the address names: `/`, `/c/ID` or `/c/ID#NUMBER-OF-A-MESSAGE`. */
async function open() {
  const [, id] = location.pathname.match(/^\/c\/([^/]+)$/) ?? [];
  const seq = Number(location.hash.slice(1));
  closeDrawer();
  if (!id || decodeURIComponent(id) !== view.id) {
    view = { id: id ? decodeURIComponent(id) : null, title: null, earlier: null };
    log.clear();
    hideNotice();
  }
  list.select(view.id);
  name();
  // On a phone this would bring up the keyboard, over half of the page.
  if (matchMedia("(hover: hover)").matches) $("text").focus();
  if (view.id) await load(seq || null);
}

function go(address, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

async function load(seq) {
  const opened = view;
  try {
    const page = await api.messages(opened.id, null);
    // One of long ago may not be in the list yet.
    if (!list.get(opened.id)) opened.title = (await api.conversation(opened.id)).title;
    if (view !== opened) return;
    log.put(page.items);
    opened.earlier = page.next;
    if (seq) {
      while (!log.find(seq) && opened.earlier) await earlier();
    } else {
      log.toEnd();
    }
    await settle();
  } catch (error) {
    if (view !== opened) return;
    if (error.status === 404) {
      go("/", { replace: true });
      await open();
      notify("This conversation is not there, or not yours.");
    } else {
      lost(error, () => view === opened && load(seq));
    }
  }
}

async function earlier() {
  const opened = view;
  const page = await api.messages(opened.id, opened.earlier);
  if (view !== opened) return;
  opened.earlier = page.next;
  log.putBefore(page.items);
  $("earlier").hidden = !page.next;
}

/** Shows what the store has now, and goes on doing so while an answer that this page does not hear is being written. */
async function follow() {
  const opened = view;
  try {
    const page = await api.messages(opened.id, null);
    if (view !== opened) return;
    log.put(page.items);
    await settle();
  } catch (error) {
    if (view === opened) lost(error, () => view === opened && follow());
  }
}

async function settle() {
  hideNotice();
  const last = log.last();
  const isWriting = writing.has(view.id);
  if (last?.role === "user" && last.status === "delivered" && !isWriting) {
    log.put([{ ...last, status: "unanswered" }]);
  }
  name();
  if (last?.status === "pending" && writing.get(view.id)?.answer !== last.id) {
    const opened = view;
    setTimeout(() => view === opened && follow(), 500);
  }
}

/** Names the conversation, and shows what can be done now. */
function name() {
  const title = list.get(view.id)?.title ?? view.title ?? (view.id ? "Conversation" : "New chat");
  $("title").textContent = title;
  document.title = view.id ? `${title} – Chatbot` : "Chatbot";
  $("actions").hidden = !view.id;
  $("empty").hidden = Boolean(view.id || log.last());
  $("earlier").hidden = !view.earlier;
  const isWriting = writing.has(view.id);
  $("send").hidden = isWriting;
  $("stop").hidden = !isWriting;
  $("send").disabled = $("text").value.trim() === "";
}

// Talking.

/** Says something. Saying the same again, with the same id, is harmless: the server stores it once. */
async function say(message, spoken = view) {
  if (writing.has(spoken.id)) return;
  const stop = new AbortController();
  const hearing = { stop, answer: null, text: "", isStored: false, hasEnded: false };
  const isShown = () => view.id === spoken.id;
  writing.set(spoken.id, hearing);
  if (isShown()) {
    log.put([{ ...message, role: "user", status: "delivered" }]);
    log.toEnd();
    hideNotice();
    name();
  }
  try {
    if (!spoken.id) await begin(spoken);
    await api.say(spoken.id, message, stop.signal, (kind, data) => {
      hear(hearing, kind, data);
      if (isShown()) tell(hearing, kind, data);
    });
    if (!hearing.hasEnded) throw new Error("the answer broke off");
    stopHearing(spoken);
  } catch (error) {
    stopHearing(spoken);
    if (stop.signal.aborted || error.status === 409) {
      if (isShown()) await follow();
    } else if (error.status) {
      if (isShown()) log.put([{ ...message, status: "unsent" }]);
      notify(error.message);
    } else {
      // Whether it arrived is not known, unless the server said so.
      lost(error, hearing.isStored ? () => isShown() && follow() : () => say(message, spoken));
    }
  }
}

function hear(hearing, kind, data) {
  if (kind === "question") {
    hearing.isStored = true;
    list.refresh();
  }
  if (kind === "answer") hearing.answer = data.id;
  if (kind === "text") hearing.text += data.text;
  if (kind === "end" || kind === "error") hearing.hasEnded = true;
}

/** Shows what was heard. */
function tell({ answer, text }, kind, data) {
  if (kind === "question" || kind === "end") log.put([data]);
  if (kind === "answer") log.put([{ id: answer, role: "assistant", text: "", status: "pending" }]);
  if (kind === "text") log.write(answer, text);
  if (kind === "end") $("spoken").textContent = `Chatbot: ${data.text || data.error}`;
  if (kind === "error") notify(data.error, follow);
}

/** Begins the conversation of a page that shows none yet. */
async function begin(spoken) {
  const { id } = await api.create();
  writing.set(id, writing.get(null));
  writing.delete(null);
  spoken.id = id;
  if (view !== spoken) return;
  go(`/c/${encodeURIComponent(id)}`);
  list.select(id);
}

function stopHearing(spoken) {
  writing.delete(spoken.id);
  name();
}

// What goes wrong.

/** What is to be tried again when the server is back. */
const retries = new Set();
let timer;

function notify(text, retry) {
  $("notice-text").textContent = text;
  $("notice-retry").hidden = !retry;
  $("notice-retry").onclick = retry ?? null;
  $("notice").hidden = false;
}

function hideNotice() {
  if (retries.size === 0) $("notice").hidden = true;
}

/** Tells that something failed. What may pass by itself is tried again, by itself and when asked to. */
function lost(error, retry) {
  if (error.status && error.status !== 503) return notify(error.message);
  retries.add(retry);
  notify(error.status ? error.message : "The server cannot be reached. Trying again …", tryAll);
  clearTimeout(timer);
  timer = setTimeout(tryAll, 2_000);
}

function tryAll() {
  clearTimeout(timer);
  const all = [...retries];
  retries.clear();
  hideNotice();
  for (const retry of all) retry();
}

// The message box.

const text = $("text");

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  name();
}

function send(given) {
  if (given.trim() === "" || writing.has(view.id)) return;
  text.value = "";
  fit();
  say({ id: newId(), text: given.trim() });
}

/** A random UUID; `crypto.randomUUID` is not there on plain HTTP from another machine. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

text.addEventListener("input", fit);
text.addEventListener("keydown", (event) => {
  // Enter also ends the composition of a character, in Japanese for example.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send(text.value);
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send(text.value);
});
$("stop").addEventListener("click", () => {
  writing.get(view.id)?.stop.abort();
  text.focus();
});
document.querySelectorAll(".suggestions button").forEach((button) => {
  button.addEventListener("click", () => send(button.textContent));
});
$("earlier").addEventListener("click", () => {
  earlier().catch((error) => lost(error, () => $("earlier").click()));
});
log.onTryAgain(say);

// What can be done with a conversation.

/** Shows a dialog, and tells whether it was confirmed. */
function confirmed(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
  });
}

document.querySelectorAll("dialog [data-close]").forEach((button) => {
  button.addEventListener("click", () => button.closest("dialog").close());
});

$("rename").addEventListener("click", async () => {
  const { id } = view;
  $("rename-title").value = $("title").textContent;
  $("rename-title").select();
  if (await confirmed($("rename-dialog"))) await rename(id, $("rename-title").value);
});

async function rename(id, title) {
  try {
    const renamed = await api.rename(id, title);
    if (view.id === id) view.title = renamed.title;
    await list.refresh();
  } catch (error) {
    lost(error, () => rename(id, title));
  }
}

$("delete").addEventListener("click", async () => {
  const { id } = view;
  $("delete-title").textContent = $("title").textContent;
  if (await confirmed($("delete-dialog"))) await remove(id);
});

async function remove(id) {
  try {
    await api.remove(id);
  } catch (error) {
    // Somebody was faster, perhaps this page before the connection broke.
    if (error.status !== 404) return lost(error, () => remove(id));
  }
  list.forget(id);
  if (view.id !== id) return;
  go("/");
  await open();
}

$("export").addEventListener("click", () => {
  document.querySelectorAll("[data-format]").forEach((link) => {
    link.href = api.exportAddress(view.id, link.dataset.format);
  });
  confirmed($("export-dialog"));
});

// The drawer of a phone.

const sidebar = $("sidebar");

function drawer(isOpen) {
  sidebar.classList.toggle("is-open", isOpen);
  $("backdrop").hidden = !isOpen;
  document.querySelector("main").inert = isOpen;
  $("open-sidebar").setAttribute("aria-expanded", isOpen);
}

function closeDrawer() {
  if (!sidebar.classList.contains("is-open")) return;
  drawer(false);
  $("open-sidebar").focus();
}

$("open-sidebar").addEventListener("click", () => {
  drawer(true);
  $("close-sidebar").focus();
});
for (const id of ["close-sidebar", "backdrop"]) $(id).addEventListener("click", closeDrawer);
addEventListener("keydown", (event) => event.key === "Escape" && closeDrawer());
matchMedia("(max-width: 760px)").addEventListener("change", closeDrawer);

// Links to conversations are followed without loading the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || link.hasAttribute("download") || link.classList.contains("skip")) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
  open();
});
addEventListener("popstate", open);
addEventListener("focus", () => list.refresh());

list.start(lost, name);
open();
