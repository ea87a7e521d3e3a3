/** The report's style sheet: light and dark by the reader's system, from a phone's width to print. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --card: #ffffff; --ink: #1d2129; --ink-soft: #5c6470; --line: #e9e6e0; --line-strong: #c9c5bc;
  --accent: #0b6e75; --right: #08736c; --wrong: #b8430c; --right-wash: #e2f2ef; --wrong-wash: #fbeade;
  --series-1: #0b6e75; --series-2: #d9822b; --series-3: #7a8699; --series-4: #8c5fa8; --series-5: #b5485d; --series-6: #5d8a3c;
  --series-7: #3f6fc4; --series-8: #b89b1d; --series-9: #c86fa9; --series-10: #7b5b44; --series-11: #2fa37c; --series-12: #54508f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1b1f25; --ink: #e8e6e1; --ink-soft: #a2a9b3; --line: #2b3038; --line-strong: #49505b;
    --accent: #5cc3c4; --right: #5cc9b5; --wrong: #f39a63; --right-wash: #14332f; --wrong-wash: #3a2418;
    --series-1: #4fb9bd; --series-2: #e9a254; --series-3: #8c97a8; --series-4: #b48fd0; --series-5: #dd7c8d; --series-6: #93bd72;
    --series-7: #7ea4ea; --series-8: #dcc657; --series-9: #e69bcb; --series-10: #b3927a; --series-11: #62d3ab; --series-12: #9a96d6;
  }
}
* { box-sizing: border-box; }
html { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; background: var(--paper); color: var(--ink); }
body { margin: 0 auto; padding: 3.5rem 1.5rem 5rem; max-width: 70rem; }
h1, h2 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif; font-weight: 600; text-wrap: balance; }
h1 { font-size: clamp(1.9rem, 4.5vw, 2.9rem); line-height: 1.12; letter-spacing: -.015em; margin: 0 0 1rem; }
h2 { font-size: 1.6rem; line-height: 1.2; margin: 4rem 0 .5rem; padding-top: 1.4rem; border-top: 1px solid var(--line-strong); }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; text-wrap: pretty; }
.lead { font-size: 1.12rem; }
.soft, figcaption, caption { color: var(--ink-soft); font-size: .875rem; }
a { color: var(--accent); text-underline-offset: .15em; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.4rem; padding: 0; margin: 2rem 0 0; list-style: none; font-size: .925rem; }
code { font: .875em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1px; margin: 2rem 0 0; background: var(--line); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
.figures > div { display: flex; flex-direction: column; background: var(--card); padding: 1.1rem 1.2rem; }
.figures dt { color: var(--ink-soft); font-size: .875rem; }
.figures dd { margin: 0; }
.figures .value { font-size: 2.1rem; line-height: 1.25; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; color: var(--accent); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; margin: 1rem 0; }
caption { text-align: left; padding-bottom: .5rem; caption-side: top; }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(44rem, calc(100vw - 2.5rem)); }
th { font-weight: 600; text-align: left; }
th, td { padding: .45rem .8rem; border-bottom: 1px solid var(--line); vertical-align: baseline; }
thead th { border-bottom-color: var(--line-strong); font-size: .825rem; white-space: nowrap; }
.numbers td, .numbers thead th[scope=col]:not([rowspan]) { text-align: right; }
.numbers thead th[scope=colgroup] { text-align: center; color: var(--ink-soft); }
.numbers thead th[scope=colgroup] { border-left: 1px solid var(--line); }
.numbers .starts { border-left: 1px solid var(--line); }
.numbers { width: 100%; }
.methods tbody tr:first-child th { color: var(--accent); }
.numbers thead th:first-child { text-align: left !important; }
.numbers.narrow { width: auto; }
.numbers tbody th small { display: block; font-weight: 400; color: var(--ink-soft); font-size: .8rem; }
.best { font-weight: 700; }
.interval { display: block; font-weight: 400; color: var(--ink-soft); font-size: .75rem; white-space: nowrap; }
.heat th[scope=row], .heat thead th { font-weight: 500; white-space: nowrap; }
.heat thead th:not(:first-child) { text-align: center; }
.heat td { text-align: center; min-width: 4.6rem; border: 2px solid var(--paper); border-radius: .4rem; background: color-mix(in srgb, var(--accent) calc(var(--heat, 0) * 52%), var(--card)); }
.heat td.none { background: none; color: var(--line-strong); }
.heat td.mean { background: none; font-weight: 600; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.5rem 2rem; margin: 1.5rem 0; }
.plots > figure:only-child { max-width: 36rem; }
figure { margin: 0; }
.plots figure { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.1rem .6rem; }
.plots figcaption { color: var(--ink); font-weight: 600; margin-bottom: .6rem; }
.keys { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: 0 0 .4rem; padding: 0; list-style: none; font-size: .8rem; }
.keys span { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; margin-right: .4rem; }
.plot { display: block; width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; margin: 1rem 0 0; padding: 0; list-style: none; font-size: .925rem; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.queries { display: grid; gap: 1.25rem; margin: 1.5rem 0; }
.query { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr); gap: 0 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.2rem; break-inside: avoid; }
.asked > figure:first-child img { width: 8.5rem; height: 8.5rem; }
.asked figcaption { font-size: .8rem; line-height: 1.35; margin-top: .3rem; overflow-wrap: anywhere; }
.asked figcaption strong { display: block; color: var(--ink); }
.expected { margin-top: .8rem; }
.filter { display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; margin: 1.2rem 0 0; padding: .5rem 1rem .6rem; border: 1px solid var(--line); border-radius: .6rem; font-size: .925rem; }
.filter legend { color: var(--ink-soft); font-size: .825rem; padding: 0 .4rem; }
.filter label { cursor: pointer; }
.common { display: block; font-size: .68rem; line-height: 1.2; color: var(--right); }
.row { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: .75rem; align-items: center; padding: .3rem 0; }
.row + .row { border-top: 1px solid var(--line); }
.row h4 { margin: 0; overflow-wrap: anywhere; font-size: .825rem; font-weight: 600; color: var(--ink-soft); }
.row h4 small { display: block; font-weight: 400; font-variant-numeric: tabular-nums; }
.hits { display: grid; grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); gap: .5rem; margin: 0; padding: 0; list-style: none; }
.hits li { position: relative; max-width: 5.5rem; }
img { display: block; object-fit: contain; background: #fff; border-radius: .4rem; }
.hit { width: 100%; aspect-ratio: 1; border: 2px solid var(--line-strong); padding: 2px; }
.right .hit { border-color: var(--right); }
.wrong .hit { border-color: var(--wrong); border-style: dashed; }
.mark { position: absolute; right: -.3rem; top: -.3rem; width: 1.2rem; height: 1.2rem; border-radius: 50%; display: grid; place-items: center; font-size: .72rem; line-height: 1; font-weight: 700; color: var(--card); border: 1.5px solid var(--card); box-sizing: content-box; }
.legend .mark { position: static; }
.right .mark { background: var(--right); }
.wrong .mark { background: var(--wrong); border-radius: .2rem; }
.name { overflow-wrap: anywhere; hyphens: auto; font-size: .72rem; line-height: 1.25; color: var(--ink-soft); overflow: hidden; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; margin-top: .2rem; }
.framed { position: relative; width: 5.2rem; }
.forest { width: 100%; }
.forest th { font-weight: 500; width: 34%; }
.forest th small { display: block; font-weight: 400; color: var(--ink-soft); }
.forest td:last-child { width: 11rem; text-align: right; }
.forest svg { display: block; width: 100%; min-width: 9rem; height: 1.6rem; }
.forest line { vector-effect: non-scaling-stroke; stroke-width: 2; stroke: var(--series-3); }
.forest .zero { stroke: var(--line-strong); stroke-width: 1; }
.forest .centre { stroke-width: 4; }
.forest .clear .range, .forest .clear .centre { stroke: var(--accent); }
.plain td { text-align: right; }
.differing { font-size: .875rem; }
.differing td { background: color-mix(in srgb, var(--accent) 9%, var(--card)); overflow-wrap: anywhere; }
.differing thead td { background: none; }
.confusion { font-size: .72rem; }
.confusion th, .confusion td { padding: .15rem .35rem; border: 1px solid var(--line); }
.confusion th { font-weight: 500; white-space: nowrap; }
.confusion thead th:not(:first-child) { vertical-align: bottom; padding: .3rem .1rem; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden; }
.confusion td { text-align: center; min-width: 1.7rem; background: color-mix(in srgb, var(--series-2) calc(var(--heat, 0) * 85%), var(--card)); }
.confusion td.own { background: color-mix(in srgb, var(--accent) calc(var(--heat, 0) * 70%), var(--card)); }
.confusion tbody th { position: sticky; left: 0; background: var(--paper); }
.picture-map { margin: 1.5rem 0; }
.picture-map img { width: 100%; height: auto; border: 1px solid var(--line); }
.maps { grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
.maps figure:only-child { max-width: 46rem; }
.sortable th button { all: unset; cursor: pointer; }
.sortable th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.sortable th[aria-sort=descending] button::after { content: ' ↓'; }
.sortable th[aria-sort=ascending] button::after { content: ' ↑'; }
.pairs-of { columns: 2 24rem; column-gap: 3rem; margin: 1rem 0; }
.pairs-of dl { margin: 0; }
.pairs-of div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--line); padding: .3rem 0; break-inside: avoid; font-size: .9rem; }
.pairs-of dt { color: var(--ink-soft); }
.pairs-of dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.compact .query { grid-template-columns: 12.5rem minmax(0, 1fr); padding: .8rem 1rem; }
.compact .asked { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; align-items: start; }
.compact .asked > figure:first-child img, .compact .framed { width: 5.2rem; height: 5.2rem; }
.compact .framed img { height: 100%; }
.compact .expected { margin: 0; }
.compact .row { display: block; padding: 0; }
.compact .row h4 { display: none; }
.compact .asked figcaption { font-size: .72rem; }
@media (max-width: 40rem) {
  body { padding: 2rem 1rem 3rem; }
  .query { grid-template-columns: 1fr; gap: .75rem; }
  .asked { display: flex; gap: 1rem; align-items: start; }
  .compact .query { grid-template-columns: 1fr; }
  .asked > figure:first-child img { width: 5.5rem; height: 5.5rem; }
  .expected { margin-top: 0; }
  .row { grid-template-columns: 1fr; gap: .35rem; }
  .query .hits { grid-template-columns: repeat(auto-fill, minmax(4rem, 1fr)); }
  .row h4 small { display: inline; margin-left: .5rem; }
  .forest th { width: 40%; }
}
@media print { html { font-size: 11px; } body { max-width: none; padding: 0; } nav, .filter { display: none; } figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } * { print-color-adjust: exact; } }
`;
