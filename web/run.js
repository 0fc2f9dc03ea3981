// One answer being written: the request, its chunks, and when to show them.

import {AnswerReader} from './answer.js';
import {ApiError, streamChat} from './api.js';

export class Run {
  #controller = new AbortController();

  // `changed()` is called as text comes, `saved()` now and then, to keep what is there.
  constructor(message, conversation, {changed, saved}) {
    this.message = message;
    this.conversation = conversation;
    this.changed = changed;
    this.saved = saved;
  }

  stop() { this.#controller.abort(); }

  // Never throws: what went wrong is in message.error.
  async go(body) {
    const reader = new AnswerReader(this.message);
    let latest = performance.now();
    try {
      for await (const chunk of streamChat(body, this.#controller.signal)) {
        const now = performance.now();
        reader.put(chunk, now);
        this.changed();
        if (now - latest > 2000) {
          latest = now;
          this.saved();
        }
      }
    } catch (error) {
      if (this.#controller.signal.aborted)
        this.message.finish = 'stopped';
      else
        this.message.error = error instanceof ApiError ?
            error.message :
            `Something went wrong in the page: ${error}`;
    }
  }
}

// Calls `show` at most once a frame, and never for more than a quarter of the time.
export class Painter {
  #show;
  #due = false;
  #notBefore = 0;

  constructor(show) { this.#show = show; }

  ask() {
    if (this.#due) return;
    this.#due = true;
    const paint = () => {
      const begun = performance.now();
      if (begun < this.#notBefore) {
        setTimeout(() => requestAnimationFrame(paint), this.#notBefore - begun);
        return;
      }
      this.#due = false;
      this.#show();
      const ended = performance.now();
      this.#notBefore = ended + 3 * (ended - begun);
    };
    requestAnimationFrame(paint);
  }
}
