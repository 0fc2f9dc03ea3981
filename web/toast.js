// A line that says what happened, for a moment, with perhaps one thing to do about it.

import {el} from './dom.js';

const kShown = 8000;  // milliseconds
let timer = 0;

export function toast(text, action = null, onclick = null) {
  const box = document.getElementById('toast');
  const hide = () => {
    box.hidden = true;
  };
  clearTimeout(timer);
  box.replaceChildren(el('span', {}, text));
  if (action) {
    const act = () => {
      hide();
      onclick();
    };
    box.append(el('button', {type: 'button', class: 'plain', onclick: act}, action));
  }
  box.hidden = false;
  timer = setTimeout(hide, kShown);
}
