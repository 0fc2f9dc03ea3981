// The conversation that is shown: its messages, what is done to them, and answers being written.

import {newAnswer, requestMessages} from './answer.js';
import {announce, el} from './dom.js';
import {MessageView} from './message_view.js';
import {Painter, Run} from './run.js';
import {titleOf} from './store.js';
import {toast} from './toast.js';

const $ = (id) => document.getElementById(id);

const kSuggestions = [
  'Write a Python function that merges two sorted lists.',
  'Explain B-trees, with a table of costs.',
  'What does exact speculative decoding mean?',
];

export class Thread {
  conversation = null;
  model = null;      // its id, for requests
  runs = new Map();  // answers being written, by the conversation's id
  #store;
  #settings;
  #changed;
  #views = [];  // of the conversation's messages
  #withPasses = false;
  #stickToEnd = true;
  #painter = new Painter(() => this.#paint());

  // `changed` is called when the list of conversations may look different.
  constructor(store, settings, changed) {
    this.#store = store;
    this.#settings = settings;
    this.#changed = changed;
    $('scroller').addEventListener('scroll', () => this.#scrolled(), {passive: true});
  }

  get running() { return this.runs.get(this.conversation.id); }

  show(conversation = this.conversation) {
    this.conversation = conversation;
    const {title, messages} = conversation;
    $('title').textContent = title;
    document.title = messages.length > 0 ? `${title} · Orthrus` : 'Orthrus';
    $('tip').hidden = true;
    this.#views = messages.map((message) => this.#viewOf(message));
    $('thread').replaceChildren(...this.#views.map((view) => view.element));
    if (messages.length === 0) $('thread').append(this.#welcome());
    this.#showState();
    this.toEnd();
  }

  showPasses(on) {
    this.#withPasses = on;
    if (this.conversation === null) return;
    this.#showState();
    this.#follow();
  }

  toEnd() {
    this.#stickToEnd = true;
    this.#follow();
  }

  stop() { this.running?.stop(); }

  editLast() {
    const last = this.running ? null : this.#views.findLast((view) => view.message.role === 'user');
    last?.edit();
    return Boolean(last);
  }

  // Whether it is on its way.
  send(text) {
    if (text.trim() === '' || this.running) return false;
    if (this.conversation.messages.length === 0) {
      this.conversation.title = titleOf(text);
      $('title').textContent = this.conversation.title;
    }
    this.#add({role: 'user', content: text});
    this.#ask();
    return true;
  }

  async keep(conversation = this.conversation) {
    conversation.updated = Date.now();
    try {
      await this.#store.put(conversation);
    } catch {
      toast('The browser would not keep this conversation: its storage may be full.');
    }
  }

  // ---- what is seen

  #welcome() {
    const suggestion = (line) =>
        el('button', {type: 'button', class: 'suggestion', onclick: () => this.send(line)}, line);
    return el(
        'div', {class: 'welcome'}, el('p', {class: 'greeting'}, 'What shall we look at?'),
        ...kSuggestions.map(suggestion));
  }

  #viewOf(message) {
    return new MessageView(message, {
      edit: (content, goOn) => this.#edit(message, content, goOn),
      retry: () => this.#retry(message),
      goOn: () => this.#goOn(message),
      remove: () => this.#remove(message),
      answerTools: (results) => this.#answerTools(message, results),
    });
  }

  // All that depends on whether an answer is being written, and on which message is the last.
  #showState() {
    const run = this.running;
    this.#views.forEach((view, i) => view.show({
      passes: this.#withPasses,
      running: run?.message === view.message,
      latest: i === this.#views.length - 1,
    }));
    $('send').hidden = run !== undefined;
    $('stop').hidden = run === undefined;
  }

  #paint() {
    const run = this.running;
    if (!run) return;
    this.#views.find((view) => view.message === run.message)?.update();
    this.#follow();
  }

  #follow() {
    if (this.#stickToEnd) $('scroller').scrollTop = $('scroller').scrollHeight;
    this.#showToEnd();
  }

  #below() {
    const {scrollTop, scrollHeight, clientHeight} = $('scroller');
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrolled() {
    this.#stickToEnd = this.#below() < 60;
    this.#showToEnd();
  }

  #showToEnd() { $('to-end').hidden = this.#below() < 120; }

  // ---- what is done

  #add(message) {
    if (this.#views.length === 0) $('thread').replaceChildren();
    const view = this.#viewOf(message);
    this.conversation.messages.push(message);
    this.#views.push(view);
    $('thread').append(view.element);
  }

  #cut(from) {
    this.stop();
    this.conversation.messages.length = from;
    for (const view of this.#views.splice(from)) view.element.remove();
  }

  #ask() {
    const message = newAnswer();
    this.#add(message);
    return this.#answer(message);
  }

  // Has `message`, the last one, answered; or written on, where its text is the beginning.
  async #answer(message, writesOn = false) {
    const of = this.conversation;
    const body = {
      ...(this.model ? {model: this.model} : {}),
      ...this.#settings.request(),
      messages: requestMessages(of, of.messages.length - (writesOn ? 0 : 1))
    };
    if (writesOn) Object.assign(body, {continue_final_message: true, add_generation_prompt: false});
    const run = new Run(message, of, {
      changed: () => {
        if (this.conversation === of) this.#painter.ask();
      },
      saved: () => this.keep(of),
    });
    this.runs.set(of.id, run);
    this.#showState();
    this.toEnd();
    announce('The answer is being written.');
    await this.keep(of);
    this.#changed();
    await run.go(body);
    this.runs.delete(of.id);
    if (this.conversation === of) {
      this.#showState();
      this.#follow();
      announce(message.error ? '' : `The answer: ${message.content.slice(0, 500)}`);
    }
    if (of.messages.includes(message)) await this.keep(of);
    this.#changed();
  }

  #edit(message, content, goOn) {
    if (this.running) return;
    const at = this.conversation.messages.indexOf(message);
    if (message.role === 'user') {
      if (goOn) {
        this.#cut(at);
        this.send(content);
        return;
      }
      message.content = content;
    } else {
      // Text that no pass gave: one that stands for it.
      const passes = [{
        tokens: 0,
        drafted: 0,
        accepted: 0,
        ms: null,
        content: content.length,
        reasoning: message.reasoning.length
      }];
      Object.assign(
          message, {content, passes, final: null, usage: null, finish: null, error: null});
      if (goOn) {
        this.#cut(at + 1);
        this.#goOn(message);
        return;
      }
    }
    this.keep();
    this.show();
  }

  #goOn(message) {
    if (this.running) return;
    Object.assign(message, {finish: null, error: null, final: null});
    this.show();
    this.#answer(message, true);
  }

  #retry(message) {
    if (this.running) return;
    this.#cut(this.conversation.messages.indexOf(message));
    this.#ask();
  }

  #answerTools(message, results) {
    if (this.running) return;
    message.tool_calls.forEach((call, i) => {
      this.#add({role: 'tool', content: results[i] ?? '', tool_call_id: call.id});
    });
    this.#ask();
  }

  #remove(message) {
    const of = this.conversation, at = of.messages.indexOf(message);
    const removed = of.messages.slice(at);
    this.#cut(at);
    this.keep();
    this.show();
    const said = removed.length === 1 ? 'The message is deleted.' :
                                        `${removed.length} messages are deleted.`;
    toast(said, 'Undo', () => {
      of.messages.length = at;
      of.messages.push(...removed);
      this.keep(of);
      if (this.conversation === of) this.show();
    });
  }
}
