/** The report: one HTML file without scripts or links, readable in light and dark and on paper. */

interface Ranked {
  readonly title: string
  readonly year: number
  readonly value: number
}
export interface Figures {
  readonly records: number
  readonly films: number
  readonly repaired: number
  readonly rejected: Readonly<Record<string, number>>
  readonly note: string | undefined
  readonly highlights: ReadonlyArray<string>
  readonly profiles: ReadonlyArray<{
    readonly genre: string
    readonly films: number
    readonly budget: number
    readonly gross: number
    readonly returned: number
    readonly taste: { readonly critics: number; readonly audience: number } | null
  }>
  readonly views: {
    readonly money: ReadonlyArray<Ranked>
    readonly taste: ReadonlyArray<Ranked>
    readonly years: ReadonlyArray<{ readonly decade: number; readonly films: number }>
  }
}

const text = (value: unknown): string => String(value).replaceAll(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`)
const number = (value: number): string => value.toLocaleString("en-US")
const millions = (value: number): string => `$${(value / 1_000_000).toFixed(1)} M`
const row = (cells: ReadonlyArray<string>): string => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<string>): string =>
  `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table>`
const bar = (value: number, most: number, label: string): string =>
  `<span class="bar"><span style="width:${((value / most) * 100).toFixed(1)}%"></span></span> ${label}`
const ranking = (films: ReadonlyArray<Ranked>, unit: string): string =>
  `<ol>${films.map(({ title, year, value }) => `<li>${text(title)} <small>${year}</small> <b>${number(value)}${unit}</b></li>`).join("")}</ol>`

export function html({ records, films, repaired, rejected, note, highlights, profiles, views }: Figures): string {
  const lost = Object.values(rejected).reduce((a, b) => a + b, 0)
  const best = Math.max(...profiles.map(({ returned }) => returned))
  const most = Math.max(...views.years.map((one) => one.films))
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Box office</title>
<style>
:root{color-scheme:light dark;--line:#8884;--mark:#2a7f9e}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.2rem}table{border-collapse:collapse;width:100%}th{text-align:left}
td,th{padding:.3rem .6rem;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}
.bar{display:inline-block;width:9rem;background:var(--line);height:.7rem}.bar span{display:block;height:100%;background:var(--mark)}
.cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:0 2rem}small{opacity:.7}li b{float:right}
</style></head><body>
<h1>Box office</h1>
<p>${number(records)} records, ${number(films)} films kept, ${repaired} repaired, ${lost} unusable
(${Object.entries(rejected).map(([reason, n]) => `${text(reason)}: ${n}`).join(", ")}).${note === undefined ? "" : ` ${text(note)}.`}</p>
<ul>${highlights.map((line) => `<li>${text(line)}</li>`).join("")}</ul>
<h2>Genres, by what a film returns of its budget</h2>
${
    table(
      ["Genre", "Films", "Budget", "Gross", "Returned", "Critics", "Audience"],
      profiles.map(({ genre, films: n, budget, gross, returned, taste }) =>
        row([
          text(genre),
          number(n),
          millions(budget),
          millions(gross),
          bar(returned, best, `${returned}×`),
          taste === null ? "–" : `${taste.critics}`,
          taste === null ? "–" : `${taste.audience}`,
        ])
      ),
    )
  }
<p><small>Medians. Genres with fewer than 50 films are counted and not listed. Ratings out of 100.</small></p>
<div class="cols"><div><h2>Most for the money</h2>${ranking(views.money, "×")}</div>
<div><h2>Audience over critics</h2>${ranking(views.taste, "")}</div></div>
<h2>Films by decade</h2>
${table(["Decade", "Films"], views.years.map(({ decade, films: n }) => row([`${decade}s`, bar(n, most, number(n))])))}
</body></html>
`
}
