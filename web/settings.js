// Sampling settings. What is not set is not sent: the server's own default holds, and is shown as
// the field's placeholder.

import {apiKey, setApiKey} from './api.js';
import {el} from './dom.js';

const kStored = 'orthrus.settings';

// Numbers with their bounds, as the server has them.
const kNumbers = [
  {name: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05},
  {name: 'top_p', label: 'Top p', min: 0.01, max: 1, step: 0.05},
  {name: 'top_k', label: 'Top k', min: 0, max: 1000000, step: 1},
  {name: 'min_p', label: 'Min p', min: 0, max: 1, step: 0.01},
  {name: 'seed', label: 'Seed', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1},
  {name: 'max_tokens', label: 'Longest answer, tokens', min: 1, max: 1000000, step: 1},
  {name: 'presence_penalty', label: 'Presence penalty', min: -2, max: 2, step: 0.1},
  {name: 'frequency_penalty', label: 'Frequency penalty', min: -2, max: 2, step: 0.1},
  {name: 'repetition_penalty', label: 'Repetition penalty', min: 0.01, max: 100, step: 0.05},
];
const kBlock = {
  name: 'block_size',
  label: 'Block size',
  min: 2,
  max: 32,
  step: 1
};
const kModes = [
  ['', 'Server’s choice'], ['auto', 'auto: drafts where they pay'], ['dual', 'dual: always drafts'],
  ['ar', 'ar: plain decoding']
];
const kThinking = [['', 'Model’s choice'], ['on', 'On'], ['off', 'Off']];

export class Settings {
  values = {};
  onSystem = () => {};  // called with the system prompt as it is typed
  onKey = () => {};     // called when there is another API key
  #system;
  #tools;
  #fields = new Map();

  constructor(form) {
    try {
      this.values = JSON.parse(localStorage.getItem(kStored)) ?? {};
    } catch { /* the defaults then */
    }
    this.#build(form);
  }

  #save() {
    try {
      localStorage.setItem(kStored, JSON.stringify(this.values));
    } catch { /* for this visit only */
    }
  }

  #build(form) {
    form.addEventListener('submit', (event) => event.preventDefault());
    this.#system = el('textarea', {
      id: 's-system',
      rows: 4,
      placeholder: 'None',
      oninput: () => this.onSystem(this.#system.value)
    });
    this.#tools = el('textarea', {
      id: 's-tools',
      rows: 4,
      class: 'mono',
      spellcheck: 'false',
      placeholder: '[{"type": "function", "function": {"name": …}}]',
      oninput: () => this.#putTools()
    });
    this.#tools.value = this.values.tools ?? '';
    const key = el('input', {
      id: 's-key',
      type: 'password',
      autocomplete: 'off',
      placeholder: 'None',
      onchange: () => {
        setApiKey(key.value.trim());
        this.onKey();
      }
    });
    key.value = apiKey();
    const field = (label, control, note) => el(
        'div', {class: 'field'}, el('label', {for: control.id
        }, label), control, note ? el('p', {class: 'note', id: `${control.id}-note`}, note) : null);
    form.append(
        field('System prompt of this conversation', this.#system),
        el('fieldset', {}, el('legend', {}, 'Sampling'),
           ...kNumbers.map((one) => this.#number(one))),
        el('fieldset', {}, el('legend', {}, 'Decoding'), this.#choice('mode', 'Mode', kModes),
           this.#number(kBlock),
           el('p', {class: 'note'}, 'Speed only: the answer is the same, bit for bit.')),
        el('fieldset', {}, el('legend', {}, 'Model'),
           this.#choice('enable_thinking', 'Thinking', kThinking)),
        field('Tools the model may call (JSON)', this.#tools),
        field('API key', key, 'Kept until this tab is closed.'),
        el('button', {type: 'button', class: 'plain', onclick: () => this.#reset()},
           'Back to the server’s defaults'));
    this.#putTools();
  }

  #number({name, label, min, max, step}) {
    const input = el('input', {
      id: `s-${name}`,
      type: 'number',
      min,
      max,
      step: step === 1 ? 1 : 'any',
      inputmode: min < 0 ? 'text' : 'decimal',
      placeholder: 'default'
    });
    input.value = this.values[name] ?? '';
    input.addEventListener('input', () => {
      const most = Number(input.max);
      const value = input.value.trim() === '' ? null : Number(input.value);
      const valid = !input.validity.badInput &&
          (value === null ||
           (value >= min && value <= most && (step !== 1 || Number.isInteger(value))));
      input.setAttribute('aria-invalid', String(!valid));
      input.title = valid ?
          '' :
          `${label} goes from ${min} to ${most}${step === 1 ? ', without fractions' : ''}.`;
      if (valid) this.#set(name, value);
    });
    this.#fields.set(name, input);
    return el('div', {class: 'field inline'}, el('label', {for: input.id
              }, label), input);
  }

  #choice(name, label, choices) {
    const select =
        el('select', {id: `s-${name}`, onchange: () => this.#set(name, select.value || null)},
           ...choices.map(([value, text]) => el('option', {value}, text)));
    select.value = this.values[name] ?? '';
    this.#fields.set(name, select);
    return el('div', {class: 'field inline'}, el('label', {for: select.id
              }, label), select);
  }

  #set(name, value) {
    if (value === null)
      delete this.values[name];
    else
      this.values[name] = value;
    this.#save();
  }

  #putTools() {
    const text = this.#tools.value.trim();
    let valid = true;
    try {
      valid = text === '' || Array.isArray(JSON.parse(text));
    } catch {
      valid = false;
    }
    this.#tools.setAttribute('aria-invalid', String(!valid));
    this.#tools.title = valid ? '' : 'This is not a list in JSON; it is not sent.';
    this.#set('tools', text === '' ? null : text);
  }

  #reset() {
    for (const [name, field] of this.#fields) {
      field.value = '';
      field.setAttribute('aria-invalid', 'false');
      this.#set(name, null);
    }
  }

  showSystem(text) { this.#system.value = text; }

  // What holds where nothing is set, by the field's name.
  showDefaults(defaults) {
    for (const [name, field] of this.#fields) {
      const value = defaults[name];
      if (field.tagName === 'INPUT' && value !== undefined && value !== null)
        field.placeholder = String(value);
    }
    if (defaults.block_size > 0) this.#fields.get('block_size').max = defaults.block_size;
  }

  // The fields of a request.
  request() {
    const {mode, block_size, enable_thinking, tools, ...sampling} = this.values;
    const body = {...sampling, orthrus: {passes: true}};
    if (mode) body.orthrus.mode = mode;
    if (block_size) body.orthrus.block_size = block_size;
    if (enable_thinking) body.chat_template_kwargs = {enable_thinking: enable_thinking === 'on'};
    if (tools) {
      try {
        const list = JSON.parse(tools);
        if (Array.isArray(list) && list.length > 0) body.tools = list;
      } catch { /* marked as invalid beside the field */
      }
    }
    return body;
  }
}
