/** The style and the script of the site. */

export const style = `
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5a6579;--line:#dde2ec;--paper:#fff;--side:#f5f7fb;--link:#1f5fbf;--code:#f0f3f8}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--ink:#e6eaf2;--soft:#a5b0c4;--line:#2b3342;--paper:#12161d;--side:#171d27;--link:#8ab8ff;--code:#1d2430}}
:root[data-theme=dark]{color-scheme:dark;--ink:#e6eaf2;--soft:#a5b0c4;--line:#2b3342;--paper:#12161d;--side:#171d27;--link:#8ab8ff;--code:#1d2430}
:root[data-theme=light]{color-scheme:light}
*{box-sizing:border-box}body{margin:0;display:grid;grid-template-columns:250px minmax(0,1fr);min-height:100vh;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--paper);padding:4px 8px}
nav{background:var(--side);border-right:1px solid var(--line);padding:20px 16px;position:sticky;top:0;height:100vh;overflow:auto}
nav .home{font-weight:700;color:var(--ink);text-decoration:none;display:block;margin-bottom:12px}nav h2{font-size:.8rem;color:var(--soft);border:0;margin:16px 0 2px;padding:0 8px}nav ul{list-style:none;margin:4px 0 12px;padding:0}nav li a{display:block;padding:3px 8px;border-radius:6px;color:var(--ink);text-decoration:none;overflow-wrap:anywhere}
nav li a:hover,nav li a[aria-current]{background:var(--code)}nav li a[aria-current]{font-weight:600}
input,button{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:6px;padding:5px 8px}input{width:100%}button{cursor:pointer}:focus-visible{outline:2px solid var(--link);outline-offset:1px}
main{padding:32px 40px 80px;max-width:1120px;width:100%}h1{line-height:1.2;margin:0 0 12px;overflow-wrap:anywhere}h2{margin:40px 0 12px;padding-bottom:4px;border-bottom:1px solid var(--line);font-size:1.25rem}a{color:var(--link)}
code{background:var(--code);border-radius:4px;padding:1px 4px;font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:break-word}pre{background:var(--code);border-radius:8px;padding:14px;overflow:auto}pre code{background:none;padding:0;overflow-wrap:normal}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.93rem}th,td{text-align:left;vertical-align:top;padding:7px 10px;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600;white-space:nowrap}td:first-child{min-width:110px}td:first-child code{overflow-wrap:anywhere}
.diagram{margin:20px 0;overflow:auto;border:1px solid var(--line);border-radius:10px;background:var(--paper);text-align:center}.diagram svg{max-width:none;height:auto}
:root[data-theme=light] .hd{--ink:#1c2330;--soft:#5a6579;--line:#8290a8;--step:#fff;--frame:#f5f7fb;--choice:#fff7e0;--wait:#eef3ff;--end:#1c2330;--endink:#fff;--err:#b3261e;--undo:#7a4fb5;--again:#2764c9}
:root[data-theme=dark] .hd{--ink:#e6eaf2;--soft:#a5b0c4;--line:#72809a;--step:#1d2430;--frame:#171d27;--choice:#2e2815;--wait:#1a2540;--end:#e6eaf2;--endink:#12161d;--err:#ff8a80;--undo:#c6a3ff;--again:#86b3ff}
@media (max-width:760px){body{display:block}nav{position:static;height:auto}main{padding:20px}}
@media print{.diagram svg{max-width:100%}nav,.skip{display:none}body{display:block}main{padding:0;max-width:none}h2,.diagram,tr{break-inside:avoid}pre{white-space:pre-wrap}}
`.trimStart()

export const script = `
"use strict"
const root = document.documentElement
const stored = (() => { try { return localStorage.getItem("heddle-theme") } catch { return null } })()
if (stored === "light" || stored === "dark") root.dataset.theme = stored
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : root.dataset.theme === "dark"
  root.dataset.theme = dark ? "light" : "dark"
  try { localStorage.setItem("heddle-theme", root.dataset.theme) } catch {}
})
// a wide diagram is seen where its flow begins
for (const figure of document.querySelectorAll("figure.diagram")) {
  const [whole, first] = [figure, figure.querySelector(".end rect") ?? figure].map((one) => one.getBoundingClientRect())
  figure.scrollLeft = first.left + first.width / 2 - whole.left - whole.width / 2
}
const [search, found] = [document.getElementById("search"), document.getElementById("found")]
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean)
  const hits = words.length === 0 ? [] : window.heddlePages.map((page) => {
    const text = (page.title + " " + page.text).toLowerCase()
    const score = words.every((word) => text.includes(word)) ? 1 + words.filter((word) => page.title.toLowerCase().includes(word)).length * 10 : 0
    return { page, score, at: text.indexOf(words[0]) - page.title.length - 1 }
  }).filter(({ score }) => score > 0).sort((a, b) => b.score - a.score).slice(0, 20)
  found.replaceChildren(...hits.map(({ page, at }) => {
    const [item, link, about] = [document.createElement("li"), document.createElement("a"), document.createElement("small")]
    link.href = page.slug + ".html"
    link.textContent = page.title
    about.textContent = page.text.slice(Math.max(0, at - 30), Math.max(0, at) + 60)
    link.append(document.createElement("br"), about)
    item.append(link)
    return item
  }))
  found.hidden = words.length === 0
})
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus() }
  if (event.key === "Escape") { search.value = ""; found.hidden = true }
})
`.trimStart()
