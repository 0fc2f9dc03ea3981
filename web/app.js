// The page: what is on it, and what happens when.

import {newAnswer, requestMessages} from './answer.js';
import {getJson} from './api.js';
import {announce, el} from './dom.js';
import {readDefaults} from './defaults.js';
import {MessageView} from './message_view.js';
import {Painter, Run} from './run.js';
import {Settings} from './settings.js';
import {renderList} from './sidebar.js';
import {newConversation, Store, titleOf} from './store.js';
import {setUpTheme} from './theme.js';

const $ = (id) => document.getElementById(id);
const kStoredPasses = 'orthrus.passes', kCurrent = 'orthrus.current';

let store, settings, conversation, model = null;
let views = [];              // of the messages of `conversation`
const runs = new Map();      // by the conversation's id
let withPasses = false;
let stickToEnd = true;

// ---- the thread

function hideTip() { $('tip').hidden = true; }

function showThread() {
  try { sessionStorage.setItem(kCurrent, conversation.id); } catch { /* a reload begins anew then */ }
  $('title').textContent = conversation.title;
  document.title = conversation.messages.length > 0 ? `${conversation.title} · Orthrus` : 'Orthrus';
  hideTip();
  views = conversation.messages.map((message) => viewOf(message));
  $('thread').replaceChildren(...views.map((view) => view.element));
  if (views.length === 0) $('thread').append(welcome());
  showState();
  toEnd(true);
}

function welcome() {
  const lines = ['Write a Python function that merges two sorted lists.', 'Explain B-trees, with a table of costs.',
                 'What does exact speculative decoding mean?'];
  return el('div', {class: 'welcome'}, el('p', {class: 'greeting'}, 'What shall we look at?'),
            ...lines.map((line) => el('button', {type: 'button', class: 'suggestion', onclick: () => send(line)}, line)));
}

function viewOf(message) {
  return new MessageView(message, {
    edit: (content, goOn) => edit(message, content, goOn),
    retry: () => retry(message),
    goOn: () => goOnFrom(message),
    remove: () => removeFrom(message),
    answerTools: (results) => answerTools(message, results),
  });
}

// Everything that depends on whether an answer is being written, and on which message is the last.
function showState() {
  const run = runs.get(conversation.id);
  views.forEach((view, i) => view.show({passes: withPasses, running: run?.message === view.message,
                                        latest: i === views.length - 1}));
  $('send').hidden = run !== undefined;
  $('stop').hidden = run === undefined;
}

function addView(message) {
  if (views.length === 0) $('thread').replaceChildren();
  const view = viewOf(message);
  views.push(view);
  $('thread').append(view.element);
}

function toEnd(always = false) {
  if (always) stickToEnd = true;
  if (stickToEnd) $('scroller').scrollTop = $('scroller').scrollHeight;
  showToEnd();
}

function showToEnd() {
  const {scrollTop, scrollHeight, clientHeight} = $('scroller');
  $('to-end').hidden = scrollHeight - scrollTop - clientHeight < 120;
}

// ---- answers

const painter = new Painter(() => {
  const run = runs.get(conversation.id);
  if (!run) return;
  views.find((view) => view.message === run.message)?.update();
  toEnd();
});

async function keep(one) {
  one.updated = Date.now();
  try {
    await store.put(one);
  } catch {
    toast('The browser would not keep this conversation: its storage may be full.');
  }
}

// Has `message`, the last one, answered or written on.
async function answer(message, more = {}) {
  const of = conversation;
  const continued = more.continue_final_message === true;
  const body = {...(model ? {model} : {}), ...settings.request(), ...more,
                messages: requestMessages(of, of.messages.length - (continued ? 0 : 1))};
  const run = new Run(of, message, {changed: () => { if (conversation === of) painter.ask(); }, saved: () => keep(of)});
  runs.set(of.id, run);
  showState();
  toEnd(true);
  announce('The answer is being written.');
  await keep(of);
  showConversations();
  await run.go(body);
  runs.delete(of.id);
  if (conversation === of) {
    showState();
    toEnd();
    announce(message.error ? '' : `The answer: ${message.content.slice(0, 500)}`);
  }
  if (of.messages.includes(message)) await keep(of);
  showConversations();
}

function ask() {
  const message = newAnswer();
  conversation.messages.push(message);
  addView(message);
  return answer(message);
}

function send(text) {
  if (text.trim() === '' || runs.has(conversation.id)) return false;
  if (conversation.messages.length === 0) {
    conversation.title = titleOf(text);
    $('title').textContent = conversation.title;
  }
  const message = {role: 'user', content: text};
  conversation.messages.push(message);
  addView(message);
  ask();
  return true;
}

function cut(from) {
  runs.get(conversation.id)?.stop();
  conversation.messages.length = from;
  for (const view of views.splice(from)) view.element.remove();
}

function edit(message, content, goOn) {
  if (runs.has(conversation.id)) return;
  const at = conversation.messages.indexOf(message);
  if (message.role === 'user') {
    if (goOn) {
      cut(at);
      if (!send(content)) showThread();
      return;
    }
    message.content = content;
  } else {
    // Text that no pass gave: one that stands for it.
    Object.assign(message, {content, final: null, usage: null, finish: null, error: null,
                            passes: [{tokens: 0, drafted: 0, accepted: 0, ms: null, content: content.length,
                                      reasoning: message.reasoning.length}]});
    if (goOn) {
      cut(at + 1);
      goOnFrom(message);
      return;
    }
  }
  keep(conversation);
  showThread();
}

function goOnFrom(message) {
  if (runs.has(conversation.id)) return;
  Object.assign(message, {finish: null, error: null, final: null});
  showThread();
  answer(message, {continue_final_message: true, add_generation_prompt: false});
}

function retry(message) {
  if (runs.has(conversation.id)) return;
  cut(conversation.messages.indexOf(message));
  ask();
}

function answerTools(message, results) {
  if (runs.has(conversation.id)) return;
  message.tool_calls.forEach((call, i) => {
    const result = {role: 'tool', content: results[i] ?? '', tool_call_id: call.id};
    conversation.messages.push(result);
    addView(result);
  });
  ask();
}

function removeFrom(message) {
  const of = conversation, at = of.messages.indexOf(message);
  const removed = of.messages.slice(at);
  cut(at);
  keep(of);
  showThread();
  toast(removed.length === 1 ? 'The message is deleted.' : `${removed.length} messages are deleted.`, 'Undo', () => {
    of.messages.length = at;
    of.messages.push(...removed);
    keep(of);
    if (conversation === of) showThread();
  });
}

// ---- conversations

async function showConversations() {
  const all = await store.all();
  renderList($('conversations'), all, conversation.id, runs, {open, rename, remove});
}

let opening = 0;  // the last one asked for is the one that is shown

async function open(id) {
  const turn = ++opening;
  const found = id === conversation.id ? conversation : runs.get(id)?.conversation ?? await store.get(id);
  if (!found || turn !== opening) return;
  conversation = found;
  settings.showSystem(conversation.system);
  document.body.classList.remove('sidebar-open');
  showThread();
  showConversations();
  $('input').focus();
}

function startNew() {
  opening++;
  conversation = newConversation(conversation?.system ?? '');
  settings.showSystem(conversation.system);
  document.body.classList.remove('sidebar-open');
  showThread();
  showConversations();
  $('input').focus();
}

async function rename(id, title) {
  const one = id === conversation.id ? conversation : runs.get(id)?.conversation ?? await store.get(id);
  if (one && one.title !== title) {
    one.title = title.slice(0, 200);
    await store.put(one);
    if (id === conversation.id) $('title').textContent = one.title;
  }
  showConversations();
}

async function remove(id) {
  const run = runs.get(id);
  const one = run?.conversation ?? await store.get(id);
  run?.stop();
  if (run) run.conversation.messages = run.conversation.messages.filter((message) => message !== run.message);
  await store.remove(id);
  if (id === conversation.id) startNew();
  else showConversations();
  toast('The conversation is deleted.', 'Undo', async () => {
    await store.put(one);
    open(id);
  });
}

async function exportAll() {
  const url = URL.createObjectURL(new Blob([await store.export()], {type: 'application/json'}));
  el('a', {href: url, download: `orthrus-${new Date().toISOString().slice(0, 10)}.json`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function importFile(file) {
  try {
    const count = await store.import(await file.text());
    toast(count === 1 ? 'One conversation is imported.' : `${count} conversations are imported.`);
  } catch (error) {
    toast(`Nothing is imported. ${error.message}`);
  }
  showConversations();
}

// ---- around it

let toastTimer = 0;
function toast(text, action = null, onclick = null) {
  clearTimeout(toastTimer);
  const hide = () => { $('toast').hidden = true; };
  $('toast').replaceChildren(el('span', {}, text));
  if (action) $('toast').append(el('button', {type: 'button', class: 'plain', onclick: () => { hide(); onclick(); }}, action));
  $('toast').hidden = false;
  toastTimer = setTimeout(hide, 8000);
}

function showSettings(shown) {
  $('settings').hidden = !shown;
  $('open-settings').setAttribute('aria-expanded', String(shown));
  document.body.classList.toggle('settings-open', shown);
  (shown ? $('s-system') : $('open-settings')).focus();
}

function showPasses(on) {
  withPasses = on;
  $('show-passes').setAttribute('aria-checked', String(on));
  document.body.classList.toggle('with-passes', on);
  try { localStorage.setItem(kStoredPasses, on ? '1' : '0'); } catch { /* for this visit only */ }
}

function fit() {
  const input = $('input');
  input.style.height = 'auto';
  input.style.height = `${Math.min(input.scrollHeight, innerHeight * 0.4)}px`;
}

function submit() {
  if (!send($('input').value)) return;
  $('input').value = '';
  fit();
}

function setUpKeys() {
  $('input').addEventListener('input', fit);
  $('input').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === 'ArrowUp' && $('input').value === '' && !runs.has(conversation.id)) {
      const last = views.findLast((view) => view.message.role === 'user');
      if (last) { event.preventDefault(); last.edit(); }
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (document.body.classList.contains('sidebar-open')) document.body.classList.remove('sidebar-open');
    else if (runs.has(conversation.id)) runs.get(conversation.id).stop();
    else if (!$('settings').hidden) showSettings(false);
  });
}

function setUpButtons() {
  const on = (id, what) => $(id).addEventListener('click', what);
  $('composer').addEventListener('submit', (event) => { event.preventDefault(); submit(); });
  on('stop', () => runs.get(conversation.id)?.stop());
  on('new', startNew);
  on('export', exportAll);
  on('import', () => $('import-file').click());
  $('import-file').addEventListener('change', async () => {
    const [file] = $('import-file').files;
    if (file) await importFile(file);
    $('import-file').value = '';
  });
  on('open-sidebar', () => { document.body.classList.add('sidebar-open'); $('close-sidebar').focus(); });
  on('close-sidebar', () => { document.body.classList.remove('sidebar-open'); $('open-sidebar').focus(); });
  on('shade', () => document.body.classList.remove('sidebar-open'));
  on('open-settings', () => showSettings($('settings').hidden));
  on('close-settings', () => showSettings(false));
  on('show-passes', () => { showPasses(!withPasses); showState(); toEnd(); });
  on('to-end', () => toEnd(true));
  document.addEventListener('scroll', hideTip, {capture: true, passive: true});
  $('scroller').addEventListener('scroll', () => {
    const {scrollTop, scrollHeight, clientHeight} = $('scroller');
    stickToEnd = scrollHeight - scrollTop - clientHeight < 60;
    showToEnd();
  }, {passive: true});
}

// What the server is, and its defaults. Without them the page works as well.
async function learn() {
  const [models, props] = await Promise.allSettled([getJson('v1/models'), getJson('props')]);
  if (models.status === 'fulfilled') {
    model = models.value.data?.[0]?.id ?? null;
    $('model').textContent = model ?? '';
  } else {
    $('model').textContent = models.reason.message;
  }
  settings.showDefaults(readDefaults(props.value));
  // A model without a chat template can still be told one.
  if (props.value?.chat_format === 'none') toast('This model has no chat template: start the server with --chat-format.');
}

async function start() {
  setUpTheme($('theme'));
  let stored = '0';
  try { stored = localStorage.getItem(kStoredPasses); } catch { /* off then */ }
  showPasses(stored === '1');
  settings = new Settings($('settings-form'), (system) => {
    conversation.system = system;
    if (conversation.messages.length > 0) keep(conversation);
  });
  $('settings-form').addEventListener('key', learn);
  store = await Store.open();
  setUpButtons();
  setUpKeys();
  let current = null;
  try { current = sessionStorage.getItem(kCurrent); } catch { /* a new one then */ }
  startNew();
  if (current) await open(current);
  if (!store.lasting) toast('This browser keeps nothing here: conversations end with the tab.');
  await learn();
}

start();
