import {AnswerReader, newAnswer} from '/answer.js';
import {describePass, passMarker, passNumbers} from '/passes.js';
import {MarkdownView} from '/render.js';

import {expect, expectEqual, test} from './check.js';

const pass = (tokens, drafted, accepted, ms, content, reasoning = 0) =>
    ({tokens, drafted, accepted, ms, content, reasoning});

test('passes: marks split text where passes do', () => {
  const passes = [pass(1, 0, 0, null, 3), pass(2, 1, 1, 5, 0), pass(6, 7, 5, 5, 4)];
  const marks = passMarker(passes, 'content');
  const box = document.createElement('div');
  box.append(marks('abcdefg-', 0));
  expectEqual(
      [...box.children].map((span) => [span.dataset.pass, span.dataset.depth, span.textContent]),
      [['0', '0', 'abc'], ['2', '5', 'defg']]);
  expectEqual(box.textContent, 'abcdefg-');
  box.replaceChildren(marks('cd', 2));
  expectEqual([...box.children].map((span) => span.textContent), ['c', 'd']);
});

test('passes: each letter of a Markdown text has the colour of its pass', () => {
  const source =
      '# Title\n\n- **bold** and `code` &amp; [link](https://x.org)\n\n```py\nx = "é"\n```\n\n| a | b |\n|---|---|\n| c | d |\n';
  const message = newAnswer();
  const reader = new AnswerReader(message);
  const box = document.createElement('div');
  const view = new MarkdownView(box, passMarker(message.passes, 'content'));
  for (let at = 0; at < source.length; at += 3) {  // three characters a pass
    reader.put(
        {
          choices: [{delta: {content: source.slice(at, at + 3)}}],
          orthrus: {tokens: 1, drafted: 0, accepted: 0}
        },
        at);
    view.update(message.content);
  }
  expectEqual(message.content, source);
  const owner = new Map();  // of letters that occur once
  for (const span of box.querySelectorAll('[data-pass]')) {
    for (const letter of span.textContent)
      owner.set(letter, owner.has(letter) ? null : Number(span.dataset.pass));
  }
  for (const letter of 'Té&=')
    expectEqual(owner.get(letter), Math.floor(source.indexOf(letter) / 3));
  for (const span of box.querySelectorAll('[data-pass]')) {
    const at = 3 * Number(span.dataset.pass), text = span.textContent.trimEnd();
    if (text !== '&')
      expect(source.slice(at, at + 3).includes(text), `${text} in pass ${span.dataset.pass}`);
  }
});

test('passes: numbers', () => {
  const passes = [
    pass(1, 0, 0, null, 1), pass(1, 0, 0, 10, 1), pass(1, 0, 0, 12, 1), pass(1, 0, 0, 11, 1),
    pass(6, 7, 5, 27, 5)
  ];
  const numbers = passNumbers(passes);
  expectEqual([numbers.tokens, numbers.passes, numbers.acceptedPerCycle], [10, 5, 5]);
  expectEqual(numbers.tokensPerForward, 10 / 6);
  expectEqual(numbers.tokensPerSecond, 150);
  expectEqual(numbers.speedup.toFixed(3), '1.650');
  const told =
      passNumbers(passes, {plain_step_seconds: 0.02, tokens_per_forward: 2, acceptance_length: 4});
  expectEqual(
      [told.speedup, told.tokensPerForward, told.acceptedPerCycle, told.plainPerSecond],
      [3, 2, 4, 50]);
  expectEqual(passNumbers([]).speedup, null);
  expectEqual(passNumbers(passes.slice(0, 4)).speedup, null);
  expectEqual(passNumbers([pass(1, 0, 0, null, 1)]).tokensPerSecond, null);
});

test('passes: what a pass gave, in words', () => {
  const passes = [
    pass(0, 0, 0, null, 9), pass(1, 0, 0, null, 1), pass(6, 7, 5, 23.4, 5), pass(2, 1, 1, 4.26, 5)
  ];
  expectEqual(describePass(passes, 1), 'Pass 1: 1 token, none drafted');
  expectEqual(describePass(passes, 2), 'Pass 2: 6 tokens, 5 of 7 drafts accepted, 23 ms');
  expectEqual(describePass(passes, 3), 'Pass 3: 2 tokens, 1 of 1 draft accepted, 4.3 ms');
});
