// The page itself, in a frame, against the runner's API.

import {Store} from '/store.js';

import {expect, expectEqual, test, until} from './check.js';

const chunk = (delta, more = {}) =>
    ({chunk: {choices: [{index: 0, delta, finish_reason: more.finish ?? null}], ...more}});
const pass = (text, tokens, drafted, accepted) =>
    chunk({content: text}, {orthrus: {tokens, drafted, accepted}});
const script = (...steps) => JSON.stringify(steps);

let frame, page;
const $ = (selector) => page.querySelector(selector);
const $$ = (selector) => [...page.querySelectorAll(selector)];
const isIdle = () => !$('#send').hidden;
const texts = (selector) => $$(selector).map((node) => node.textContent);

async function load() {
  frame?.remove();
  frame = document.createElement('iframe');
  frame.width = 1200;
  frame.height = 800;
  frame.src = '/';
  document.body.append(frame);
  await new Promise((resolve) => frame.addEventListener('load', resolve));
  page = frame.contentDocument;
  frame.contentWindow.addEventListener('error', (event) => {
    throw event.error;
  });
  await until(() => $('#model')?.textContent !== '');
}

function press(target, key, more = {}) {
  const {KeyboardEvent} = frame.contentWindow;
  target.dispatchEvent(
      new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true, ...more}));
}

async function say(text, wait = true) {
  $('#input').value = text;
  press($('#input'), 'Enter');
  if (wait) await until(isIdle);
}
const lastRequest = async () => (await fetch('/last-request')).json();
const button = (label) =>
    $$('.message:last-child button')
        .find((one) => (one.getAttribute('aria-label') ?? one.textContent) === label);
const pressLast = (label) => button(label).click();

test('page: a question and its answer', async () => {
  await load();
  expectEqual($('#model').textContent, '<b>model</b>');
  expectEqual($('#s-temperature').placeholder, '0.7');
  await say(script(
      chunk({role: 'assistant', content: ''}), pass('Some **bo', 3, 0, 0), {wait: 0.02},
      pass('ld** text, é 👩‍💻', 6, 7, 5),
      {chunk: {choices: [{index: 0, delta: {}, finish_reason: 'stop'}]}}, {
        chunk: {
          choices: [],
          usage: {prompt_tokens: 5, completion_tokens: 9},
          orthrus: {plain_step_seconds: 0.001}
        }
      }));
  expectEqual($('.assistant .answer strong').textContent, 'bold');
  expectEqual($('.assistant .answer p').textContent, 'Some bold text, é 👩‍💻');
  expect($('.numbers-line').textContent.startsWith('9 tokens'));
  const {body} = await lastRequest();
  expectEqual(
      [body.model, body.stream, body.stream_options.include_usage, body.orthrus.passes],
      ['<b>model</b>', true, true, true]);
  expect(!('temperature' in body));
});

test('page: the passes in colour', async () => {
  $('#show-passes').click();
  expectEqual($('#show-passes').getAttribute('aria-checked'), 'true');
  const spans = $$('.prose .pass');
  expectEqual(
      spans.map((span) => `${span.dataset.pass}:${span.textContent}`),
      ['0:Some ', '0:bo', '1:ld', '1: text, é 👩‍💻']);
  expectEqual(spans[3].dataset.depth, '5');
  spans[2].dispatchEvent(new frame.contentWindow.PointerEvent(
      'pointermove', {bubbles: true, clientX: 500, clientY: 300}));
  expect(
      $('#tip').textContent.startsWith('Pass 2: 6 tokens, 5 of 7 drafts accepted'),
      $('#tip').textContent);
  expectEqual($$('.lit').length, 2);
  expectEqual(texts('.pass-panel dd')[0], '5.00');
  expect(/^([\d.]+×|–)$/.test(texts('.pass-panel dd')[3]));
  press($('.bars'), 'Home');
  expect($('#tip').textContent.startsWith('Pass 1: 3 tokens, none drafted'), $('#tip').textContent);
  $('#show-passes').click();
  expectEqual($$('.prose .pass').length, 0);
});

test('page: settings are sent, invalid ones are not', async () => {
  const set = (id, value) => {
    $(`#${id}`).value = value;
    $(`#${id}`).dispatchEvent(new frame.contentWindow.Event(
        id === 's-mode' || id === 's-enable_thinking' || id === 's-key' ? 'change' : 'input'));
  };
  set('s-temperature', '0.5');
  set('s-top_p', '7');
  set('s-seed', '3');
  set('s-mode', 'dual');
  set('s-block_size', '8');
  set('s-enable_thinking', 'off');
  set('s-system', 'Be brief.');
  set('s-tools', '[{"type": "function"}]');
  set('s-key', 'secret');
  expectEqual($('#s-top_p').getAttribute('aria-invalid'), 'true');
  await say('plain');
  const {body, authorization} = await lastRequest();
  expectEqual(
      [
        body.temperature, body.top_p, body.seed, body.orthrus, body.chat_template_kwargs,
        body.tools, body.messages[0]
      ],
      [
        0.5, undefined, 3, {passes: true, mode: 'dual', block_size: 8}, {enable_thinking: false},
        [{type: 'function'}], {role: 'system', content: 'Be brief.'}
      ]);
  expectEqual(authorization, 'Bearer secret');
  set('s-key', '');
  set('s-tools', '');
  set('s-system', '');
  [...$$('#settings button')].at(-1).click();
  await say('again');
  expectEqual((await lastRequest()).authorization, null);
  expectEqual((await lastRequest()).body.temperature, undefined);
});

test('page: text of models, titles and names stays text', async () => {
  const hostile = '<img src=x onerror="parent.hacked=1"><script>parent.hacked=1</script>';
  $('#new').click();
  await say(hostile);
  expectEqual(texts('.said'), [hostile]);
  expectEqual($('.assistant .answer').textContent, hostile);
  expectEqual($('#title').textContent, hostile.slice(0, 59) + '…');
  await say(script(
      chunk({reasoning_content: hostile}),
      chunk({content: `[x](javascript:parent.hacked=1)\n\n\`\`\`${hostile}\n${hostile}`}),
      chunk(
          {tool_calls: [{index: 0, id: hostile, function: {name: hostile, arguments: hostile}}]},
          {finish: 'tool_calls'})));
  expectEqual($('.message:last-child .call code').textContent, hostile);
  await until(() => $('#conversations .open').title.startsWith('<img'));
  expectEqual($$('#thread img, #thread script, #thread a, #conversations img').length, 0);
  expectEqual(window.hacked, undefined);
});

test('page: thoughts and calls are folded; results go back', async () => {
  $('#new').click();
  await say(script(
      chunk({reasoning_content: 'Hm, '}, {orthrus: {tokens: 2, drafted: 0, accepted: 0}}),
      chunk({reasoning_content: '*well*'}),
      chunk(
          {tool_calls: [{index: 0, id: 'c1', function: {name: 'weather', arguments: '{"city":'}}]}),
      chunk(
          {tool_calls: [{index: 0, function: {arguments: '"Paris"}'}}]}, {finish: 'tool_calls'})));
  expect(!$('.thinking').hidden && !$('.thinking').open);
  expectEqual($('.thinking em').textContent, 'well');
  expectEqual($('.call summary').textContent, 'Calls weather');
  expectEqual($('.call pre').textContent, '{\n  "city": "Paris"\n}');
  $('.tool-results textarea').value = 'sunny';
  $('.tool-results button').click();
  await until(isIdle);
  const {messages} = (await lastRequest()).body;
  expectEqual(messages.slice(1), [
    {
      role: 'assistant',
      content: '',
      tool_calls:
          [{id: 'c1', type: 'function', function: {name: 'weather', arguments: '{"city":"Paris"}'}}]
    },
    {role: 'tool', content: 'sunny', tool_call_id: 'c1'}
  ]);
  expectEqual($('.message:last-child .answer').textContent, 'sunny');
});

test('page: stop, by key and by button', async () => {
  $('#new').click();
  for (const stop of [() => press(page, 'Escape'), () => $('#stop').click()]) {
    await say(script(pass('so far', 2, 0, 0), {hang: true}), false);
    await until(() => $('.message:last-child .answer')?.textContent === 'so far');
    stop();
    await until(isIdle);
    expectEqual($('.message:last-child .note').textContent, 'Stopped.');
  }
});

test('page: errors are told', async () => {
  $('#new').click();
  const error = () => $('.message:last-child .error')?.textContent;
  await say(
      script({status: 400, body: {error: {message: '"temperature" is <9>; it can be 0 to 2'}}}));
  expectEqual(error(), '"temperature" is <9>; it can be 0 to 2');
  await say(script(
      {status: 429, body: {error: {message: '64 requests wait.'}}, headers: {'Retry-After': '2'}}));
  expectEqual(error(), '64 requests wait. Try again in 2 s.');
  await say(script({status: 401, body: {}}));
  expect(error().includes('API key'));
  await say(script({status: 502, body: 'bad gateway'}));
  expect(error().includes('502'));
  await say(script(pass('begun', 1, 0, 0), {cut: true}));
  expectEqual($('.message:last-child .answer').textContent, 'begun');
  expect(error().includes('before the answer was complete'));
  await say(script({chunk: {error: {message: 'out of pages'}}}));
  expectEqual(error(), 'out of pages');
});

test('page: edit, answer again, write on, delete, undo', async () => {
  $('#new').click();
  await say('first');
  await say('second');
  expectEqual(texts('.said'), ['first', 'second']);
  press($('#input'), 'ArrowUp');
  expectEqual($('textarea.edit').value, 'second');
  $('textarea.edit').value = 'third';
  press($('textarea.edit'), 'Enter');
  await until(
      () => isIdle() && texts('.said')[1] === 'third' &&
          $('.message:last-child .answer')?.textContent === 'third');
  pressLast('Answer again');
  await until(isIdle);
  expectEqual(texts('.message').length, 4);
  pressLast('Edit');
  $('textarea.edit').value = 'thirty';
  $$('.edit-buttons button')[0].click();
  await until(() => isIdle() && $('.message:last-child .answer')?.textContent === 'thirtythirty');
  const {body} = await lastRequest();
  expectEqual(
      [body.continue_final_message, body.add_generation_prompt, body.messages.at(-1)],
      [true, false, {role: 'assistant', content: 'thirty'}]);
  $$('.message')[2].querySelector('[aria-label^="Delete"]').click();
  expectEqual(texts('.message').length, 2);
  $('#toast button').click();
  await until(() => texts('.message').length === 4);
});

test('page: conversations outlive it, can be renamed, deleted and brought back', async () => {
  // What it keeps is written a moment after it is shown.
  const store = await Store.open();
  let kept = [];
  while (kept[0]?.title !== 'first' || kept[0].messages.length !== 4) kept = await store.all();
  const before = kept.map((one) => one.title);
  await load();
  await until(() => texts('#conversations .open').length === before.length);
  $$('#conversations .open')[0].click();
  await until(() => texts('.said').length === 2);
  expectEqual(texts('.said'), ['first', 'third']);
  $$('#conversations [aria-label^="Rename"]')[0].click();
  $('.rename').value = '<i>new</i>';
  press($('.rename'), 'Enter');
  await until(() => texts('#conversations .open')[0] === '<i>new</i>');
  expectEqual($('#title').textContent, '<i>new</i>');
  $$('#conversations [aria-label^="Delete"]')[0].click();
  await until(() => texts('#conversations .open').length === before.length - 1);
  $('#toast button').click();
  await until(
      () => texts('#conversations .open').length === before.length && texts('.said').length === 2);
});

test('page: an import is read, and a broken one told', async () => {
  const give = async (text) => {
    const files = new frame.contentWindow.DataTransfer();
    files.items.add(new File([text], 'x.json'));
    $('#import-file').files = files.files;
    $('#toast').replaceChildren();
    $('#import-file').dispatchEvent(new frame.contentWindow.Event('change'));
    await until(() => $('#toast').textContent !== '');
    return $('#toast').textContent;
  };
  const hostile = '<img src=x onerror="parent.hacked=1">';
  expectEqual(
      await give(JSON.stringify({
        format: 'orthrus-conversations',
        version: 1,
        conversations: [{
          title: hostile,
          updated: 9e15,
          messages: [{role: 'user', content: hostile}, {role: 'assistant', content: hostile}]
        }]
      })),
      'One conversation is imported.');
  await until(() => texts('#conversations .open')[0] === hostile);
  $$('#conversations .open')[0].click();
  await until(() => texts('.said')[0] === hostile);
  expectEqual($('.assistant .answer').textContent, hostile);
  expect((await give('{}')).startsWith('Nothing is imported.'));
  expectEqual(window.hacked, undefined);
});

test('page: every control has a name, and ids are unique', () => {
  for (const control of $$('button, input:not([type=file]), select, textarea, canvas')) {
    const labelled = control.getAttribute('aria-label') || control.textContent.trim() ||
        control.labels?.length > 0;
    expect(labelled, control.outerHTML);
  }
  const ids = $$('[id]').map((node) => node.id);
  expectEqual(ids.length, new Set(ids).size);
});
