import {parseInline, safeAddress} from '/inline.js';

import {expect, expectEqual, numbers, test} from './check.js';

// Events in a short form: *em*, **strong**, ~del~, {code}, [href text], / for a break.
function show(text) {
  const open = [];
  const marks = {em: '*', strong: '**', del: '~'};
  return parseInline(text)
      .map((event) => {
        if (event.type === 'open') {
          open.push(event.tag === 'a' ? ']' : marks[event.tag]);
          return event.tag === 'a' ? `[${event.href} ` : marks[event.tag];
        }
        if (event.type === 'close') return open.pop();
        if (event.type === 'break') return '/';
        const piece = event.as ?? text.slice(event.from, event.to);
        return event.type === 'code' ? `{${piece}}` : piece;
      })
      .join('');
}

test('inline: emphasis, as CommonMark has it', () => {
  expectEqual(show('*a* **b** ***c*** _d_ __e__'), '*a* **b** ***c*** *d* **e**');
  expectEqual(show('snake_case_name and 2*3*4'), 'snake_case_name and 2*3*4');
  expectEqual(show('* a * and ** b **'), '* a * and ** b **');
  expectEqual(show('**bold *and italic* text**'), '**bold *and italic* text**');
  expectEqual(show('*unclosed **deeper'), '*unclosed **deeper');
  expectEqual(show('**a*'), '**a*');
  expectEqual(show('~~gone~~ ~kept~'), '~gone~ ~kept~');
  expectEqual(show('"**quoted**"'), '"**quoted**"');
});

test('inline: code spans hold what they hold', () => {
  expectEqual(show('`a*b*` ``c`d`` ` `` ` `'), '{a*b*} {c`d} {``} `');
  expectEqual(show('`unclosed *a*'), '`unclosed *a*');
  expectEqual(show('*a `b* c`'), '*a {b* c}');
});

test('inline: escapes, entities, breaks', () => {
  expectEqual(
      show('\\*a\\* \\q &lt;b&gt; &amp;amp; &#65;&#x42; &#0; &nope;'),
      '*a* \\q <b> &amp; AB \ufffd &nope;');
  expectEqual(show('a  \nb\\\nc<br>d'), 'a  /\nb/c/d');
  expectEqual(show('<b onclick="x()">no</b>'), '<b onclick="x()">no</b>');
});

test('inline: links lead to http and https only', () => {
  expectEqual(show('[a **b**](https://x.org/y_(z) "title") c'), '[https://x.org/y_(z) a **b**] c');
  expectEqual(
      show('<https://x.org> https://y.org/a_b_c. (https://z.org)'),
      '[https://x.org/ https://x.org] [https://y.org/a_b_c https://y.org/a_b_c]. ([https://z.org/ https://z.org])');
  expectEqual(show('[https://x.org](https://x.org)'), '[https://x.org/ https://x.org]');
  expectEqual(show('![picture](https://x.org/p.png)'), '[https://x.org/p.png picture]');
  for (const href
           of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', ' javascript:alert(1)',
               'java\tscript:alert(1)', 'data:text/html,<script>', 'vbscript:x',
               'file:///etc/passwd', '//x.org', '/x', 'x', '', 'blob:x', 'https:', 'http://[']) {
    expectEqual(safeAddress(href), null);
    expect(!parseInline(`[a](${href})`).some((event) => event.tag === 'a'), `a link to ${href}`);
    expect(
        !parseInline(`[a](<${href}>) <${href}>`).some((event) => event.tag === 'a'),
        `a link to <${href}>`);
  }
});

test('inline: events are balanced and cover the text in order, whatever it is', () => {
  const random = numbers(7);
  const parts = [
    '*', '**', '_',     '__', '~~', '`',  '``', '[', '](https://a.b)', ']', '(', ')', '!', '<',
    '>', '\\', '&amp;', 'a',  ' ',  '\n', 'é',  '👩', 'https://c.d',    '"', '.'
  ];
  for (let round = 0; round < 3000; round++) {
    let text = '';
    for (let n = 1 + 20 * random.next().value; n > 0; n--)
      text += parts[Math.floor(random.next().value * parts.length)];
    let depth = 0, at = 0;
    for (const event of parseInline(text)) {
      if (event.type === 'open') depth++;
      if (event.type === 'close') depth--;
      expect(depth >= 0, text);
      if (event.from === undefined) continue;
      expect(event.from >= at && event.to >= event.from && event.to <= text.length, text);
      at = event.to;
    }
    expectEqual(depth, 0);
  }
});

test('inline: linear on hostile text, and never deep', () => {
  const n = 100000;
  for (const part
           of ['*', '**a', '*a ', '_a_', '[', '![', '[a](', '[a](<', '[a](https://b', '](', '`',
               '``a`', '\\', '&', '&#', '<', '<https://', 'https://', 'http://)', '~~', '~~a',
               '*a_', '**a*', '*a**', 'a**b*c', '[*', '(', ')', '"', 'h', '\n', ' ',
               '[a](https://b.c "', '<br']) {
    let depth = 0, deepest = 0;
    for (const event of parseInline(part.repeat(n / part.length))) {
      if (event.type === 'open') deepest = Math.max(deepest, ++depth);
      if (event.type === 'close') depth--;
    }
    expect(deepest < 30, part);
  }
  // Runs of backticks of every length.
  parseInline(Array.from({length: 600}, (_, i) => '`'.repeat(i + 1)).join(' '));
});
