import {AnswerReader, newAnswer, requestMessages} from '/answer.js';

import {expectEqual, test} from './check.js';

function read(...chunks) {
  const message = newAnswer();
  const reader = new AnswerReader(message);
  chunks.forEach((chunk, i) => reader.put(chunk, 10 * i));
  return message;
}
const delta = (given, orthrus) =>
    ({choices: [{index: 0, delta: given}], ...(orthrus ? {orthrus} : {})});

test('answer: text, thoughts, passes', () => {
  const message = read(
      delta({role: 'assistant', content: ''}),
      delta({reasoning_content: 'hm'}, {tokens: 1, drafted: 0, accepted: 0}),
      delta({}, {tokens: 2, drafted: 3, accepted: 1}),
      delta({content: 'ab', reasoning_content: '!'}, {tokens: 4, drafted: 7, accepted: 3}),
      {choices: [{index: 0, delta: {content: 'c'}, finish_reason: 'stop'}]}, {
        choices: [],
        usage: {prompt_tokens: 5, completion_tokens: 7, prompt_tokens_details: {cached_tokens: 4}},
        orthrus: {plain_step_seconds: 0.5}
      });
  expectEqual([message.content, message.reasoning, message.finish], ['abc', 'hm!', 'stop']);
  expectEqual(
      message.passes.map(
          (one) => [one.tokens, one.drafted, one.accepted, one.ms, one.content, one.reasoning]),
      [[1, 0, 0, null, 0, 2], [2, 3, 1, 10, 0, 0], [4, 7, 3, 10, 3, 1]]);
  expectEqual(message.usage, {prompt_tokens: 5, completion_tokens: 7, cached_tokens: 4});
  expectEqual(message.final.plain_step_seconds, 0.5);
});

test('answer: calls of tools, in pieces', () => {
  const call = (index, more) => delta({tool_calls: [{index, ...more}]});
  const message = read(
      call(0, {id: 'c1', type: 'function', function: {name: 'f', arguments: ''}}),
      call(0, {function: {arguments: '{"a": '}}), call(0, {function: {arguments: '1}'}}),
      call(1, {id: 'c2', function: {name: 'g', arguments: '{}'}}), call(-1, {}), call(1e9, {}),
      call('x', {}));
  expectEqual(
      message.tool_calls,
      [{id: 'c1', name: 'f', arguments: '{"a": 1}'}, {id: 'c2', name: 'g', arguments: '{}'}]);
});

test('answer: chunks of other servers do no harm', () => {
  expectEqual(
      read(
          {}, {choices: null}, {choices: [{}]}, {choices: [{delta: {content: null}}]}, {usage: {}},
          {orthrus: {}}, {choices: [{delta: {content: 5}}]})
          .content,
      '');
});

test('answer: a conversation as the API takes it', () => {
  const answer = {
    ...newAnswer(),
    content: 'a',
    reasoning: 'r',
    tool_calls: [{id: 'c', name: 'f', arguments: '{}'}]
  };
  const conversation = {
    system: 's',
    messages:
        [{role: 'user', content: 'u'}, answer, {role: 'tool', content: 't', tool_call_id: 'c'}]
  };
  expectEqual(requestMessages(conversation), [
    {role: 'system', content: 's'}, {role: 'user', content: 'u'}, {
      role: 'assistant',
      content: 'a',
      tool_calls: [{id: 'c', type: 'function', function: {name: 'f', arguments: '{}'}}]
    },
    {role: 'tool', content: 't', tool_call_id: 'c'}
  ]);
  expectEqual(
      requestMessages({system: ' ', messages: conversation.messages}, 1),
      [{role: 'user', content: 'u'}]);
});
