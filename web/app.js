// The page: puts its parts together.

import {getJson} from './api.js';
import {Conversations} from './conversations.js';
import {readDefaults} from './defaults.js';
import {Settings} from './settings.js';
import {Store} from './store.js';
import {setUpTheme} from './theme.js';
import {Thread} from './thread.js';
import {toast} from './toast.js';

const $ = (id) => document.getElementById(id);
const kPasses = 'orthrus.passes';

function showSidebar(shown) {
  document.body.classList.toggle('sidebar-open', shown);
  $(shown ? 'close-sidebar' : 'open-sidebar').focus();
}

function showSettings(shown) {
  $('settings').hidden = !shown;
  $('open-settings').setAttribute('aria-expanded', String(shown));
  $(shown ? 's-system' : 'open-settings').focus();
}

// The switch, which the browser remembers.
function setUpPasses(thread) {
  let on = false;
  const show = () => {
    $('show-passes').setAttribute('aria-checked', String(on));
    document.body.classList.toggle('with-passes', on);
    thread.showPasses(on);
  };
  try {
    on = localStorage.getItem(kPasses) === '1';
  } catch { /* off then */
  }
  $('show-passes').addEventListener('click', () => {
    on = !on;
    try {
      localStorage.setItem(kPasses, on ? '1' : '0');
    } catch { /* for this visit only */
    }
    show();
  });
  show();
}

function setUpComposer(thread) {
  const input = $('input');
  const fit = () => {
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight, innerHeight * 0.4)}px`;
  };
  const submit = () => {
    if (!thread.send(input.value)) return;
    input.value = '';
    fit();
  };
  input.addEventListener('input', fit);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === 'ArrowUp' && input.value === '' && thread.editLast()) {
      event.preventDefault();
    }
  });
  $('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  $('stop').addEventListener('click', () => thread.stop());
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (document.body.classList.contains('sidebar-open'))
      showSidebar(false);
    else if (thread.running)
      thread.stop();
    else if (!$('settings').hidden)
      showSettings(false);
  });
}

function setUpButtons(thread, conversations) {
  const on = (id, what) => $(id).addEventListener('click', what);
  on('new', () => conversations.startNew());
  on('export', () => conversations.export());
  on('import', () => $('import-file').click());
  $('import-file').addEventListener('change', async () => {
    const [file] = $('import-file').files;
    if (file) await conversations.import(file);
    $('import-file').value = '';
  });
  on('open-sidebar', () => showSidebar(true));
  on('close-sidebar', () => showSidebar(false));
  on('shade', () => showSidebar(false));
  on('open-settings', () => showSettings($('settings').hidden));
  on('close-settings', () => showSettings(false));
  on('to-end', () => thread.toEnd());
  const hideTip = () => {
    $('tip').hidden = true;
  };
  document.addEventListener('scroll', hideTip, {capture: true, passive: true});
}

// What the server is, and its defaults. Without them the page works as well.
async function learn(thread, settings) {
  const [models, props] = await Promise.allSettled([getJson('v1/models'), getJson('props')]);
  if (models.status === 'fulfilled') {
    thread.model = models.value.data?.[0]?.id ?? null;
    $('model').textContent = thread.model ?? '';
  } else {
    $('model').textContent = models.reason.message;
  }
  settings.showDefaults(readDefaults(props.value));
  // A model without a chat template can still be told one.
  if (props.value?.chat_format === 'none') {
    toast('This model has no chat template: start the server with --chat-format.');
  }
}

async function start() {
  setUpTheme($('theme'));
  const store = await Store.open();
  const settings = new Settings($('settings-form'));
  const conversations = new Conversations(store, settings);
  const thread = new Thread(store, settings, () => conversations.list());
  settings.onSystem = (system) => {
    thread.conversation.system = system;
    if (thread.conversation.messages.length > 0) thread.keep();
  };
  settings.onKey = () => learn(thread, settings);
  setUpPasses(thread);
  setUpComposer(thread);
  setUpButtons(thread, conversations);
  await conversations.start(thread);
  if (!store.lasting) toast('This browser keeps nothing here: conversations end with the tab.');
  await learn(thread, settings);
}

start();
