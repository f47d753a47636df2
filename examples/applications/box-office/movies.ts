/** The data: 3,201 films as published with vega-datasets, and what is wrong with them. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"

/** A record as it comes: titles that are numbers, dates from the future, grosses of 0, genres left out. */
export interface Raw {
  readonly Title: string | number | null
  readonly "US Gross": number | null
  readonly "Worldwide Gross": number | null
  readonly "Production Budget": number | null
  readonly "Release Date": string
  readonly Distributor: string | null
  readonly "Major Genre": string | null
  readonly "Rotten Tomatoes Rating": number | null
  readonly "IMDB Rating": number | null
}

export interface Movie {
  readonly title: string
  readonly year: number
  readonly genre: string
  readonly distributor: string
  readonly budget: number
  readonly gross: number
  readonly critics: number | null
  readonly audience: number | null
}

export type Checked =
  | { readonly kind: "good"; readonly movie: Movie }
  | { readonly kind: "repaired"; readonly movie: Movie; readonly repairs: ReadonlyArray<string> }
  | { readonly kind: "unusable"; readonly title: string; readonly reason: string }

/** Where the shipped data lies. */
export const shippedFile = (): string => createRequire(import.meta.url).resolve("vega-datasets").replace(/build\/.*$/, "data/movies.json")

export const readMovies = (file: string): ReadonlyArray<Raw> => JSON.parse(readFileSync(file, "utf8")) as ReadonlyArray<Raw>

/** The data ends in 2011; later dates were written with two digits and read a century late. */
const lastYear = 2011

/** What can be made of a record. */
export function inspect(raw: Raw): Checked {
  const repairs: Array<string> = []
  const title = String(raw.Title ?? "").trim()
  if (title === "") return { kind: "unusable", title: "(none)", reason: "no title" }
  if (typeof raw.Title === "number") repairs.push("title was a number")
  const gross = raw["Worldwide Gross"]
  if (gross === null || gross <= 0) return { kind: "unusable", title, reason: "no gross" }
  const budget = raw["Production Budget"]
  if (budget === null || budget <= 0) return { kind: "unusable", title, reason: "no budget" }
  let year = Number(raw["Release Date"].slice(-4))
  if (!Number.isInteger(year)) return { kind: "unusable", title, reason: "no date" }
  if (year > lastYear) {
    year -= 100
    repairs.push("date was in the future")
  }
  const movie = {
    title,
    year,
    genre: raw["Major Genre"] ?? "Unknown",
    distributor: raw.Distributor ?? "Unknown",
    budget,
    gross,
    critics: raw["Rotten Tomatoes Rating"],
    audience: raw["IMDB Rating"],
  }
  return repairs.length === 0 ? { kind: "good", movie } : { kind: "repaired", movie, repairs }
}

export const chunks = <A>(items: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/** Films by title and year, each once; the larger gross stays. */
export function distinct(movies: ReadonlyArray<Movie>): { readonly movies: ReadonlyArray<Movie>; readonly duplicates: number } {
  const byKey = new Map<string, Movie>()
  for (const movie of movies) {
    const key = `${movie.title.toLowerCase()}|${movie.year}`
    const other = byKey.get(key)
    if (other === undefined || other.gross < movie.gross) byKey.set(key, movie)
  }
  return { movies: [...byKey.values()], duplicates: movies.length - byKey.size }
}

export const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))
