// A small part of Markdown, as DOM nodes: code, bold, emphasis, lists and headings. Anything else is shown as it stands.

import { make } from "/page/dom.js";

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?![\w*])/g;

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, bold, emphasis] = match;
    nodes.push(text.slice(at, match.index));
    if (code) nodes.push(make("code", {}, code));
    else if (bold) nodes.push(make("strong", {}, bold));
    else nodes.push(make("em", {}, emphasis));
    at = match.index + whole.length;
  }
  nodes.push(text.slice(at));
  return nodes;
}

const KINDS = [
  ["fence", /^\s*```/],
  ["ul", /^\s*[-*+]\s+(.*)$/],
  ["ol", /^\s*\d+[.)]\s+(.*)$/],
  ["heading", /^#{1,6}\s+(.*)$/],
  ["blank", /^\s*$/],
];

function kindOf(line) {
  for (const [kind, pattern] of KINDS) {
    const match = line.match(pattern);
    if (match) return [kind, match[1]];
  }
  return ["text", line];
}

/** The nodes of a text. */
export function render(text) {
  const nodes = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const [kind, content] = kindOf(lines[at]);
    if (kind === "fence") {
      const end = lines.findIndex((line, index) => index > at && KINDS[0][1].test(line));
      // While an answer is still coming, its last block of code has no end yet.
      const last = end < 0 ? lines.length : end;
      const code = make("code", {}, lines.slice(at + 1, last).join("\n"));
      nodes.push(make("pre", { tabIndex: 0 }, code));
      at = last;
    } else if (kind === "ul" || kind === "ol") {
      const list = make(kind);
      if (kind === "ol") list.start = parseInt(lines[at], 10);
      for (; at < lines.length && kindOf(lines[at])[0] === kind; at += 1) {
        list.append(make("li", {}, ...inline(kindOf(lines[at])[1])));
      }
      nodes.push(list);
      at -= 1;
    } else if (kind === "heading") {
      nodes.push(make("h3", {}, ...inline(content)));
    } else if (kind === "text") {
      const begin = at;
      while (at + 1 < lines.length && kindOf(lines[at + 1])[0] === "text") at += 1;
      const paragraph = make("p");
      lines.slice(begin, at + 1).forEach((line, index) => {
        if (index > 0) paragraph.append(make("br"));
        paragraph.append(...inline(line));
      });
      nodes.push(paragraph);
    }
  }
  return nodes;
}
