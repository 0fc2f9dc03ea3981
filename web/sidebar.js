// The list of conversations.

import {el, iconButton} from './dom.js';

// `actions`: {open(id), rename(id, title), remove(id)}.
export function renderList(list, conversations, current, running, actions) {
  list.replaceChildren(...conversations.map(({id, title}) => {
    const open =
        el('button', {
          type: 'button',
          class: 'open',
          title,
          'aria-current': id === current ? 'true' : null,
          onclick: () => actions.open(id)
        },
           title);
    const item =
        el('li', {class: running.has(id) ? 'running' : null}, open,
           iconButton('edit', `Rename “${title}”`, () => rename(item, id, title, actions)),
           iconButton('trash', `Delete “${title}”`, () => actions.remove(id)));
    return item;
  }));
  if (conversations.length === 0)
    list.append(el('li', {class: 'none'}, 'None yet. They stay in this browser.'));
}

function rename(item, id, title, actions) {
  const field = el('input', {class: 'rename', 'aria-label': 'The new title', maxlength: 200});
  field.value = title;
  let done = false;
  const end = (take) => {
    if (done) return;
    done = true;
    actions.rename(id, take && field.value.trim() ? field.value.trim() : title);
  };
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') end(true);
    if (event.key === 'Escape') {
      event.stopPropagation();
      end(false);
    }
  });
  field.addEventListener('blur', () => end(true));
  item.replaceChildren(field);
  field.focus();
  field.select();
}
