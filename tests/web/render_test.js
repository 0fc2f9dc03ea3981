import {MarkdownView} from '/render.js';

import {expect, expectEqual, numbers, test} from './check.js';

function render(source) {
  const element = document.createElement('div');
  new MarkdownView(element).update(source);
  return element;
}
const html = (element) => new XMLSerializer().serializeToString(element).replaceAll(
    ' xmlns="http://www.w3.org/1999/xhtml"', '');

const kSample = `# Title *one*

A paragraph with \`code\`, **bold** and a [link](https://example.org/).
Its second line.

- a
- b
  1. nested
  2. more

  loose now
- c

\`\`\`python
def f():
    """Doc
    string"""
    return 1

# end
\`\`\`

> quoted
> - list

| a | b |
| --- | --: |
| 1 | \`x \\| y\` |
| **2** | 3 |

a | b
--- | no table

***

\`\`\`
open fence
- not a list`;

test('render: the sample', () => {
  const element = render(kSample);
  expectEqual(element.querySelector('h2 em').textContent, 'one');
  expectEqual(element.querySelector('a').getAttribute('rel'), 'noopener noreferrer nofollow');
  expectEqual(element.querySelectorAll('ul > li').length, 4);
  expectEqual(element.querySelector('ol').textContent, 'nestedmore');
  expectEqual(element.querySelector('.language').textContent, 'python');
  expectEqual(
      element.querySelector('pre').textContent,
      'def f():\n    """Doc\n    string"""\n    return 1\n\n# end\n');
  expectEqual(element.querySelector('.hl-keyword').textContent, 'def');
  expectEqual(element.querySelector('td code').textContent, 'x | y');
  expect(element.querySelectorAll('td')[1].classList.contains('align-right'));
  expectEqual(
      [...element.querySelectorAll('pre')].at(-1).textContent, 'open fence\n- not a list\n');
});

test('render: a text that grows looks at each length as the whole', () => {
  const element = document.createElement('div');
  const view = new MarkdownView(element);
  for (let length = 0; length <= kSample.length; length++) {
    view.update(kSample.slice(0, length));
    expectEqual(html(element), html(render(kSample.slice(0, length))));
  }
});

test('render: a text that grows in random pieces is the whole, whatever it is', () => {
  const random = numbers(11);
  const parts = [
    'a',   'b c',         '\n',          '\n\n', '- ', '  ', '1. ',
    '> ',  '```',         '```c\n',      '#',    '# ', '|',  '|-',
    '---', '| a | b |\n', '|---|---|\n', '*',    '**', '`',  '[x](https://y.z)',
    '\t',  '~~~'
  ];
  for (let round = 0; round < 1500; round++) {
    const element = document.createElement('div');
    const view = new MarkdownView(element);
    let source = '';
    for (let n = 1 + 25 * random.next().value; n > 0; n--) {
      source += parts[Math.floor(random.next().value * parts.length)];
      if (random.next().value < 0.7) view.update(source);
    }
    view.update(source);
    const [grown, whole] = [html(element), html(render(source))];
    if (grown !== whole) {
      expectEqual(JSON.stringify(source), 'rendered as the whole');
      expectEqual(grown, whole);
    }
  }
});

test('render: blocks that stand are left alone', () => {
  const element = document.createElement('div');
  const view = new MarkdownView(element);
  view.update('one\n\n```c\nint a;\nint b');
  const [first, second] = element.children, line = element.querySelector('.line');
  view.update('one\n\n```c\nint a;\nint bc;\nint d;');
  expect(
      element.children[0] === first && element.children[1] === second &&
      element.querySelector('.line') === line);
  view.update('one\n\n```c\nint a;\nint bc;\nint d;\n```\n\nafter\n\nand more\n\n');
  expect(element.children[0] === first && element.children[1] === second);
  expectEqual(element.children.length, 4);
});

test('render: a long answer in small pieces takes linear time', () => {
  const element = document.createElement('div');
  const view = new MarkdownView(element);
  let source = '';
  for (let i = 0; i < 3000; i++) {
    source += i % 3 === 0 ? `Paragraph ${i} with *marks*.\n\n` :
        i % 3 === 1 ? '```c\nint x = 1;\n' :
                      '```\n\n';
    view.update(source);
  }
  expectEqual(element.children.length, 2000);
});

test('render: no text becomes markup', () => {
  const hostile = [
    '<img src=x onerror=alert(1)>', '<script>alert(1)</script>', '[x](javascript:alert(1))',
    '<a href="javascript:alert(1)">x</a>', '![x](javascript:alert(1))', '<svg/onload=alert(1)>',
    '```<img src=x onerror=alert(1)>\n<b>\n```', '| <b> | a |\n|---|---|\n| <i> | "onclick=" |',
    '[a](https://x.org/" onclick="alert(1))', '&lt;script&gt;alert(1)&lt;/script&gt;',
    '<https://x.org/"onclick=1>'
  ];
  for (const source of [...hostile, hostile.join('\n\n')]) {
    const element = render(source);
    expectEqual(
        element.querySelectorAll('img, script, svg:not(.icon), iframe, b, i, style, object, form')
            .length,
        0);
    for (const node of element.querySelectorAll('*')) {
      for (const {name, value} of node.attributes) {
        expect(!name.startsWith('on') && name !== 'style' && name !== 'src', `${name}="${value}"`);
        if (name === 'href' && node.tagName === 'A') expect(/^https?:/.test(value), value);
      }
    }
  }
});

test('render: deep and wide hostile text becomes nodes', () => {
  for (const part of ['> ', '- ', '*a ', '**a', '[a](https://b.c) ', '`a` ', '|']) {
    render(part.repeat(20000 / part.length));
  }
  render(`${'|a'.repeat(64)}\n${'|-'.repeat(64)}\n${'|\n'.repeat(500)}`);
  expect(true);
});
