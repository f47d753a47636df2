// The layer table: a folder may import the folders above it in this list, never those below.
// Read by oxlint.config.ts and test/architecture.test.ts; docs/architecture.md shows it.
export const layers = [
  "dsl/ir",
  "dsl/flow",
  "src/model",
  "src/store",
  "src/services",
  "src/compile",
  "src/engine",
  "src/builtin",
  "src/docgen",
  "src/testing",
  "src/cli",
]
/** `dsl/ir` is imported by everything, so `src` may reach it; the other way there is no door. */
export const below = (layer) => layers.slice(layers.indexOf(layer) + 1)
