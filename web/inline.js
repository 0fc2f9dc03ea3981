// Markdown within a paragraph, in time linear in its length. As CommonMark, with these differences:
// no HTML (it stays text; <br> is a line break), no reference links, strikethrough, bare addresses.

// parseInline(text) gives a flat list of events, balanced as brackets are:
//   {type: 'text', from, to}             a slice of the text as it is
//   {type: 'text', from, to, as}         a slice that reads as something else: &amp;
//   {type: 'code', from, to}             the inside of a code span
//   {type: 'break'}                      a line break
//   {type: 'open', tag, href}, {type: 'close'}     tag: em, strong, del, a

const kDeepest = 24;  // nested deeper, marks have no effect
const kLongestAddress = 2048;

const kPlain = /[^\\`*_~\[\]!<&h\n]+/y;
const kEntity =
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot|apos|nbsp|copy|hellip|mdash|ndash|times));/y;
const kEntities = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: '\'',
  nbsp: '\u00a0',
  copy: '©',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  times: '×'
};
const kBreak = /<br\s?\/?>/iy;
const kAutolink = /<(https?:\/\/[^\s<>]{1,2048})>/iy;
const kBare = /https?:\/\/[^\s<>"`\[\]\u0000-\u001f]{1,2048}/iy;
const kPunctuation = /[\p{P}\p{S}]/u;
const kSpace = /\s/;

function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

// An address that a link may lead to, or null. Nothing but http and https: no javascript:, no
// data:.
export function safeAddress(href) {
  if (!/^https?:\/\//i.test(href)) return null;
  try {
    const url = new URL(href);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
  } catch {
    return null;
  }
}

// Where each run of backticks has its next run of the same length.
function backtickPairs(text) {
  const runs = [...text.matchAll(/`+/g)].map((run) => ({at: run.index, length: run[0].length}));
  const next = new Map();
  const latest = new Map();
  for (const run of runs.reverse()) {
    next.set(run.at, latest.get(run.length) ?? -1);
    latest.set(run.length, run.at);
  }
  return next;
}

// The destination in "](http://... "title")", from the bracket on: {href, end}, or null.
function readDestination(text, at) {
  let end = at + 1;
  while (text[end] === ' ') end++;
  let depth = 0;
  const from = end;
  const last = Math.min(text.length, from + kLongestAddress);
  for (; end < last; end++) {
    const c = text[end];
    if (c === '(' && ++depth > 8) return null;
    if (c === ')' && depth-- === 0) break;
    if (c === ' ' || c === '\n' || c === '<') break;
  }
  let href = text.slice(from, end);
  if (text[end] === '<' && href === '') {  // (<address>)
    const close = text.slice(end, last).search(/[>\n]/);
    if (close < 0 || text[end + close] !== '>') return null;
    href = text.slice(end + 1, end + close);
    end += close + 1;
  }
  const title = matchAt(/\s+(?:"[^"\n]{0,300}"|'[^'\n]{0,300}')/y, text, end);
  if (title !== null) end += title[0].length;
  while (text[end] === ' ' && end < last) end++;
  return text[end] === ')' ? {href, end: end + 1} : null;
}

function flanking(text, from, to) {
  const before = from === 0 ? ' ' : String.fromCodePoint(codePointBefore(text, from));
  const after = to >= text.length ? ' ' : String.fromCodePoint(text.codePointAt(to));
  const spaceBefore = kSpace.test(before), spaceAfter = kSpace.test(after);
  const markBefore = kPunctuation.test(before), markAfter = kPunctuation.test(after);
  const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
  const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
  if (text[from] !== '_') return {canOpen: left, canClose: right};
  return {canOpen: left && (!right || markBefore), canClose: right && (!left || markAfter)};
}

function codePointBefore(text, at) {
  const low = text.charCodeAt(at - 1);
  const pair = low >= 0xdc00 && low < 0xe000 && at > 1 ? text.codePointAt(at - 2) : 0;
  return pair > 0xffff ? pair : low;
}

// First pass: pieces. A run of marks gets the tags that it closes and opens in the second.
function split(text) {
  const pieces = [], runs = [], brackets = [];
  const pairs = backtickPairs(text);
  let at = 0;
  const add = (piece) => pieces.push(piece);
  const plain = (length) => {
    add({type: 'text', from: at, to: at + length});
    at += length;
  };
  while (at < text.length) {
    const c = text[at];
    let match;
    if ((match = matchAt(kPlain, text, at)) !== null) {
      plain(match[0].length);
    } else if (c === '\n') {
      const hard = at >= 2 && text[at - 1] === ' ' && text[at - 2] === ' ';
      if (hard) add({type: 'break'});
      plain(1);
    } else if (c === '\\') {
      const escaped = text[at + 1];
      if (escaped === '\n') {
        add({type: 'break'});
        at += 2;
      } else if (escaped !== undefined && /[!-/:-@[-`{-~]/.test(escaped)) {
        at += 1;
        plain(1);
      } else
        plain(1);
    } else if (c === '`') {
      const length = matchAt(/`+/y, text, at)[0].length;
      const end = pairs.get(at) ?? -1;
      if (end < 0) {
        plain(length);
        continue;
      }
      let from = at + length, to = end;
      if (to - from > 2 && text[from] === ' ' && text[to - 1] === ' ' &&
          text.slice(from, to).trim()) {
        from++;
        to--;
      }
      add({type: 'code', from, to});
      at = end + length;
    } else if (c === '*' || c === '_' || c === '~') {
      const length = matchAt(c === '*' ? /\*+/y : c === '_' ? /_+/y : /~+/y, text, at)[0].length;
      if (c === '~' && length !== 2) {
        plain(length);
        continue;
      }
      const run = {
        type: 'run',
        mark: c,
        from: at,
        length,
        left: length,
        closes: [],
        opens: [],
        piece: pieces.length,
        ...flanking(text, at, at + length)
      };
      add(run);
      runs.push(run);
      at += length;
    } else if (c === '[' || (c === '!' && text[at + 1] === '[')) {
      const length = c === '!' ? 2 : 1;
      const bracket = {type: 'bracket', from: at, to: at + length, href: null, runs: runs.length};
      brackets.push(bracket);
      add(bracket);
      at += length;
    } else if (c === ']') {
      const open = brackets.pop();
      const to = open && text[at + 1] === '(' ? readDestination(text, at + 1) : null;
      const href = to && safeAddress(to.href);
      if (href) {
        open.href = href;
        matchMarks(runs.splice(open.runs));
        add({type: 'close'});
        at = to.end;
      } else {
        plain(1);
      }
    } else if (c === '<' && matchAt(kBreak, text, at) !== null) {
      add({type: 'break'});
      at = kBreak.lastIndex;
    } else if (c === '<' && (match = matchAt(kAutolink, text, at)) !== null) {
      const href = safeAddress(match[1]);
      if (href) add({type: 'open', tag: 'a', href});
      add({type: 'text', from: at + 1, to: at + match[0].length - 1});
      if (href) add({type: 'close'});
      at += match[0].length;
    } else if (
        c === 'h' && !(at > 0 && /\w/.test(text[at - 1])) &&
        (match = matchAt(kBare, text, at)) !== null) {
      let address = match[0].replace(/[.,:;!?'*_~\]]+$/, '');
      if (address.endsWith(')') && !address.includes('('))
        address = address.replace(/\)+[.,:;!?'*_~]*$/, '');
      const href = safeAddress(address);
      if (href) add({type: 'open', tag: 'a', href});
      plain(address.length);
      if (href) add({type: 'close'});
    } else if (c === '&' && (match = matchAt(kEntity, text, at)) !== null) {
      const code = match[1] ? Number(match[1]) : match[2] ? parseInt(match[2], 16) : null;
      const valid =
          code === null || (code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000));
      const as = code === null ? kEntities[match[3]] :
          valid                ? String.fromCodePoint(code) :
                                 '\ufffd';
      add({type: 'text', from: at, to: at + match[0].length, as});
      at += match[0].length;
    } else {
      plain(1);
    }
  }
  matchMarks(runs);
  return pieces;
}

// CommonMark's matching of runs of marks. `bottom` remembers where a search of the same kind found
// nothing, which keeps it linear.
function matchMarks(runs) {
  const open = [];
  const bottom = new Map();
  for (const run of runs) {
    while (run.canClose && run.left > 0) {
      const kind = `${run.mark}${run.canOpen}${run.length % 3}`;
      const lowest = bottom.get(kind) ?? 0;
      let i = open.length - 1;
      for (; i >= lowest; i--) {
        const other = open[i];
        if (other.mark !== run.mark) continue;
        const odd = (run.canOpen || other.canClose) && (other.length + run.length) % 3 === 0 &&
            !(other.length % 3 === 0 && run.length % 3 === 0);
        if (run.mark === '~' || !odd) break;
      }
      if (i < lowest) {
        bottom.set(kind, open.length);
        break;
      }
      const other = open[i];
      open.length = i + 1;  // those between can no longer open anything
      for (const [key, value] of bottom)
        if (value > i) bottom.set(key, i);
      const width = run.left >= 2 && other.left >= 2 ? 2 : 1;
      const tag = run.mark === '~' ? 'del' : width === 2 ? 'strong' : 'em';
      other.opens.unshift(tag);
      run.closes.push(tag);
      other.left -= width;
      run.left -= width;
      if (other.left === 0) open.pop();
    }
    if (run.canOpen && run.left > 0) open.push(run);
  }
}

export function parseInline(text) {
  const events = [];
  const shown = [];  // of each open tag, whether it has an effect
  let depth = 0, links = 0;
  const openTag = (tag, href) => {
    const effective = depth < kDeepest && !(tag === 'a' && links > 0);
    shown.push(effective ? tag : null);
    if (!effective) return;
    depth++;
    if (tag === 'a') links++;
    events.push({type: 'open', tag, href});
  };
  const closeTag = () => {
    const tag = shown.pop();
    if (tag === null) return;
    depth--;
    if (tag === 'a') links--;
    events.push({type: 'close'});
  };
  const addText = (from, to) => {
    const last = events.at(-1);
    if (last?.type === 'text' && last.as === undefined && last.to === from)
      last.to = to;
    else
      events.push({type: 'text', from, to});
  };
  for (const piece of split(text)) {
    if (piece.type === 'run') {
      piece.closes.forEach(closeTag);
      if (piece.left > 0) addText(piece.from, piece.from + piece.left);
      piece.opens.forEach((tag) => openTag(tag, null));
    } else if (piece.type === 'bracket') {
      if (piece.href)
        openTag('a', piece.href);
      else
        addText(piece.from, piece.to);
    } else if (piece.type === 'text' && piece.as === undefined) {
      addText(piece.from, piece.to);
    } else if (piece.type === 'open') {
      openTag(piece.tag, piece.href);
    } else if (piece.type === 'close') {
      closeTag();
    } else {
      events.push(piece);
    }
  }
  return events;
}
