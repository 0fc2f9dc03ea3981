// Markdown's blocks, in time linear in the text: each line is looked at once for each of the few
// levels that quotes and lists may nest. As CommonMark and GitHub's tables, without HTML, indented
// code, underlined headings and reference links.

// A line is {text, offset}: offset says where in the source its text begins, so that what is shown
// can be traced back to it. A block is one of
//   {type: 'paragraph', lines}       {type: 'heading', level, lines}      {type: 'rule'}
//   {type: 'code', language, lines}  {type: 'quote', blocks}
//   {type: 'list', start, loose, items: [{done, blocks}]}     start: null where bulleted;
//                                                             done: null where there is no box
//   {type: 'table', align, head, rows}    rows of cells, a cell is a line; align: '', left, ...
// and has `first`, the index of its first line.

const kDeepest = 16;
const kMostColumns = 64;

const kFence = /^\s*(`{3,}|~{3,})\s*([^`]*)$/;
const kHeading = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const kRule = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const kQuote = /^ {0,3}>[ \t]?/;
const kItem = /^([ \t]*)([-*+]|(\d{1,9})[.)])([ \t]+|$)/;
const kDelimiter = /^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?$/;

export function splitLines(source, base = 0) {
  const lines = [];
  let from = 0;
  for (let end; (end = source.indexOf('\n', from)) >= 0; from = end + 1) {
    lines.push({
      text: source.slice(from, source[end - 1] === '\r' && end > from ? end - 1 : end),
      offset: base + from
    });
  }
  if (from < source.length) lines.push({text: source.slice(from), offset: base + from});
  return lines;
}

const blank = (line) => line.text.trim() === '';
const cut = (line, count) => ({text: line.text.slice(count), offset: line.offset + count});

// How many columns of white space a line begins with, a tab being up to four.
function indentation(text) {
  let columns = 0;
  for (const c of text) {
    if (c === ' ')
      columns++;
    else if (c === '\t')
      columns += 4 - columns % 4;
    else
      break;
  }
  return columns;
}

function unindent(line, columns) {
  let count = 0;
  for (let seen = 0; seen < columns && count < line.text.length; count++) {
    const c = line.text[count];
    if (c === ' ')
      seen++;
    else if (c === '\t')
      seen += 4 - seen % 4;
    else
      break;
  }
  return cut(line, count);
}

export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (blank(lines[at])) {
      at++;
      continue;
    }
    const read = readCode(lines, at) ?? readOneLine(lines, at) ??
        (depth < kDeepest ? readQuote(lines, at, depth) ?? readList(lines, at, depth) : null) ??
        readTable(lines, at) ?? readParagraph(lines, at, depth);
    blocks.push({...read.block, first: at});
    at = read.next;
  }
  return blocks;
}

function readCode(lines, at) {
  const open = kFence.exec(lines[at].text);
  if (open === null) return null;
  const indent = indentation(lines[at].text);
  const mark = open[1][0], code = [];
  let next = at + 1;
  for (; next < lines.length; next++) {
    const close = kFence.exec(lines[next].text);
    if (close !== null && close[2] === '' && close[1][0] === mark &&
        close[1].length >= open[1].length) {
      next++;
      break;
    }
    code.push(unindent(lines[next], indent));
  }
  return {
    block: {type: 'code', language: open[2].trim().split(/[\s{,:]/)[0].slice(0, 40), lines: code},
    next
  };
}

function readOneLine(lines, at) {
  const {text} = lines[at];
  const heading = kHeading.exec(text);
  if (heading !== null) {
    const title = cut(lines[at], heading[0].length);
    title.text = title.text.replace(/[ \t]{1,99}#{1,99}[ \t]*$/, '').trimEnd();
    return {block: {type: 'heading', level: heading[1].length, lines: [title]}, next: at + 1};
  }
  return kRule.test(text) ? {block: {type: 'rule'}, next: at + 1} : null;
}

// Whether a line goes on with the paragraph above it, rather than beginning something of its own.
function continuesParagraph(lines, at, depth) {
  const {text} = lines[at];
  if (text.trim() === '' || kFence.test(text) || kHeading.test(text) || kRule.test(text))
    return false;
  if (depth >= kDeepest) return true;
  if (kQuote.test(text)) return false;
  const item = kItem.exec(text);
  // A year at the beginning of a line is no list.
  if (item !== null && item[4] !== '' && (item[3] === undefined || item[3] === '1')) return false;
  return tableColumns(lines, at) === 0;
}

function readParagraph(lines, at, depth) {
  let next = at + 1;
  while (next < lines.length && continuesParagraph(lines, next, depth)) next++;
  const inside = lines.slice(at, next).map(
      (line) => cut(line, line.text.length - line.text.trimStart().length));
  return {block: {type: 'paragraph', lines: inside}, next};
}

function readQuote(lines, at, depth) {
  if (!kQuote.test(lines[at].text)) return null;
  const inside = [];
  let next = at, lazy = false;
  for (; next < lines.length; next++) {
    const mark = kQuote.exec(lines[next].text);
    if (mark !== null) {
      inside.push(cut(lines[next], mark[0].length));
      lazy = inside.at(-1).text.trim() !== '' && !kFence.test(inside.at(-1).text);
    } else if (lazy && continuesParagraph(lines, next, depth)) {
      inside.push(lines[next]);
    } else {
      break;
    }
  }
  return {block: {type: 'quote', blocks: parseBlocks(inside, depth + 1)}, next};
}

function readList(lines, at, depth) {
  const first = kItem.exec(lines[at].text);
  if (first === null) return null;
  const kind = first[2].at(-1);  // a list of another mark is another list
  const items = [];
  let next = at, loose = false;
  while (next < lines.length) {
    const mark = kItem.exec(lines[next].text);
    if (mark === null || mark[2].at(-1) !== kind || kRule.test(lines[next].text)) break;
    const item = readItem(lines, next, mark, depth);
    items.push(item);
    next = item.next;
    let after = next;
    while (after < lines.length && blank(lines[after])) after++;
    const another = after < lines.length ? kItem.exec(lines[after].text) : null;
    const goesOn = another !== null && another[2].at(-1) === kind;
    if (item.loose || (after > next && goesOn)) loose = true;
    if (goesOn) next = after;
  }
  if (items.length === 0) return null;
  return {
    block: {
      type: 'list',
      start: first[3] === undefined ? null : Number(first[3]),
      loose,
      items: items.map(({done, blocks}) => ({done, blocks}))
    },
    next
  };
}

function readItem(lines, at, mark, depth) {
  const own = indentation(mark[1]);
  const spaces = mark[4].length >= 1 && mark[4].length <= 4 ? mark[4].length : 1;
  const content = own + mark[2].length + spaces;
  const inside =
      [cut(lines[at], Math.min(lines[at].text.length, mark[1].length + mark[2].length + spaces))];
  const box = /^\[([ xX])\][ \t]+/.exec(inside[0].text);
  if (box !== null) inside[0] = cut(inside[0], box[0].length);
  let next = at + 1, blanks = 0, loose = false;
  let fenced = kFence.test(inside[0].text);
  let lazy = inside[0].text.trim() !== '';
  for (; next < lines.length; next++) {
    const line = lines[next];
    if (blank(line)) {
      blanks++;
      continue;
    }
    // Two columns are enough for what is nested: models often write "1. " and then two spaces.
    const belongs = indentation(line.text) >= Math.min(content, own + 2);
    if (!belongs &&
        !(blanks === 0 && lazy && !fenced && !kItem.test(line.text) &&
          continuesParagraph(lines, next, depth)))
      break;
    if (blanks > 0 && inside.length === 1 && inside[0].text.trim() === '') break;
    if (blanks > 0 && !fenced) loose = true;
    for (let i = next - blanks; i < next; i++) inside.push(cut(lines[i], lines[i].text.length));
    blanks = 0;
    inside.push(belongs ? unindent(line, content) : line);
    if (kFence.test(inside.at(-1).text)) fenced = !fenced;
    lazy = !fenced;
  }
  return {
    done: box === null ? null : box[1] !== ' ',
    blocks: parseBlocks(inside, depth + 1),
    next: next - blanks,
    loose
  };
}

function splitCells(line) {
  const cells = [];
  let from = 0;
  const add = (to) => {
    const raw = line.text.slice(from, to);
    const start = from + raw.length - raw.trimStart().length;
    cells.push({text: raw.trim(), offset: line.offset + start});
  };
  let end = line.text.trimEnd().length;
  while (from < end && /[ \t]/.test(line.text[from])) from++;
  if (line.text[from] === '|') from++;
  for (let i = from; i < end; i++) {
    if (line.text[i] === '\\') {
      i++;
      continue;
    }
    if (line.text[i] !== '|') continue;
    add(i);
    from = i + 1;
  }
  if (from < end) add(end);
  return cells;
}

// How many columns the table has whose head is this line; 0 where it is none.
function tableColumns(lines, at) {
  if (at + 1 >= lines.length || !lines[at].text.includes('|')) return 0;
  const under = lines[at + 1].text.trim();
  if (under.length > 4096 || !under.includes('-') || !kDelimiter.test(under)) return 0;
  const columns = splitCells(lines[at + 1]).length;
  return columns <= kMostColumns && splitCells(lines[at]).length === columns ? columns : 0;
}

function readTable(lines, at) {
  const columns = tableColumns(lines, at);
  if (columns === 0) return null;
  const align = splitCells(lines[at + 1]).map(({text}) => {
    const left = text.startsWith(':'), right = text.endsWith(':');
    return left && right ? 'center' : right ? 'right' : left ? 'left' : '';
  });
  const rows = [];
  let next = at + 2;
  for (; next < lines.length && !blank(lines[next]); next++) {
    if (!lines[next].text.includes('|')) break;
    rows.push(splitCells(lines[next]).slice(0, columns));
  }
  return {block: {type: 'table', align, head: splitCells(lines[at]), rows}, next};
}
