/** PageStyle: how the page of a report looks: light and dark, on paper, from a narrow phone to a desk. No font, no picture, no script from anywhere. */

/** The colours by name, light and dark. A state or owner is a class of that name, on swatches and in the map. */
const COLORS = `
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#16191d;--soft:#5a6472;--line:#dde1e6;--link:#0b5cad;--back:#e9ecef;--good:#16703c;--bad:#b3152a;
--clean:#b5dcc3;--repaired:#2f7de1;--unread:#cfd4da;--poisoned:#d6293e;--lost:#8639d6;
--file:#d6293e;--directory:#c2410c;--metadata:#8639d6;--journal:#b98900;--slack:#5c7182;--free:#93a5b1;--unknown:#16191d}
@media(prefers-color-scheme:dark){:root{--page:#101317;--card:#181c22;--ink:#e8ebef;--soft:#9aa5b1;--line:#2b313a;--link:#7db8ff;--back:#242a32;--good:#5fd08f;--bad:#ff7383;
--clean:#25543a;--repaired:#5aa2ff;--unread:#3b424c;--poisoned:#ff5468;--lost:#b98cff;
--file:#ff5468;--directory:#ff9350;--metadata:#b98cff;--journal:#f0c243;--slack:#8ea3b1;--free:#5d6c77;--unknown:#f4f5f7}}`;

const STATES = ["clean", "repaired", "unread", "poisoned", "lost"];
const OWNERS = ["file", "directory", "metadata", "journal", "slack", "free", "unknown"];

function fills(): string {
  const states = STATES.map((name) => `.s-${name}{fill:var(--${name});background:var(--${name})}`);
  const owners = OWNERS.map((name) => `.o-${name}{fill:var(--${name});background:var(--${name})}`);
  return [...states, ...owners].join("");
}

const LAYOUT = `
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1120px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:1.35rem;line-height:1.3;margin:0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:0 0 12px}h3{font-size:1rem;margin:0}
p{margin:0 0 8px}a{color:var(--link)}code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.name{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;unicode-bidi:isolate}
.soft{color:var(--soft)}.small{font-size:.875rem}.num{font-variant-numeric:tabular-nums}
header{margin-bottom:16px}header p{margin:4px 0 0}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin-top:16px;min-width:0}
.verdict{border-left:6px solid var(--good);display:flex;gap:14px;align-items:flex-start}.verdict.bad{border-left-color:var(--bad)}
.verdict svg{flex:none;width:32px;height:32px;margin-top:2px;color:var(--good)}.verdict.bad svg{color:var(--bad)}
.verdict b{font-size:1.2rem;line-height:1.3;display:block}
.tiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:12px;margin:0 0 14px}
.tiles div{border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}
.tiles dt{display:flex;align-items:center;gap:8px;color:var(--soft);font-size:.875rem}.tiles dd{margin:2px 0 0;font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}
.tiles small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
.swatch{display:inline-block;width:12px;height:12px;border-radius:3px;flex:none;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bar{display:block;width:100%;height:14px;border-radius:4px}
.equation{margin:10px 0 0;overflow-wrap:anywhere}
.chips{display:flex;flex-wrap:wrap;gap:6px;margin:8px 0 0;padding:0;list-style:none}
.chips li{border:1px solid var(--line);border-radius:999px;padding:2px 10px;font-size:.875rem;min-width:0;overflow-wrap:anywhere}`;

const MAP = `
.views{border:0;margin:0;padding:0;min-width:0}.views>input{position:absolute;opacity:0;pointer-events:none}
.views>label{display:inline-block;padding:6px 14px;border:1px solid var(--line);cursor:pointer;font-size:.9rem;background:var(--card)}
.views>label:first-of-type{border-radius:8px 0 0 8px}.views>label:last-of-type{border-radius:0 8px 8px 0;border-left:0}
#by-state:checked~[for=by-state],#by-owner:checked~[for=by-owner]{background:var(--ink);color:var(--card);border-color:var(--ink)}
#by-state:focus-visible~[for=by-state],#by-owner:focus-visible~[for=by-owner]{outline:3px solid var(--link);outline-offset:2px}
#by-state:checked~.owner-view,#by-owner:checked~.state-view{display:none}
.view{margin-top:12px}.map{display:block;width:100%;height:auto;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.map .grid{stroke:var(--card);stroke-width:1.2;fill:none}.map .hatch{stroke:var(--card);stroke-width:.9;fill:none}.map a:hover rect,.map a:focus rect{stroke:var(--ink);stroke-width:1.5}
.map .lines{fill:url(#lines);pointer-events:none}.map>.s-lost,.map>a>.s-lost{fill:url(#lost)}.map rect{rx:1px}.map .lines,.map pattern rect{rx:0}.map .back{fill:var(--back)}
.ends{display:flex;justify-content:space-between;gap:12px;color:var(--soft);font-size:.8rem;margin-top:6px}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;margin:12px 0 0;padding:0;list-style:none;font-size:.875rem}
.legend li{display:flex;align-items:center;gap:8px;min-width:0}.legend svg{width:14px;height:14px;flex:none}.legend rect{rx:3px}`;

const TABLES = `
table{border-collapse:collapse;width:100%;font-size:.925rem}th{text-align:left;color:var(--soft);font-weight:500;font-size:.825rem}
th,td{padding:8px 10px 8px 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}thead th{border-top:0;padding-top:0}
td.num,th.num{white-space:nowrap}.ranges{display:flex;flex-wrap:wrap;gap:4px 14px}
tr:target{background:color-mix(in srgb,var(--link) 16%,transparent)}
.wide th:first-child{width:38%}.run{border-top:1px solid var(--line);padding-top:12px;margin-top:12px}.run table{margin-top:12px}.run th:first-child{width:22%}.run th:nth-child(2){width:24%}.run:first-of-type{border-top:0;padding-top:0;margin-top:0}
details{margin-top:10px}summary{cursor:pointer;color:var(--link)}details table{margin-top:8px}
.tag{display:inline-block;border-radius:4px;padding:0 6px;font-size:.8rem;border:1px solid var(--line);white-space:nowrap}.tag.good{color:var(--good);border-color:currentColor}.tag.bad{color:var(--bad);border-color:currentColor}
footer{margin-top:20px;color:var(--soft);font-size:.85rem}`;

const NARROW = `
@media(max-width:640px){main{padding:16px 12px 32px}section{padding:14px}.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}
thead{position:absolute;clip-path:inset(50%)}tr{display:block;border-top:1px solid var(--line);padding:8px 0}td,td.num{display:block;border:0;padding:2px 0;white-space:normal}
td[data-label]::before{content:attr(data-label) ": ";color:var(--soft);font-size:.825rem}tbody tr:first-child{border-top:0}}`;

const PAPER = `
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--clean:#cfe8d8;--repaired:#2f7de1;--unread:#d5d9de;--poisoned:#d6293e;--lost:#8639d6;--link:#000;--back:#eee}
main{max-width:none;padding:0}section{break-inside:avoid-page;border-radius:0}.views>label{display:none}.views>.view{display:block!important}.owner-view{margin-top:24px}
details:not([open])>:not(summary){display:none}tr{break-inside:avoid}}`;

/** The whole style sheet. */
export const PAGE_STYLE: string = [COLORS, fills(), LAYOUT, MAP, TABLES, NARROW, PAPER]
  .join("")
  .replaceAll("\n", "");
