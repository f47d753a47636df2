/** From a dirty data set to a report: every verb of the language on 3,201 real records. */
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { merge, nest, seq } from "heddle"
import { z } from "zod"
import { chunks, distinct, inspect, type Movie, readMovies, round, shippedFile } from "./movies.ts"
import { profile } from "./profile.ts"
import { html } from "./report.ts"

const byGenre = (movies: ReadonlyArray<Movie>) => {
  const genres = Map.groupBy(movies, ({ genre }) => genre)
  return [...genres].map(([genre, films]) => ({ genre, movies: films, size: films.length >= 50 ? "large" as const : "small" as const }))
}
const top = <A>(items: ReadonlyArray<A>, by: (item: A) => number, n = 5): ReadonlyArray<A> => [...items].sort((a, b) => by(b) - by(a)).slice(0, n)

export const boxOffice = seq("box-office", {
  description: "cleans a data set of films and writes a report",
  input: z.object({
    /** Default: the data that ships with vega-datasets. */
    file: z.string().optional(),
    /** Where the report goes. */
    report: z.string().default("box-office.html"),
    /** Milliseconds to wait at each genre, for watching and for killing it midway. */
    pause: z.number().int().min(0).default(0),
  }),
})
  .step("raw", ({ input }) => readMovies(input.file ?? shippedFile()))
  .step("rejected", (): Record<string, number> => ({}))
  .step("repaired", () => 0)
  .loop("clean", { over: ({ raw }) => chunks(raw, 400), collect: "all" }, (b) =>
    b.step("checked", ({ item }) => item.map(inspect))
      .update("repaired", ({ repaired, checked }) => repaired + checked.filter(({ kind }) => kind === "repaired").length)
      .update("rejected", ({ rejected, checked }) => {
        const counts = { ...rejected }
        for (const one of checked) if (one.kind === "unusable") counts[one.reason] = (counts[one.reason] ?? 0) + 1
        return counts
      })
      .continue(({ checked }) => checked.every(({ kind }) => kind === "unusable"))
      .returns(({ checked }) => checked.flatMap((one) => (one.kind === "unusable" ? [] : [one.movie]))))
  .step("films", ({ clean }) => distinct(clean.flat()))
  .when(({ films }) => films.duplicates > 0).step(
    "note",
    ({ films }) => `${films.duplicates} films were listed more than once; the record with the larger gross was kept`,
  )
  .each("genres", ({ films }) => byGenre(films.movies), (b) =>
    b.step("waited", async ({ input }, step) => {
      if (input.pause > 0) await sleep(input.pause, undefined, { signal: step.signal })
    })
      .match("figures", ({ item }) => item.size, {
        large: (c) => c.step("profile", nest(profile, ({ item }) => ({ genre: item.genre, movies: item.movies }))).returns(({ profile }) => profile),
        small: (c) => c.step("count", ({ item }) => ({ genre: item.genre, films: item.movies.length })).returns(() => undefined),
      })
      .returns(({ figures }) => figures), { concurrency: 2 })
  .step("highlights", (): ReadonlyArray<string> => [])
  .parallel("views", {
    money: (b) =>
      b.step(
        "best",
        ({ films }) =>
          top(films.movies, ({ gross, budget }) => (budget >= 1_000_000 ? gross / budget : 0)).map((film) => ({
            title: film.title,
            year: film.year,
            value: round(film.gross / film.budget),
          })),
      )
        .update("highlights", ({ best }) => [`${best[0]?.title} (${best[0]?.year}) earned ${best[0]?.value} times its budget`])
        .returns(({ best }) => best),
    taste: (b) =>
      b.step(
        "split",
        ({ films }) =>
          top(films.movies.filter(({ critics, audience }) => critics !== null && audience !== null), ({ critics, audience }) =>
            (audience ?? 0) * 10 - (critics ?? 0)).map((film) => ({
              title: film.title,
              year: film.year,
              value: round((film.audience ?? 0) * 10 - (film.critics ?? 0)),
            })),
      )
        .update("highlights", ({ split }) => [`critics and audience disagree most about ${split[0]?.title} (${split[0]?.year})`])
        .returns(({ split }) =>
          split
        ),
    years: (b) =>
      b.step(
        "decades",
        ({ films }) =>
          [...Map.groupBy(films.movies, ({ year }) => Math.floor(year / 10) * 10)].sort(([a], [c]) => a - c).map(([decade, list]) => ({
            decade,
            films: list.length,
          })),
      )
        .returns(({ decades }) => decades),
  })
  .merge({ highlights: merge.append })
  .step("report", ({ input, raw, films, repaired, rejected, note, genres, views, highlights }) => {
    const profiles = genres.filter((one) => one !== undefined).sort((a, b) => b.returned - a.returned)
    writeFileSync(input.report, html({ records: raw.length, films: films.movies.length, repaired, rejected, note, profiles, views, highlights }))
    return input.report
  })
  .returns(({ raw, films, repaired, rejected, genres, highlights, report }) => ({
    records: raw.length,
    films: films.movies.length,
    repaired,
    rejected,
    genres: genres.filter((one) => one !== undefined).length,
    highlights,
    report,
  }))
