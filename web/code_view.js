// A block of code: its language, a button that copies it, and coloured lines.

import {copyFrom, el, iconButton} from './dom.js';
import {highlightLine} from './highlight.js';
import {languageNamed} from './languages.js';

export class CodeView {
  #makeText;
  #code = el('code');
  #label = el('span', {class: 'language'});
  #lines = [];       // the text that each child of #code shows
  #states = [null];  // of the highlighter, before each line
  #language = null;

  constructor(makeText) {
    this.#makeText = makeText;
    const copy = iconButton('copy', 'Copy code', () => copyFrom(copy, this.#lines.join('\n')));
    this.element =
        el('div', {class: 'code'}, el('div', {class: 'code-head'}, this.#label, copy),
           el('pre', {tabindex: '0'}, this.#code));
  }

  // The block as it is now; lines that are as they were stay.
  update({language, lines}) {
    if (language !== this.#label.textContent) {
      this.#label.textContent = language;
      this.#language = languageNamed(language);
      this.#truncate(0);
    }
    let same = Math.max(0, Math.min(this.#lines.length, lines.length) - 1);
    if (same < lines.length && this.#lines[same] === lines[same].text) same++;
    this.#truncate(same);
    for (const line of lines.slice(same)) this.#add(line);
  }

  #truncate(count) {
    while (this.#code.childNodes.length > count) this.#code.lastChild.remove();
    this.#lines.length = count;
    this.#states.length = count + 1;
  }

  #add({text, offset}) {
    const {tokens, state} = highlightLine(this.#language, text, this.#states.at(-1));
    const row = el('span', {class: 'line'});
    let at = offset;
    for (const [kind, piece] of tokens) {
      const node = this.#makeText(piece, at);
      row.append(kind === null ? node : el('span', {class: `hl-${kind}`}, node));
      at += piece.length;
    }
    row.append(this.#makeText('\n', at));
    this.#code.append(row);
    this.#lines.push(text);
    this.#states.push(state);
  }
}
