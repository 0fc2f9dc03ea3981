// Building DOM nodes. Text only ever becomes text: nothing here, or anywhere in the page, parses
// HTML.

// el('button', {class: 'plain', 'aria-label': 'Copy', onclick: copy}, 'Copy'). Properties whose
// name begins with "on" are listeners; true is an attribute without a value; false, null and
// undefined leave it out.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on'))
      node.addEventListener(name.slice(2), value);
    else
      node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const kSvg = 'http://www.w3.org/2000/svg';

// An icon of index.html's sprite.
export function icon(name) {
  const svg = document.createElementNS(kSvg, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(kSvg, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, onclick, properties = {}) {
  return el(
      'button', {
        type: 'button',
        class: 'icon-button',
        'aria-label': label,
        title: label,
        onclick,
        ...properties
      },
      icon(name));
}

// Copies, and says so on the button for a moment.
export async function copyFrom(button, text) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copied = false;  // no permission, or a page over plain HTTP from another host
  }
  button.classList.add(copied ? 'done' : 'failed');
  const label = button.getAttribute('aria-label');
  button.setAttribute('aria-label', copied ? 'Copied' : 'The browser does not let this page copy');
  setTimeout(() => {
    button.classList.remove('done', 'failed');
    button.setAttribute('aria-label', label);
  }, 1500);
}

let statusLine = null;
// Tells screen readers.
export function announce(text) {
  statusLine ??= document.getElementById('status');
  if (statusLine) statusLine.textContent = text;
}
