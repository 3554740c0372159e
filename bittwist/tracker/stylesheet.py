"""How the status page looks, in light and in dark; served by itself, so that no style stands in the page."""

STYLESHEET = b"""\
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #fff; --ink: #1b2230; --faint: #667085; --line: #e3e6eb;
  --accent: #2463d6; --wash: #2463d622; --good: #16794a; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151c; --card: #1a202a; --ink: #e7eaf0; --faint: #98a2b3; --line: #2b3340;
    --accent: #6ea0ff; --wash: #6ea0ff26; --good: #5fce96; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem); max-width: 72rem;
  background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}
header { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; margin-bottom: 1.25rem; }
h1 { margin: 0; font-size: 1.4rem; }
h2 { margin: 0 0 .6rem; font-size: 1rem; }
.state {
  margin: 0; padding: .1rem .7rem; border: 1px solid; border-radius: 1rem; font-weight: 600;
  font-size: .85rem;
}
.good { color: var(--good); }
.bad { color: var(--bad); }
section {
  margin-bottom: 1rem; padding: 1rem 1.2rem; border: 1px solid var(--line);
  border-radius: .6rem; background: var(--card);
}
.tiles { display: grid; grid-template-columns: repeat(7, 1fr); gap: 1rem .75rem; }
@media (max-width: 60rem) { .tiles { grid-template-columns: repeat(4, 1fr); } }
@media (max-width: 34rem) { .tiles { grid-template-columns: repeat(2, 1fr); } }
.tile .name { display: block; color: var(--faint); font-size: .85rem; }
.tile strong {
  font-size: 1.45rem; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap;
}
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 1rem; }
.chart svg { display: block; width: 100%; height: 7.5rem; }
polygon { fill: var(--wash); }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.caption, .none { margin: .4rem 0 0; color: var(--faint); font-size: .85rem; }
.frame { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .35rem .5rem; border-top: 1px solid var(--line); text-align: left; font-weight: 400; }
thead th { border-top: 0; padding-top: 0; color: var(--faint); font-size: .85rem; white-space: nowrap; }
th:first-child { padding-left: 0; }
th .name, code { overflow-wrap: anywhere; }
td:last-child, th:last-child { padding-right: 0; }
td, .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { color: var(--faint); font: .8rem/1.4 ui-monospace, monospace; }
th code:only-child { color: inherit; }
.share { width: 30%; min-width: 2rem; }
.share svg { display: block; width: 100%; height: .5rem; border-radius: .25rem; background: var(--wash); }
rect { fill: var(--accent); }
footer {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 1.5rem;
  color: var(--faint); font-size: .85rem;
}
footer p { margin: 0; }
nav { display: flex; gap: 1rem; }
a { color: var(--accent); }
"""
