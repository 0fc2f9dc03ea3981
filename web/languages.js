// What the highlighter knows of each language: words, comments, strings. Small on purpose.

const words = (text) => new Set(text.trim().split(/\s+/));

const kDouble = /"(?:[^"\\]|\\.)*"?/y;
const kSingle = /'(?:[^'\\]|\\.)*'?/y;
const kSlashes = /\/\/.*/y;
const kHash = /#.*/y;
const kStarred = {
  open: /\/\*/y,
  close: /\*\//g,
  kind: 'comment'
};
const kCharacter = /'(?:[^'\\]|\\(?:u\{?[0-9a-fA-F]+\}?|x[0-9a-fA-F]+|.))'/y;

const cFamily = {
  comment: kSlashes,
  spans: [kStarred],
  strings: [kDouble, kSingle]
};

const c = {
  ...cFamily,
  meta: /^\s*#\s*\w+.*/y,
  keywords: words(`alignas alignof asm auto break case catch class concept const consteval constexpr
    constinit const_cast continue co_await co_return co_yield decltype default delete do dynamic_cast
    else enum explicit export extern final for friend goto if inline mutable namespace new noexcept
    operator override private protected public register reinterpret_cast requires return sizeof static
    static_assert static_cast struct switch template this throw try typedef typeid typename union using
    virtual volatile while __global__ __device__ __shared__ __host__`),
  types: words(`bool char char8_t char16_t char32_t double float int long short signed unsigned void
    wchar_t size_t ssize_t ptrdiff_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    string string_view vector map set pair tuple optional span unique_ptr shared_ptr`),
  constants: words('true false nullptr NULL'),
};

const javascript = {
  ...cFamily,
  spans: [kStarred, {open: /`/y, close: /(?<!\\)`/g, kind: 'string'}],
  keywords:
      words(`abstract as async await break case catch class const continue debugger declare default
    delete do else enum export extends finally for from function get if implements import in infer
    instanceof interface is keyof let namespace new of private protected public readonly return satisfies
    set static super switch this throw try type typeof var void while with yield`),
  types:
      words('any bigint boolean never number object string symbol unknown Array Map Promise Set'),
  constants: words('true false null undefined NaN Infinity'),
};

const python = {
  comment: kHash,
  meta: /^\s*@[\w.]+/y,
  spans: [
    {open: /[rRbBfFuU]{0,2}"""/y, close: /"""/g, kind: 'string'},
    {open: /[rRbBfFuU]{0,2}'''/y, close: /'''/g, kind: 'string'}
  ],
  strings: [/[rRbBfFuU]{0,2}"(?:[^"\\]|\\.)*"?/y, /[rRbBfFuU]{0,2}'(?:[^'\\]|\\.)*'?/y],
  keywords:
      words(`and as assert async await break case class continue def del elif else except finally
    for from global if import in is lambda match nonlocal not or pass raise return try while with yield`),
  types:
      words(`bool bytes complex dict float frozenset int list object set str tuple type Any Callable
    Iterable Iterator Optional Union`),
  constants: words('True False None self cls'),
};

const rust = {
  ...cFamily,
  meta: /#!?\[[^\]]*\]?/y,
  strings: [/b?r?"(?:[^"\\]|\\.)*"?/y, kCharacter],
  keywords: words(
      `as async await break const continue crate dyn else enum extern fn for if impl in let loop
    match mod move mut pub ref return static struct super trait type union unsafe use where while`),
  types: words(
      `bool char f32 f64 i8 i16 i32 i64 i128 isize str u8 u16 u32 u64 u128 usize Self String Vec
    Option Result Box Rc Arc HashMap HashSet`),
  constants: words('true false self None Some Ok Err'),
};

const go = {
  ...cFamily,
  spans: [kStarred, {open: /`/y, close: /`/g, kind: 'string'}],
  keywords: words(
      `break case chan const continue default defer else fallthrough for func go goto if import
    interface map package range return select struct switch type var`),
  types: words(
      `any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32
    int64 rune string uint uint8 uint16 uint32 uint64 uintptr`),
  constants: words('true false nil iota'),
};

const java = {
  ...cFamily,
  meta: /@\w+/y,
  keywords:
      words(`abstract as async await base break case catch class const continue data default do else
    enum extends final finally for foreach fun goto if implements import in instanceof interface internal
    is namespace native new object operator out override package permits private protected public readonly
    record ref return sealed static super switch synchronized this throw throws transient try typeof using
    val var virtual volatile when where while yield`),
  types: words(
      `boolean bool byte char decimal double float int long short void Boolean Double Int Integer
    List Long Map Object Set String Unit string`),
  constants: words('true false null'),
};

const bash = {
  comment: /#.*/y,
  meta: /\$(?:\w+|\{[^}]*\}?|[#?@*$!-])/y,
  strings: [/"(?:[^"\\]|\\.)*"?/y, /'[^']*'?/y],
  keywords: words(
      `case do done elif else esac export fi for function if in local readonly return select set
    shift then time trap unset until while source alias`),
  types: words(
      `awk cat cd chmod cmake cp curl docker echo find git grep head kill ls make mkdir mv npm pip
    printf python python3 read rm sed sort ssh sudo tail tar test touch uniq wc xargs`),
  constants: words('true false'),
  word: /[A-Za-z_][\w-]*/y,
};

const sql = {
  comment: /--.*/y,
  spans: [kStarred],
  strings: [kSingle, kDouble],
  ignoreCase: true,
  keywords: words(
      `add all alter and any as asc begin between by cascade case check column commit constraint
    create cross database default delete desc distinct drop else end except exists explain foreign from full
    group having if in index inner insert intersect into is join key left like limit not offset on or order
    outer over partition primary references returning right rollback select set table then transaction
    trigger union unique update using values view when where with`),
  types: words(
      `bigint blob boolean char date decimal double float int integer interval json jsonb numeric
    real serial smallint text time timestamp uuid varchar`),
  constants: words('null true false'),
};

const json = {
  key: /"(?:[^"\\]|\\.)*"(?=\s*:)/y,
  strings: [kDouble],
  comment: kSlashes,
  spans: [kStarred],
  constants: words('true false null'),
};

const css = {
  spans: [kStarred],
  strings: [kDouble, kSingle],
  meta: /@[\w-]+/y,
  key: /(?:--)?[a-zA-Z-]+(?=\s*:\s)/y,
  number: /#[0-9a-fA-F]{3,8}\b|[-+]?(?:\d+\.?\d*|\.\d+)(?:%|[a-z]+)?/y,
  word: /[.#]?-?[A-Za-z_][\w-]*/y,
};

const html = {
  spans: [{open: /<!--/y, close: /-->/g, kind: 'comment'}],
  strings: [/"[^"<>]*"?/y, /'[^'<>]*'(?=[\s/>])/y],
  key: /<[/!?]?[A-Za-z][\w:.-]*|\/?>/y,
  meta: /[A-Za-z_:@][\w:.-]*(?==)/y,
  word: /[^<>"'=\s]+/y,
  number: /&#?\w{1,31};/y,
};

const yaml = {
  comment: kHash,
  strings: [kDouble, kSingle],
  key: /(?:- +)*[\w."-]+(?=\s*[:=](?:\s|$))|^\s*\[[^\]]*\]/y,
  constants: words('true false null yes no on off'),
  word: /[A-Za-z_][\w-]*/y,
};

const diff = {
  lines: [[/^(?:\+\+\+|---|diff |index |@@)/, 'meta'], [/^\+/, 'inserted'], [/^-/, 'deleted']],
};

const kNamed = {
  c,
  javascript,
  python,
  rust,
  go,
  java,
  bash,
  sql,
  json,
  css,
  html,
  yaml,
  diff
};
const kAliases = {
  'c++': 'c',
  cpp: 'c',
  cc: 'c',
  cxx: 'c',
  h: 'c',
  hpp: 'c',
  cuda: 'c',
  cu: 'c',
  glsl: 'c',
  js: 'javascript',
  jsx: 'javascript',
  ts: 'javascript',
  tsx: 'javascript',
  typescript: 'javascript',
  mjs: 'javascript',
  py: 'python',
  python3: 'python',
  rs: 'rust',
  golang: 'go',
  kotlin: 'java',
  'c#': 'java',
  csharp: 'java',
  cs: 'java',
  scala: 'java',
  sh: 'bash',
  shell: 'bash',
  zsh: 'bash',
  console: 'bash',
  dockerfile: 'bash',
  makefile: 'bash',
  jsonc: 'json',
  json5: 'json',
  scss: 'css',
  less: 'css',
  xml: 'html',
  svg: 'html',
  vue: 'html',
  yml: 'yaml',
  toml: 'yaml',
  ini: 'yaml',
  patch: 'diff',
  mysql: 'sql',
  postgresql: 'sql',
  sqlite: 'sql',
};

// The language of a code fence's label, or null.
export function languageNamed(label) {
  const name = label.toLowerCase();
  const known = Object.hasOwn(kAliases, name) ? kAliases[name] : name;
  return Object.hasOwn(kNamed, known) ? kNamed[known] : null;
}
