"""The style of the page: light and dark, from 320 pixels up."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f24; --faint: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --right: #1a7f37; --wrong: #bc4c00; --missed: #6639ba; --bar: #cfe3fa;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --card: #151b23;
    --right: #3fb950; --wrong: #f0883e; --missed: #be8fff; --bar: #1c3d63;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p, figure { margin: .5rem 0; }
.headline { font-size: 1.25rem; }
.note, figcaption { color: var(--faint); font-size: .875rem; }
table { border-collapse: collapse; font-size: .9375rem; margin: .75rem 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
th { overflow-wrap: normal; }
td:first-child { min-width: 7rem; }
.scrolled { overflow-x: auto; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
tr:has(strong) { background: var(--card); }
.share { display: block; margin: -.3rem -.6rem; padding: .3rem .6rem; }
.share { background: linear-gradient(to right, var(--bar) var(--share), transparent var(--share)); }
.beside { display: grid; gap: 0 2rem; align-items: start; }
.beside > * { min-width: 0; }
.plot { overflow-x: auto; }
.plot img { background: #fff; border-radius: .375rem; padding: .25rem; max-width: 100%; height: auto; }
@media (min-width: 64rem) {
  .beside { grid-template-columns: 2fr 3fr; }
  .beside.plots { grid-template-columns: 1fr 1fr; }
}
.kinds { display: grid; gap: .25rem 1.5rem; }
@media (min-width: 56rem) { .kinds { grid-template-columns: repeat(3, 1fr); } }
.kinds h4 { font-size: .875rem; margin: .25rem 0; }
.right { color: var(--right); } .wrong { color: var(--wrong); } .missed { color: var(--missed); }
.strip { display: flex; flex-wrap: wrap; gap: .375rem; }
.strip figure { margin: 0; max-width: 6rem; }
.strip img { display: block; height: 4.5rem; max-width: 6rem; object-fit: contain; border-radius: .25rem; }
.strip .absent { display: block; width: 6rem; min-height: 4.5rem; padding: .25rem; border: 1px dashed var(--line); }
.strip figcaption, .strip .absent { font-size: .75rem; line-height: 1.2; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.cards figure { margin: 0; padding: .75rem; background: var(--card); border: 1px solid var(--line); }
.cards figure { border-radius: .5rem; }
.cards figcaption { display: flex; gap: .75rem; margin-bottom: .5rem; }
.cards .map { display: block; width: 100%; height: auto; background: #fff; border-radius: .25rem; }
.cards figcaption img { width: 4.5rem; height: 4.5rem; flex: none; object-fit: contain; border-radius: .25rem; }
.finds { grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); align-items: start; }
.finds figcaption { display: block; margin: .5rem 0 0; color: var(--ink); }
.finds .find { display: block; width: 100%; height: auto; border-radius: .25rem; }
.curves { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.curves figure { margin: 0; }
.curves img { display: block; width: 100%; height: auto; background: #fff; border-radius: .375rem; }
.curves figcaption { text-align: center; color: var(--ink); }
.confusion { font-size: .8125rem; }
.confusion th[scope=col] { vertical-align: bottom; padding: .3rem .1rem; }
.confusion th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; }
.confusion td { min-width: 1.9rem; padding: .2rem .3rem; }
.confusion td:first-child, .confusion td:last-child { min-width: 1.9rem; }
.confusion td { background: color-mix(in srgb, var(--bar) var(--heat, 0%), transparent); }
.confusion th[scope=row] { position: sticky; left: 0; background: var(--paper); white-space: nowrap; }
.confusion a { color: inherit; display: block; margin: -.2rem -.3rem; padding: .2rem .3rem; }
.pair { display: none; scroll-margin-top: 70vh; padding: .5rem .75rem; margin: .5rem 0; background: var(--card); }
.pair { border: 1px solid var(--line); border-radius: .375rem; }
.pair:target { display: block; }
.pair h4 { margin: 0 0 .375rem; font-size: .9375rem; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .375rem; padding: .75rem; }
pre { white-space: pre-wrap; font-size: .875rem; }
code { font-family: ui-monospace, monospace; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin: 0; }
@media (max-width: 40rem) {
  main:has(.charts) { display: flex; flex-direction: column; }
  main > * { min-width: 0; }
  main > h1 { order: -3; }
  .charts { order: -2; }
  .rows { order: -1; }
  th, td { padding: .3rem; font-size: .8125rem; }
  td:first-child, td:last-child { min-width: 4.75rem; }
  .share { margin: -.3rem; padding: .3rem; }
  .stacked thead { display: none; }
  .stacked, .stacked tbody, .stacked tr { display: block; }
  .stacked tr { padding: .5rem; margin: .5rem 0; border: 1px solid var(--line); border-radius: .375rem; }
  .stacked td { display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0; border: 0; }
  .stacked td::before { content: attr(data-name); color: var(--faint); flex: none; }
  .stacked td { text-align: right; }
}
"""
