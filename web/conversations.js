// The conversations that the browser keeps: which one is shown, their list, export and import.

import {el} from './dom.js';
import {renderList} from './sidebar.js';
import {newConversation} from './store.js';
import {toast} from './toast.js';

const kCurrent = 'orthrus.current';  // what a reload shows again

export class Conversations {
  #store;
  #thread = null;
  #settings;
  #opening = 0;  // the last one asked for is the one that is shown

  constructor(store, settings) {
    this.#store = store;
    this.#settings = settings;
  }

  async start(thread) {
    this.#thread = thread;
    let current = null;
    try {
      current = sessionStorage.getItem(kCurrent);
    } catch { /* a new one then */
    }
    this.startNew();
    if (current) await this.open(current);
  }

  startNew() {
    this.#opening++;
    this.#show(newConversation(this.#thread.conversation?.system ?? ''));
  }

  async open(id) {
    const turn = ++this.#opening;
    const found = await this.#find(id);
    if (found && turn === this.#opening) this.#show(found);
  }

  async list() {
    const all = await this.#store.all();
    const {conversation, runs} = this.#thread;
    renderList(document.getElementById('conversations'), all, conversation.id, runs, {
      open: (id) => this.open(id),
      rename: (id, title) => this.#rename(id, title),
      remove: (id) => this.#remove(id),
    });
  }

  async export() {
    const blob = new Blob([await this.#store.export()], {type: 'application/json'});
    const url = URL.createObjectURL(blob);
    const day = new Date().toISOString().slice(0, 10);
    el('a', {href: url, download: `orthrus-${day}.json`}).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  async import(file) {
    try {
      const count = await this.#store.import(await file.text());
      toast(count === 1 ? 'One conversation is imported.' : `${count} conversations are imported.`);
    } catch (error) {
      toast(`Nothing is imported. ${error.message}`);
    }
    this.list();
  }

  // The object that is shown or written to, where there is one; else a fresh one from the store.
  async #find(id) {
    const {conversation, runs} = this.#thread;
    if (id === conversation.id) return conversation;
    return runs.get(id)?.conversation ?? this.#store.get(id);
  }

  #show(conversation) {
    try {
      sessionStorage.setItem(kCurrent, conversation.id);
    } catch { /* a reload begins anew then */
    }
    this.#settings.showSystem(conversation.system);
    document.body.classList.remove('sidebar-open');
    this.#thread.show(conversation);
    this.list();
    document.getElementById('input').focus();
  }

  async #rename(id, title) {
    const one = await this.#find(id);
    if (one && one.title !== title) {
      one.title = title.slice(0, 200);
      await this.#store.put(one);
      if (one === this.#thread.conversation)
        document.getElementById('title').textContent = one.title;
    }
    this.list();
  }

  async #remove(id) {
    const one = await this.#find(id);
    const run = this.#thread.runs.get(id);
    if (run) {
      run.stop();
      one.messages = one.messages.filter((message) => message !== run.message);
    }
    await this.#store.remove(id);
    if (id === this.#thread.conversation.id)
      this.startNew();
    else
      this.list();
    toast('The conversation is deleted.', 'Undo', async () => {
      await this.#store.put(one);
      this.open(id);
    });
  }
}
