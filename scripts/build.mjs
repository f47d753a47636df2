// Builds dist/: declarations and plain tsc output, and the package's doors and command line as bundles, which start in a fraction of the time.
import { execFileSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { build } from "esbuild"

rmSync("dist", { recursive: true, force: true })
execFileSync(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", "tsconfig.json"], { stdio: "inherit" })
const { dependencies, peerDependencies, exports } = JSON.parse(readFileSync("package.json", "utf8"))
// every door of the package in one build: what they share is there once
const doors = Object.values(exports).flatMap(({ source, default: file }) => (source === undefined ? [] : [[/([^/]+)\.js$/.exec(file)[1], source]]))
await build({
  entryPoints: { ...Object.fromEntries(doors), cli: "src/cli/main.ts", reader: "src/builtin/tools/sql/reader.ts" },
  outdir: "dist/bundle",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  sourcemap: true,
  // effect is inlined: its parts we use load five times faster as one file; services are keyed by name, so both copies agree. What is redacted is known to
  // the copy that made it only
  external: [...Object.keys(dependencies), ...Object.keys(peerDependencies).filter((name) => name !== "effect"), "effect/Redacted", "zod"],
})
