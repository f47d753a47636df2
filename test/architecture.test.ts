import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { expect, it } from "vitest"
import { layers } from "../layers.mjs"

const files = ["dsl", "src"].flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).map((file) => join(root, file))
)
const layerOf = (file: string) => layers.findIndex((layer: string) => file.startsWith(`${layer}/`))
const imports = (file: string) =>
  Array.from(readFileSync(file, "utf8").matchAll(/from "(\.[^"]+)"|import\("(\.[^"]+)"\)/g), ([, a, b]) => relative(".", resolve(dirname(file), (a ?? b)!)))

it("a folder imports only the folders above it", () => {
  const wrong = files.flatMap((file) => {
    const layer = layerOf(file)
    return layer === -1 ? [] : imports(file).filter((target) => layerOf(target) > layer || layerOf(target) === -1).map((target) => `${file} imports ${target}`)
  })
  expect(wrong).toEqual([])
})

it("the table in the docs is the table", () => {
  const table = Array.from(readFileSync("docs/architecture.md", "utf8").matchAll(/^\| `((?:dsl|src)\/[a-z]+)` +\|/gm), ([, folder]) => folder)
  expect(table).toEqual(layers)
  const folders = ["dsl", "src"].flatMap((root) =>
    readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory() && readdirSync(join(root, entry.name)).length > 0).map(({ name }) =>
      `${root}/${name}`
    )
  )
  expect(folders.sort()).toEqual([...layers].sort())
})

it("files stay short, and there is no utils", () => {
  const long = files.filter((file) => readFileSync(file, "utf8").split("\n").length > 300)
  expect(long).toEqual([])
  expect(files.filter((file) => /\/(utils?|helpers?|common|shared|misc|base|impl|manager)\b/.test(file))).toEqual([])
  const lengths = files.map((file) => readFileSync(file, "utf8").split("\n").length).sort((a, b) => a - b)
  expect(lengths[lengths.length >> 1]).toBeLessThan(140)
})

it("only the reading of sources knows ts-morph, only the store and the tool that read SQLite know node:sqlite", () => {
  const users = (what: string) => files.filter((file) => readFileSync(file, "utf8").includes(`"${what}"`))
  expect(users("ts-morph")).toEqual(["chain", "errors", "facts", "project", "shape"].map((name) => `src/docgen/source/${name}.ts`))
  expect(users("node:sqlite").every((file) => file.startsWith("src/store/sqlite/") || file === "src/builtin/tools/sql/reader.ts")).toBe(true)
})
