/** One genre: what it costs, what it earns, what people think of it. A flow of its own, nested in the pipeline. */
import { seq } from "heddle"
import { z } from "zod"
import { median, type Movie, round } from "./movies.ts"

const movie = z.custom<Movie>((value) => typeof value === "object" && value !== null)

export const profile = seq("profile", {
  description: "figures of one genre",
  input: z.object({ genre: z.string(), movies: z.array(movie) }),
})
  .step("money", ({ input }) => ({
    films: input.movies.length,
    budget: Math.round(median(input.movies.map(({ budget }) => budget))),
    gross: Math.round(median(input.movies.map(({ gross }) => gross))),
    returned: round(median(input.movies.map(({ budget, gross }) => gross / budget)), 2),
  }))
  .step(
    "ratings",
    ({ input }) => input.movies.flatMap(({ critics, audience }) => (critics === null || audience === null ? [] : [{ critics, audience: audience * 10 }])),
  )
  .when(({ ratings }) => ratings.length >= 10).step("taste", ({ ratings }) => ({
    rated: ratings.length,
    critics: round(median(ratings.map(({ critics }) => critics))),
    audience: round(median(ratings.map(({ audience }) => audience))),
  }))
  .returns(({ input, money, taste }) => ({ genre: input.genre, ...money, taste: taste ?? null }))
