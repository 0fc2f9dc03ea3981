import {SseParser} from '/sse.js';

import {expectEqual, expectThrows, test} from './check.js';

const bytes = (text) => new TextEncoder().encode(text);
const parse = (...parts) => {
  const parser = new SseParser();
  return parts.flatMap((part) => parser.push(typeof part === 'string' ? bytes(part) : part));
};
const data = (events) => events.map((event) => event.data);

test('sse: lines end in any of three ways', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    expectEqual(data(parse(`data: a${end}${end}data: b${end}${end}`)), ['a', 'b']);
  }
});

test('sse: fields, comments, types, several lines of data', () => {
  const events = parse(
      ': hello\n\nevent: delta\nid: 4\nretry: 9\ndata: a\ndata:b\ndata:  c\ndata\n\ndata: d\n\n');
  expectEqual(events, [{type: 'delta', data: 'a\nb\n c\n'}, {type: 'message', data: 'd'}]);
  expectEqual(parse('event: nothing\n\n'), []);
});

test('sse: an event without its empty line is none', () => {
  expectEqual(parse('data: a\n\ndata: b\n'), [{type: 'message', data: 'a'}]);
});

test('sse: cut at every byte, within characters and line ends, it is the same', () => {
  const text =
      '\ufeffdata: {"t": "é 日本 👩‍💻"}\r\n\r\nevent: x\rdata: ü\r\rdata: z\n\n';
  const whole = bytes(text), expected = parse(text);
  expectEqual(data(expected), ['{"t": "é 日本 👩‍💻"}', 'ü', 'z']);
  for (let i = 0; i <= whole.length; i++) {
    for (let j = i; j <= Math.min(whole.length, i + 3); j++) {
      expectEqual(parse(whole.slice(0, i), whole.slice(i, j), whole.slice(j)), expected);
    }
  }
  expectEqual(parse(...Array.from(whole, (byte) => Uint8Array.of(byte))), expected);
});

test('sse: a line without an end is refused, in pieces as small as you like', async () => {
  const parser = new SseParser(), piece = new Uint8Array(1 << 20).fill(97);
  await expectThrows(() => {
    for (let i = 0; i < 32; i++) parser.push(piece);
  }, 'too long');
});

test('sse: a long line in single bytes takes linear time', () => {
  const parser = new SseParser(), one = Uint8Array.of(97);
  parser.push(bytes('data: '));
  for (let i = 0; i < 200000; i++) parser.push(one);
  expectEqual(parser.push(bytes('\n\n'))[0].data.length, 200000);
});
