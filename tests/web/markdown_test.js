import {parseBlocks, splitLines} from '/markdown.js';

import {expect, expectEqual, test} from './check.js';

const parse = (text) => parseBlocks(splitLines(text));
const text = (lines) => lines.map((line) => line.text).join('|');

// Blocks in a short form.
function show(blocks) {
  return blocks
      .map((block) => {
        switch (block.type) {
          case 'paragraph':
            return `p(${text(block.lines)})`;
          case 'heading':
            return `h${block.level}(${text(block.lines)})`;
          case 'rule':
            return 'hr';
          case 'code':
            return `code:${block.language}(${text(block.lines)})`;
          case 'quote':
            return `quote(${show(block.blocks)})`;
          case 'list':
            return `${block.start ?? '-'}${block.loose ? ' loose' : ''}(` +
                block.items
                    .map(
                        ({done, blocks: inner}) => `${
                            done === null ? '' :
                                done      ? '[x] ' :
                                            '[ ] '}${show(inner)}`)
                    .join('; ') +
                ')';
          default:
            return `table:${block.align}(${[block.head, ...block.rows].map(text).join(' / ')})`;
        }
      })
      .join(' ');
}
const check = (source, expected) => expectEqual(show(parse(source)), expected);

test('markdown: paragraphs, headings, rules', () => {
  check('a\nb\n\n\nc', 'p(a|b) p(c)');
  check(
      '# One\n## Two ##\n###### Six\n####### no\n#no', 'h1(One) h2(Two) h6(Six) p(####### no|#no)');
  check('a\n---\nb\n***\n_ _ _\n--', 'p(a) hr p(b) hr hr p(--)');
  check('', '');
  check('a\r\nb\r\n', 'p(a|b)');
});

test('markdown: fenced code', () => {
  check(
      '```python\nx = 1\n\n# no heading\n```\nafter', 'code:python(x = 1||# no heading) p(after)');
  check('~~~\n```\n~~~', 'code:(```)');
  check('````\n```\n````', 'code:(```)');
  check('a\n```js {1,2}\nopen', 'p(a) code:js(open)');
  check('  ```\n    two\n  ```', 'code:(  two)');
});

test('markdown: lists', () => {
  check('- a\n- b\n\n\nc', '-(p(a); p(b)) p(c)');
  check('- a\n\n- b', '- loose(p(a); p(b))');
  check('3. a\n4. b', '3(p(a); p(b))');
  check('- a\n* b', '-(p(a)) -(p(b))');
  check('- a\n  - b\n    - c\n- d', '-(p(a) -(p(b) -(p(c))); p(d))');
  check('1. a\n  - b\n2. c', '1(p(a) -(p(b)); p(c))');
  check('- a\n  more\nlazy\n\nout', '-(p(a|more|lazy)) p(out)');
  check('1. a\n\n   ```c\n   x\n\n     y\n   ```\n2. b', '1 loose(p(a) code:c(x||  y); p(b))');
  check('- [ ] a\n- [x] b\n- [y] c', '-([ ] p(a); [x] p(b); p([y] c))');
  check('In the year\n1984. it was', 'p(In the year|1984. it was)');
  check('-\n- a', '-(; p(a))');
  check('-a\n1.b', 'p(-a|1.b)');
  check('- a\n\n  b\n- c', '- loose(p(a) p(b); p(c))');
  check('- a\n# b', '-(p(a)) h1(b)');
});

test('markdown: quotes', () => {
  check('> a\n> b\nlazy\n\nout', 'quote(p(a|b|lazy)) p(out)');
  check('> > a\n> - b', 'quote(quote(p(a)) -(p(b)))');
  check('>a', 'quote(p(a))');
});

test('markdown: tables', () => {
  check('| a | b |\n|:--|--:|\n| 1 | 2 |\n| 3 |\nout', 'table:left,right(a|b / 1|2 / 3) p(out)');
  check('a | b\n:-: | ---\nx \\| y | z', 'table:center,(a|b / x \\| y|z)');
  check('a | b\n--- | --- | ---', 'p(a | b|--- | --- | ---)');
  check('before\n| a | b |\n|---|---|\n| 1 | 2 | 3 |', 'p(before) table:,(a|b / 1|2)');
});

test('markdown: each line knows where it came from', () => {
  const source =
      '# T\n\n> - quoted *item*\n>   goes on\n\n1. x\n   ```c\n   code\n   ```\n\n| a | b |\n|---|---|\n| c | d |\n';
  const visit = (blocks) => blocks.forEach((block) => {
    const lines = [...(block.lines ?? []), ...(block.head ?? []), ...(block.rows ?? []).flat()];
    for (const line of lines)
      expectEqual(source.slice(line.offset, line.offset + line.text.length), line.text);
    visit(block.blocks ?? []);
    (block.items ?? []).forEach((item) => visit(item.blocks));
  });
  visit(parse(source));
});

test('markdown: linear on hostile text, and never deep', () => {
  const n = 100000;
  const deep = (blocks) => 1 +
      Math.max(
          0,
          ...blocks.map(
              (block) => Math.max(
                  deep(block.blocks ?? []),
                  ...(block.items ?? []).map((item) => deep(item.blocks)))));
  for (const part
           of ['>', '> ', '- ', '1. ', '- a\n', '- a\n\n', '>\n', '|', '|-', '|-|\n',
               '| a | b |\n|---|---|\n', '#', '# ', '```\n', '~~~', '\n', ' ', '\t', '*', '* ',
               '---\n', 'a\n', '  - a\n', '> - ', ' #', '- [ ] ', 'a | b\n']) {
    expect(deep(parse(part.repeat(n / part.length))) < 40, part);
  }
  // A list of lists, each deeper than the one above.
  let text = '';
  for (let i = 0; i < 400; i++) text += `${'  '.repeat(i)}- a\n`;
  expect(deep(parse(text)) < 40);
});
