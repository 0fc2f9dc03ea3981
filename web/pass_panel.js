// Below an answer whose passes are shown: the numbers, a bar for each pass, and what a pass gave
// when it is pointed at, in the text or among the bars.

import {el} from './dom.js';
import {describePass, passNumbers} from './passes.js';

const fixed = (value, digits) => (value === null ? '–' : value.toFixed(digits));
const rate = (value) =>
    (value === null ? '–' :
         value < 10 ? value.toFixed(1) :
                      String(Math.round(value)));

// "256 tokens, 97 tokens/s, 1.7× plain decoding"
export function numbersLine(message) {
  const numbers = passNumbers(message.passes, message.final);
  const parts = [];
  const tokens = message.usage?.completion_tokens || numbers.tokens;
  if (tokens > 0) parts.push(`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`);
  if (numbers.tokensPerSecond !== null) parts.push(`${rate(numbers.tokensPerSecond)} tokens/s`);
  if (numbers.speedup !== null) parts.push(`${numbers.speedup.toFixed(1)}× plain decoding`);
  return parts.join(', ');
}

const kBar = 5, kGap = 1, kUnit = 3, kTallest = 32;  // CSS pixels; a token is kUnit tall

export class PassPanel {
  #body;
  #passes;
  #values = {};
  #bars = el('canvas', {
    class: 'bars',
    tabindex: '0',
    role: 'slider',
    'aria-label': 'Passes',
    'aria-valuemin': '1',
    height: kTallest
  });
  #scroll = el('div', {class: 'bars-scroll'}, this.#bars);
  #drawn = 0;
  #chosen = -1;
  #tip = document.getElementById('tip');

  constructor(body, passes) {
    this.#body = body;
    this.#passes = passes;
    const figure = (name, label, title) => {
      this.#values[name] = el('dd', {}, '–');
      return el('div', {title}, this.#values[name], el('dt', {}, label));
    };
    this.element =
        el('div', {class: 'pass-panel'},
           el('dl', {},
              figure(
                  'acceptedPerCycle', 'drafts accepted a cycle',
                  'The token that the model adds itself is not counted'),
              figure('tokensPerForward', 'tokens a forward pass', 'Draft passes are counted'),
              figure('tokensPerSecond', 'tokens a second', 'After the first'),
              figure('speedup', 'plain decoding', 'By what a pass of one token takes')),
           this.#scroll);
    body.addEventListener('pointermove', this.#overText);
    body.addEventListener('pointerleave', () => this.#choose(-1));
    this.#bars.addEventListener(
        'pointermove', (event) => this.#choose(this.#barAt(event), event.clientX, event.clientY));
    this.#bars.addEventListener(
        'pointerdown', (event) => this.#choose(this.#barAt(event), event.clientX, event.clientY));
    this.#bars.addEventListener('keydown', (event) => this.#key(event));
    this.#bars.addEventListener('blur', () => this.#choose(-1));
  }

  update(final) {
    this.element.hidden = this.#passes.length === 0;
    const numbers = passNumbers(this.#passes, final);
    const put = (name, text) => {
      this.#values[name].textContent = text;
    };
    put('acceptedPerCycle', fixed(numbers.acceptedPerCycle, 2));
    put('tokensPerForward', fixed(numbers.tokensPerForward, 2));
    put('tokensPerSecond', rate(numbers.tokensPerSecond));
    put('speedup', numbers.speedup === null ? '–' : `${numbers.speedup.toFixed(2)}×`);
    this.#values.speedup.parentNode.title = numbers.plainPerSecond === null ?
        'Not known yet' :
        `Plain decoding is estimated at ${rate(numbers.plainPerSecond)} tokens a second`;
    this.#draw();
  }

  #overText = (event) => {
    if (event.target === this.#bars) return;
    const span = event.target.closest?.('[data-pass]');
    this.#choose(span ? Number(span.dataset.pass) : -1, event.clientX, event.clientY);
  };

  #barAt(event) {
    const at =
        Math.floor((event.clientX - this.#bars.getBoundingClientRect().left) / (kBar + kGap));
    return at < this.#passes.length ? at : -1;
  }

  #key(event) {
    const last = this.#passes.length - 1;
    const to =
        {ArrowRight: this.#chosen + 1, ArrowLeft: this.#chosen - 1, Home: 0, End: last}[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(last, to));
    this.#scroll.scrollLeft = Math.max(0, at * (kBar + kGap) - this.#scroll.clientWidth / 2);
    const box = this.#bars.getBoundingClientRect();
    this.#choose(at, box.left + at * (kBar + kGap), box.top);
  }

  // Lights a pass up everywhere, and says what it gave.
  #choose(pass, x = 0, y = 0) {
    if (pass !== this.#chosen) {
      for (const lit of this.#body.querySelectorAll('.pass.lit')) lit.classList.remove('lit');
      this.#chosen = pass;
      if (pass >= 0) {
        for (const span of this.#body.querySelectorAll(`[data-pass="${pass}"]`))
          span.classList.add('lit');
      }
      this.#drawn = 0;
      this.#draw();
    }
    this.#tip.hidden = pass < 0;
    if (pass < 0) return;
    const text = describePass(this.#passes, pass);
    this.#tip.textContent = text;
    this.#bars.setAttribute('aria-valuenow', pass + 1);
    this.#bars.setAttribute('aria-valuetext', text);
    const width = this.#tip.offsetWidth;
    this.#tip.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, x - width / 2))}px`;
    this.#tip.style.top = `${Math.max(8, y - this.#tip.offsetHeight - 14)}px`;
  }

  #draw() {
    const shown = Math.min(this.#passes.length, 2000);  // a canvas has an end
    const width = shown * (kBar + kGap), ratio = Math.min(2, devicePixelRatio || 1);
    if (width === 0) return;
    this.#bars.setAttribute('aria-valuemax', this.#passes.length);
    if (this.#bars.width !== Math.round(width * ratio)) {
      const wasAtEnd =
          this.#scroll.scrollLeft + this.#scroll.clientWidth >= this.#scroll.scrollWidth - 8;
      this.#bars.width = Math.round(width * ratio);
      this.#bars.height = kTallest * ratio;
      this.#bars.style.width = `${width}px`;
      this.#drawn = 0;
      if (wasAtEnd) this.#scroll.scrollLeft = width;
    }
    const canvas = this.#bars.getContext('2d');
    canvas.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#drawn === 0) canvas.clearRect(0, 0, width, kTallest);
    const style = getComputedStyle(this.element);
    const colors = [style.getPropertyValue('--bar-even'), style.getPropertyValue('--bar-odd')];
    for (let i = this.#drawn; i < shown; i++) {
      const pass = this.#passes[i];
      const height = Math.min(kTallest, Math.max(1, pass.tokens * kUnit));
      canvas.globalAlpha = this.#chosen < 0 || this.#chosen === i ? 1 : 0.4;
      canvas.fillStyle = colors[i % 2];
      canvas.fillRect(i * (kBar + kGap), kTallest - height, kBar, height);
    }
    this.#drawn = shown;
  }
}
