"""How the report looks: one column, plain letters, light or dark as the reader's screen has it, fit for printing."""

STYLE = """
:root{--ink:#1f2a37;--muted:#64748a;--grid:#dfe5ec;--paper:#fff;--ground:#f4f6f9;--network:#1769aa;--other:#b7791f;--alarm:#c2413b;
--soft:#eaf2fa;--theirs:#fdf6e7;--letters:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--muted:#93a1b5;--grid:#303b4a;--paper:#18202b;--ground:#0f151d;--network:#5fb0ee;
--other:#e0ac55;--alarm:#f0837c;--soft:#1a2a3b;--theirs:#2b2516}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 var(--letters)}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 4rem}
header{margin-bottom:1.5rem}h1{font-size:2rem;line-height:1.2;margin:.6rem 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.35rem;margin:0 0 .2rem}h3{font-size:1.02rem;margin:2rem 0 .5rem}
.use{display:inline-block;margin:0;padding:.28rem .8rem;border:1.5px solid var(--alarm);border-radius:99px;color:var(--alarm);font-weight:600;font-size:.88rem}
.of{color:var(--muted);margin:.2rem 0 1rem}code{font:.88em ui-monospace,Menlo,Consolas,monospace}.sha{color:var(--muted)}
section{background:var(--paper);border:1px solid var(--grid);border-radius:14px;padding:1.6rem 1.75rem;margin:0 0 1.5rem}
section.drawn{border:2px dashed var(--alarm)}.synthetic{background:var(--alarm);color:var(--paper);border-radius:6px;padding:.05rem .5rem;font-size:.8em;letter-spacing:.06em}
.says{background:var(--soft);border-left:4px solid var(--network);border-radius:0 10px 10px 0;padding:.8rem 1.1rem;margin:1rem 0 1.4rem}
.says h3{margin:0 0 .3rem}.says ul{margin:0;padding-left:1.1rem}.says li{margin:.2rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:0 0 1.4rem}
.tile{border:1px solid var(--grid);border-radius:10px;padding:.7rem .9rem .6rem;display:flex;flex-direction:column}
.tile span:first-child{color:var(--muted);font-size:.86rem}.tile strong{font-size:1.7rem;line-height:1.3;font-variant-numeric:tabular-nums}
.tile small{color:var(--muted);font-variant-numeric:tabular-nums}
.bar{position:relative;height:6px;border-radius:3px;background:var(--grid);margin:.25rem 0 .35rem;overflow:hidden}
.bar i{position:absolute;top:0;bottom:0;background:var(--network);opacity:.4}.bar b{position:absolute;top:0;bottom:0;width:3px;margin-left:-1.5px;background:var(--network)}
table{border-collapse:collapse;width:100%;margin:.4rem 0 .6rem;font-size:.92rem;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--muted);border-bottom:1.5px solid var(--grid);padding:.4rem .7rem .4rem .2rem;vertical-align:bottom}
td{border-bottom:1px solid var(--grid);padding:.42rem .7rem .42rem .2rem;vertical-align:top}tbody tr:last-child td{border-bottom:0}
td small{display:block;color:var(--muted);font-size:.84em;white-space:nowrap}
th.paper,td.paper{background:var(--theirs);padding-left:.7rem;border-left:3px double var(--other)}th.paper{color:var(--other)}
.fine{color:var(--muted);font-size:.86rem;margin:.4rem 0}.paper-note{border-left:3px double var(--other);padding-left:.7rem}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1rem;margin:1.2rem 0}
figure{margin:0;border:1px solid var(--grid);border-radius:10px;padding:.8rem;background:var(--paper)}figure svg{width:100%;height:auto;display:block}
figure img{max-width:100%;display:block;margin:0 auto;border-radius:6px;background:#fff}
div.wide{overflow-x:auto}section>*+h2{margin-top:2rem}
figure.wide{margin:1.6rem 0 .4rem}figcaption{color:var(--muted);font-size:.85rem;margin-top:.35rem}
footer{margin-top:1.5rem}
@media(max-width:40rem){section{padding:1.1rem}table{display:block;overflow-x:auto}}
@media print{body{background:#fff}section,figure{break-inside:avoid-page}main{max-width:none;padding:0}}
"""
