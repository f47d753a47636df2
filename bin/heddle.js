#!/usr/bin/env node
const [major] = process.versions.node.split(".").map(Number)
if (major < 24) {
  console.error(`heddle needs Node 24 or newer; this is ${process.version}. Install it, or add it to the project: npm install -D node@24`)
  process.exit(2)
}
// whoever reads has seen enough: `heddle events … | head`
process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 0 : 1))
const { enableCompileCache } = await import("node:module")
enableCompileCache?.()
const { main } = await import("../dist/bundle/cli.js")
await main(process.argv)
// what a flow file has left open at import does not keep the command
process.stdout.write("", () => process.stderr.write("", () => process.exit()))
