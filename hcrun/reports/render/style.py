"""How the page looks: in the light, in the dark, on a phone, on paper."""

from __future__ import annotations

# Text and marks on the page's background and on a card's; a test computes their contrast.
LIGHT = {
    "page": "#f6f7f9",
    "card": "#ffffff",
    "text": "#1b1f24",
    "muted": "#57606a",
    "rule": "#d8dee4",
    "up": "#2da44e",
    "down": "#cf222e",
    "maintenance": "#0969da",
    "unknown": "#a7b0ba",
    "good": "#116329",
    "bad": "#b3141f",
}
DARK = {
    "page": "#0d1117",
    "card": "#161b22",
    "text": "#e6edf3",
    "muted": "#9aa4af",
    "rule": "#30363d",
    "up": "#2ea043",
    "down": "#f85149",
    "maintenance": "#58a6ff",
    "unknown": "#545d68",
    "good": "#56d364",
    "bad": "#ff7b72",
}

_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.45 sans-serif}
main,header,footer{max-width:1200px;margin:0 auto;padding:0 20px}
h1{font-size:24px;line-height:1.2;margin:28px 0 4px}
h2{font-size:17px;margin:32px 0 10px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
p{margin:0}
.muted,figcaption,th,.axis{color:var(--muted)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
 margin:20px 0 0;padding:0;list-style:none}
.tiles li,.check,.table{background:var(--card);border:1px solid var(--rule);border-radius:8px}
.tiles li{padding:12px 16px}
.tiles b{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}
.check{display:grid;grid-template-columns:216px minmax(0,1fr) 150px 150px;gap:4px 20px;
 align-items:center;padding:12px 16px;margin:0 0 8px;break-inside:avoid}
.check p{font-size:13px}
.good{color:var(--good)}.bad{color:var(--bad)}
.broken{border-left:4px solid var(--down);padding-left:13px}
figure{margin:0;min-width:0}
figcaption b{color:var(--text);font-weight:600}
figcaption,.axis{font-size:12px;display:flex;justify-content:space-between;gap:8px;
 font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:32px;overflow:visible}
.bars{overflow:hidden}
.bars+figcaption .few{display:none}
path.up{fill:var(--up)}path.down{fill:var(--down)}
path.maintenance{fill:var(--maintenance)}path.unknown{fill:var(--unknown)}
.hover{fill:transparent}
.line{fill:none;stroke:var(--maintenance);stroke-width:1.8;stroke-linecap:round;
 stroke-linejoin:round;vector-effect:non-scaling-stroke}
.line.left{stroke:var(--up)}.line.spent{stroke:var(--down)}
.area.left{fill:var(--up);opacity:.18}.area.spent{fill:var(--down);opacity:.18}
.base{stroke:var(--unknown);stroke-width:1;stroke-dasharray:3 3;vector-effect:non-scaling-stroke}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;margin:0 0 10px;padding:0;
 list-style:none;color:var(--muted)}
.legend svg{display:inline-block;width:8px;height:14px;margin-right:6px;vertical-align:-2px}
.table{overflow-x:auto}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13.5px}
th,td{padding:7px 12px;text-align:left;vertical-align:top;border-top:1px solid var(--rule)}
thead th{border-top:0;white-space:nowrap;font-weight:600}
tbody th{color:var(--text);font-weight:600;white-space:nowrap}
td{white-space:nowrap}td:last-child:not(.n){white-space:normal;min-width:180px}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tbody th{position:sticky;left:0;background:var(--card)}
.date{white-space:nowrap}
.about{font-size:13px;margin:6px 2px 0}
footer{margin-top:32px;padding-bottom:32px;font-size:13px}
footer li{margin:2px 0}
@media screen and (max-width:900px){
 main,header,footer{padding:0 12px}
 .tiles{grid-template-columns:1fr 1fr;gap:8px}
 .tiles b{font-size:20px}
 .check{grid-template-columns:1fr 1fr;gap:8px 16px}
 .check>div,.check>.days{grid-column:1/-1}
 .bars svg{width:300%;margin-left:-200%}
 .bars+figcaption .few{display:inline}.bars+figcaption .many{display:none}
 th,td{padding:6px 8px}
}
@media print{
 @page{margin:14mm}
 body{font-size:10pt;background:#fff;print-color-adjust:exact;-webkit-print-color-adjust:exact}
 main,header,footer{max-width:none;padding:0}
 h1{margin-top:0}h2{break-after:avoid}
 .table{overflow:visible;border:0}tr{break-inside:avoid}thead{display:table-header-group}
 .check{grid-template-columns:160px minmax(0,1fr) 112px 104px;gap:4px 14px;padding:8px 12px}
 .check p{font-size:8.5pt}figcaption,.axis{font-size:7.5pt;white-space:nowrap}
 .tiles{grid-template-columns:repeat(4,1fr)}tbody th{position:static}
 table{font-size:8.5pt}th,td{padding:4px 6px}
}
"""


def css() -> str:
    """Paper is always light."""
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    return f":root{{{_variables(LIGHT)}}}{dark}{_RULES}"


def _variables(palette: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in palette.items())
