// One message on the page.

import {copyFrom, el, iconButton} from './dom.js';
import {numbersLine, PassPanel} from './pass_panel.js';
import {passMarker} from './passes.js';
import {MarkdownView, plainText} from './render.js';

const kFinish = {
  length: 'Ended at the longest answer allowed.',
  content_filter: 'Ended by a filter.'
};

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// `actions`: {edit(content, goOn), retry(), goOn(), remove(), answerTools(results)}.
export class MessageView {
  #message;
  #actions;
  #body = el('div', {class: 'body'});
  #foot = el('div', {class: 'message-foot'});
  #thought = null;
  #prose = null;
  #calls = el('div');
  #panel = null;
  #withPasses = false;
  #running = false;
  #latest = false;

  constructor(message, actions) {
    this.#message = message;
    this.#actions = actions;
    const who = {user: 'You', assistant: 'Answer', tool: 'Result of a tool'}[message.role];
    this.element = el(
        'article', {class: `message ${message.role}`, 'aria-label': who}, this.#body, this.#foot);
    this.#build();
  }

  get message() { return this.#message; }

  // How it is shown: with the colours of passes; while it is being written; as the last one.
  show({passes, running, latest}) {
    const rebuild = passes !== this.#withPasses && this.#message.role === 'assistant';
    this.#withPasses = passes;
    this.#running = running;
    this.#latest = latest;
    if (rebuild)
      this.#build();
    else
      this.update();
    this.#buildFoot();
  }

  #build() {
    this.#body.replaceChildren();
    const {role, content} = this.#message;
    if (role === 'user') {
      this.#body.append(el('div', {class: 'said'}, content));
    } else if (role === 'tool') {
      this.#body.append(
          el('details', {class: 'fold'}, el('summary', {}, 'Result of a tool'),
             el('pre', {}, content)));
    } else {
      this.#buildAnswer();
    }
    this.update();
  }

  #buildAnswer() {
    const marker = (channel) =>
        (this.#withPasses ? passMarker(this.#message.passes, channel) : plainText);
    const answer = el('div');
    const thought = el('div', {class: 'prose'}), prose = el('div', {class: 'prose answer'});
    const summary = el('summary');
    const fold = el('details', {class: 'fold thinking', hidden: true}, summary, thought);
    this.#thought = {fold, summary, view: new MarkdownView(thought, marker('reasoning'))};
    this.#prose = new MarkdownView(prose, marker('content'));
    this.#calls = el('div');
    this.#panel = this.#withPasses ? new PassPanel(answer, this.#message.passes) : null;
    answer.append(fold, prose, this.#calls);
    if (this.#panel) answer.append(this.#panel.element);
    this.#body.append(answer);
  }

  // Brings what is shown up to what the message holds.
  update() {
    const message = this.#message;
    if (message.role !== 'assistant') return;
    this.element.classList.toggle('running', this.#running);
    this.element.setAttribute('aria-busy', String(this.#running));
    const waiting = this.#running && message.content === '' && message.reasoning === '' &&
        message.tool_calls.length === 0;
    this.element.classList.toggle('waiting', waiting);
    if (message.reasoning !== '') {
      const thinking = this.#running && message.content === '' && message.tool_calls.length === 0;
      this.#thought.fold.hidden = false;
      this.#thought.fold.classList.toggle('busy', thinking);
      this.#thought.summary.textContent = thinking ? 'Thinking' : 'Thoughts';
      this.#thought.view.update(message.reasoning);
    }
    this.#prose.update(message.content);
    this.#updateCalls();
    this.#panel?.update(message.final);
  }

  #updateCalls() {
    this.#message.tool_calls.forEach((call, i) => {
      let fold = this.#calls.children[i];
      if (!fold) {
        fold =
            el('details', {class: 'fold call'}, el('summary', {}, 'Calls ', el('code')), el('pre'));
        this.#calls.append(fold);
      }
      const name = fold.querySelector('code'), text = prettyJson(call.arguments),
            pre = fold.querySelector('pre');
      if (name.textContent !== call.name) name.textContent = call.name;
      if (pre.textContent !== text) pre.textContent = text;
    });
  }

  #buildFoot() {
    const message = this.#message;
    this.#foot.replaceChildren();
    this.#body.querySelector('.tool-results')?.remove();
    if (this.#running) return;
    if (message.role === 'assistant') {
      if (message.error)
        this.#foot.append(el('p', {class: 'error', role: 'alert'}, message.error));
      else if (kFinish[message.finish])
        this.#foot.append(el('p', {class: 'note'}, kFinish[message.finish]));
      else if (message.finish === 'stopped')
        this.#foot.append(el('p', {class: 'note'}, 'Stopped.'));
      if (this.#latest && message.tool_calls.length > 0) this.#body.append(this.#toolResults());
    }
    const copy = iconButton('copy', 'Copy', () => copyFrom(copy, message.content));
    const buttons = el('div', {class: 'actions', role: 'group', 'aria-label': 'Actions'}, copy);
    if (message.role !== 'tool') buttons.append(iconButton('edit', 'Edit', () => this.edit()));
    if (message.role === 'assistant') {
      buttons.append(iconButton('retry', 'Answer again', this.#actions.retry));
      if (this.#latest && message.content !== '' && message.tool_calls.length === 0) {
        buttons.append(iconButton('continue', 'Write on from the end', this.#actions.goOn));
      }
    }
    buttons.append(iconButton('trash', 'Delete from here on', this.#actions.remove));
    if (message.role === 'assistant')
      buttons.append(el('span', {class: 'numbers-line'}, numbersLine(message)));
    this.#foot.append(buttons);
  }

  #toolResults() {
    const fields = this.#message.tool_calls.map((call, i) => {
      const area = el('textarea', {
        rows: 2,
        class: 'mono',
        'aria-label': `What ${call.name || `call ${i + 1}`} gives`,
        placeholder: `What ${call.name || 'the tool'} gives`
      });
      return area;
    });
    return el(
        'div', {class: 'tool-results'}, ...fields,
        el('button', {
          type: 'button',
          class: 'primary',
          onclick: () => this.#actions.answerTools(fields.map((field) => field.value))
        },
           fields.length > 1 ? 'Send the results' : 'Send the result'));
  }

  // Turns the message into a field.
  edit() {
    if (this.#running || this.element.classList.contains('editing')) return;
    const message = this.#message;
    const area = el('textarea', {class: 'edit', 'aria-label': 'The message', rows: 3});
    area.value = message.content;
    const grow = () => {
      area.rows = Math.min(24, Math.max(2, area.value.split('\n').length + 1));
    };
    area.addEventListener('input', grow);
    const done = () => {
      this.element.classList.remove('editing');
      this.#build();
      this.#buildFoot();
    };
    const put = (goOn) => {
      if (area.value.trim() === '') return;
      this.element.classList.remove('editing');
      this.#actions.edit(area.value, goOn);
    };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        done();
      }
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing &&
          message.role === 'user') {
        event.preventDefault();
        put(true);
      }
    });
    const buttons =
        el('div', {class: 'edit-buttons'},
           el('button', {type: 'button', class: 'primary', onclick: () => put(true)},
              message.role === 'user' ? 'Send' : 'Write on from here'),
           el('button', {type: 'button', class: 'plain', onclick: () => put(false)}, 'Save'),
           el('button', {type: 'button', class: 'plain', onclick: done}, 'Cancel'));
    this.element.classList.add('editing');
    this.#body.replaceChildren(area, buttons);
    this.#foot.replaceChildren();
    grow();
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}
