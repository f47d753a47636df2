// Builds dist/: plain tsc output with declarations, and the bundled core and command line, which start in a fraction of the time.
import { execFileSync } from "node:child_process"
import { rmSync } from "node:fs"
import { build } from "esbuild"

rmSync("dist", { recursive: true, force: true })
execFileSync(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", "tsconfig.json"], { stdio: "inherit" })
await build({
  entryPoints: { index: "src/index.ts", cli: "src/cli/main.ts" },
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
  // effect is inlined: its parts we use load five times faster as one file; services are keyed by name, so both copies agree
  external: ["neverthrow", "commander", "tsx", "ts-morph", "zod"],
})
