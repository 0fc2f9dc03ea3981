// Markdown as DOM nodes, and as a view that grows with the text.

import {CodeView} from './code_view.js';
import {el} from './dom.js';
import {parseInline} from './inline.js';
import {parseBlocks, splitLines} from './markdown.js';

// makeText(text, offset) gives the node for a piece of text that begins at `offset` of the source.
export const plainText = (text) => document.createTextNode(text);

function renderInline(parent, lines, makeText, inTable = false) {
  const text = lines.map((line) => line.text).join('\n');
  const starts = [];
  let length = 0;
  for (const line of lines) {
    starts.push(length);
    length += line.text.length + 1;
  }
  let line = 0;
  const offsetOf = (at) => {
    while (line + 1 < starts.length && starts[line + 1] <= at) line++;
    return lines[line].offset + at - starts[line];
  };
  let at = parent;
  // A slice of the joined text, traced back to the source line by line.
  const addText = (from, to) => {
    while (from < to) {
      const offset = offsetOf(from);
      const end = line + 1 < starts.length ? Math.min(to, starts[line + 1]) : to;
      at.append(makeText(text.slice(from, end), offset));
      from = end;
    }
  };
  for (const event of parseInline(text)) {
    if (event.type === 'open') {
      const attributes = event.tag === 'a' ?
          {href: event.href, target: '_blank', rel: 'noopener noreferrer nofollow'} :
          {};
      const child = el(event.tag, attributes);
      at.append(child);
      at = child;
    } else if (event.type === 'close') {
      at = at.parentNode;
    } else if (event.type === 'break') {
      at.append(el('br'));
    } else if (event.type === 'code') {
      const outer = at;
      at = el('code');
      outer.append(at);
      if (inTable)
        at.append(makeText(
            text.slice(event.from, event.to).replaceAll('\\|', '|'), offsetOf(event.from)));
      else
        addText(event.from, event.to);
      at = outer;
    } else if (event.as !== undefined) {
      at.append(makeText(event.as, offsetOf(event.from)));
    } else {
      addText(event.from, event.to);
    }
  }
}

function renderTable(block, makeText) {
  const row = (tag, cells) => {
    const tr = el('tr');
    block.align.forEach((align, column) => {
      const cell = el(tag, {class: align && `align-${align}`, scope: tag === 'th' ? 'col' : null});
      if (cells[column]) renderInline(cell, [cells[column]], makeText, true);
      tr.append(cell);
    });
    return tr;
  };
  const body = el('tbody');
  for (const cells of block.rows) body.append(row('td', cells));
  return el(
      'div', {class: 'table', tabindex: '0', role: 'region', 'aria-label': 'Table'},
      el('table', {}, el('thead', {}, row('th', block.head)), body));
}

function renderList(block, makeText) {
  const list =
      el(block.start === null ? 'ul' : 'ol', {start: block.start === 1 ? null : block.start});
  for (const {done, blocks} of block.items) {
    const item = el('li');
    if (done !== null) {
      item.className = 'task';
      item.append(el('input', {
        type: 'checkbox',
        disabled: true,
        checked: done,
        'aria-label': done ? 'Done' : 'To do'
      }));
    }
    for (const inner of blocks) {
      if (inner.type === 'paragraph' && !block.loose)
        renderInline(item, inner.lines, makeText);
      else
        item.append(renderBlock(inner, makeText));
    }
    list.append(item);
  }
  return list;
}

export function renderBlock(block, makeText) {
  switch (block.type) {
    case 'heading': {
      // The page's own title is an h1, so those in answers begin below.
      const heading = el(`h${Math.min(6, block.level + 1)}`, {class: `level-${block.level}`});
      renderInline(heading, block.lines, makeText);
      return heading;
    }
    case 'rule':
      return el('hr');
    case 'code': {
      const view = new CodeView(makeText);
      view.update(block);
      return view.element;
    }
    case 'quote':
      return el('blockquote', {}, ...block.blocks.map((inner) => renderBlock(inner, makeText)));
    case 'list':
      return renderList(block, makeText);
    case 'table':
      return renderTable(block, makeText);
    default: {
      const paragraph = el('p');
      renderInline(paragraph, block.lines, makeText);
      return paragraph;
    }
  }
}

// Shows a text that grows at its end. Blocks that nothing to come can change are left alone; only
// the last is rendered again, and of code only the last line.
export class MarkdownView {
  #element;
  #makeText;
  #settled = 0;  // blocks, that stay
  #from = 0;     // where in the source the next one begins
  #code = null;  // the view of a block of code that is the last, and where it begins
  #codeFrom = -1;

  constructor(element, makeText = plainText) {
    this.#element = element;
    this.#makeText = makeText;
  }

  update(source) {
    const lines = splitLines(source.slice(this.#from), this.#from);
    const blocks = parseBlocks(lines);
    const keep = this.#code !== null && blocks[0]?.type === 'code' &&
        lines[blocks[0].first].offset === this.#codeFrom;
    const children = this.#element.childNodes;
    while (children.length > this.#settled + (keep ? 1 : 0)) children[children.length - 1].remove();
    if (!keep) this.#code = null;
    blocks.forEach((block, i) => {
      if (i === 0 && keep)
        this.#code.update(block);
      else
        this.#element.append(this.#render(block, lines[block.first].offset));
    });
    // A block stands when the next one does: its first two lines are whole (a table's head is told
    // by the line below it).
    const whole = lines.length - (source.endsWith('\n') ? 0 : 1);
    let standing = blocks.length - 1;
    while (standing > 0 && blocks[standing].first + 2 > whole) standing--;
    if (standing > 0) {
      this.#settled += standing;
      this.#from = lines[blocks[standing].first].offset;
    }
    if (blocks.length === 0 || lines[blocks[standing].first].offset !== this.#codeFrom)
      this.#code = null;
  }

  #render(block, offset) {
    if (block.type !== 'code') return renderBlock(block, this.#makeText);
    this.#code = new CodeView(this.#makeText);
    this.#codeFrom = offset;
    this.#code.update(block);
    return this.#code.element;
  }
}
