// What each forward pass gave to an answer: marks on its text, and the numbers beside it.

// A pass as a message keeps it: {tokens, drafted, accepted, ms, content, reasoning}. ms: since the
// pass before, null for the first; content, reasoning: how many UTF-16 units of each it gave.

import {el} from './dom.js';

const kDeepest = 8;  // accepted drafts past which the tint no longer deepens

// A makeText (see render.js) that marks whose pass each piece of the channel's text was.
export function passMarker(passes, channel) {
  let known = 0;
  const ends = [];  // of the passes' text
  return (text, offset) => {
    for (; known < passes.length; known++) ends.push((ends.at(-1) ?? 0) + passes[known][channel]);
    const marked = document.createDocumentFragment();
    let pass = firstPast(ends, offset);
    for (let at = 0; at < text.length; pass++) {
      while (pass < ends.length && ends[pass] <= offset + at) pass++;  // passes without text
      const to = pass < ends.length ? Math.min(text.length, ends[pass] - offset) : text.length;
      const piece = text.slice(at, to);
      marked.append(pass < ends.length ? passSpan(pass, passes[pass], piece) : piece);
      at = to;
    }
    return marked;
  };
}

function firstPast(ends, offset) {
  let low = 0, high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

function passSpan(index, pass, text) {
  return el(
      'span', {
        class: `pass ${index % 2 === 0 ? 'even' : 'odd'}`,
        'data-pass': index,
        'data-depth': Math.min(kDeepest, pass.accepted)
      },
      text);
}

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

// "Pass 12: 6 tokens, 5 of 7 drafts accepted, 23 ms"
export function describePass(passes, index) {
  const pass = passes[index];
  const number = passes.slice(0, index + 1).filter((one) => one.tokens > 0).length;
  const drafts = pass.drafted > 0 ?
      `, ${pass.accepted} of ${count(pass.drafted, 'draft')} accepted` :
      ', none drafted';
  const time =
      pass.ms === null ? '' : `, ${pass.ms < 10 ? pass.ms.toFixed(1) : Math.round(pass.ms)} ms`;
  return `Pass ${number}: ${count(pass.tokens, 'token')}${drafts}${time}`;
}

function median(values) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

const kFewestPlain = 3;  // passes of one token, before their time is taken for plain decoding's

// The numbers of an answer; null where they are not known. `final` is the server's own account,
// which comes with the last chunk: {plain_step_seconds, tokens_per_forward, acceptance_length}.
export function passNumbers(passes, final = null) {
  let tokens = 0, accepted = 0, cycles = 0, decodeMs = 0, decoded = 0, verified = 0;
  const plain = [];
  for (const pass of passes) {
    if (pass.tokens === 0) continue;
    verified++;
    tokens += pass.tokens;
    accepted += pass.accepted;
    if (pass.drafted > 0) cycles++;
    if (pass.ms === null) continue;
    decodeMs += pass.ms;
    decoded += pass.tokens;
    if (pass.drafted === 0 && pass.tokens === 1) plain.push(pass.ms);
  }
  const perSecond = decodeMs > 0 ? decoded / decodeMs * 1000 : null;
  const step =
      final?.plain_step_seconds ?? (plain.length >= kFewestPlain ? median(plain) / 1000 : null);
  return {
    tokens,
    passes: verified,
    acceptedPerCycle: final?.acceptance_length ?? (cycles > 0 ? accepted / cycles : null),
    // A cycle takes two passes: one that drafts, one that verifies.
    tokensPerForward:
        final?.tokens_per_forward ?? (verified > 0 ? tokens / (verified + cycles) : null),
    tokensPerSecond: perSecond,
    plainPerSecond: step > 0 ? 1 / step : null,
    // Without drafts it is plain decoding.
    speedup: step > 0 && cycles > 0 && perSecond !== null ? perSecond * step : null,
  };
}
