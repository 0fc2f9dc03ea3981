import {newAnswer} from '/answer.js';
import {newConversation, parseExport, Store, titleOf} from '/store.js';

import {expect, expectEqual, expectThrows, test} from './check.js';

let opened = 0;
const openNew = () => Store.open(`test-${++opened}-${Math.floor(performance.now())}`);

function conversation(title, updated) {
  return {
    ...newConversation('be brief'),
    title,
    updated,
    messages: [{role: 'user', content: 'u'}, {...newAnswer(), content: 'a'}]
  };
}

test('store: keeps, lists, renames, removes', async () => {
  const store = await openNew();
  expect(store.lasting);
  const [a, b] = [conversation('a', 1), conversation('b', 2)];
  await store.put(a);
  await store.put(b);
  expectEqual((await store.all()).map((one) => one.title), ['b', 'a']);
  await store.put({...a, title: 'c', updated: 3});
  expectEqual((await store.all()).map((one) => one.title), ['c', 'b']);
  expectEqual(await store.get(b.id), b);
  await store.remove(b.id);
  expectEqual(await store.get(b.id), undefined);
});

test('store: what is exported can be imported', async () => {
  const [from, to] = [await openNew(), await openNew()];
  const one = conversation('<b>x</b>', 5);
  one.messages[1].passes.push(
      {tokens: 3, drafted: 7, accepted: 2, content: 1, reasoning: 0, ms: 4.5});
  one.messages[1].tool_calls.push({id: 'i', name: 'n', arguments: '{}'});
  one.messages.push({role: 'tool', content: 'r', tool_call_id: 'i'});
  await from.put(one);
  const text = await from.export();
  expectEqual(await to.import(text), 1);
  expectEqual(JSON.parse(await to.export()).conversations[0].messages.length, 3);
  expectEqual(
      (await to.get(one.id)).messages[1].passes,
      [{tokens: 3, drafted: 7, accepted: 2, content: 1, reasoning: 0, ms: 4.5}]);
  // The same again changes nothing; another under the same id becomes one more.
  await to.import(await to.export());
  expectEqual((await to.all()).length, 1);
  await to.import(text.replace('"be brief"', '"be long"'));
  expectEqual((await to.all()).length, 2);
});

test('store: a broken import says what is wrong, and adds nothing', async () => {
  const store = await openNew();
  const file = (conversations, more = {}) =>
      JSON.stringify({format: 'orthrus-conversations', version: 1, conversations, ...more});
  const cases = [
    ['', 'not JSON'], ['{', 'not JSON'], ['null', 'no export'], ['[]', 'no export'],
    ['"x"', 'no export'], [file([], {version: 2}), '"version" is 2'], [file('x'), 'not a list'],
    [file([1]), 'conversations[0] is not an object'],
    [file([{}]), 'conversations[0].messages is not a list'],
    [file([{messages: [], title: 5}]), 'title is not a string'],
    [file([{messages: [{role: 'root', content: ''}]}]), 'messages[0].role is "root"'],
    [file([{messages: [{role: 'user', content: {}}]}]), 'content is not a string'],
    [file([{messages: []}, {messages: [null]}]), 'conversations[1].messages[0] is not an object'],
    [
      file([{messages: [{role: 'assistant', content: '', tool_calls: [{name: 1}]}]}]),
      'name is not a string'
    ]
  ];
  for (const [text, part] of cases) await expectThrows(() => store.import(text), part);
  expectEqual((await store.all()).length, 0);
});

test('store: an import brings known fields of known types only', () => {
  const [one] = parseExport(JSON.stringify({
    format: 'orthrus-conversations',
    version: 1,
    conversations: [{
      id: '../x',
      title: 't'.repeat(999),
      created: 'x',
      updated: -1,
      __proto__: {a: 1},
      extra: 1,
      messages: [{
        role: 'assistant',
        content: 'c',
        html: '<b>',
        passes: [{tokens: 'x', drafted: -1, ms: null}, 5, {tokens: 2.7}],
        final: {plain_step_seconds: 'x'},
        finish: {},
        error: 5
      }]
    }]
  }));
  expect(/^[0-9a-f]{24}$/.test(one.id));
  expectEqual(one.title.length, 200);
  expectEqual(Object.keys(one).join(), 'id,title,created,updated,system,messages');
  const [message] = one.messages;
  expectEqual(message.html, undefined);
  expectEqual(message.passes.map((pass) => pass.tokens), [0, 0, 2]);
  expectEqual(
      [message.finish, message.error, message.final.plain_step_seconds], [null, null, null]);
});

test('store: titles', () => {
  expectEqual(titleOf('  Hello   there\nmore'), 'Hello there');
  expectEqual(titleOf(' '), 'New conversation');
  expectEqual(Array.from(titleOf('👩'.repeat(100))).length, 60);
});
