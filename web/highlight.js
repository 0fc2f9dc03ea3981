// Colours for code, a line at a time, so that code that still grows costs only its last line.

// Longer lines stay plain: the patterns are fast on lines that people write, and this bounds them.
const kLongestLine = 2000;

const kNumber =
    /(?:0[xX][\da-fA-F_']+|0[bB][01_']+|\d[\d_']*(?:\.[\d_]+)?(?:[eE][-+]?\d+)?)[a-zA-Z]{0,4}/y;
const kWord = /[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*/y;
const kSpace = /\s+/y;

function matchAt(pattern, text, at) {
  if (!pattern) return 0;
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}

// highlightLine(language, text, state) gives {tokens: [[kind or null, text], ...], state}: the
// tokens joined are the text; state (null at first) goes to the next line, in comments and strings
// that span lines. Kinds: comment, string, number, keyword, type, constant, function, key, meta,
// inserted, deleted.
export function highlightLine(language, text, state) {
  const tokens = [];
  const add = (kind, piece) => {
    if (piece === '') return;
    const last = tokens.at(-1);
    if (last !== undefined && last[0] === kind)
      last[1] += piece;
    else
      tokens.push([kind, piece]);
  };
  if (language === null || text.length > kLongestLine) {
    add(null, text);
    return {tokens, state};
  }
  if (language.lines) {
    add(language.lines.find(([pattern]) => pattern.test(text))?.[1] ?? null, text);
    return {tokens, state};
  }
  let at = 0;
  // To the end of a span that began earlier, here or on a line above.
  const throughSpan = (span, from) => {
    span.close.lastIndex = from;
    const close = span.close.exec(text);
    const to = close === null ? text.length : close.index + close[0].length;
    add(span.kind, text.slice(at, to));
    at = to;
    return close === null ? span : null;
  };
  if (state !== null) state = throughSpan(state, 0);
  while (at < text.length) {
    let length;
    const take = (kind) => {
      add(kind, text.slice(at, at + length));
      at += length;
    };
    const span = language.spans?.find((one) => (length = matchAt(one.open, text, at)) > 0);
    if (span)
      state = throughSpan(span, at + length);
    else if ((length = matchAt(kSpace, text, at)))
      take(null);
    else if ((length = matchAt(language.comment, text, at)) && commentMayBegin(language, text, at))
      take('comment');
    else if ((length = matchAt(language.key, text, at)))
      take('key');
    else if ((length = matchAt(language.meta, text, at)))
      take('meta');
    else if ((length = firstMatch(language.strings, text, at)))
      take('string');
    else if ((length = matchAt(language.number ?? kNumber, text, at)))
      take('number');
    else if ((length = matchAt(language.word ?? kWord, text, at))) {
      take(kindOfWord(language, text.slice(at, at + length), text, at + length));
    } else {
      length = 1;
      take(null);
    }
  }
  return {tokens, state};
}

// In a shell "#" is one only where a word could begin.
function commentMayBegin(language, text, at) {
  return text[at] !== '#' || at === 0 || /[\s;(]/.test(text[at - 1]) ||
      language.keywords?.has('def');
}

function firstMatch(patterns, text, at) {
  for (const pattern of patterns ?? []) {
    const length = matchAt(pattern, text, at);
    if (length > 0) return length;
  }
  return 0;
}

function kindOfWord(language, word, text, after) {
  const name = language.ignoreCase ? word.toLowerCase() : word;
  if (language.keywords?.has(name)) return 'keyword';
  if (language.types?.has(name)) return 'type';
  if (language.constants?.has(name)) return 'constant';
  return language.keywords && text[after] === '(' ? 'function' : null;
}
