import { run, seq } from "heddle"

type Shape = { readonly kind: "circle"; readonly radius: number } | { readonly kind: "square"; readonly side: number }

/** `.match` is exhaustive: leave a case out and it does not compile. Inside a case, `matched` is the narrowed value. */
export const flow = seq("match")
  .step("shape", (): Shape => ({ kind: "square", side: 3 }))
  .match("area", ({ shape }) => shape, {
    circle: (b) => b.step("round", ({ matched }) => Math.PI * matched.radius ** 2).returns(({ round }) => round),
    square: (b) => b.step("sides", ({ matched }) => matched.side ** 2).returns(({ sides }) => sides),
  })
  .returns(({ area }) => area)

export const input = undefined

if (import.meta.main) console.log((await run(flow))._unsafeUnwrap())
// => 9
