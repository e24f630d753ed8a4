// Elements, made without HTML: whatever was said stays text.

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** An element with properties and children; a child that is not a node is text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
