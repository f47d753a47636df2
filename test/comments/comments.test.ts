/** Examples in doc comments compile, and those of the language and its definitions run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import ts from "typescript"
import { afterAll, expect, it } from "vitest"

interface Example {
  readonly at: string
  readonly code: string
}
const files = ["dsl", "src"].flatMap((root) => readdirSync(root, { recursive: true, encoding: "utf8" }).map((file) => join(root, file))).filter((file) =>
  file.endsWith(".ts")
)
const examples = files.flatMap((file): ReadonlyArray<Example> => {
  const text = readFileSync(file, "utf8")
  return Array.from(text.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*?@example\s*\n((?:(?!\*\/)[\s\S])*?)\*\//g), ({ index, 0: comment, 1: body }) => ({
    at: `${file}:${text.slice(0, index + comment.indexOf("@example")).split("\n").length + 1}`,
    code: body!.split("\n").map((line) => line.replace(/^\s*\* ?/, "")).join("\n").trim(),
  }))
}).filter(({ code }) => code.split("\n").some((line) => !line.startsWith("//")))

/** Names and where they come from: the package's own doors, and what examples take for granted. */
const doors = ["heddle", "heddle/agents", "heddle/hooks", "heddle/mcp", "heddle/streams", "heddle/telemetry", "heddle/testing", "heddle/tools"]
const known = new Map<string, string>()
for (const door of doors) for (const name of Object.keys(await import(door) as object)) known.set(name, door)
for (const name of Object.keys(await import("./prelude.ts"))) known.set(name, "../prelude.ts")

const folder = mkdtempSync("test/comments/made-")
afterAll(() => rmSync(folder, { recursive: true }))
const moduleOf = ({ code }: Example, nr: number): string => {
  const lines = code.split("\n")
  const own = lines.filter((line) => line.startsWith("import "))
  const body = lines.filter((line) => !line.startsWith("import "))
  const words = new Set(body.join("\n").match(/(?<![.\w$"'])[A-Za-z_]\w*/g))
  const imports = [...words].filter((word) => known.has(word)).map((word) => `import { ${word} } from "${known.get(word)}"`)
  const file = join(folder, `example-${nr}.ts`)
  writeFileSync(file, `${[...own, ...imports].join("\n")}\nexport default async () => {\n${body.join("\n")}\n}\n`)
  return file
}
const made = examples.map((example, nr) => ({ ...example, file: moduleOf(example, nr) }))

it("compile", () => {
  expect(examples.length).toBeGreaterThan(60)
  const { config } = ts.readConfigFile("tsconfig.check.json", (path) => readFileSync(path, "utf8"))
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
  const program = ts.createProgram(made.map(({ file }) => resolve(file)), {
    ...options,
    noUnusedLocals: false,
    noUnusedParameters: false,
    noPropertyAccessFromIndexSignature: false,
  })
  const wrong = ts.getPreEmitDiagnostics(program).filter(({ file }) => made.some((one) => resolve(one.file) === file?.fileName))
  const told = wrong.map(({ file, messageText }) =>
    `${made.find((one) => resolve(one.file) === file!.fileName)!.at}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`
  )
  expect(told).toEqual([])
}, 60_000)

// the others need a model, a server, a file or a run
const runs = made.filter(({ at, code }) => at.startsWith("dsl/") || (at.startsWith("src/services") && !code.includes("await")))
it.each(runs)("$at runs", async ({ file }) => {
  const { default: example } = await import(resolve(file)) as { readonly default: () => Promise<void> }
  await example()
})
