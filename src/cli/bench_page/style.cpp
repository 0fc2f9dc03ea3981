#include "cli/bench_page/style.h"

namespace orthrus::cli::bench_page {

const char* const kStyle = R"css(
:root {
  --paper: #f7f7f4; --surface: #ffffff; --ink: #16181c; --soft: #565a62; --line: #dfded8;
  --grid: #e8e7e2; --plain: #a5a39b; --mode: #3d4653; --good: #1d6b3a; --bad: #b3261e;
  --block: #2a78d6; --tree: #4a3aa7; --left: #12865d; --look: #c27c00;
  --block-wash: #2a78d630; --tree-wash: #4a3aa72e; --left-wash: #1baf7a33; --look-wash: #eda10040;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, "DejaVu Sans Mono", "Liberation Mono",
    monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121316; --surface: #1b1d21; --ink: #eceae5; --soft: #a6aab2; --line: #33363c;
    --grid: #292c31; --plain: #6f7177; --mode: #c3cad5; --good: #7fd09a; --bad: #ff9b90;
    --block: #4f9bee; --tree: #9d93f0; --left: #2bb483; --look: #d99a1c;
    --block-wash: #3987e54d; --tree-wash: #9085e94d; --left-wash: #199e7055;
    --look-wash: #c9850052;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); }
header, main { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .4rem; }
p { margin: 0 0 .9rem; max-width: 46rem; }
a { color: inherit; text-decoration-color: var(--plain); text-underline-offset: .2em; }
small { color: var(--soft); font-size: .85em; }
.name { margin: 0 0 .25rem; color: var(--soft); font-size: .9rem; }
.lead { margin: .4rem 0 1.2rem; color: var(--soft); }
.note { color: var(--soft); font-size: .85rem; margin: .5rem 0 0; }
section {
  background: var(--surface); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.4rem 1.5rem 1.5rem; margin: 1.25rem 0;
}
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .95rem; }

.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1.1rem; padding: 0; list-style: none; }
.tiles li {
  flex: 1 1 8.5rem; background: var(--surface); border: 1px solid var(--line);
  border-radius: 12px; padding: .7rem 1rem .75rem;
}
.tiles strong { display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 600; }
.tiles span { display: block; color: var(--soft); font-size: .82rem; line-height: 1.35; }
.tiles .yes strong, td.yes { color: var(--good); }
.no, .tiles .no strong, td.no { color: var(--bad); font-weight: 600; }

.key { white-space: nowrap; margin-right: .6rem; }
.key i {
  display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .4em;
  vertical-align: -.06em; background: currentColor;
}
.key i.round { border-radius: 50%; }
.key i.tilted { transform: rotate(45deg) scale(.8); }
.key .plain, .stack .plain, .bar .plain { background: var(--plain); }
.key .mode, .bar .mode { background: var(--mode); }
.key .block, .stack .block { background: var(--block); }
.key .tree, .stack .tree { background: var(--tree); }
.key .left, .stack .left { background: var(--left); }
.key .look, .stack .look { background: var(--look); }
.key .ink { background: var(--ink); }
.key .tree2 { background: var(--tree); opacity: .7; }
.key .tree3 { background: var(--tree); opacity: .48; }
.key .tree4 { background: var(--tree); opacity: .3; }

table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { font-weight: 400; text-align: left; }
thead th { color: var(--soft); font-size: .82rem; padding-bottom: .3rem; vertical-align: bottom; }
td, tbody th { padding: .42rem .9rem .42rem 0; border-top: 1px solid var(--line); vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; margin-top: .9rem; }
.numbers { width: auto; min-width: 60%; }
.numbers th, .numbers td { padding-right: 1.2rem; white-space: nowrap; }
.speed { table-layout: fixed; }
.speed .n { width: 6.2rem; }
.speed .ids { width: 5rem; }
.speed .ratio { width: 4.2rem; }
.speed thead th:first-child { width: 36%; }
.speed tbody th { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.speed .totals th, .speed .totals td { font-weight: 600; }
.speed .ratio { font-weight: 600; }
.speed td:last-child { padding-right: 0; }
.speed thead .n { padding-right: .9rem; }
.bar { display: flex; align-items: center; gap: .5rem; line-height: 1.25; font-size: .82rem; }
.bar span { height: .72em; min-width: 1px; border-radius: 0 4px 4px 0; flex: none; }
.bar data { font-variant-numeric: tabular-nums; font-weight: 400; }

.share { display: grid; grid-template-columns: 4rem 1fr; align-items: center; font-size: .9rem; margin: .3rem 0; }
.stack { display: flex; gap: 2px; height: 1.25rem; }
.stack span { min-width: 2px; }
.stack span:first-child { border-radius: 4px 0 0 4px; }
.stack span:last-child { border-radius: 0 4px 4px 0; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1.4rem; margin-top: 1.3rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; margin-bottom: .3rem; }
svg { display: block; width: 100%; max-width: 32rem; height: auto; }
svg text { font: 11.5px var(--sans); fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--plain); }
svg .roof { stroke: var(--soft); stroke-width: 2; }
svg .ink { fill: var(--ink); }
svg .plain { fill: var(--plain); }
svg .block { fill: var(--block); }
svg .tree { fill: var(--tree); }
svg .tree2 { fill: var(--tree); opacity: .7; }
svg .tree3 { fill: var(--tree); opacity: .48; }
svg .tree4 { fill: var(--tree); opacity: .3; }
svg .left { fill: var(--left); }
svg .look { fill: var(--look); }
svg .faint { opacity: .45; }
#roofline svg { max-width: 38rem; }
summary { cursor: pointer; }
figure details { font-size: .85rem; color: var(--soft); margin-top: .3rem; }

.answer { border-top: 1px solid var(--line); padding: .8rem 0; }
.answer:target { border-top-color: var(--ink); }
.answer > summary { overflow: hidden; text-overflow: ellipsis; }
.answer:not([open]) > summary { white-space: nowrap; }
.asked { font-weight: 600; margin-right: .4rem; }
.prompt { margin: .6rem 0; font-size: .9rem; color: var(--soft); }
.passes { margin: .8rem 0; }
.passes figcaption { color: var(--soft); font-size: .82rem; margin: .35rem 0 0; }
.skyline { max-width: none; height: 7rem; border-bottom: 1px solid var(--grid); }
.text {
  font: .86rem/1.75 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden;
  tab-size: 4; background: var(--paper); border-radius: 8px; padding: .8rem 1rem; unicode-bidi: isolate;
}
.prompt .text { margin-top: .4rem; line-height: 1.5; }
.text b, .legend b { font-weight: inherit; }
.text i, .legend i {
  font-style: inherit; padding: .12em 0; border-bottom: 2px solid var(--hue); background: var(--wash);
  box-shadow: inset -1px 0 var(--paper);
  box-decoration-break: clone; -webkit-box-decoration-break: clone;
}
.text u, .legend u { text-decoration: none; }
.text u { box-shadow: inset -1px 0 var(--grid); }
.text b.left i, .legend b.left i { border-bottom-style: dashed; }
.text b.look i, .legend b.look i { border-bottom-style: dotted; }
.text b.tree i, .legend b.tree i { border-bottom-style: double; border-bottom-width: 3px; }
.block { --hue: var(--block); --wash: var(--block-wash); }
.tree { --hue: var(--tree); --wash: var(--tree-wash); }
.left { --hue: var(--left); --wash: var(--left-wash); }
.look { --hue: var(--look); --wash: var(--look-wash); }
.text b:hover i { background: var(--hue); color: var(--paper); }
.text .special { color: var(--soft); font-size: .85em; }
.text i.line::before { content: "\21b5"; color: var(--soft); }
.text .part::before { content: "\00b7"; color: var(--soft); }
.cut { color: var(--soft); }
.legend { font: .86rem/2 var(--mono); }
.legend b, .legend u { margin-right: 1.2rem; white-space: nowrap; }
.legend i { padding: .12em .4em; }

dl { margin: .6rem 0 0; font-size: .92rem; }
dl div { display: grid; grid-template-columns: 11rem 1fr; gap: .2rem 1rem; padding: .35rem 0; border-top: 1px solid var(--line); }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }

@media (max-width: 42rem) {
  header, main { padding: 0 .8rem; }
  header { padding-top: 1.4rem; }
  section { padding: 1.1rem 1rem 1.2rem; margin: .9rem 0; }
  h1 { font-size: 1.35rem; }
  .tiles { gap: .5rem; }
  .tiles li { flex-basis: 40%; padding: .55rem .8rem; }
  .tiles strong { font-size: 1.3rem; }
  .speed thead { display: none; }
  .speed tr { display: grid; grid-template-columns: 1fr auto; gap: .15rem .8rem; padding: .55rem 0; border-top: 1px solid var(--line); }
  .speed td, .speed tbody th { border: 0; padding: 0; width: auto; }
  .speed tbody th { grid-column: 1 / -1; }
  .speed .more { display: none; }
  .speed .ratio::after { content: " \00d7"; }
  .skyline { height: 5rem; }
  .text { padding: .7rem .75rem; font-size: .8rem; }
  dl div { grid-template-columns: 1fr; gap: 0; }
}
@media print {
  section { break-inside: avoid-page; border: 0; padding: 0; }
  nav { display: none; }
}
)css";

}  // namespace orthrus::cli::bench_page
