import {highlightLine} from '/highlight.js';
import {languageNamed} from '/languages.js';

import {expect, expectEqual, numbers, test} from './check.js';

function show(label, code) {
  let state = null;
  return code.split('\n')
      .map((line) => {
        const result = highlightLine(languageNamed(label), line, state);
        state = result.state;
        return result.tokens.map(([kind, text]) => (kind === null ? text : `<${kind}:${text}>`))
            .join('');
      })
      .join('\n');
}
const check = (label, code, expected) => expectEqual(show(label, code), expected);

test('highlight: python', () => {
  check('python', 'def f(x): # say', '<keyword:def> <function:f>(x): <comment:# say>');
  check('py', 'x = f"a\\"b" + 1.5e3', 'x = <string:f"a\\"b"> + <number:1.5e3>');
  check(
      'python', 'x = """a\nb # no\n""" # c',
      'x = <string:"""a>\n<string:b # no>\n<string:"""> <comment:# c>');
  check('python', '@cached\nreturn None', '<meta:@cached>\n<keyword:return> <constant:None>');
});

test('highlight: c++', () => {
  check(
      'cpp', '#include <x>\nint main() { /* a\nb */ return 0x1F; } // z',
      '<meta:#include <x>>\n<type:int> <function:main>() { <comment:/* a>\n<comment:b */> <keyword:return> <number:0x1F>; } <comment:// z>');
});

test('highlight: javascript and typescript', () => {
  check(
      'ts', 'const s: string = `a ${b}\nc` + \'d\'',
      '<keyword:const> s: <type:string> = <string:`a ${b}>\n<string:c`> + <string:\'d\'>');
});

test('highlight: rust, go, bash, sql, json, css, html, diff', () => {
  check(
      'rust', 'fn f<\'a>(c: char) -> u8 { \'x\' as u8 }',
      '<keyword:fn> f<\'a>(c: <type:char>) -> <type:u8> { <string:\'x\'> <keyword:as> <type:u8> }');
  check(
      'go', 'func main() { x := nil }', '<keyword:func> <function:main>() { x := <constant:nil> }');
  check(
      'bash', 'echo "$x" $HOME a#b # c',
      '<type:echo> <string:"$x"> <meta:$HOME> a#b <comment:# c>');
  check(
      'sql', 'SELECT a FROM b WHERE c = \'d\' -- e',
      '<keyword:SELECT> a <keyword:FROM> b <keyword:WHERE> c = <string:\'d\'> <comment:-- e>');
  check(
      'json', '{"a": ["b", 1, true]}', '{<key:"a">: [<string:"b">, <number:1>, <constant:true>]}');
  check('css', 'a { color: #fff; }', 'a { <key:color>: <number:#fff>; }');
  check(
      'html', '<a href="b">c</a><!-- d\ne -->',
      '<key:<a> <meta:href>=<string:"b"><key:>>c<key:</a><key:>><comment:<!-- d>\n<comment:e -->>'
          .replace('<key:</a><key:>>', '<key:</a>>'));
  check('diff', '+a\n-b\n c', '<inserted:+a>\n<deleted:-b>\n c');
});

test('highlight: other languages stay plain', () => {
  check('nothing', 'def "x"', 'def "x"');
  for (const name of ['constructor', '__proto__', 'toString', ''])
    expectEqual(languageNamed(name), null);
});

const kAll = [
  'c', 'js', 'python', 'rust', 'go', 'java', 'bash', 'sql', 'json', 'css', 'html', 'yaml', 'diff'
];

test('highlight: tokens joined are the line, whatever it is', () => {
  const random = numbers(3);
  const parts = [
    '"', '\'', '`', '\\', '/*', '*/',  '//', '#', '--', '<!--', '-->', '<',  '>', 'a', 'if',
    '1', '.',  ' ', '$',  '{',  '"""', 'é',  '👩', ':',  '=',    '@',   '\t', '(', '&', ';'
  ];
  for (const label of kAll) {
    let state = null;
    for (let round = 0; round < 400; round++) {
      let line = '';
      for (let n = 15 * random.next().value; n > 0; n--)
        line += parts[Math.floor(random.next().value * parts.length)];
      const result = highlightLine(languageNamed(label), line, state);
      state = result.state;
      expectEqual(result.tokens.map(([, text]) => text).join(''), line);
    }
  }
});

test('highlight: quick on hostile lines', () => {
  for (const label of kAll) {
    for (const part
             of ['"', '\'', '\\', '/*', '/', '"\\', '<', '&', '&#', '<!--', '#', '@', '[', '-', ' ',
                 'a', '1', '1e', '0x', '$', '${', '.', '\'a', '"a:', '- ']) {
      let state = null;
      for (let i = 0; i < 5; i++)
        ({state} = highlightLine(languageNamed(label), part.repeat(2000 / part.length), state));
    }
    expectEqual(highlightLine(languageNamed(label), 'if '.repeat(1000), null).tokens.length, 1);
  }
  expect(true);
});
